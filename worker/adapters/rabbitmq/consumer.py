"""Takes commands off both queues in batches, has each batch made durable, then acks it, in one place.

Never acks before ``accept`` has returned, never returns a message to retry it (each return counts
against the delivery limit), never ends because the broker or the store is away.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count

from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from worker.adapters.rabbitmq.connection import BACKOFF, Backoff, close_quietly, connected, is_open
from worker.adapters.rabbitmq.subscription import (
    Inbox,
    Subscription,
    ack_up_to,
    delivery_of,
    give_back,
)
from worker.adapters.rabbitmq.topology import Broker, declare
from worker.adapters.rabbitmq.translate import is_unreadable, translated
from worker.domain.failures import BrokerFailure, StoreFailure
from worker.ports.broker import Accept
from worker.ports.telemetry import Telemetry


STORE_TIMED_OUT = "store.timed_out"


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of the intake; times in seconds."""

    prefetch_commands: int = 400
    prefetch_scheduled: int = 200
    """Deliveries the broker hands over unacked, per queue: batches in hand and waiting."""
    batch_count: int = 200
    linger_s: float = 0.005
    """How long a batch that is not full waits for more."""
    accept_s: float = 30.0
    """For making one batch durable; longer counts as the store being away."""
    hold_s: float = 600.0
    """How long deliveries are kept while the store is away. The broker takes them back by force
    after 30 minutes (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout)."""
    setup_s: float = 10.0
    """For opening a channel and starting to consume."""
    backoff: Backoff = BACKOFF


@dataclass(frozen=True, slots=True)
class ConsumerPorts:
    """What the intake needs of the world."""

    accept: Accept
    ping: Callable[[], Awaitable[None]]
    """Raises StoreFailure while the store is away: then nothing is taken off the queues."""
    telemetry: Telemetry


@dataclass(slots=True)
class ConsumerFigures:
    """What a consumer counted since it was made. Written by it alone, read by telemetry."""

    consuming: int = 0
    """Queues consumed right now: 2 when all is well."""
    connects: int = 0
    accepted: int = 0
    batches: int = 0
    redelivered: int = 0
    stale_acks: int = 0
    """Acks too late for their channel: made durable, and handed over again."""
    returned: int = 0
    """Deliveries that acceptance broke on, given back towards the undeliverable."""

    @property
    def is_ready(self) -> bool:
        """Both queues are being consumed."""
        return self.consuming == 2  # noqa: PLR2004 - the two intake queues of the topology


