"""When directories are due: true after whatever happens, and one trigger each, however many schedulers look."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.integration.postgres.house import HQ, TENANT, House, settings
from worker.adapters.postgres import pool as db
from worker.adapters.postgres.schedule import PAUSED_BY_REFUSALS, PostgresSchedule
from worker.codec.inbound import decode
from worker.domain.commands import (
    DeleteDirectory,
    DeleteTenant,
    PauseDirectory,
    Received,
    RequestSync,
    ResumeDirectory,
)
from worker.domain.findings import finding
from worker.domain.model import (
    ClaimedRun,
    DirectoryId,
    DirectorySettings,
    Mode,
    Schedule,
    Tier,
    Trigger,
)
from worker.domain.outcomes import Failed
from worker.domain.schedule import CATCH_UP, phase
from worker.ports.broker import Message


SECOND = timedelta(seconds=1)
MOST = 200


def every(hours: int, **changed: Any) -> DirectorySettings:
    """The form with automatic sync."""
    return settings(schedule=Schedule(automatic=True, every_hours=hours), **changed)


async def next_at(house: House, directory: str = HQ) -> datetime | None:
    """The next sync by itself, as others see it."""
    found: datetime | None = await house.value(
        "SELECT next_sync_at FROM api.directory WHERE directory = $1", directory
    )
    return found


async def come(house: House, directory: str = HQ) -> datetime:
    """Let the directory's time come; gives it."""
    due_at = await next_at(house, directory)
    assert due_at is not None
    house.clock.at = due_at
    return due_at


async def triggered(schedule: PostgresSchedule) -> list[Message]:
    """One turn of a scheduler whose broker confirms everything."""
    await schedule.decide(MOST)
    messages = await schedule.take(MOST)
    await schedule.confirmed(messages)
    return messages


async def take_in(house: House, *messages: Message) -> None:
    """Bring triggers to the door, as the broker would, and carry them out."""
    read = [decode(message.body) for message in messages]
    assert all(isinstance(each, Received) for each in read)
    await house.store(*read)
    await house.carry()


async def scheduled_run(house: House) -> ClaimedRun:
    """The run of a directory whose time has come."""
    await come(house)
    await take_in(house, *await triggered(house.schedule))
    return await house.claim()


async def fails(house: House, code: str = "base.not_found") -> None:
    """One scheduled run that fails, and will again until something changes."""
    run = await scheduled_run(house)
    house.clock.forward(seconds=5)
    await house.runs.end(run, Failed(finding(code)))


# --- one trigger each ----------------------------------------------------------


async def test_a_directory_is_triggered_at_its_time_as_an_outside_scheduler_would(
    house: House,
) -> None:
    """The same message, by the same way: whoever has a scheduler of their own loses nothing by ours."""
    await house.founded(every(6))
    due_at = await come(house)
    house.clock.at = due_at - SECOND
    early = await triggered(house.schedule)
    house.clock.at = due_at

    (message,) = await triggered(house.schedule)

    assert early == []
    assert message.routing_key == "sync.request.scheduled"
    read = decode(message.body)
    assert isinstance(read, Received)
    assert read.command == RequestSync(HQ, Trigger.SCHEDULED, Mode.APPLY)
    assert (read.envelope.tenant, read.envelope.id) == (TENANT, message.id)
    assert await next_at(house) == due_at + timedelta(hours=6)
    await take_in(house, message)
    assert (await house.claim()).trigger is Trigger.SCHEDULED


async def test_times_are_the_directory_s_own(house: House) -> None:
    """Two directories of one customer do not begin together."""
    await house.founded(every(24))
    await house.save_directory(every(24), directory="branch")

    for name in (HQ, "branch"):
        due_at = await next_at(house, name)
        assert due_at is not None
        midnight = due_at.replace(hour=0, minute=0, second=0)
        assert due_at - midnight == phase(TENANT, DirectoryId(name), every_hours=24)
    assert await next_at(house) != await next_at(house, "branch")


