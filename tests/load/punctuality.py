"""What became of a fleet's two days, held to the times that every directory should have had."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from typing_extensions import override

from tests.load.fleet import SPAN, TICK, Fleet, World, every_hours, tenant


ENDED = """
SELECT CASE WHEN r.state <> 'completed' THEN r.state WHEN r.verdict <> 'apply' THEN r.verdict
    WHEN (r.counts ->> 'added')::int > 0 THEN 'applied' ELSE 'unchanged' END AS state, count(*)
FROM api.run r GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Punctuality:
    """How the times that were kept compare with those that should have been, and what became of them."""

    directories: int
    triggers: int
    repeats: int
    killed: int
    workers_killed: int
    lateness: tuple[timedelta, ...]
    wrong: tuple[str, ...]
    """Customers with another number of triggers than times, or another time told for the next."""
    runs: Counter[str]
    """All of them, by state."""
    expected_runs: Counter[str]
    by_minute: Counter[int]
    by_hour: Counter[int]
    deviation_of_minutes: float
    """Of a fair spread over the hour's twelfths: those of every hour come to the same minute again and again."""
    deviation_of_hours: float
    """Of a fair spread over the hours of the day, where most directories have a few of their own."""

    @property
    def worst(self) -> timedelta:
        """The latest of all."""
        return max(self.lateness)

    @override
    def __str__(self) -> str:
        """For people: figures and histograms."""
        return (
            f"{self.triggers} triggers of {self.directories} directories in {SPAN}, {self.killed} schedulers killed, "
            f"{self.repeats} triggers told again under their id; worst lateness {self.worst.total_seconds():.0f} s at "
            f"a look every {TICK.total_seconds():.0f} s"
            f"\nruns: {', '.join(f'{count} {state}' for state, count in self.runs.most_common())}; "
            f"{self.workers_killed} workers killed with runs in their hands"
            f"\n{histogram(self.by_minute, each='minute')}\n{histogram(self.by_hour, each='hour')}"
        )

    @property
    def fullest(self) -> float:
        """The fullest five minutes of the hour, as a multiple of their mean."""
        return max(self.by_minute.values()) / (len(self.lateness) / 12)

    @property
    def fullest_by_chance(self) -> float:
        """Four standard deviations of a fair spread."""
        return 1 + 4 * self.deviation_of_minutes / (len(self.lateness) / 12)

    @property
    def fullest_hour_by_chance(self) -> float:
        """As many more than its share in one hour of the day."""
        return self.triggers / 24 + 4 * self.deviation_of_hours

    def faults(self) -> Sequence[str]:
        """What is not as promised."""
        told = {
            f"other times than its own: {self.wrong[:5]}": self.wrong,
            "triggered before its time": min(self.lateness) < timedelta(0),
            f"late by {self.worst}": self.worst >= TICK,
            f"other runs than {dict(self.expected_runs)}": self.runs != self.expected_runs,
            "too many at one time of the hour": self.fullest >= self.fullest_by_chance,
            "too many in one hour of the day": max(self.by_hour.values())
            >= self.fullest_hour_by_chance,
        }
        return [text for text, is_so in told.items() if is_so]


async def judged(fleet: Fleet, directories: int) -> Punctuality:
    """Compare every directory's triggers, runs and next time with its own times."""
    told: dict[str, list[datetime]] = {tenant(number): [] for number in range(directories)}
    for name, at in fleet.door.seen.values():
        told[name].append(at)
    nexts = {
        each["tenant"]: each["next_sync_at"]
        for each in await fleet.house.fetch("SELECT tenant, next_sync_at FROM api.directory")
    }
    lateness, wrong, runs = [], [], Counter[str]()
    for number in range(directories):
        planned, after = fleet.world.expected(number, fleet.house.clock.at)
        happened = sorted(told[tenant(number)])
        if len(happened) != len(planned) or nexts[tenant(number)] != after:
            wrong.append(tenant(number))
        lateness += [at - due for at, due in zip(happened, planned, strict=False)]
        runs.update(_states(fleet.world, number, planned))
    ended = await fleet.house.fetch(ENDED)
    times = [at for each in told.values() for at in each]
    return Punctuality(
        directories=directories,
        triggers=len(fleet.door.seen),
        repeats=fleet.door.repeats,
        killed=fleet.killed,
        workers_killed=fleet.crew.killed,
        lateness=tuple(lateness),
        wrong=tuple(wrong),
        runs=Counter({each["state"]: each["count"] for each in ended}),
        expected_runs=runs,
        by_minute=Counter(at.minute // 5 * 5 for at in times),
        by_hour=Counter(at.hour for at in times),
        deviation_of_minutes=math.sqrt(_variance(map(len, told.values()), among=12)),
        deviation_of_hours=math.sqrt(
            sum(_variance([2], among=every_hours(each)) for each in range(directories))
        ),
    )


def _variance(counts: Iterable[int], *, among: int) -> float:
    """Of how many lie in one of so many places, if each of these goes to one of them by chance."""
    return sum(count**2 for count in counts) * (among - 1) / among**2


def _states(world: World, number: int, times: Sequence[datetime]) -> list[str]:
    """What becomes of each run: read for the first time or with somebody new applies, the same again changes nothing."""
    states, known = [], -1
    for at in times:
        day = world.day(number, at)
        if world.is_away(number, at):
            states.append("failed")
        elif day > known:
            states.append("applied")
            known = day
        else:
            states.append("unchanged")
    return states


def histogram(starts: Counter[int], *, each: str) -> str:
    """Bars, one a line."""
    most = max(starts.values())
    return "\n".join(
        f"{each} {place:>2}  {starts[place]:>5}  {'#' * round(40 * starts[place] / most)}"
        for place in sorted(starts)
    )
