"""Runs in the queue and at work: who gets which, who loses one, and what becomes of what a dead worker held."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.postgres.house import HQ, House, people, rows
from tests.proofs.telling import heard
from worker.adapters.postgres.runs import CRASHES_MAX, PostgresRuns
from worker.domain.commands import CancelSync, DeleteDirectory, PauseDirectory
from worker.domain.failures import LeaseLost, Superseded
from worker.domain.findings import finding
from worker.domain.model import ClaimedRun, Mode, Tier, Trigger
from worker.domain.outcomes import Failed, Postponed, RunStopped, Skipped


LAPSED = timedelta(0)
"""A lease this long is over when it is taken."""


async def claimed(runs: PostgresRuns, most: int = 10) -> list[str]:
    """Which directories' runs a worker gets, as tenant/directory."""
    return [f"{each.lease.tenant}/{each.lease.directory}" for each in await runs.claim(most)]


async def tenants(
    house: House, *names: str, directories: int = 1, reseller: str | None = None
) -> None:
    """Tenants, each with so many directories in force."""
    for name in names:
        await house.save_tenant(f"{name}.example", tenant=name, reseller=reseller)
        for number in range(directories):
            await house.save_directory(tenant=name, directory=f"d{number}")


async def test_a_claimed_run_carries_all_it_needs(house: House) -> None:
    """While the directory is read nobody asks the store again."""
    await house.founded()
    cause = await house.request()

    run = await house.claim()

    assert (run.lease.tenant, run.lease.directory, run.lease.token) == ("acme", HQ, 1)
    assert (run.trigger, run.mode, run.attempt, run.revision) == (Trigger.MANUAL, Mode.APPLY, 1, 1)
    assert (run.causes, run.domains, run.tier) == ((cause,), ("example.com",), Tier.ENTERPRISE)
    assert run.credentials.password is not None
    assert run.credentials.password.reveal() == "s3cr3t"
    assert (run.skip, run.fault) == (None, None)


async def test_two_workers_never_get_the_same_run(house: House) -> None:
    """Two at once in one directory could each undo what the other saw."""
    await tenants(house, *[f"t{number}" for number in range(12)])
    for number in range(12):
        await house.request("d0", tenant=f"t{number}")
    workers = [house.worker(f"w{number}") for number in range(4)]
    got: list[ClaimedRun] = []

    async def take(worker: PostgresRuns) -> None:
        for _ in range(4):
            got.extend(await worker.claim(3))

    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(take(worker))

    assert len(got) == 12
    assert len({run.lease.run for run in got}) == 12


async def test_a_directory_has_one_run_at_a_time(house: House) -> None:
    """The second waits until the first has ended, and reads afresh."""
    await house.founded()
    await house.request()
    first = await house.claim()
    await house.request()

    assert await house.runs.claim(10) == []
    await house.conclude(first, house.snapshot(first, rows("ada@example.com")))

    second = await house.claim()
    assert second.lease.token == first.lease.token + 1


async def test_manual_runs_come_before_scheduled_ones(house: House) -> None:
    """A person at the button must not wait behind a night's triggers."""
    await tenants(house, "a", "b", "c")
    await house.request("d0", tenant="a", trigger=Trigger.SCHEDULED)
    await house.request("d0", tenant="b", trigger=Trigger.SCHEDULED)
    house.clock.forward(minutes=5)
    await house.request("d0", tenant="c")

    assert await claimed(house.runs, 1) == ["c/d0"]


async def test_a_tenant_with_many_runs_leaves_room_for_others(house: House) -> None:
    """Who presses twenty buttons waits for himself."""
    await tenants(house, "many", directories=6)
    await tenants(house, "few")
    for number in range(6):
        await house.request(f"d{number}", tenant="many")
    await house.request("d0", tenant="few")

    got = await claimed(house.runs, 2)

    assert sorted(each.partition("/")[0] for each in got) == ["few", "many"]


async def test_no_tenant_has_more_runs_at_once_than_allowed(house: House) -> None:
    """One customer's load on us and on his directories is bounded."""
    worker = house.worker("w", per_tenant=2)
    await tenants(house, "many", directories=5)
    for number in range(5):
        await house.request(f"d{number}", tenant="many")

    assert len(await worker.claim(10)) == 2
    assert await worker.claim(10) == []


