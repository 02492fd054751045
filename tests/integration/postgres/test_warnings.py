"""Warnings as customers get them: once per cause, in order, and told when they are over."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.postgres.house import HQ, House, rows, settings
from worker.adapters.postgres.warnings import warn
from worker.domain.commands import DeleteDirectory, PauseDirectory, ResumeDirectory
from worker.domain.findings import finding
from worker.domain.model import Schedule, Tier, Trigger
from worker.domain.outcomes import Failed


FORM = settings(schedule=Schedule(automatic=True, every_hours=1), notify=("it@example.com",))


async def told(house: House) -> list[tuple[str, str]]:
    """What was told of warnings, in order: begun or over, and which."""
    names = {
        "rollcall.directory.warning.v1": "begun",
        "rollcall.directory.warning_cleared.v1": "over",
    }
    return [
        (names[each["type"]], each["data"]["code"])
        for each in await house.events()
        if each["type"] in names
    ]


async def reads(house: House, *listed: str, until: datetime | None = None) -> None:
    """A complete run that saw a certificate."""
    await house.request()
    run = await house.claim()
    shown = house.snapshot(run, rows(*listed), certificate_until=until)
    await house.conclude(run, shown)


async def fails(house: House) -> None:
    """A scheduled run that fails for good."""
    await house.request(trigger=Trigger.SCHEDULED)
    await house.runs.end(await house.claim(), Failed(finding("base.not_found")))


async def look(house: House, **later: Any) -> None:
    """Let time pass and the housekeeper look."""
    house.clock.forward(**later)
    await house.sweeper.housekeep()


async def test_an_expiring_certificate_is_told_once_and_when_it_is_renewed(house: House) -> None:
    """Thirty days ahead, however often it is looked at; the new one ends it."""
    await house.founded(FORM)
    until = house.clock.at + timedelta(days=31)
    await reads(house, "ada@example.com", until=until)
    await look(house)
    before = await told(house)

    await look(house, days=2)
    await look(house, minutes=1)
    warning = await house.last("directory.warning")
    (seen,) = await house.fetch("SELECT * FROM api.warning")
    await reads(house, "ada@example.com", until=until + timedelta(days=365))
    await look(house)

    assert before == []
    assert await told(house) == [
        ("begun", "certificate_expiring"),
        ("over", "certificate_expiring"),
    ]
    assert (warning["directory"], warning["notify"]) == (HQ, ["it@example.com"])
    assert warning["at"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    assert f"{until:%Y-%m-%d}" in warning["text"]
    assert (seen["code"], seen["at"]) == ("certificate_expiring", until)
    assert await house.seen("warning") == 0


async def test_a_warning_that_stands_shows_the_time_that_is_true_now(house: House) -> None:
    """A certificate of a few weeks was renewed by another of a few weeks: told once, and never out of date."""
    await house.founded(FORM)
    until = house.clock.at + timedelta(days=10)
    await reads(house, "ada@example.com", until=until)
    await look(house)

    await reads(house, "ada@example.com", until=until + timedelta(days=12))
    await look(house)

    assert await house.value("SELECT at FROM api.warning") == until + timedelta(days=12)
    assert await told(house) == [("begun", "certificate_expiring")]


async def test_an_expiring_password_is_told_beside_it(house: House) -> None:
    """Each cause by itself."""
    await house.founded(FORM)
    soon = house.clock.at + timedelta(days=3)
    await house.request()
    run = await house.claim()
    shown = house.snapshot(
        run, rows("ada@example.com"), certificate_until=soon, password_until=soon
    )
    await house.conclude(run, shown)

    await look(house)

    assert await told(house) == [
        ("begun", "certificate_expiring"),
        ("begun", "password_expiring"),
    ]


async def test_a_schedule_that_fails_for_three_intervals_is_told_until_it_works(
    house: House,
) -> None:
    """A list that quietly stays as it is turns into refused mail."""
    await house.founded(FORM)
    await reads(house, "ada@example.com")
    good = house.clock.at
    for _ in range(2):
        house.clock.forward(hours=1)
        await fails(house)
        await look(house)
    early = await told(house)

    await look(house, hours=1)
    late = await house.last("directory.warning")
    await reads(house, "ada@example.com")
    await look(house)
    over = await house.last("directory.warning_cleared")

    assert early == []
    assert (late["code"], late["at"]) == ("not_synced", f"{good:%Y-%m-%dT%H:%M:%SZ}")
    assert await told(house) == [("begun", "not_synced"), ("over", "not_synced")]
    assert over["text"] == (
        f"The directory has been read whole again, the last time at {house.clock.at:%Y-%m-%d %H:%M} UTC."
    )


async def test_our_own_outage_warns_nobody(house: House) -> None:
    """Nothing ran, so nothing of theirs is wrong; thousands would be mailed."""
    await house.founded(FORM)
    await reads(house, "ada@example.com")

    await look(house, days=3)

    assert await told(house) == []


async def is_late(house: House) -> datetime:
    """A directory that was warned of; gives when it was read the last time."""
    await house.founded(FORM)
    await reads(house, "ada@example.com")
    good = house.clock.at
    house.clock.forward(hours=3)
    await fails(house)
    await look(house)
    return good


async def paused_by_a_person(house: House) -> None:
    """Somebody stops it."""
    await house.send(PauseDirectory(HQ))


async def paused_by_refusals(house: House) -> None:
    """Its password is not sent again."""
    await house.request(trigger=Trigger.SCHEDULED)
    await house.runs.end(await house.claim(), Failed(finding("sign_in.known_refused")))


async def paused_by_plan(house: House) -> None:
    """The right to automatic sync is lost."""
    await house.save_tenant(tier=Tier.BASIC)


async def counted_by_other_hours(house: House) -> None:
    """Another interval, and nothing else."""
    await house.save_directory(
        settings(schedule=Schedule(automatic=True, every_hours=12), notify=FORM.notify)
    )


STOPS = [paused_by_a_person, paused_by_refusals, paused_by_plan, counted_by_other_hours]


@pytest.mark.parametrize("stop", STOPS)
async def test_a_late_directory_is_over_only_with_a_complete_run(
    house: House, stop: Callable[[House], Awaitable[None]]
) -> None:
    """Whatever becomes of its schedule, the list is as old as it was."""
    good = await is_late(house)
    await stop(house)
    await look(house)
    await look(house, days=9)
    still = (await told(house), await house.value("SELECT at FROM api.warning"))

    await reads(house, "ada@example.com")
    await look(house)

    assert still == ([("begun", "not_synced")], good)
    assert await told(house) == [("begun", "not_synced"), ("over", "not_synced")]


async def test_a_late_directory_that_fails_again_after_a_pause_is_not_told_twice(
    house: House,
) -> None:
    """It was told, and nothing has been over since; the time stays that of the last good run."""
    good = await is_late(house)
    await house.send(PauseDirectory(HQ))
    await look(house, days=1)
    await house.send(ResumeDirectory(HQ))
    house.clock.forward(hours=3)
    await fails(house)

    await look(house)

    assert await told(house) == [("begun", "not_synced")]
    assert await house.value("SELECT at FROM api.warning") == good


async def test_automatic_sync_switched_off_in_the_form_ends_the_warning_and_says_so(
    house: House,
) -> None:
    """Who decided that is told what it means, and not that all is well."""
    good = await is_late(house)
    await house.save_directory(settings(schedule=Schedule(automatic=False), notify=FORM.notify))

    await look(house)
    await look(house, days=1)

    over = await house.last("directory.warning_cleared")
    assert await told(house) == [("begun", "not_synced"), ("over", "not_synced")]
    assert over["text"] == (
        "Automatic sync has been switched off in the form, so nobody waits for it any more. It had not succeeded "
        f"since {good:%Y-%m-%d %H:%M} UTC: the list stays as it is until a sync by hand."
    )


async def test_a_pause_begins_no_warning_and_a_resume_begins_to_count_anew(house: House) -> None:
    """Nobody expects what was switched off; the first run after a holiday gets its chance."""
    await house.founded(FORM)
    await reads(house, "ada@example.com")
    await fails(house)
    await house.send(PauseDirectory(HQ))
    await look(house, days=9)
    await house.send(ResumeDirectory(HQ))
    await fails(house)
    await look(house)
    early = await told(house)

    await look(house, hours=3)

    assert early == []
    assert await told(house) == [("begun", "not_synced")]


async def test_a_shorter_interval_is_counted_from_its_beginning(house: House) -> None:
    """Hourly from now on is not late by yesterday's measure."""
    await house.founded(settings(schedule=Schedule(automatic=True, every_hours=24)))
    await reads(house, "ada@example.com")
    house.clock.forward(hours=20)
    await fails(house)
    await house.save_directory(FORM)
    await fails(house)

    await look(house)

    assert await told(house) == []


async def test_a_deleted_directory_is_warned_of_no_more(house: House) -> None:
    """It is gone, and so is what was wrong with it."""
    await house.founded(FORM)
    await reads(house, "ada@example.com", until=house.clock.at + timedelta(days=3))
    await look(house)
    await house.send(DeleteDirectory(HQ, keep_by_hand=True))

    await look(house, minutes=1)

    assert await told(house) == [("begun", "certificate_expiring")]
    assert await house.seen("warning") == 0


@pytest.mark.parametrize("page", [1, 2, 5])
async def test_all_directories_are_looked_at_page_by_page(house: House, page: int) -> None:
    """None is left out where a page ends."""
    await house.save_tenant("example.com")
    for place in range(4):
        await house.save_directory(FORM, directory=f"d{place}")
    await house.pool.execute("UPDATE rollcall.directory SET certificate_until = $1", house.clock.at)

    assert await warn(house.pool, house.clock.at, page=page) == 4
    assert await warn(house.pool, house.clock.at, page=page) == 0
    assert len(await told(house)) == 4
