"""Two days of a whole fleet on the test clock, against the real store: who was triggered when, by which replica."""

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta

import pytest

from tests.integration.postgres.house import HQ, House, settings
from worker.adapters.postgres.schedule import PostgresSchedule
from worker.domain.commands import SaveDirectory, SaveTenant
from worker.domain.model import DirectoryId, Domain, Schedule, Secret, TenantId, Tier
from worker.domain.schedule import EPOCH, phase
from worker.ports.broker import Message


DIRECTORIES = 500
HOURS = (1, 3, 6, 12, 24)
SPAN = timedelta(hours=48)
TICK = timedelta(seconds=55)
LATE_AT_MOST = timedelta(seconds=60)
BITE = 200
SEED = 20_261_125

Times = dict[str, list[datetime]]


def tenant(number: int) -> str:
    """The customer of this number, with one directory."""
    return f"t{number:03}"


def every_hours(number: int) -> int:
    """A fifth of all for each interval."""
    return HOURS[number % len(HOURS)]


async def founded(house: House) -> None:
    """All customers and their directories, by commands, in force at once."""
    password = house.vault.seal(Secret("s3cr3t"))
    for number in range(DIRECTORIES):
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
        await house.store(
            house.received(make, tenant=tenant(number)), house.received(save, tenant=tenant(number))
        )
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


class Fleet:
    """Replicas that come, look, publish and are killed; what the broker was given is noted by its id."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.chance = random.Random(SEED)  # noqa: S311 - a history to be played again, not a secret
        self.seen: dict[str, tuple[str, datetime]] = {}
        self.killed = 0

    async def tick(self) -> None:
        """Some replicas look at once; now and then one dies with triggers in its hand, and another comes."""
        replicas, killed = self.chance.choice((1, 1, 1, 3)), self.killed
        async with asyncio.TaskGroup() as group:
            for _ in range(replicas):
                group.create_task(self._look(dies=self.chance.random() < 0.03))
        if self.killed > killed:
            await self._look(dies=False)

    async def _look(self, *, dies: bool) -> None:
        hand = timedelta(0) if dies else timedelta(seconds=15)
        schedule = PostgresSchedule(self.house.pool, self.house.clock, taken_for=hand)
        await schedule.decide(BITE)
        messages = await schedule.take(BITE)
        if dies and messages:
            self.killed += 1
            self._publish(messages[: len(messages) // 2])  # not confirmed: they come again
            return
        self._publish(messages)
        if messages:
            await schedule.confirmed(messages)

    def _publish(self, messages: list[Message]) -> None:
        for message in messages:
            self.seen.setdefault(message.id, (message.tenant, self.house.clock.at))

    def times(self) -> Times:
        """When each customer's directory was triggered; each id counts once, as it does at the door."""
        told: Times = {}
        for name, at in self.seen.values():
            told.setdefault(name, []).append(at)
        return told


def histogram(starts: Counter[int], *, each: str) -> str:
    """Bars, one a line."""
    most = max(starts.values())
    return "\n".join(
        f"{each} {place:>2}  {starts[place]:>4}  {'#' * round(40 * starts[place] / most)}"
        for place in sorted(starts)
    )


@pytest.mark.timeout(180)
async def test_a_fleet_is_triggered_when_it_should_be_for_two_days(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every customer's hours are kept, whatever happens to replicas meanwhile; nobody twice; never all at once."""
    await founded(house)
    begin = house.clock.at
    fleet = Fleet(house)

    while house.clock.at < begin + SPAN:
        house.clock.at += TICK
        await fleet.tick()

    told, end = fleet.times(), house.clock.at
    lateness = []
    for number in range(DIRECTORIES):
        planned = expected(number, begin, end)
        happened = sorted(told[tenant(number)])
        assert len(happened) == len(planned)
        lateness += [at - due for at, due in zip(happened, planned, strict=True)]
    by_minute = Counter(at.minute // 5 * 5 for times in told.values() for at in times)
    by_hour = Counter(at.hour for times in told.values() for at in times)
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what this test is for
            f"\n{len(fleet.seen)} triggers of {DIRECTORIES} directories in {SPAN}, {fleet.killed} replicas killed; "
            f"worst lateness {max(lateness).total_seconds():.0f} s at a look every {TICK.total_seconds():.0f} s"
            f"\n{histogram(by_minute, each='minute')}\n{histogram(by_hour, each='hour')}"
        )

    assert fleet.killed > 10
    assert min(lateness) >= timedelta(0)
    assert max(lateness) < LATE_AT_MOST
    assert max(by_minute.values()) < 1.5 * len(fleet.seen) / 12
    assert max(by_hour.values()) < 1.25 * len(fleet.seen) / 24
