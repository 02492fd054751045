from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from worker.domain.model import DirectoryId, Schedule, TenantId, Tier
from worker.domain.plans import Right, allows
from worker.domain.schedule import (
    CATCH_UP,
    EPOCH,
    LATE,
    Appointment,
    Standing,
    arranged,
    failed,
    is_automatic,
    periods,
    phase,
    recovered,
    turn,
)


HOURS = (1, 3, 6, 12, 24)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EVERY = pytest.mark.parametrize("every_hours", HOURS)

names = st.text("abcXYZ019_-", min_size=1, max_size=12)
moments = st.datetimes(
    min_value=EPOCH.replace(year=2025, tzinfo=None),
    max_value=EPOCH.replace(year=2045, tzinfo=None),
    timezones=st.just(UTC),
)
intervals = st.sampled_from(HOURS)
promptly = st.timedeltas(min_value=timedelta(0), max_value=LATE)


def standing(
    every_hours: int = 6,
    *,
    name: str = "hq",
    failures: int = 0,
    appointment: Appointment | None = None,
) -> Standing:
    """A directory that is synced by itself."""
    return Standing(
        tenant=TenantId("acme"),
        directory=DirectoryId(name),
        tier=Tier.STANDARD,
        schedule=Schedule(automatic=True, every_hours=every_hours),
        is_paused=False,
        failed_in_a_row=failures,
        appointment=appointment,
    )


def begun(at: datetime, *, every_hours: int = 6) -> Standing:
    """The same, with its first time."""
    fresh = standing(every_hours)
    return replace(fresh, appointment=arranged(fresh, at))


def times(of: Standing) -> Appointment:
    """Its appointment, which it has."""
    assert of.appointment is not None
    return of.appointment


STANDING = begun(NOW)


@given(st.builds(standing, intervals, name=names), moments)
def test_the_first_time_comes_after_now_and_within_one_interval(
    fresh: Standing, now: datetime
) -> None:
    """Whoever switches it on sees the first sync by itself within the hours that were chosen."""
    told = arranged(fresh, now)

    assert told is not None
    assert now < told.next_sync_at <= now + timedelta(hours=told.every_hours)


@given(st.builds(standing, intervals, name=names), moments, st.lists(promptly, max_size=20))
def test_triggered_in_time_it_keeps_its_own_time_for_ever(
    fresh: Standing, now: datetime, delays: list[timedelta]
) -> None:
    """A worker that looks a little late must not shift a customer's hours little by little."""
    directory = replace(fresh, appointment=arranged(fresh, now))
    first, seen = times(directory).next_sync_at, []
    for delay in delays:
        due_at = times(directory).next_sync_at
        done = turn(directory, due_at + delay)
        assert done.is_triggered
        seen.append(due_at)
        directory = replace(directory, appointment=done.appointment)

    interval = timedelta(hours=times(directory).every_hours)
    assert seen == [first + number * interval for number in range(len(delays))]


@given(st.builds(standing, intervals, name=names), moments, st.timedeltas(timedelta(0), LATE))
def test_nothing_new_moves_nothing(fresh: Standing, now: datetime, later: timedelta) -> None:
    """Times are worked out anew at every save and every run; only what has changed may change them."""
    directory = replace(fresh, appointment=arranged(fresh, now))

    due_at = times(directory).next_sync_at

    assert arranged(directory, now) == arranged(directory, due_at + later) == directory.appointment


@given(
    st.builds(standing, intervals, name=names),
    moments,
    st.timedeltas(LATE + SECOND, timedelta(days=400)),
)
def test_a_missed_time_runs_once_and_soon(fresh: Standing, now: datetime, down: timedelta) -> None:
    """After an outage of any length a directory is read once, within a quarter of an hour, then at its usual time."""
    directory = replace(fresh, appointment=arranged(fresh, now))
    back_at = times(directory).next_sync_at + down

    spread = turn(directory, back_at)
    caught_up = replace(directory, appointment=spread.appointment)
    done = turn(caught_up, times(caught_up).next_sync_at)
    after = replace(caught_up, appointment=done.appointment)

    assert (spread.is_triggered, done.is_triggered) == (False, True)
    assert back_at <= times(caught_up).next_sync_at < back_at + CATCH_UP
    assert arranged(caught_up, back_at + SECOND) == caught_up.appointment
    interval = timedelta(hours=times(after).every_hours)
    assert (times(after).next_sync_at - times(directory).next_sync_at) % interval == timedelta(0)
    assert times(after).next_sync_at > times(caught_up).next_sync_at