async def test_the_bound_holds_for_workers_that_claim_at_once(house: House) -> None:
    """It is the customer's, not the worker's."""
    await tenants(house, "many", directories=6)
    for number in range(6):
        await house.request(f"d{number}", tenant="many")
    workers = [house.worker(f"w{number}", per_tenant=2) for number in range(4)]

    async with asyncio.TaskGroup() as group:
        claims = [group.create_task(worker.claim(3)) for worker in workers]

    assert sum(len(claim.result()) for claim in claims) == 2


async def test_resellers_take_turns_whatever_the_number_of_their_tenants(house: House) -> None:
    """A reseller with a hundred customers gets no hundred turns for another's one."""
    await tenants(house, "r1a", "r1b", "r1c", reseller="r1")
    await tenants(house, "r2a", reseller="r2")
    for tenant in ("r1a", "r1b", "r1c", "r2a"):
        await house.request("d0", tenant=tenant)

    assert "r2a/d0" in await claimed(house.runs, 2)


async def test_no_reseller_has_more_runs_at_once_than_allowed(house: House) -> None:
    """A reseller's bulk import leaves hands free for everybody else."""
    worker = house.worker("w", per_reseller=2)
    await tenants(house, "r1a", "r1b", "r1c", reseller="r1")
    for tenant in ("r1a", "r1b", "r1c"):
        await house.request("d0", tenant=tenant)

    assert len(await worker.claim(10)) == 2
    assert await worker.claim(10) == []


async def test_who_was_served_last_comes_last(house: House) -> None:
    """Turns go round, also over several claims."""
    await tenants(house, "a", "b", directories=2)
    for tenant in ("a", "b"):
        for number in range(2):
            await house.request(f"d{number}", tenant=tenant)

    got = [(await claimed(house.runs, 1))[0].partition("/")[0] for _ in range(4)]

    assert got[0] != got[1]
    assert got[2] != got[3]


async def test_a_lapsed_run_begins_again_and_its_worker_writes_nothing(house: House) -> None:
    """A worker that slept through its lease finds everything it held void."""
    await house.founded()
    await house.request()
    sleeper = house.worker("sleeper", lease=LAPSED)
    (slept,) = await sleeper.claim(1)

    assert await house.sweeper.sweep() == 1
    with pytest.raises(LeaseLost):
        await sleeper.keep(slept, progress=None)
    run = await house.claim()

    assert (run.lease.run, run.lease.token) == (slept.lease.run, 2)
    assert run.attempt == 1
    with pytest.raises(LeaseLost):
        await house.conclude(slept, house.snapshot(slept, rows("ada@example.com")))
    with pytest.raises(LeaseLost):
        await sleeper.end(slept, Failed(finding("reach.refused")))
    with pytest.raises(LeaseLost):
        await sleeper.give_back(slept)
    assert await house.states() == {}
    await house.conclude(run, house.snapshot(run, rows("ada@example.com")))
    assert await house.states() == {"ada@example.com": "valid"}
    assert len(await house.events("sync.completed")) == 1


async def test_a_worker_that_slept_cannot_keep_a_run_that_was_queued_again(house: House) -> None:
    """Renewing the lease of a run that waits in the queue would keep everybody from it for a minute."""
    await house.founded()
    await house.request()
    sleeper = house.worker("sleeper", lease=LAPSED)
    (slept,) = await sleeper.claim(1)
    await house.sweeper.sweep()

    awake = house.worker("sleeper")
    with pytest.raises(LeaseLost):
        await awake.keep(slept, progress=(5, 5))

    assert len(await house.runs.claim(1)) == 1


async def test_a_run_whose_lease_holds_is_left_alone(house: House) -> None:
    """A long read is no dead worker."""
    await house.founded()
    await house.request()
    await house.claim()

    assert await house.sweeper.sweep() == 0


@pytest.mark.proves("internal")
async def test_a_run_that_workers_die_over_is_failed(house: House) -> None:
    """It may be what kills them; the customer is told instead of waiting for ever."""
    await house.founded()
    await house.request()
    for number in range(CRASHES_MAX + 1):
        assert len(await house.worker(f"w{number}", lease=LAPSED).claim(1)) == 1
        assert await house.sweeper.sweep() == 1

    assert heard((await house.last("sync.failed"))["finding"]).code == "internal"
    assert await house.sweeper.sweep() == 0
    assert await house.runs.claim(1) == []


async def test_two_sweepers_revive_a_run_once(house: House) -> None:
    """Every worker sweeps; one death counts once."""
    await house.founded()
    await house.request()
    await house.worker("w", lease=LAPSED).claim(1)

    async with asyncio.TaskGroup() as group:
        swept = [group.create_task(house.sweeper.sweep()) for _ in range(3)]

    assert sum(each.result() for each in swept) == 1
    assert await house.value("SELECT crashes FROM rollcall.run") == 1