async def test_however_many_schedulers_look_each_is_triggered_once(house: House) -> None:
    """Every replica has a scheduler, so that none needs to be chosen, and none is missed."""
    await house.save_tenant("example.com")
    for number in range(40):
        await house.save_directory(every(1), directory=f"d{number}")
    last = await house.value("SELECT max(next_sync_at) FROM api.directory")
    await house.pool.execute("UPDATE rollcall.directory SET next_sync_at = $1", last)
    house.clock.at = last
    replicas = [PostgresSchedule(house.pool, house.clock) for _ in range(5)]

    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(each.decide(15)) for each in replicas]
    rest = [await each.decide(MOST) for each in replicas]
    async with asyncio.TaskGroup() as group:
        taken = [group.create_task(each.take(15)) for each in replicas]

    bites = [look.result() for look in looks] + rest
    messages = [message for task in taken for message in task.result()]
    assert sum(bite.triggered for bite in bites) == 40
    assert max(bite.triggered for bite in bites) <= 15 or rest[0].triggered
    assert len({message.number for message in messages}) == len(messages) == 40


async def test_a_trigger_in_a_killed_scheduler_s_hand_is_taken_by_another(house: House) -> None:
    """Killed between the decision and the broker, it must neither be lost nor count twice."""
    await house.founded(every(1))
    await come(house)
    killed = PostgresSchedule(house.pool, house.clock, taken_for=timedelta(milliseconds=1))
    await killed.decide(MOST)
    (unheard,) = await killed.take(MOST)  # and perhaps published

    (again,) = await triggered(house.schedule)

    assert again == unheard
    await take_in(house, unheard)
    await take_in(house, again)
    assert len(await house.fetch("SELECT FROM rollcall.run")) == 1
    assert await triggered(house.schedule) == []


async def test_while_one_publishes_a_trigger_no_other_does(house: House) -> None:
    """Published twice it would count once, but why publish twice."""
    await house.founded(every(1))
    await come(house)
    await house.schedule.decide(MOST)

    first, second = await house.schedule.take(MOST), await house.schedule.take(MOST)

    assert (len(first), second) == (1, [])


async def test_a_decision_that_is_not_committed_is_none(house: House) -> None:
    """A trigger without the moved time would come again; a moved time without the trigger would be a sync lost."""
    await house.founded(every(1))
    due_at = await come(house)
    await house.pool.execute("ALTER TABLE rollcall.trigger ADD CONSTRAINT is_full CHECK (false)")
    try:
        with pytest.raises(Exception, match="is_full"):
            await house.schedule.decide(MOST)
    finally:
        await house.pool.execute("ALTER TABLE rollcall.trigger DROP CONSTRAINT is_full")

    assert await next_at(house) == due_at
    assert len(await triggered(house.schedule)) == 1


async def test_while_the_broker_is_away_one_trigger_stands_for_all(house: House) -> None:
    """A day's outage of the broker must not bring 24 syncs of each directory when it is back."""
    await house.founded(every(1))
    for _ in range(5):
        await come(house)
        await house.schedule.decide(MOST)

    assert len(await house.schedule.take(MOST)) == 1


async def test_our_trigger_and_an_outsider_s_are_one_run(house: House) -> None:
    """Both may be there for a while: each command has its answer, the directory is read once."""
    await house.founded(every(1))
    await house.request(trigger=Trigger.SCHEDULED)
    await come(house)

    await take_in(house, *await triggered(house.schedule))

    assert len((await house.claim()).causes) == 2


async def test_a_directory_that_is_just_being_changed_delays_no_other(house: House) -> None:
    """One customer's long final transaction must not hold up everybody's schedule."""
    await house.founded(every(1))
    await house.save_directory(every(1), directory="branch")
    last = await house.value("SELECT max(next_sync_at) FROM api.directory")
    await house.pool.execute("UPDATE rollcall.directory SET next_sync_at = $1", last)
    house.clock.at = last
    async with db.transaction(house.pool) as busy:
        await busy.execute("SELECT FROM rollcall.directory WHERE directory = 'hq' FOR UPDATE")

        others = await triggered(house.schedule)

    assert [orjson.loads(each.body)["data"]["directory"] for each in others] == ["branch"]
    assert len(await triggered(house.schedule)) == 1


