"""The process behind ``FaultProxy``: orders come as lines of JSON on standard input, answers go out."""

import asyncio
import contextlib
import json
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.servers import ber
from tests.servers.ber import Kind, Message
from tests.servers.proxy import Action, Fault


CHUNK = 64 * 1024
CONNECT_S = 10
HUGE = bytes([ber.SEQUENCE, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, ber.INTEGER, 1, 2])
GARBAGE = bytes(range(255, 191, -1))
START_TLS_DONE = 0x78


class HangUpError(Exception):
    """A fault ends this connection."""


@dataclass(slots=True)
class Orders:
    """Which faults are armed and what has passed since."""

    faults: list[Fault] = field(default_factory=list)
    passed: Counter[Kind] = field(default_factory=Counter)
    answered_bytes: int = 0
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, faults: list[Fault]) -> None:
        """Replace the faults; whoever was frozen goes on."""
        self.faults = faults
        self.passed.clear()
        self.answered_bytes = 0
        self.thawed.set()
        self.thawed = asyncio.Event()

    def due(self, kind: Kind) -> list[Fault]:
        """Count one of a kind and say which faults befall it."""
        self.passed[kind] += 1
        number = self.passed[kind]
        return [
            fault
            for fault in self.faults
            if fault.after_bytes is None and _hits(fault, kind, number)
        ]

    def due_by_bytes(self, count: int) -> list[Fault]:
        """Faults whose byte lies in the next ``count`` bytes of answers."""
        before, self.answered_bytes = self.answered_bytes, self.answered_bytes + count
        marks = (fault for fault in self.faults if fault.after_bytes is not None)
        return [
            fault for fault in marks if before <= (fault.after_bytes or 0) < self.answered_bytes
        ]


def _hits(fault: Fault, kind: Kind, number: int) -> bool:
    if fault.on != kind or number < fault.nth:
        return False
    return fault.times == 0 or number < fault.nth + fault.times


@dataclass(slots=True)
class Lane:
    """One direction of one connection: where it writes, and how."""

    orders: Orders
    writer: StreamWriter
    trickles: bool = False
    ended: set[int] = field(default_factory=set)

    async def write(self, raw: bytes) -> None:
        """Send it on; a byte at a time once a fault said so."""
        if not self.trickles:
            self.writer.write(raw)
            await self.writer.drain()
            return
        for position in range(len(raw)):
            self.writer.write(raw[position : position + 1])
            await self.writer.drain()
            await asyncio.sleep(0)

    async def carry(self, message: Message) -> None:
        """Send one message on, or what the faults make of it."""
        faults = self.orders.due(message.kind)
        if message.number in self.ended:
            return
        await self.count_bytes(message)
        if not faults:
            await self.write(message.raw)
        for fault in faults:
            await FATES[fault.action](self, fault, message)

    async def count_bytes(self, message: Message) -> None:
        """Faults that wait for an amount of answers, not for a message."""
        if message.kind.endswith("request"):
            return
        for fault in self.orders.due_by_bytes(len(message.raw)):
            passed = self.orders.answered_bytes - len(message.raw)
            head = message.raw[: (fault.after_bytes or 0) - passed]
            if fault.action is Action.TRICKLE:
                self.trickles = True
                continue
            await self.write(head)
            await FATES[fault.action](self, fault, message)


async def _cut(_lane: Lane, _fault: Fault, _message: Message) -> None:
    raise HangUpError