async def test_a_cancelled_run_whose_worker_died_ends_as_cancelled(house: House) -> None:
    """Nobody is left to notice the wish; the sweeper does."""
    await house.founded()
    await house.request()
    (run,) = await house.worker("w", lease=LAPSED).claim(1)
    await house.send(CancelSync(run.lease.run))

    await house.sweeper.sweep()

    assert (await house.last("sync.cancelled"))["reasons"][0]["code"] == "cancelled"


async def test_a_run_given_back_is_due_at_once_and_costs_no_attempt(house: House) -> None:
    """A worker that is stopped hands on what it cannot finish."""
    await house.founded()
    await house.request()
    await house.runs.give_back(await house.claim())

    again = await house.claim()

    assert (again.attempt, again.restarts) == (1, 0)


async def test_a_manual_run_given_back_makes_the_queued_one_manual(house: House) -> None:
    """A person's wish must not be skipped because a paused schedule had queued the same."""
    await house.founded()
    manual = await house.request()
    run = await house.claim()
    scheduled = await house.request(trigger=Trigger.SCHEDULED)
    await house.send(PauseDirectory(HQ))

    await house.runs.give_back(run)

    merged = await house.claim()
    assert merged.trigger is Trigger.MANUAL
    assert merged.skip is None
    assert set(merged.causes) == {manual, scheduled}
    assert await house.value("SELECT count(*) FROM rollcall.run") == 1


async def test_a_scheduled_run_tries_three_times_within_fifteen_minutes(house: House) -> None:
    """A short outage is nobody's business; a longer one is reported once."""
    await house.founded()
    await house.request(trigger=Trigger.SCHEDULED)
    failed = Failed(finding("reach.refused"))
    began = house.clock.at

    for attempt in (1, 2):
        run = await house.claim()
        assert run.attempt == attempt
        assert isinstance(await house.runs.end(run, failed), Postponed)
        assert await house.runs.claim(1) == []
        house.clock.forward(minutes=5)
    run = await house.claim()

    assert await house.runs.end(run, failed) == failed
    assert house.clock.at - began <= timedelta(minutes=15)
    assert len(await house.events("sync.failed")) == 1
    assert (await house.last("sync.failed"))["attempt"] == 3


async def test_a_manual_run_tells_its_failure_at_once(house: House) -> None:
    """Who waits at the button is told what is wrong, not that we try again."""
    await house.founded()
    cause = await house.request()

    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))

    told = await house.last("sync.failed")
    assert (told["causes"], told["finding"]["code"]) == ([cause], "reach.refused")


async def test_settings_saved_meanwhile_void_what_was_read(house: House) -> None:
    """What was read under the old form says nothing under the new one."""
    await house.founded()
    await house.request()
    run = await house.claim()
    await house.save_directory()

    with pytest.raises(Superseded):
        await house.conclude(run, house.snapshot(run, rows("ada@example.com")))

    await house.runs.give_back(run, superseded=True)
    again = await house.claim()
    assert (again.revision, again.restarts, again.attempt) == (2, 1, 1)


async def test_domains_changed_meanwhile_void_what_was_read(house: House) -> None:
    """A domain taken off between reading and writing must not come back by the back door."""
    await house.founded()
    await house.request()
    run = await house.claim()
    await house.save_tenant("example.com", "example.net")

    with pytest.raises(Superseded):
        await house.conclude(run, house.snapshot(run, rows("ada@example.com")))

    await house.runs.give_back(run, superseded=True)
    assert (await house.claim()).domains == ("example.com", "example.net")


@pytest.mark.proves("settings.changing")
async def test_a_run_whose_settings_change_a_third_time_fails(house: House) -> None:
    """A loop of saves is told, not followed for ever."""
    await house.founded()
    await house.request()

    for _ in range(2):
        postponed = await house.runs.give_back(await house.claim(), superseded=True)
        assert postponed == Postponed("superseded")
    outcome = await house.runs.give_back(await house.claim(), superseded=True)

    assert isinstance(outcome, Failed)
    assert heard((await house.last("sync.failed"))["finding"]).code == "settings.changing"


async def test_a_scheduled_run_ignores_pending_settings(house: House) -> None:
    """What was never tried by a person does not run by night."""
    await house.founded()
    await house.save_directory(sync=True)
    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))

    await house.request(trigger=Trigger.SCHEDULED)

    assert (await house.claim()).revision == 1