# --- down for a while ------------------------------------------------------------


async def test_after_a_day_down_each_runs_once_and_they_are_spread(house: House) -> None:
    """When everything starts again, the customers' servers and ours must not get a day's work at once."""
    await house.save_tenant("example.com")
    for number in range(60):
        await house.save_directory(every(1 if number % 2 else 24), directory=f"d{number}")
    back_at = house.clock.forward(hours=36)

    at_once = await triggered(house.schedule)
    seen: dict[int, list[datetime]] = {}
    while house.clock.at < back_at + CATCH_UP:
        house.clock.forward(seconds=10)
        for message in await triggered(house.schedule):
            seen.setdefault(message.number, []).append(house.clock.at)

    assert at_once == []
    assert len(seen) == 60
    firsts = sorted(times[0] for times in seen.values())
    assert len({(each - back_at) // timedelta(minutes=1) for each in firsts}) > 10
    assert all(len(times) == 1 or times[1] - times[0] > SECOND for times in seen.values())
    daily = await house.fetch(
        "SELECT directory_id, next_sync_at FROM rollcall.directory WHERE scheduled_hours = 24"
    )
    for each in daily:  # once for what was missed; again only where its own time has come since, at some hours of the day
        times, own = seen[each["directory_id"]], each["next_sync_at"] - timedelta(hours=24)
        assert len(times) == 1 + (times[0] < own <= house.clock.at)
    assert (
        await house.value("SELECT min(next_sync_at) FROM api.directory") > house.clock.at - SECOND
    )


async def test_what_happens_meanwhile_loses_no_missed_time(house: House) -> None:
    """The first command after an outage may come before the scheduler has looked."""
    await house.founded(every(24))
    back_at = house.clock.forward(hours=40)

    await house.save_tenant("example.com")
    after_command = await next_at(house)
    await triggered(house.schedule)
    await house.save_tenant("example.com")

    assert after_command is not None
    assert back_at <= after_command <= back_at + CATCH_UP
    assert await next_at(house) == after_command
    await come(house)
    assert len(await triggered(house.schedule)) == 1


# --- never ---------------------------------------------------------------------------


async def test_what_is_not_to_run_by_itself_has_no_time_and_no_trigger(house: House) -> None:
    """Pending, by hand only, paused, a plan without the right, deleted: a time in the list would be a lie."""
    await house.save_tenant("example.com")
    for name in ("pending", "paused", "deleted"):
        await house.save_directory(every(1), directory=name, sync=name == "pending")
    await house.save_directory(settings(), directory="by-hand")
    await house.send(PauseDirectory(DirectoryId("paused")))
    await house.send(DeleteDirectory(DirectoryId("deleted"), keep_by_hand=False))
    await house.save_tenant("example.net", tenant="small")
    await house.save_directory(every(1), tenant="small", directory="small")
    await house.save_tenant(tenant="small", tier=Tier.BASIC)
    await house.save_tenant("example.org", tenant="gone")
    await house.save_directory(every(1), tenant="gone", directory="gone")
    await house.send(DeleteTenant(), tenant="gone")

    times = await house.fetch("SELECT next_sync_at FROM rollcall.directory")
    house.clock.forward(hours=48)

    assert {each["next_sync_at"] for each in times} == {None}
    assert await house.schedule.arrange(MOST) == 0
    assert (await house.schedule.decide(MOST)).looked_at == 0
    assert await house.schedule.take(MOST) == []


async def test_a_trigger_on_its_way_goes_with_its_schedule(house: House) -> None:
    """What was paused before the broker had the trigger is not read all the same."""
    await house.founded(every(1))
    await come(house)
    await house.schedule.decide(MOST)

    await house.send(PauseDirectory(HQ))

    assert await house.schedule.take(MOST) == []


async def test_a_deleted_directory_takes_its_trigger_along(house: House) -> None:
    """A command about a directory that is gone would be rejected, and somebody would wonder who sent it."""
    await house.founded(every(1))
    await come(house)
    await house.schedule.decide(MOST)

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await house.schedule.take(MOST) == []


# --- always true -------------------------------------------------------------------


async def test_the_first_complete_run_begins_the_schedule(house: House) -> None:
    """Save & Sync: what was never proved to work is not repeated every night."""
    await house.save_tenant("example.com")
    await house.save_directory(every(3), sync=True)
    pending = await next_at(house)

    run = await house.claim()
    await house.conclude(run, house.snapshot(run, []))

    assert pending is None
    due_at = await next_at(house)
    assert due_at is not None
    assert house.clock.at < due_at <= house.clock.at + timedelta(hours=3)


async def test_a_pending_revision_leaves_the_times_in_force(house: House) -> None:
    """A form that is being tried must not stop what works; once it works, its hours count."""
    await house.founded(every(24))
    before = await next_at(house)

    await house.save_directory(every(1), sync=True)
    meanwhile = await next_at(house)
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, []))
    after = await next_at(house)

    assert meanwhile == before
    assert after is not None
    assert house.clock.at < after <= house.clock.at + timedelta(hours=1)