class Consumer:
    """The intake on a connection of its own: ``run()`` until ``stop()``, whatever the broker does."""

    def __init__(
        self, broker: Broker, ports: ConsumerPorts, *, limits: IntakeLimits | None = None
    ) -> None:
        self.figures = ConsumerFigures()
        self._broker = broker
        self._ports = ports
        self._limits = limits or IntakeLimits()
        self._subscriptions: set[Subscription] = set()
        self._is_careful = False
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    async def run(self) -> None:
        """Take deliveries until stopped. Cancelled, it leaves what is not acked to be delivered again."""
        self._ended.clear()
        try:
            failures = 0
            while not self._stopping.is_set():
                started_at = _seconds()
                await self._one_connection()
                failures = 0 if self._has_lasted(started_at) else failures + 1
                await self._pause(failures)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Take no more, finish what was delivered, then let ``run()`` end. The caller owns the deadline."""
        self._stopping.set()
        async with asyncio.TaskGroup() as all_at_once:
            for subscription in self._subscriptions:
                all_at_once.create_task(subscription.finish())
        await self._ended.wait()

    async def _one_connection(self) -> None:
        """Serve both queues for as long as one connection lasts."""
        topology, limits = self._broker.topology, self._limits
        try:
            async with connected(self._broker, name="rollcall intake") as connection:
                await declare(connection, self._broker)
                connection.close_callbacks.add(self._note_end)
                self.figures.connects += 1
                async with asyncio.TaskGroup() as queues:
                    for queue, prefetch in (
                        (topology.commands, limits.prefetch_commands),
                        (topology.scheduled, limits.prefetch_scheduled),
                    ):
                        queues.create_task(self._serve(connection, queue, prefetch=prefetch))
        except* BrokerFailure as lost:
            for failure in _leaves(lost):
                self._warn("intake_interrupted", code=failure.code, detail=failure.detail)

    async def _serve(self, connection: AbstractConnection, queue: str, *, prefetch: int) -> None:
        """Consume one queue, on a new channel after each one that ended. Raises BrokerFailure."""
        failures = 0
        while await self._store_answers(connection):
            started_at = _seconds()
            async with self._subscribed(connection, queue, prefetch=prefetch) as subscription:
                await self._take(subscription)
            failures = 0 if self._has_lasted(started_at) else failures + 1
            await self._pause(failures)

    async def _store_answers(self, connection: AbstractConnection) -> bool:
        """Wait for the store before taking anything; False when connection or program end first.

        A delivery taken and given back is one nearer to its limit: after a night without a
        store, whole queues would lie among the undeliverable.
        """
        for attempt in count():
            if self._stopping.is_set() or not is_open(connection):
                return False
            try:
                async with asyncio.timeout(self._limits.accept_s):
                    await self._ports.ping()
            except (StoreFailure, TimeoutError):
                await self._pause(attempt)
            else:
                return True
        return False

    @asynccontextmanager
    async def _subscribed(
        self, connection: AbstractConnection, queue: str, *, prefetch: int
    ) -> AsyncIterator[Subscription]:
        channel = connection.channel(publisher_confirms=False)
        try:
            with translated(f"consume {queue}"):
                async with asyncio.timeout(self._limits.setup_s):
                    await channel.initialize()
                    subscription = Subscription(
                        queue, await channel.get_underlay_channel(), Inbox()
                    )
                    await subscription.start(prefetch=1 if self._is_careful else prefetch)
            self._subscriptions.add(subscription)
            self.figures.consuming += 1
            try:
                yield subscription
            finally:
                self.figures.consuming -= 1
                self._subscriptions.discard(subscription)
        finally:
            await close_quietly(channel)

    async def _take(self, subscription: Subscription) -> None:
        """Store batch after batch until there are no more, or the store stays away."""
        if self._stopping.is_set():  # asked while this was being set up
            await subscription.finish()
        limits, started_at, was_careful = self._limits, _seconds(), self._is_careful
        while batch := await subscription.inbox.batch(
            most=limits.batch_count, linger_s=limits.linger_s
        ):
            self.figures.redelivered += sum(bool(message.redelivered) for message in batch)
            if not await self._store(batch):
                return
            if was_careful and self._has_lasted(started_at):
                self._is_careful = False
                await subscription.finish()  # and start again with the whole prefetch

    async def _store(self, batch: Sequence[DeliveredMessage]) -> bool:
        """Have a batch made durable and ack it. False: it is still unacked and the channel must close."""
        give_up_at = _seconds() + self._limits.hold_s
        for attempt in count():
            try:
                await self._accepted(batch)
            except StoreFailure as failure:
                self._warn("intake_store_away", code=failure.code, deliveries=len(batch))
                is_void = self._stopping.is_set() or batch[-1].channel.is_closed
                if is_void or _seconds() >= give_up_at:
                    return False
            except Exception as bug:  # noqa: BLE001 - the intake outlives a bug in acceptance
                self._warn("intake_acceptance_broke", error=bug, deliveries=len(batch))
                return await self._store_apart(batch)
            else:
                await self._ack(batch)
                return True
            await self._pause(attempt)
        return False

    async def _accepted(self, batch: Sequence[DeliveredMessage]) -> None:
        try:
            async with asyncio.timeout(self._limits.accept_s):
                await self._ports.accept([delivery_of(message) for message in batch])
        except TimeoutError as slow:
            raise StoreFailure(STORE_TIMED_OUT, "making a batch durable took too long") from slow

    async def _store_apart(self, batch: Sequence[DeliveredMessage]) -> bool:
        """After a bug: one by one, so that the message it chokes on harms no other."""
        if len(batch) == 1:
            await self._pause(0)
            await self._give_back(batch[0])
            return True
        for message in batch:
            if not await self._store([message]):
                return False
        return True

    async def _ack(self, batch: Sequence[DeliveredMessage]) -> None:
        """Ack all up to the last of the batch: batches of a channel are stored one after the other, in order."""
        try:
            await ack_up_to(batch[-1])
        except BrokerFailure:
            self.figures.stale_acks += len(batch)
            self._ports.telemetry.event("intake_acked_too_late", deliveries=len(batch))
        self.figures.accepted += len(batch)
        self.figures.batches += 1

    async def _give_back(self, message: DeliveredMessage) -> None:
        """Return one towards the delivery limit, at which the broker moves it to the undeliverable."""
        self.figures.returned += 1
        with suppress(BrokerFailure):
            await give_back(message)

    def _warn(self, name: str, **keys: object) -> None:
        self._ports.telemetry.event(name, level="warning", **keys)

    def _note_end(self, _: object, error: BaseException | None) -> None:
        """After an unreadable delivery, go on one at a time.

        Each loss of the connection counts against all that was handed over: with a whole
        prefetch, innocent commands would follow the one to the undeliverable.
        """
        if is_unreadable(error):
            self._is_careful = True
            self._warn("intake_delivery_unreadable", error=error)

    def _has_lasted(self, started_at: float) -> bool:
        """What worked for a while is tried again soon; what ends at once, ever later."""
        return _seconds() - started_at > self._limits.backoff.most_s

    async def _pause(self, attempt: int) -> None:
        """Wait a growing while, or until asked to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.backoff.pause_s(attempt)):
                await self._stopping.wait()


def _seconds() -> float:
    return asyncio.get_running_loop().time()


def _leaves(group: BaseExceptionGroup[BrokerFailure]) -> list[BrokerFailure]:
    """Flatten the failures of a group, which may hold groups."""
    leaves: list[BrokerFailure] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves
