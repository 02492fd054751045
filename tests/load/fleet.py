"""A fleet of directories on the test clock, against the real store and the real broker: who was triggered when.

What reads directories is not part of it: a trigger is looked at where it reaches the queue that workers take it from.
"""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aio_pika
import orjson
from typing_extensions import override

from tests.integration.postgres.house import HQ, House, settings
from worker.adapters.postgres.schedule import PostgresSchedule
from worker.adapters.rabbitmq.publisher import Publisher
from worker.adapters.rabbitmq.topology import Broker, declare
from worker.domain.commands import SaveDirectory, SaveTenant
from worker.domain.model import DirectoryId, Domain, Schedule, Secret, TenantId, Tier
from worker.domain.schedule import EPOCH, phase
from worker.flows.schedule import SchedulePorts, turn
from worker.ports.broker import Message
from worker.ports.telemetry import NoTelemetry


HOURS = (1, 3, 6, 12, 24)
SPAN = timedelta(hours=48)
TICK = timedelta(seconds=55)
LATE_AT_MOST = timedelta(seconds=60)
BITE = 200
REPLICAS = 3
DEATHS = 0.03
"""Of all looks: a replica dies with triggers in its hand."""
WITHIN_S = 30
TENANTS_AT_ONCE = 100


def tenant(number: int) -> str:
    """The customer of this number, with one directory."""
    return f"t{number:05}"


def every_hours(number: int) -> int:
    """A fifth of all for each interval."""
    return HOURS[number % len(HOURS)]


async def found(house: House, directories: int) -> None:
    """Make all customers and their directories, by commands, in force at once."""
    password = house.vault.seal(Secret("s3cr3t"))
    for begin in range(0, directories, TENANTS_AT_ONCE):
        numbers = range(begin, min(begin + TENANTS_AT_ONCE, directories))
        for number in numbers:
            form = settings(schedule=Schedule(automatic=True, every_hours=every_hours(number)))
            make = SaveTenant(Tier.STANDARD, (Domain(f"{tenant(number)}.example.com"),), None, None)
            save = SaveDirectory(
                directory=DirectoryId(HQ),
                settings=form,
                password=password,
                client_key=None,
                sync=False,
                force=False,
                revision=None,
            )
            name = tenant(number)
            await house.store(house.received(make, tenant=name), house.received(save, tenant=name))
        await house.carry()


def expected(number: int, begin: datetime, end: datetime) -> list[datetime]:
    """The times of a directory within the span, told a second time: every so many hours, at its phase."""
    interval = timedelta(hours=every_hours(number))
    own = phase(TenantId(tenant(number)), DirectoryId(HQ), every_hours=every_hours(number))
    place = (begin - EPOCH) // interval * interval + EPOCH + own - interval
    times = []
    while place <= end:
        if begin < place:
            times.append(place)
        place += interval
    return times


