"""What the fleet's judge finds fault with: each of its promises, broken one at a time."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.load.fleet import TICK, TROUBLED, World, every_hours
from tests.load.punctuality import Punctuality


GOOD = Punctuality(
    directories=24,
    triggers=240,
    repeats=3,
    killed=2,
    workers_killed=1,
    lateness=(timedelta(seconds=50),) * 240,
    wrong=(),
    runs=Counter(applied=40, unchanged=200),
    expected_runs=Counter(applied=40, unchanged=200),
    by_minute=Counter(dict.fromkeys(range(0, 60, 5), 20)),
    by_hour=Counter(dict.fromkeys(range(24), 10)),
    deviation_of_minutes=2.0,
    deviation_of_hours=1.0,
)


def test_two_days_as_they_should_be_have_no_fault() -> None:
    """Triggers told again under their id, and the dead, are none."""
    assert GOOD.faults() == []


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"wrong": ("t00001",)}, "other times"),
        ({"lateness": (*GOOD.lateness, timedelta(seconds=-1))}, "before its time"),
        ({"lateness": (*GOOD.lateness, TICK)}, "late by"),
        ({"runs": Counter(applied=40, unchanged=199, failed=1)}, "other runs"),
        ({"runs": Counter(applied=40, unchanged=201)}, "other runs"),
        ({"by_minute": GOOD.by_minute + Counter({30: 9})}, "one time of the hour"),
        ({"by_hour": GOOD.by_hour + Counter({7: 4})}, "one hour of the day"),
    ],
)
def test_a_promise_that_is_broken_is_named(broken: dict[str, object], fault: str) -> None:
    """Whatever else is as it should be."""
    (named,) = replace(GOOD, **broken).faults()  # type: ignore[arg-type]

    assert fault in named


def test_a_directory_that_cannot_be_reached_is_expected_more_and_more_seldom() -> None:
    """After one, two, four, eight of its intervals, and as ever once it is back: it is tried last when it can be reached again."""
    begin = datetime(2026, 1, 15, tzinfo=UTC)
    number = next(each for each in range(0, 10_000, TROUBLED) if every_hours(each) == 1)

    times, after = World(begin).expected(number, begin + timedelta(hours=48))

    hours = [(later - one) // timedelta(hours=1) for one, later in pairwise(times)]
    first = next(place for place, each in enumerate(times) if World(begin).is_away(number, each))
    assert hours[first : first + 5] == [1, 2, 4, 8, 16]
    assert {*hours[:first], *hours[first + 5 :]} == {1}
    assert after > begin + timedelta(hours=48)
