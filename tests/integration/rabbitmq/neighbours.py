"""The other side of the broker, as the tests need it: sends commands, binds to events, looks into queues.

And the worker's own neighbours: an acceptance that remembers, and a wait under a deadline.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable

from tests.stack.rabbitmq import RabbitMQ
from worker.adapters.rabbitmq.connection import Backoff
from worker.adapters.rabbitmq.consumer import Consumer, ConsumerPorts, IntakeLimits
from worker.adapters.rabbitmq.publisher import Publisher
from worker.adapters.rabbitmq.topology import Broker, declare
from worker.domain.failures import StoreFailure
from worker.ports.broker import Delivery
from worker.ports.telemetry import NoTelemetry


NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
WAIT_S = 15.0
QUICK = Backoff(first_s=0.05, most_s=0.5)


class Platform:
    """A client of the broker, with nothing of the worker's in its way."""

    def __init__(self, broker: Broker) -> None:
        self.topology = broker.topology
        self._broker = broker

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._broker.url)
        await declare(self._connection, self._broker)
        self._channel = await self._connection.channel(on_return_raises=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def reconnect(self) -> None:
        """After a restart of the broker."""
        await self._connection.close()
        await self.__aenter__()

    async def send(
        self, *bodies: str, key: str = "directory.save", message: aio_pika.Message | None = None
    ) -> None:
        """Send commands in order, each confirmed. Raises PublishError when no queue takes it."""
        exchange = await self._channel.get_exchange(self.topology.commands, ensure=False)
        for body in bodies:
            await exchange.publish(message or aio_pika.Message(body.encode(), delivery_mode=2), key)

    async def send_odd(self, body: str, properties: Basic.Properties) -> None:
        """Send a command with properties that no careful client would send."""
        wire = await self._channel.get_underlay_channel()
        await wire.basic_publish(
            body.encode(),
            exchange=self.topology.commands,
            routing_key="directory.save",
            properties=properties,
        )

    async def bind(self, key: str = "#") -> str:
        """Bind a queue of one's own to the events; give its name."""
        queue = await self._channel.declare_queue(exclusive=True)
        await queue.bind(self.topology.events, key)
        return queue.name

    async def bind_bounded(self, most: int) -> str:
        """Bind a queue that takes ``most`` events and refuses the next."""
        arguments: FieldTable = {"x-max-length": most, "x-overflow": "reject-publish"}
        queue = await self._channel.declare_queue(exclusive=True, arguments=arguments)
        await queue.bind(self.topology.events, "#")
        return queue.name

    async def reply_queue(self) -> str:
        """Give a queue for answers, bound to nothing."""
        return (await self._channel.declare_queue(exclusive=True)).name

    async def fill(self, count: int) -> None:
        """Send so many commands of 1 KiB, a hundred at a time."""
        exchange = await self._channel.get_exchange(self.topology.commands, ensure=False)
        for _ in range(0, count, 100):
            async with asyncio.TaskGroup() as together:
                for _ in range(100):
                    message = aio_pika.Message(b"x" * 1024, delivery_mode=2)
                    together.create_task(exchange.publish(message, "directory.save"))

    async def ids(self, queue: str, *, last: str) -> list[str | None]:
        """Take ids off a queue up to and with the last one."""
        taken: list[str | None] = []
        while last not in taken:
            taken.append((await self.take(queue)).message_id)
        return taken

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """Take the next message of a queue, waiting for it."""
        return await self._next(queue, no_ack=True)

    async def hand_back(self, queue: str) -> None:
        """Take the next message and return it, as a consumer that breaks does."""
        message = await self._next(queue, no_ack=False)
        await message.reject(requeue=True)

    async def depth(self, queue: str) -> int:
        """How many messages lie ready in a queue; those handed over and not acked are not among them."""
        async with self._connection.channel() as channel:
            found = await channel.declare_queue(queue, passive=True)
            return found.declaration_result.message_count or 0

    async def filled(self, queue: str, count: int) -> None:
        """Wait until so many messages lie in a queue, without reading them."""
        await self._until(queue, lambda ready: ready >= count)

    async def emptied(self, queue: str, *, but: int) -> None:
        """Wait until no more than so many messages lie ready in a queue."""
        await self._until(queue, lambda ready: ready <= but)

    async def _until(self, queue: str, holds: Callable[[int], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while True:
                if holds(await self.depth(queue)):
                    return
                await asyncio.sleep(0.05)

    async def _next(self, queue: str, *, no_ack: bool) -> AbstractIncomingMessage:
        source = await self._channel.get_queue(queue, ensure=False)
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await source.get(no_ack=no_ack, fail=False)
                if message is not None:
                    return message
                await asyncio.sleep(0.02)


class Acceptance:
    """Keeps what it was given, once it has given it to ``store``, which a test may let fail or wait."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.deliveries: list[Delivery] = []
        self.attempts = 0
        self.is_away = False
        self.poison: str | None = None
        self.open = asyncio.Event()
        self.open.set()

    @property
    def bodies(self) -> list[str]:
        """All that is durable, in order, repeats included."""
        return [body for batch in self.batches for body in batch]

    @property
    def ports(self) -> ConsumerPorts:
        """What a consumer is made with."""
        return ConsumerPorts(accept=self, ping=self.ping, telemetry=NoTelemetry())

    async def ping(self) -> None:
        """Answer as the store would."""
        if self.is_away:
            raise _away()

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Make durable, or raise."""
        self.attempts += 1
        await self.open.wait()
        if self.is_away:
            raise _away()
        bodies = [delivery.body.decode() for delivery in batch]
        if self.poison in bodies:
            raise ZeroDivisionError
        self.batches.append(bodies)
        self.deliveries.extend(batch)


def _away() -> StoreFailure:
    code = "store.unavailable"
    return StoreFailure(code)


@asynccontextmanager
async def consuming(
    broker: Broker, acceptance: Acceptance, limits: IntakeLimits | None = None
) -> AsyncIterator[Consumer]:
    """Run a consumer until the end of the scope, then stop it as the program would."""
    limits = limits or IntakeLimits(backoff=QUICK)
    consumer = Consumer(broker, acceptance.ports, limits=limits)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        try:
            yield consumer
            async with asyncio.timeout(WAIT_S):
                await consumer.stop()
        finally:
            running.cancel()


@asynccontextmanager
async def publishing(broker: Broker, *, publish_s: float = 2.0) -> AsyncIterator[Publisher]:
    """Give a publisher, closed at the end of the scope."""
    publisher = Publisher(broker, now=lambda: NOW, publish_s=publish_s)
    try:
        yield publisher
    finally:
        await publisher.close()


@asynccontextmanager
async def frozen(server: RabbitMQ) -> AsyncIterator[None]:
    """A broker that answers nothing and closes nothing, as behind a cut cable."""
    server.daemon.send(signal.SIGSTOP)
    try:
        await until(lambda: _is_stopped(server.daemon.pid))
        yield
    finally:
        server.daemon.send(signal.SIGCONT)


def _is_stopped(pid: int | None) -> bool:
    """Whether the last of its threads has stopped; one that has not could still confirm a publish."""
    states = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(state.rpartition(")")[2].split()[0] == "T" for state in states)


async def until(condition: Callable[[], bool], *, within_s: float = WAIT_S) -> None:
    """Wait for a condition under a deadline."""
    async with asyncio.timeout(within_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)