async def _half(lane: Lane, _fault: Fault, message: Message) -> None:
    await lane.write(message.raw[: len(message.raw) // 2])
    raise HangUpError


async def _garbage(lane: Lane, _fault: Fault, _message: Message) -> None:
    await lane.write(GARBAGE)


async def _huge(lane: Lane, _fault: Fault, _message: Message) -> None:
    thawed = lane.orders.thawed
    await lane.write(HUGE)
    await thawed.wait()


async def _freeze(lane: Lane, _fault: Fault, message: Message) -> None:
    await lane.orders.thawed.wait()
    await lane.write(message.raw)


async def _delay(lane: Lane, fault: Fault, message: Message) -> None:
    await asyncio.sleep(fault.seconds)
    await lane.write(message.raw)


async def _trickle(lane: Lane, _fault: Fault, message: Message) -> None:
    lane.trickles = True
    await lane.write(message.raw)


async def _drop(_lane: Lane, _fault: Fault, _message: Message) -> None:
    """Nothing passes."""


async def _duplicate(lane: Lane, _fault: Fault, message: Message) -> None:
    await lane.write(message.raw + message.raw)


async def _result(lane: Lane, fault: Fault, message: Message) -> None:
    operation = message.operation
    if message.kind is Kind.ENTRY:
        operation = 0x65
        # what the server still sends of this search must not follow its end
        lane.ended.add(message.number)
    await lane.write(ber.result(message.number, operation, fault.code, fault.text))


async def _no_cookie(lane: Lane, _fault: Fault, message: Message) -> None:
    await lane.write(ber.result(message.number, message.operation, 0, controls=ber.last_page()))


async def _no_controls(lane: Lane, _fault: Fault, message: Message) -> None:
    await lane.write(ber.result(message.number, message.operation, 0))


async def _notice(lane: Lane, fault: Fault, _message: Message) -> None:
    await lane.write(ber.notice_of_disconnection(fault.code, fault.text))
    raise HangUpError


FATES: dict[Action, Callable[[Lane, Fault, Message], Awaitable[None]]] = {
    Action.CUT: _cut,
    Action.HALF: _half,
    Action.GARBAGE: _garbage,
    Action.HUGE: _huge,
    Action.FREEZE: _freeze,
    Action.DELAY: _delay,
    Action.TRICKLE: _trickle,
    Action.DROP: _drop,
    Action.DUPLICATE: _duplicate,
    Action.RESULT: _result,
    Action.NO_COOKIE: _no_cookie,
    Action.NO_CONTROLS: _no_controls,
    Action.NOTICE: _notice,
}


@dataclass(slots=True)
class Proxy:
    """Accepts clients and serves each with a connection of its own to the server behind."""

    upstream_port: int
    upstream_tls: bool
    ldaps: bool
    tls: ssl.SSLContext | None
    orders: Orders = field(default_factory=Orders)
    clients: set[StreamWriter] = field(default_factory=set)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One client, from its arrival to the end of either side."""
        self.clients.add(writer)
        try:
            # cancelled when the process ends; asyncio's own callback would print that
            with contextlib.suppress(asyncio.CancelledError, HangUpError, OSError, ssl.SSLError):
                await self._greet(writer)
                await self._between(reader, writer)
        finally:
            self.clients.discard(writer)
            writer.close()

    async def _greet(self, writer: StreamWriter) -> None:
        for fault in self.orders.due(Kind.CONNECT):
            await FATES[fault.action](Lane(self.orders, writer), fault, Message(b"", 0, 0))
        if self.ldaps and self.tls:
            await writer.start_tls(self.tls)

    async def _between(self, reader: StreamReader, writer: StreamWriter) -> None:
        async with _upstream(self.upstream_port, tls=self.upstream_tls) as (server, to_server):
            try:
                async with asyncio.TaskGroup() as lanes:
                    lanes.create_task(self._requests(reader, writer, Lane(self.orders, to_server)))
                    lanes.create_task(self._answers(server, Lane(self.orders, writer)))
            except* (HangUpError, OSError, ssl.SSLError):
                # one side ended; the group has ended the other
                pass

    async def _answers(self, server: StreamReader, lane: Lane) -> None:
        async for message in _messages(server):
            await lane.carry(message)
        raise HangUpError

    async def _requests(self, reader: StreamReader, writer: StreamWriter, lane: Lane) -> None:
        async for message in _messages(reader):
            if self.tls and message.kind is Kind.EXTENDED_REQUEST and ber.START_TLS in message.raw:
                await self._start_tls(writer, message)
                continue
            await lane.carry(message)
        raise HangUpError

    async def _start_tls(self, writer: StreamWriter, message: Message) -> None:
        """Answer STARTTLS ourselves: behind it we could not read along."""
        lane = Lane(self.orders, writer)
        answer = ber.result(message.number, START_TLS_DONE, 0)
        self.orders.due(Kind.EXTENDED_REQUEST)
        await lane.carry(Message(answer, message.number, START_TLS_DONE))
        if self.tls:
            await writer.start_tls(self.tls)


async def _messages(reader: StreamReader) -> AsyncIterator[Message]:
    buffer = bytearray()
    while chunk := await reader.read(CHUNK):
        buffer += chunk
        for message in ber.split(buffer):
            yield message


@contextlib.asynccontextmanager
async def _upstream(port: int, *, tls: bool) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    context = None
    if tls:
        # the server is the test's own, on loopback: whom it says to be is not what is tested here
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()


def _obey(proxy: Proxy, request: dict[str, object]) -> dict[str, object]:
    match request:
        case {"arm": list(faults)}:
            proxy.orders.arm([_fault(fault) for fault in faults])
        case {"cut": True}:
            for writer in proxy.clients:
                writer.transport.abort()
        case {"seen": str(kind)}:
            return {"seen": proxy.orders.passed[Kind(kind)]}
        case {"open": True}:
            return {"open": len(proxy.clients)}
        case _:
            raise ValueError(request)
    return {}


def _fault(said: dict[str, object]) -> Fault:
    known = {**said, "action": Action(str(said["action"])), "on": Kind(str(said["on"]))}
    return Fault(**known)  # type: ignore[arg-type] # as written by asdict on the other side


def _tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    orders = StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    setup = json.loads(await orders.readline())
    tls = _tls(setup.pop("cert"), setup.pop("key"))
    proxy = Proxy(**setup, tls=tls)
    # by name and number: a socket of our own making would be left with Nagle's pauses (40 ms a page)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    _say({"port": server.sockets[0].getsockname()[1]})
    while line := await orders.readline():
        _say(_obey(proxy, json.loads(line)))
    server.close()


if __name__ == "__main__":
    asyncio.run(_main())