@given(st.builds(standing, intervals, name=names), moments, st.integers(0, 60))
def test_failing_spaces_the_times_out_and_one_success_brings_them_back(
    fresh: Standing, now: datetime, failures: int
) -> None:
    """A server that is gone is not asked 24 times a day; once it is back, everything is as it was."""
    directory = replace(fresh, appointment=arranged(fresh, now))
    for _ in range(failures):
        due_at = times(directory).next_sync_at
        directory = replace(directory, appointment=turn(directory, due_at).appointment)
        directory = failed(directory)
        directory = replace(directory, appointment=arranged(directory, due_at + SECOND))
        apart = times(directory).next_sync_at - due_at
        assert apart <= timedelta(hours=24)
        assert apart == timedelta(hours=times(directory).every_hours) * periods(
            times(directory).every_hours, directory.failed_in_a_row
        )

    working = recovered(directory)
    at = times(directory).next_sync_at - SECOND
    told = arranged(working, at)

    assert told is not None
    assert working.failed_in_a_row == 0
    assert at < told.next_sync_at <= at + timedelta(hours=told.every_hours)


@EVERY
def test_back_off_doubles_up_to_a_day(every_hours: int) -> None:
    """One failure is weather; then twice as long each time, and at least once a day for ever."""
    spaced = [every_hours * periods(every_hours, failures) for failures in range(40)]

    assert spaced[0] == spaced[1] == every_hours
    assert spaced[2] == min(24, 2 * every_hours)
    assert spaced == sorted(spaced)
    assert spaced[-1] == 24


@EVERY
def test_ten_thousand_directories_fall_evenly(every_hours: int) -> None:
    """A night's syncs must not all begin at midnight, ours and the customers' networks are there for others too."""
    directories = [(TenantId(f"tenant-{n % 3_000}"), DirectoryId(f"d{n}")) for n in range(10_000)]
    interval = timedelta(hours=every_hours)

    told = [phase(*each, every_hours=every_hours) for each in directories]

    fallen = Counter(60 * each // interval for each in told)
    assert set(fallen) == set(range(60))
    # 167 in each sixtieth on average; six standard deviations are 77
    assert min(fallen.values()) > 90
    assert max(fallen.values()) < 244


def test_a_phase_is_the_same_in_every_release() -> None:
    """Were it another after an upgrade, everybody's hours would move."""
    told = phase(TenantId("acme"), DirectoryId("hq"), every_hours=24)

    assert told == timedelta(seconds=19_764)


def test_what_one_hour_missed_is_spread_like_a_whole_day() -> None:
    """Those missed together have phases alike: spread by the phase they would come together again."""
    due_at = NOW - timedelta(hours=1)
    fresh = [standing(24, name=f"d{number}") for number in range(6_000)]
    missed = [
        replace(each, appointment=told)
        for each in fresh
        if (told := arranged(each, due_at)) and told.next_sync_at <= NOW - timedelta(minutes=10)
    ]

    spread = [turn(each, NOW).appointment for each in missed]

    assert len(missed) > 150
    by_minute = Counter(
        (each.next_sync_at - NOW) // timedelta(minutes=1) for each in spread if each
    )
    assert set(by_minute) == set(range(15))
    assert max(by_minute.values()) < 2 * len(missed) / 15


@pytest.mark.parametrize("tier", Tier)
def test_only_plans_with_automatic_sync_have_times(tier: Tier) -> None:
    """What is not paid for is not done, and not promised either."""
    directory = replace(begun(NOW), tier=tier)

    assert is_automatic(directory) == allows(tier, Right.AUTOMATIC_SYNC)
    assert (arranged(directory, NOW) is not None) == allows(tier, Right.AUTOMATIC_SYNC)
    assert turn(directory, times(directory).next_sync_at).is_triggered == allows(
        tier, Right.AUTOMATIC_SYNC
    )


@pytest.mark.parametrize(
    "directory",
    [
        replace(STANDING, schedule=None),
        replace(STANDING, schedule=Schedule(automatic=False)),
        replace(STANDING, is_paused=True),
    ],
    ids=["pending", "not automatic", "paused"],
)
def test_what_is_not_to_run_by_itself_has_no_time(directory: Standing) -> None:
    """A time that is shown and not kept would be a lie; one that is kept and not wanted is worse."""
    assert arranged(directory, NOW) is None
    done = turn(directory, times(directory).next_sync_at)
    assert (done.is_triggered, done.appointment) == (False, None)


@pytest.mark.parametrize(("before", "after"), [(24, 1), (1, 24), (6, 3)])
def test_other_hours_count_from_the_change(before: int, after: int) -> None:
    """Whoever asks for every hour does not wait for tomorrow, and nobody is due for hours that were never asked for."""
    directory = begun(NOW, every_hours=before)
    later = NOW + timedelta(minutes=50)

    told = arranged(replace(directory, schedule=Schedule(automatic=True, every_hours=after)), later)

    assert told is not None
    assert later < told.next_sync_at <= later + timedelta(hours=after)