async def test_a_paused_directory_skips_scheduled_runs_only(house: House) -> None:
    """Pausing stops the clockwork, not the button."""
    await house.founded()
    await house.request(trigger=Trigger.SCHEDULED)
    await house.send(PauseDirectory(HQ))

    run = await house.claim()
    assert run.skip == "paused"
    await house.runs.end(run, Skipped("paused"))
    assert (await house.last("sync.cancelled"))["reasons"][0]["code"] == "paused"

    await house.request()
    assert (await house.claim()).skip is None


async def test_a_right_lost_before_the_start_skips_the_run(house: House) -> None:
    """A right is checked when a run starts, too."""
    await house.founded()
    await house.request(trigger=Trigger.SCHEDULED)
    await house.save_tenant(tier=Tier.BASIC)

    assert (await house.claim()).skip == "plan"


async def test_a_wish_to_cancel_is_seen_at_the_next_beat_and_in_the_end(house: House) -> None:
    """Cancelled is cancelled, also in the last moment."""
    await house.founded()
    cause = await house.request()
    run = await house.claim()
    wish = await house.send(CancelSync(run.lease.run))

    with pytest.raises(RunStopped, match="cancelled"):
        await house.runs.keep(run, progress=(1, 1))
    with pytest.raises(RunStopped, match="cancelled"):
        await house.conclude(run, house.snapshot(run, rows("ada@example.com")))
    await house.runs.end(run, Skipped("cancelled"))

    assert (await house.last("sync.cancelled"))["causes"] == [cause, wish]
    assert await house.states() == {}


async def test_a_directory_deleted_meanwhile_ends_its_run(house: House) -> None:
    """What is gone is not filled again."""
    await house.founded()
    await house.request()
    run = await house.claim()
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    with pytest.raises(RunStopped, match="deleted"):
        await house.conclude(run, house.snapshot(run, rows("ada@example.com")))
    await house.runs.end(run, Skipped("deleted"))

    assert (await house.last("sync.cancelled"))["reasons"][0]["code"] == "deleted"


async def test_progress_is_told_without_a_place_in_the_order(house: House) -> None:
    """Some of it may be lost, so it takes no number."""
    await house.founded()
    await house.request()
    run = await house.claim()

    await house.runs.keep(run, progress=(120, 300))
    await house.runs.keep(run, progress=None)

    (told,) = await house.events("sync.progress")
    assert told["data"]["entries"] == 120
    assert "sequence" not in told["data"]


async def test_a_secret_that_no_key_opens_fails_its_own_run_only(house: House) -> None:
    """A lost key must not stop every other customer."""
    await tenants(house, "a", "b")
    await house.pool.execute(
        """UPDATE rollcall.directory_revision SET password_sealed = 'x' WHERE directory_id =
           (SELECT directory_id FROM rollcall.directory JOIN rollcall.tenant USING (tenant_id) WHERE tenant = 'a')"""
    )
    await house.request("d0", tenant="a")
    await house.request("d0", tenant="b")

    got = {str(run.lease.tenant): run for run in await house.runs.claim(10)}

    assert got["a"].fault == "settings.unreadable_secret"
    assert got["b"].fault is None


async def test_settings_that_cannot_be_read_fail_their_own_run_only(house: House) -> None:
    """Another release may have stored what this one does not know; claiming goes on for all others."""
    await tenants(house, "a", "b")
    await house.request("d0", tenant="a")
    await house.request("d0", tenant="b")
    await house.pool.execute(
        """UPDATE rollcall.directory_revision SET settings = '{"name": 1}' WHERE directory_id =
           (SELECT directory_id FROM rollcall.directory JOIN rollcall.tenant USING (tenant_id) WHERE tenant = 'a')"""
    )

    got = {str(run.lease.tenant): run for run in await house.runs.claim(10)}

    assert got["a"].fault == "settings.unreadable"
    assert got["b"].fault is None


async def test_a_final_transaction_that_breaks_leaves_nothing(house: House) -> None:
    """Half a list is worse than none."""
    await house.founded()
    await house.request()
    run = await house.claim()
    broken = house.snapshot(run, rows(*people(3)), ends_with=b"no row at all\n")

    with pytest.raises(Exception, match="missing data for column"):
        await house.conclude(run, broken)

    assert await house.states() == {}
    again = house.snapshot(run, rows(*people(3)))
    await house.conclude(run, replace(again, rows=3))
    assert len(await house.states()) == 3