async def test_a_manual_run_moves_nothing(house: House) -> None:
    """Whoever presses Sync now at noon still has the nightly one."""
    await house.founded(every(24))
    before = await next_at(house)

    await house.sync("jo@example.com")

    assert await next_at(house) == before


async def test_pause_and_resume(house: House) -> None:
    """While it is paused there is no next time; afterwards there is, and it is not one that went by."""
    await house.founded(every(6))

    await house.send(PauseDirectory(HQ))
    paused = await next_at(house)
    house.clock.forward(hours=20)
    await house.send(ResumeDirectory(HQ))
    resumed = await next_at(house)

    assert paused is None
    assert resumed is not None
    assert house.clock.at < resumed <= house.clock.at + timedelta(hours=6)


async def test_an_undo_stops_the_times(house: House) -> None:
    """The next run would do again what was undone."""
    await house.founded(every(6))
    await house.sync("jo@example.com")

    await house.undo()
    stopped = await next_at(house)
    await house.send(ResumeDirectory(HQ))

    assert stopped is None
    assert await next_at(house) is not None


async def test_a_smaller_plan_stops_the_times_and_a_larger_brings_them_back(house: House) -> None:
    """Settings are kept; what the plan has not is not promised."""
    await house.founded(every(6))
    before = await next_at(house)

    await house.save_tenant(tier=Tier.BASIC)
    smaller = await next_at(house)
    await house.save_tenant(tier=Tier.STANDARD)

    assert smaller is None
    assert await next_at(house) == before


async def test_a_form_saved_by_hand_only_stops_the_times(house: House) -> None:
    """Switched off is off, at once."""
    await house.founded(every(6))

    await house.save_directory(settings())

    assert await next_at(house) is None


async def test_directories_of_an_older_release_get_their_times(house: House) -> None:
    """At the upgrade nobody saves thousands of forms again."""
    await house.founded(every(6))
    before = await next_at(house)
    await house.pool.execute(
        "UPDATE rollcall.directory SET next_sync_at = NULL, scheduled_from = NULL, scheduled_hours = NULL"
    )

    found = await house.schedule.arrange(MOST)

    assert (found, await house.schedule.arrange(MOST)) == (1, 0)
    assert await next_at(house) == before


# --- failing ----------------------------------------------------------------------------


async def test_who_keeps_failing_is_asked_ever_more_rarely_and_then_as_usual(house: House) -> None:
    """A server that was taken out of service is not knocked at for ever; once it answers, all is as before."""
    await house.founded(every(3))
    apart = []
    for _ in range(5):
        await fails(house)
        due_at = await next_at(house)
        assert due_at is not None
        apart.append(round((due_at - house.clock.at) / timedelta(hours=1)))

    run = await scheduled_run(house)
    await house.conclude(run, house.snapshot(run, []))
    healthy = await next_at(house)

    assert apart == [3, 6, 12, 24, 24]
    assert healthy is not None
    assert house.clock.at < healthy <= house.clock.at + timedelta(hours=3)