class Queue:
    """The queue of triggers as a worker sees it: what arrived when, each id once, as the door counts it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._more = asyncio.Event()
        self.seen: dict[str, tuple[str, datetime]] = {}
        self.repeats = 0

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        """Note one message."""
        told = orjson.loads(message.body)
        assert (told["type"], told["data"]["trigger"]) == ("rollcall.sync.request.v1", "scheduled")
        self.repeats += told["id"] in self.seen
        self.seen.setdefault(told["id"], (told["subject"], self._house.clock.at))
        await message.ack()
        self._more.set()

    async def sweep(self, broker: Broker) -> None:
        """Delete what was declared at the broker."""
        async with await aio_pika.connect(broker.url, timeout=WITHIN_S) as connection:
            channel = await connection.channel()
            for queue in broker.topology.queues:
                await channel.queue_delete(queue.name)
            for exchange in broker.topology.exchanges:
                await channel.exchange_delete(exchange)

    async def has(self, ids: set[str]) -> None:
        """Wait until all of these have arrived."""
        async with asyncio.timeout(WITHIN_S):
            while not ids <= self.seen.keys():
                self._more.clear()
                await self._more.wait()


@dataclass(slots=True)
class Confirmed:
    """A publisher that knows what the broker has confirmed to anybody."""

    publisher: Publisher
    ids: set[str]

    async def publish(self, message: Message) -> bool:
        """Publish, and note what is confirmed."""
        routed = await self.publisher.publish(message)
        self.ids.add(message.id)
        return routed

    async def close(self) -> None:
        """Drop the connection."""
        await self.publisher.close()


@dataclass(slots=True)
class Fleet:
    """Replicas that come, look, publish and are killed."""

    house: House
    broker: Broker
    queue: Queue
    chance: random.Random
    replicas: list[Confirmed] = field(default_factory=list)
    killed: int = 0
    fresh: set[str] = field(default_factory=set)
    """Ids confirmed since the last look at the queue."""

    async def play(self, span: timedelta) -> None:
        """Let that much time pass."""
        end = self.house.clock.at + span
        while self.house.clock.at < end:
            self.house.clock.at += TICK
            await self._tick()
            await self.queue.has(self.fresh)
            self.fresh.clear()

    async def _tick(self) -> None:
        """Some replicas look at once; now and then one dies with triggers in its hand, and another comes."""
        killed = self.killed
        async with asyncio.TaskGroup() as group:
            for place in range(self.chance.choice((1, 1, 1, REPLICAS))):
                group.create_task(self._look(place, dies=self.chance.random() < DEATHS))
        if self.killed > killed:
            await self._look(REPLICAS, dies=False)

    async def _look(self, place: int, *, dies: bool) -> None:
        while place >= len(self.replicas):
            self.replicas.append(self._replica())
        replica = self.replicas[place]
        if dies:
            await self._die(place, replica)
            return
        schedule = PostgresSchedule(self.house.pool, self.house.clock)
        while await turn(SchedulePorts(schedule, replica, NoTelemetry())):
            pass

    async def _die(self, place: int, replica: Confirmed) -> None:
        """Publish half of what was taken, and be gone before that is noted: another publishes all of it again."""
        schedule = PostgresSchedule(self.house.pool, self.house.clock, taken_for=timedelta(0))
        await schedule.decide(BITE)
        messages = await schedule.take(BITE)
        if not messages:
            return
        for message in messages[: len(messages) // 2]:
            await replica.publish(message)
        self.killed += 1
        await replica.close()
        self.replicas[place] = self._replica()

    def _replica(self) -> Confirmed:
        exchange = self.broker.topology.commands
        publisher = Publisher(self.broker, now=lambda: self.house.clock.at, exchange=exchange)
        return Confirmed(publisher, self.fresh)


@asynccontextmanager
async def fleet_of(house: House, broker: Broker, *, seed: int) -> AsyncIterator[Fleet]:
    """Give replicas and the queue they publish to; all connections are closed afterwards."""
    async with await aio_pika.connect(broker.url, timeout=WITHIN_S) as connection:
        await declare(connection, broker)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=BITE)
        queue = Queue(house)
        source = await channel.get_queue(broker.topology.scheduled, ensure=False)
        await source.consume(queue.take)
        # a history to be played again, not a secret
        fleet = Fleet(house, broker, queue, random.Random(seed))  # noqa: S311
        try:
            yield fleet
        finally:
            for replica in fleet.replicas:
                await replica.close()


@dataclass(frozen=True, slots=True)
class Punctuality:
    """How the times that were kept compare with those that should have been."""

    directories: int
    triggers: int
    repeats: int
    killed: int
    lateness: tuple[timedelta, ...]
    wrong: tuple[str, ...]
    """Customers with another number of triggers than times."""
    by_minute: Counter[int]
    by_hour: Counter[int]

    @property
    def worst(self) -> timedelta:
        """The latest of all."""
        return max(self.lateness)

    @override
    def __str__(self) -> str:
        """For people: figures and histograms."""
        return (
            f"{self.triggers} triggers of {self.directories} directories in {SPAN}, {self.killed} replicas killed, "
            f"{self.repeats} triggers told again under their id; worst lateness {self.worst.total_seconds():.0f} s at "
            f"a look every {TICK.total_seconds():.0f} s"
            f"\n{histogram(self.by_minute, each='minute')}\n{histogram(self.by_hour, each='hour')}"
        )

    @property
    def fullest(self) -> float:
        """The fullest five minutes of the hour, as a multiple of their mean."""
        return max(self.by_minute.values()) / (len(self.lateness) / 12)

    @property
    def fullest_by_chance(self) -> float:
        """Four standard deviations of a fair spread: those of every hour come to the same minute 48 times."""
        return 1 + 4 / math.sqrt(self.directories / len(HOURS) / 12)

    def faults(self) -> Sequence[str]:
        """What is not as promised."""
        triggers = len(self.lateness)
        told = {
            f"other counts than times: {self.wrong[:5]}": self.wrong,
            "triggered before its time": min(self.lateness) < timedelta(0),
            f"late by {self.worst}": self.worst >= LATE_AT_MOST,
            "too many at one time of the hour": self.fullest >= self.fullest_by_chance,
            "too many in one hour of the day": max(self.by_hour.values()) >= 1.25 * triggers / 24,
        }
        return [text for text, is_so in told.items() if is_so]


def judged(fleet: Fleet, directories: int, begin: datetime) -> Punctuality:
    """Compare every directory's triggers with its times."""
    told: dict[str, list[datetime]] = {tenant(number): [] for number in range(directories)}
    for name, at in fleet.queue.seen.values():
        told[name].append(at)
    lateness, wrong = [], []
    for number in range(directories):
        planned = expected(number, begin, fleet.house.clock.at)
        happened = sorted(told[tenant(number)])
        if len(happened) != len(planned):
            wrong.append(tenant(number))
        lateness += [at - due for at, due in zip(happened, planned, strict=False)]
    times = [at for each in told.values() for at in each]
    return Punctuality(
        directories=directories,
        triggers=len(fleet.queue.seen),
        repeats=fleet.queue.repeats,
        killed=fleet.killed,
        lateness=tuple(lateness),
        wrong=tuple(wrong),
        by_minute=Counter(at.minute // 5 * 5 for at in times),
        by_hour=Counter(at.hour for at in times),
    )


def histogram(starts: Counter[int], *, each: str) -> str:
    """Bars, one a line."""
    most = max(starts.values())
    return "\n".join(
        f"{each} {place:>2}  {starts[place]:>5}  {'#' * round(40 * starts[place] / most)}"
        for place in sorted(starts)
    )
