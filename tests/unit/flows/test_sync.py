"""What becomes of one claimed run: every way it can end, and that it always ends in one."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.clock import StandingClock
from tests.fakes.jumping import jumping
from tests.fakes.notebook import Notebook
from tests.fakes.runs import (
    EVIDENCE,
    NOW,
    Directory,
    MemoryRuns,
    OpenGate,
    claimed_run,
    memory_spool,
    person,
)
from worker.domain.failures import (
    Denied,
    DirectoryFailure,
    LeaseLost,
    StoreFailure,
    Superseded,
    Unfinished,
    Unreachable,
)
from worker.domain.model import Limits
from worker.domain.outcomes import Applied, Failed, Held, Outcome, Postponed, RunStopped, Skipped
from worker.flows.bell import Bell
from worker.flows.leased import RECORD_PAUSES_S
from worker.flows.sync import FINAL_PAUSES_S, SyncPorts, sync


AWAY = StoreFailure("store.unavailable")


def ports(
    runs: MemoryRuns | None = None,
    directory: Directory | None = None,
    gate: OpenGate | None = None,
    *,
    run_s: float = 1_800,
) -> SyncPorts:
    """All that a run needs, in memory."""
    return SyncPorts(
        runs=runs or MemoryRuns(),
        directory=directory or Directory(),
        sign_ins=gate or OpenGate(),
        clock=StandingClock(NOW),
        telemetry=Notebook(),
        spool=memory_spool,
        relay_bell=Bell(),
        limits=Limits(run_s=run_s),
    )


def code_of(outcome: Outcome) -> str:
    """Why it failed."""
    assert isinstance(outcome, Failed)
    return outcome.finding.code


@jumping
async def test_a_whole_listing_is_applied() -> None:
    """The story when all goes well: what was read is what is recorded."""
    runs, directory = MemoryRuns(), Directory([[person("ada")], [person("bob")]])

    outcome = await sync(claimed_run(), ports=ports(runs, directory))

    assert isinstance(outcome, Applied)
    assert outcome.counts.entries == 2
    (rows,) = runs.applied
    assert [line.split(b"\t")[0] for line in rows.splitlines()] == [
        b"ada@example.com",
        b"bob@example.com",
    ]
    assert (directory.opened, directory.closed) == (1, 1)


@jumping
async def test_what_the_guard_does_not_like_is_held() -> None:
    """The guard is asked about every complete run."""
    runs = MemoryRuns(evidence=replace(EVIDENCE, canaries_missing=("ceo@example.com",)))

    outcome = await sync(claimed_run(), ports=ports(runs))

    assert isinstance(outcome, Held)
    assert [reason.code for reason in outcome.ruling.reasons] == ["canary_missing"]


@pytest.mark.parametrize(
    "fault",
    [
        Unreachable("reach.refused", "connection refused"),
        Denied("sign_in.wrong_password"),
        Unfinished("read.size_limit"),
    ],
)
@jumping
async def test_a_listing_that_is_not_whole_removes_nobody(fault: DirectoryFailure) -> None:
    """A directory that stops half-way must not cost anyone their mail."""
    runs, directory = MemoryRuns(), Directory(fault=fault)

    outcome = await sync(claimed_run(), ports=ports(runs, directory))

    assert code_of(outcome) == fault.code
    assert (runs.applied, runs.ended) == ([], [outcome])
    assert isinstance(outcome, Failed)
    assert outcome.detail == fault.detail
    assert outcome.finding.ldapsearch.startswith("ldapsearch ")
    assert "correct-horse" not in repr(outcome)
    assert directory.closed == 1


@jumping
async def test_a_listing_without_an_address_of_ours_is_a_failure() -> None:
    """It was read from the wrong place; nobody left."""
    runs = MemoryRuns()
    foreign = ("uid=x", {"mail": [b"x@elsewhere.example"], "objectClass": [b"inetOrgPerson"]})

    outcome = await sync(claimed_run(), ports=ports(runs, Directory([[foreign]])))

    assert code_of(outcome) == "addresses.other_domains"
    assert isinstance(outcome, Failed)
    assert "elsewhere.example (1)" in outcome.finding.seen
    assert runs.applied == []


@jumping
async def test_a_listing_of_entries_without_addresses_is_a_failure() -> None:
    """Likewise."""
    bare = ("uid=x", {"objectClass": [b"inetOrgPerson"]})

    outcome = await sync(claimed_run(), ports=ports(directory=Directory([[bare]])))

    assert code_of(outcome) == "addresses.none_valid"


@jumping
async def test_a_run_has_a_deadline_of_its_own() -> None:
    """A directory that never ends must not keep a worker for ever."""
    runs, directory = MemoryRuns(), Directory(hangs=True)

    outcome = await sync(claimed_run(), ports=ports(runs, directory, run_s=60))

    assert code_of(outcome) == "read.run_deadline"
    assert directory.closed == 1
    assert len(runs.progress) >= 20


@jumping
async def test_a_sign_in_that_must_not_be_made_is_a_failure() -> None:
    """Account safety comes before the sync."""
    directory = Directory()
    gate = OpenGate(Denied("sign_in.waiting", "2026-01-15 10:00 UTC"))

    outcome = await sync(claimed_run(), ports=ports(directory=directory, gate=gate))

    assert code_of(outcome) == "sign_in.waiting"
    assert directory.opened == 0


@pytest.mark.parametrize("reason", ["paused", "plan", "deleted", "cancelled"])
@jumping
async def test_a_run_that_must_not_start_is_skipped(reason: str) -> None:
    """Nothing is opened for it."""
    runs, directory = MemoryRuns(), Directory()

    outcome = await sync(claimed_run(skip=reason), ports=ports(runs, directory))

    assert outcome == Skipped(reason)
    assert (runs.ended, directory.opened) == ([outcome], 0)


@jumping
async def test_settings_that_cannot_be_used_fail_the_run() -> None:
    """A lost key, a form of another release: the customer is told, nothing is opened."""
    directory = Directory()

    outcome = await sync(
        claimed_run(fault="settings.unreadable_secret"), ports=ports(directory=directory)
    )

    assert code_of(outcome) == "settings.unreadable_secret"
    assert directory.opened == 0


@jumping
async def test_a_type_that_nobody_knows_fails_the_run() -> None:
    """It may have been saved by another release."""
    run = claimed_run()
    unknown = replace(run, settings=replace(run.settings, type="no_such"))

    assert code_of(await sync(unknown, ports=ports())) == "settings.unknown_type"


@jumping
async def test_a_wish_to_cancel_ends_the_reading() -> None:
    """It is noticed at the next beat, however long the page takes."""
    runs = MemoryRuns(keep_faults=[RunStopped("cancelled")])
    directory = Directory(hangs=True)

    outcome = await sync(claimed_run(), ports=ports(runs, directory))

    assert outcome == Skipped("cancelled")
    assert directory.closed == 1


@jumping
async def test_a_wish_to_cancel_in_the_last_moment_counts() -> None:
    """The final transaction looks, too."""
    runs = MemoryRuns(final_faults=[RunStopped("deleted")])

    assert await sync(claimed_run(), ports=ports(runs)) == Skipped("deleted")


@jumping
async def test_a_lost_lease_ends_the_reading_and_writes_nothing() -> None:
    """Somebody else has the directory; whatever this worker holds is void."""
    runs = MemoryRuns(keep_faults=[LeaseLost("store.lease_lost")])
    directory = Directory(hangs=True)
    needed = ports(runs, directory)

    assert await sync(claimed_run(), ports=needed) == Postponed("lease lost")

    assert (runs.ended, runs.given_back, runs.applied) == ([], [], [])
    assert directory.closed == 1
    assert isinstance(needed.telemetry, Notebook)
    assert needed.telemetry.counts["lease_lost"] == 1


@jumping
async def test_a_lease_lost_at_the_end_writes_nothing() -> None:
    """Likewise, also when an ending is to be recorded."""
    late = MemoryRuns(final_faults=[LeaseLost("store.lease_lost")])
    assert await sync(claimed_run(), ports=ports(late)) == Postponed("lease lost")

    later = MemoryRuns(end_faults=[LeaseLost("store.lease_lost")])
    broken = Directory(fault=Unreachable("reach.refused"))
    assert await sync(claimed_run(), ports=ports(later, broken)) == Postponed("lease lost")


@jumping
async def test_settings_changed_meanwhile_give_the_run_back() -> None:
    """What was read under the old form says nothing; how often is counted where it is recorded."""
    runs = MemoryRuns(final_faults=[Superseded("store.superseded")])

    assert await sync(claimed_run(), ports=ports(runs)) == Postponed("superseded")

    assert (len(runs.given_back), runs.superseded) == (1, 1)


@jumping
async def test_a_bug_is_recorded_and_spreads_no_further() -> None:
    """The customer gets an answer, the operator a traceback, other customers nothing of it."""
    runs, needed = MemoryRuns(), None
    needed = ports(runs, Directory(fault=ZeroDivisionError("oh")))

    outcome = await sync(claimed_run(), ports=needed)

    assert code_of(outcome) == "internal"
    assert isinstance(outcome, Failed)
    assert "ZeroDivisionError" in outcome.detail
    assert isinstance(needed.telemetry, Notebook)
    (said,) = needed.telemetry.said("run_broke")
    assert isinstance(said["error"], ZeroDivisionError)


@jumping
async def test_a_bug_in_recording_ends_no_worker() -> None:
    """The lease lapses, and another worker takes the run."""
    runs = MemoryRuns(end_faults=[ZeroDivisionError("oh")])
    needed = ports(runs, Directory(fault=Unreachable("reach.refused")))

    assert await sync(claimed_run(), ports=needed) == Postponed("recording broke")

    assert isinstance(needed.telemetry, Notebook)
    assert len(needed.telemetry.said("recording_broke")) == 1


@jumping
async def test_a_store_that_is_away_for_a_while_costs_no_run() -> None:
    """What was read is kept and the final transaction tried again."""
    runs = MemoryRuns(final_faults=[AWAY] * (len(FINAL_PAUSES_S) - 1))

    assert isinstance(await sync(claimed_run(), ports=ports(runs)), Applied)


@jumping
async def test_a_store_that_stays_away_leaves_the_run_to_its_lease() -> None:
    """Nothing is recorded where nothing can be; the sweeper finds it later."""
    runs = MemoryRuns(final_faults=[AWAY] * len(FINAL_PAUSES_S))

    assert await sync(claimed_run(), ports=ports(runs)) == Postponed("store away")

    assert (runs.ended, runs.applied) == ([], [])


@jumping
async def test_a_failure_is_recorded_when_the_store_is_back() -> None:
    """And given up in the same bounded way."""
    broken = Directory(fault=Unreachable("reach.refused"))
    for_a_while = MemoryRuns(end_faults=[AWAY] * (len(RECORD_PAUSES_S) - 1))
    assert code_of(await sync(claimed_run(), ports=ports(for_a_while, broken))) == "reach.refused"

    for_good = MemoryRuns(end_faults=[AWAY] * len(RECORD_PAUSES_S))
    assert await sync(claimed_run(), ports=ports(for_good, broken)) == Postponed("store away")


@jumping
async def test_a_beat_that_is_missed_stops_nobody() -> None:
    """Whether the lease still holds is decided at the end."""
    runs = MemoryRuns(keep_faults=[AWAY, AWAY])
    needed = ports(runs, Directory(hangs=True), run_s=30)

    await sync(claimed_run(), ports=needed)

    assert isinstance(needed.telemetry, Notebook)
    assert len(needed.telemetry.said("beat_missed")) == 2
    assert (1, 1) in runs.progress


@jumping
async def test_progress_is_told_once_for_what_is_new() -> None:
    """A page that takes long is no news."""
    runs = MemoryRuns()

    await sync(claimed_run(), ports=ports(runs, Directory(hangs=True), run_s=20))

    assert [each for each in runs.progress if each is not None] == [(1, 1)]


@jumping
async def test_a_cancelled_run_is_given_back() -> None:
    """A worker that stops leaves nothing behind that another must wait for."""
    runs, directory = MemoryRuns(), Directory(hangs=True)
    run = claimed_run()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(sync(run, ports=ports(runs, directory)))
        await asyncio.sleep(5)
        task.cancel()

    assert task.cancelled()
    assert runs.given_back == [run.lease.run]
    assert (runs.ended, directory.closed) == ([], 1)


@pytest.mark.parametrize("runs", [MemoryRuns(end_faults=[AWAY]), MemoryRuns(give_back_hangs=True)])
@jumping
async def test_a_run_that_cannot_be_given_back_holds_up_no_stop(runs: MemoryRuns) -> None:
    """Its lease lapses instead."""
    needed = ports(runs, Directory(hangs=True))

    async with asyncio.timeout(600), asyncio.TaskGroup() as group:
        task = group.create_task(sync(claimed_run(), ports=needed))
        await asyncio.sleep(5)
        task.cancel()

    assert task.cancelled()
    assert isinstance(needed.telemetry, Notebook)
    assert len(needed.telemetry.said("give_back_failed")) == 1


@jumping
async def test_every_line_of_a_run_says_whose_it_is() -> None:
    """And the outcome rings the relay's bell."""
    run, needed = claimed_run(), ports()

    await sync(run, ports=needed)

    assert isinstance(needed.telemetry, Notebook)
    (bound,) = needed.telemetry.bound
    assert bound == {"tenant": "acme", "directory": "hq", "run": str(run.lease.run)}
    (ended,) = needed.telemetry.said("run_ended")
    assert ended["outcome"] == "applied"
    async with asyncio.timeout(0.1):
        await needed.relay_bell.wait(10)