async def test_a_success_by_hand_ends_the_back_off_too(house: House) -> None:
    """Whoever has mended it and seen it work need not wait a day for the next."""
    await house.founded(every(1))
    for _ in range(4):
        await fails(house)
    spaced = await next_at(house)

    await house.sync("jo@example.com")
    healthy = await next_at(house)

    assert spaced is not None
    assert healthy is not None
    assert spaced - house.clock.at > timedelta(hours=7)
    assert house.clock.at < healthy <= house.clock.at + timedelta(hours=1)


async def test_presses_that_fail_do_not_count(house: House) -> None:
    """Whoever tries five times in a minute must not put the schedule off by a day."""
    await house.founded(every(1))
    before = await next_at(house)

    for _ in range(5):
        await house.request()
        await house.runs.end(await house.claim(), Failed(finding("base.not_found")))

    assert await next_at(house) == before


async def test_a_refused_password_pauses_until_it_works_again(house: House) -> None:
    """It is not sent again by itself, so a schedule would only mail the same failure every hour."""
    await house.founded(every(1))

    await fails(house, "sign_in.known_refused")
    reason = await house.value("SELECT paused_reason FROM api.directory")
    stopped = await next_at(house)
    await house.sync("jo@example.com")

    assert (reason, stopped) == (PAUSED_BY_REFUSALS, None)
    assert len(await house.events("directory.paused")) == 1
    assert len(await house.events("directory.resumed")) == 1
    assert await house.value("SELECT state FROM api.directory") == "in_force"
    assert await next_at(house) is not None


async def test_a_new_password_ends_that_pause_and_no_other(house: House) -> None:
    """What refusals stopped the new settings start; what a person stopped stays stopped."""
    await house.founded(every(1))
    await fails(house, "sign_in.known_refused")

    await house.save_directory(every(1), password="another")
    started = await next_at(house)
    await house.send(PauseDirectory(HQ))
    await house.save_directory(every(1), password="a third")
    await house.sync("jo@example.com")

    assert started is not None
    assert await house.value("SELECT paused_reason FROM api.directory") == "paused by hand"
    assert await next_at(house) is None


async def test_an_undo_outlasts_a_refused_password(house: House) -> None:
    """A sign-in that works again must not bring back by itself what a person has undone."""
    await house.founded(every(1))
    await house.sync("jo@example.com")
    applied = await house.last_run()
    await fails(house, "sign_in.known_refused")

    await house.undo(applied)
    await house.sync("jo@example.com")

    assert await house.value("SELECT paused_reason FROM api.directory") == "a run was undone"
    assert await next_at(house) is None


async def test_a_lapsed_run_that_fails_counts_and_its_tenant_goes_on(house: House) -> None:
    """Whatever ends a run, the next time stands afterwards."""
    await house.founded(every(1))
    await scheduled_run(house)
    for _ in range(4):
        await house.pool.execute("UPDATE rollcall.lease SET expires_at = '-infinity'")
        await house.sweeper.sweep()
        await house.runs.claim(1)

    assert await house.value("SELECT state FROM api.run") == "failed"
    assert await house.value("SELECT failed_in_a_row FROM rollcall.directory") == 1
    due_at = await next_at(house)
    assert due_at is not None
    assert due_at > house.clock.at


async def test_the_next_due_are_found_by_their_index(house: House) -> None:
    """Looked for every second by every worker: it must not read all directories each time."""
    await house.founded(every(24))
    await house.pool.execute(
        """INSERT INTO rollcall.directory (tenant_id, directory, last_revision, revision_in_force, next_sync_at)
           SELECT tenant_id, 'd' || n, 1, 1, next_sync_at + n * interval '8 seconds'
           FROM rollcall.directory, generate_series(1, 10000) n"""
    )
    await house.pool.execute("ANALYZE rollcall.directory")
    sql = db.queries()["due_directories"].sql
    async with house.pool.acquire() as connection:
        plan = await connection.fetch(
            "EXPLAIN " + sql.replace("$1", "now() + interval '1 day'").replace("$2", "200")
        )

    assert any("directory_due" in line[0] for line in plan)
