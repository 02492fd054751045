"""A fleet of directories on the test clock, against the real store and the real broker: who was synced when.

All is as in a worker but two things: time is the test's, and what reads a directory shows what ``Troubles`` says.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from tests.integration.postgres.house import HQ, House, settings
from tests.load.crew import Crew, staff
from worker.adapters.postgres.schedule import TAKEN_FOR, PostgresSchedule
from worker.adapters.rabbitmq.consumer import Consumer, ConsumerPorts
from worker.adapters.rabbitmq.publisher import Publisher
from worker.adapters.rabbitmq.topology import Broker
from worker.domain.commands import SaveDirectory, SaveTenant
from worker.domain.failures import BrokerFailure
from worker.domain.model import DirectoryId, Domain, Schedule, Secret, Server, TenantId, Tier
from worker.domain.schedule import BACK_OFF_HOURS_MAX, EPOCH, phase
from worker.flows.accept import Accept
from worker.flows.bell import Bell
from worker.flows.schedule import SchedulePorts, turn
from worker.ports.broker import Delivery, Message
from worker.ports.telemetry import NoTelemetry


HOURS = (1, *(3,) * 3, *(6,) * 10, *(12,) * 12, *(24,) * 14)
"""Of every forty directories: most customers ask for once or a few times a day."""
SPAN = timedelta(hours=48)
TICK = timedelta(seconds=100)
"""Between two looks at what is due; one that is more than two minutes late counts as missed."""
TICKS_UNTOLD = 20
"""After so many the relay comes, which publishes what has gathered in full batches."""
BITE = 200
REPLICAS = 3
DEATHS = 0.03
"""Of all looks: a replica dies with triggers in its hand."""
WITHIN_S = 30
PAUSE_S = 0.01
BROKER_SLOW_AT_MOST = 4
"""Times in a row, on a busy machine."""
TENANTS_AT_ONCE = 100

TROUBLED = 21
"""One of so many directories cannot be reached for a while."""
TROUBLE = (timedelta(hours=6), timedelta(hours=26))
"""From when to when, after the start."""
HOUR = timedelta(hours=1)


def tenant(number: int) -> str:
    """The customer of this number, with one directory."""
    return f"t{number:05}"


def every_hours(number: int) -> int:
    """How often a directory is synced."""
    return HOURS[number % len(HOURS)]


def own_phase(number: int) -> timedelta:
    """Where in its interval its times lie."""
    return phase(TenantId(tenant(number)), DirectoryId(HQ), every_hours=every_hours(number))


def aside(number: int) -> timedelta:
    """A time within the hour that is half an hour away from all of its own."""
    return own_phase(number) % HOUR + HOUR / 2


async def found(house: House, directories: int) -> None:
    """Make all customers and their directories, by commands, in force at once."""
    password = house.vault.seal(Secret("s3cr3t"))
    for begin in range(0, directories, TENANTS_AT_ONCE):
        numbers = range(begin, min(begin + TENANTS_AT_ONCE, directories))
        for number in numbers:
            name = tenant(number)
            form = settings(
                servers=(Server(f"ldap.{name}.example.com"),),
                schedule=Schedule(automatic=True, every_hours=every_hours(number)),
            )
            make = SaveTenant(Tier.STANDARD, (Domain(f"{name}.example.com"),), None, None)
            save = SaveDirectory(
                directory=DirectoryId(HQ),
                settings=form,
                password=password,
                client_key=None,
                sync=False,
                force=False,
                revision=None,
            )
            await house.store(house.received(make, tenant=name), house.received(save, tenant=name))
        await house.carry()


@dataclass(frozen=True, slots=True)
class World:
    """What the customers' directories show, by the clock."""

    begin: datetime

    def is_away(self, number: int, now: datetime) -> bool:
        """Whether a directory cannot be reached; begins and ends half an hour away from all of its own times."""
        begin, end = (self.begin + each + aside(number) for each in TROUBLE)
        return number % TROUBLED == 0 and begin <= now < end

    def day(self, number: int, now: datetime) -> int:
        """How many new people a directory has by now; they come half an hour away from its own times, too."""
        return (now - self.begin - aside(number)) // timedelta(days=1) + 1

    def offered(self, host: str, now: datetime) -> list[str] | None:
        """Who is in the directory on this host; one more every day."""
        _, name, _ = host.split(".", 2)
        number = int(name[1:])
        if self.is_away(number, now):
            return None
        return staff(f"{name}.example.com", day=self.day(number, now))

    def expected(self, number: int, end: datetime) -> tuple[list[datetime], datetime]:
        """The times of a directory, told a second time, and the one after them.

        Every so many hours at its phase; while it keeps failing after 1, 1, 2, 4 … of its intervals, at least once a day.
        """
        interval = timedelta(hours=every_hours(number))
        place = (self.begin - EPOCH) // interval * interval + EPOCH + own_phase(number) - interval
        while place <= self.begin:
            place += interval
        times, failures = [], 0
        while place <= end:
            times.append(place)
            failures = failures + 1 if self.is_away(number, place) else 0
            most = max(1, BACK_OFF_HOURS_MAX // every_hours(number))
            place += interval * min(2 ** max(0, failures - 1), most)
        return times, place


@dataclass(slots=True)
class Door:
    """Acceptance as a worker has it, that notes what was made durable when, each id once."""

    house: House
    accept: Accept
    seen: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    repeats: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, house: House) -> "Door":
        """The door of a house."""
        accept = Accept(
            intake=house.intake,
            vault=house.vault,
            telemetry=NoTelemetry(),
            carry_bell=Bell(),
            reply_prefixes=(),
        )
        return cls(house, accept)

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Take one batch in."""
        await self.accept(batch)
        for told in (orjson.loads(each.body) for each in batch):
            assert told["type"] == "rollcall.sync.request.v1"
            assert told["data"]["trigger"] == "scheduled"
            self.repeats += told["id"] in self.seen
            self.seen.setdefault(told["id"], (told["subject"], self.house.clock.at))
        self._more.set()

    async def ping(self) -> None:
        """The store is there."""

    async def has(self, ids: set[str]) -> None:
        """Wait until all of these have been taken in."""
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
    """Replicas that come, look, publish and are killed, and workers that do what was published."""

    house: House
    broker: Broker
    door: Door
    crew: Crew
    world: World
    chance: random.Random
    replicas: list[Confirmed] = field(default_factory=list)
    killed: int = 0
    fresh: set[str] = field(default_factory=set)
    """Ids confirmed since the last look at the queue."""

    async def play(self, span: timedelta) -> None:
        """Let that much time pass."""
        for number in range(1, span // TICK + 1):
            self.house.clock.at += TICK
            await self._tick()
            if self.fresh:
                await self.door.has(self.fresh)
                self.fresh.clear()
                await self.crew.work()
            if number % TICKS_UNTOLD == 0:
                await self.crew.tell()
        await self.crew.tell()

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
        ports = SchedulePorts(schedule, replica, NoTelemetry())
        for _ in range(BROKER_SLOW_AT_MOST):
            try:
                while await turn(ports):
                    pass
            except BrokerFailure:  # what was not confirmed is taken again, as by a scheduler
                await asyncio.sleep(TAKEN_FOR.total_seconds())
            else:
                return

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
    """Give replicas, and workers who take what they publish; all connections are closed afterwards."""
    # a history to be played again, not a secret
    chance = random.Random(seed)  # noqa: S311
    clock, world, door = house.clock, World(house.clock.at), Door.of(house)
    relaying = Publisher(broker, now=lambda: clock.at)
    crew = Crew(house, relaying, chance, lambda host: world.offered(host, clock.at))
    fleet = Fleet(house, broker, door, crew, world, chance)
    consumer = Consumer(broker, ConsumerPorts(door, door.ping, NoTelemetry()))
    async with asyncio.TaskGroup() as group:
        group.create_task(consumer.run())
        try:
            await ready(consumer)
            yield fleet
        finally:
            await consumer.stop()
            for publisher in (relaying, *(each.publisher for each in fleet.replicas)):
                await publisher.close()


async def ready(consumer: Consumer) -> None:
    """Wait until it takes what is published."""
    async with asyncio.timeout(WITHIN_S):
        while not consumer.figures.is_ready:  # noqa: ASYNC110 - figures are written, not told
            await asyncio.sleep(PAUSE_S)
