"""An LDAP server that says what a test tells it to: for faults that no real server can be brought to.

Written from RFC 4511 on its own, so that it does not share the mistakes of what it tests.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


PAGED = "1.2.840.113556.1.4.319"
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"
BIND, SEARCH, EXTENDED, UNBIND = 0x60, 0x63, 0x77, 0x42


def tlv(tag: int, *parts: bytes) -> bytes:
    """One BER element, its length in as few bytes as can be."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def octets(value: str | bytes) -> bytes:
    """An OCTET STRING."""
    return tlv(0x04, value.encode() if isinstance(value, str) else value)


def number(value: int, tag: int = 0x02) -> bytes:
    """An INTEGER, or an ENUMERATED."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def message(message_id: int, *parts: bytes) -> bytes:
    """One LDAPMessage."""
    return tlv(0x30, number(message_id), *parts)


def result(
    message_id: int,
    tag: int,
    code: int = 0,
    words: str = "",
    *,
    tail: bytes = b"",
    control: bytes = b"",
) -> bytes:
    """One LDAPResult; ``tail`` belongs to the operation, ``control`` to the message."""
    body = tlv(tag, number(code, 0x0A), octets(""), octets(words), tail)
    return message(message_id, body, control)


def entry(message_id: int, name: str, attributes: Mapping[str, Sequence[str | bytes]]) -> bytes:
    """One SearchResultEntry."""
    rows = [
        tlv(0x30, octets(kind), tlv(0x31, *map(octets, values)))
        for kind, values in attributes.items()
    ]
    return message(message_id, tlv(0x64, octets(name), tlv(0x30, *rows)))


def reference(message_id: int, uri: str) -> bytes:
    """One SearchResultReference."""
    return message(message_id, tlv(0x73, octets(uri)))


def cookie_control(cookie: bytes) -> bytes:
    """The controls of a message: the paged results one with this cookie."""
    value = tlv(0x30, number(0), octets(cookie))
    return tlv(0xA0, tlv(0x30, octets(PAGED), octets(value)))


def person(message_id: int, serial: int) -> bytes:
    """An entry with an address."""
    return entry(message_id, f"cn=p{serial},dc=x", {"mail": [f"p{serial}@example.org"]})


def done(message_id: int, code: int = 0, words: str = "", cookie: bytes | None = b"") -> bytes:
    """A SearchResultDone; ``cookie`` None leaves the control out."""
    control = b"" if cookie is None else cookie_control(cookie)
    return result(message_id, 0x65, code, words, control=control)


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """The elements inside an element."""
    found, at = [], 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
        found.append((tag, data[start : start + size]))
        at = start + size
    return found


@dataclass(frozen=True, slots=True)
class Request:
    """What the client asked."""

    id: int
    operation: int
    base: str = ""
    scope: int = 0
    attributes: tuple[str, ...] = ()
    dereference: int = 0
    time_limit: int = 0
    page_size: int | None = None
    cookie: bytes = b""

    @property
    def is_root(self) -> bool:
        """Whether the server is asked about itself."""
        return self.operation == SEARCH and self.scope == 0 and not self.base

    @property
    def is_base(self) -> bool:
        """Whether an entry is read to see that it is there."""
        return self.operation == SEARCH and self.attributes == ("1.1",)


def parse(body: bytes) -> Request:
    """Read a request as far as the tests need it."""
    (_, raw_id), (operation, inner), *controls = parts(body)
    message_id = int.from_bytes(raw_id, "big")
    if operation != SEARCH:
        return Request(message_id, operation)
    fields = parts(inner)
    names = tuple(value.decode() for _, value in parts(fields[7][1]))
    size, cookie = None, b""
    for _, listed in controls:
        for _, control in parts(listed):
            *_, (_, value) = parts(control)
            (_, raw_size), (_, cookie) = parts(parts(value)[0][1])
            size = int.from_bytes(raw_size, "big")
    base, scope = fields[0][1].decode(), fields[1][1][0]
    dereference, time_limit = (int.from_bytes(fields[at][1], "big") for at in (2, 4))
    return Request(message_id, operation, base, scope, names, dereference, time_limit, size, cookie)


class Client:
    """The connection to answer on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *messages: bytes) -> None:
        """Send at once, and wait until the other side takes it."""
        self.writer.write(b"".join(messages))
        await self.writer.drain()

    async def receive(self) -> Request:
        """Return the next request. Raises IncompleteReadError at the end."""
        head = await self.reader.readexactly(2)
        size = head[1]
        if size & 0x80:
            size = int.from_bytes(await self.reader.readexactly(size & 0x7F), "big")
        return parse(await self.reader.readexactly(size))


Answer = Callable[[Client, Request], Awaitable[None]]


@dataclass(slots=True)
class ScriptedLdap:
    """Signs in, names its controls and shows every base; the rest is the test's."""

    search: Answer
    bind: Answer | None = None
    who: str | None = None
    pages: bool = True
    extensions: tuple[str, ...] = ()
    greeting: bytes = b""
    """Sent to whoever connects."""
    root: Answer | None = None
    """Answers when the rootDSE is read."""
    base: Answer | None = None
    """Answers when a search base is read as an entry."""
    contexts: Sequence[str] = ("dc=x",)
    tls: ssl.SSLContext | None = None
    """From the first byte, if there is one."""
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedLdap"]:
        """Listen on loopback; end with all its connections."""
        clients: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            clients.add(task)
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._serve(Client(reader, writer))
            clients.discard(task)
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in clients:
                task.cancel()
            await server.wait_closed()

    async def _serve(self, client: Client) -> None:
        if self.greeting:
            await client.send(self.greeting)
        while True:
            request = await client.receive()
            self.requests.append(request)
            if request.operation == UNBIND:
                return
            await self._answer(client, request)

    async def _answer(self, client: Client, request: Request) -> None:
        own = self._own(request)
        if own is not None:
            await own(client, request)
        elif request.operation == BIND:
            await client.send(result(request.id, 0x61))
        elif request.operation == EXTENDED:
            tail = b"" if self.who is None else tlv(0x8B, self.who.encode())
            await client.send(result(request.id, 0x78, tail=tail))
        elif request.is_root:
            await client.send(self._root(request), done(request.id, cookie=None))
        elif request.operation == SEARCH:
            await client.send(entry(request.id, request.base, {}), done(request.id, cookie=None))

    def _own(self, request: Request) -> Answer | None:
        """Return what the test answers itself, if it does."""
        if request.operation != SEARCH:
            return self.bind if request.operation == BIND else None
        if request.is_root:
            return self.root
        return self.base if request.is_base else self.search

    def _root(self, request: Request) -> bytes:
        controls = ["2.16.840.1.113730.3.4.2", *([PAGED] if self.pages else [])]
        said = {"supportedControl": controls, "namingContexts": self.contexts}
        return entry(request.id, "", {**said, "supportedExtension": list(self.extensions)})
