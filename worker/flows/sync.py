"""One claimed run to one recorded outcome. Read ``attempt`` first: it is the whole story when all goes well.

What can go wrong is caught one function up, once, and recorded; nothing here names a library.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from typing import assert_never

from worker.domain.answer import Case, answer, failed_by, is_worth_a_look
from worker.domain.events import Seconds
from worker.domain.failures import (
    DirectoryFailure,
    Failure,
    LeaseLost,
    RequestFailure,
    StoreFailure,
    Superseded,
    Unfinished,
)
from worker.domain.findings import is_tried_again
from worker.domain.guard import judge
from worker.domain.model import Change, ClaimedRun, Limits
from worker.domain.outcomes import (
    Applied,
    Failed,
    Held,
    Outcome,
    Postponed,
    Previewed,
    RunStopped,
    Skipped,
    Unchanged,
)
from worker.domain.plan import ReadPlan, make_plan
from worker.domain.sign_in import sign_in_of_run
from worker.domain.survey import Survey
from worker.flows import leased
from worker.flows.around import looked_around
from worker.flows.bell import Bell
from worker.flows.leased import alongside, given_back
from worker.flows.reading import Progress, Reading, fit_learned
from worker.ports.directory import DirectoryReader, Surveyor
from worker.ports.runs import Runs, SignIns, Snapshot, Spool
from worker.ports.telemetry import Telemetry
from worker.ports.vault import Clock


FINAL_PAUSES_S = (0.5, 2.0, 5.0, 10.0, 20.0)
"""Between tries of the final transaction while Postgres is away; their sum stays below a lease."""


@dataclass(frozen=True, slots=True)
class SyncPorts:
    """What one run needs of the world."""

    runs: Runs
    directory: DirectoryReader
    sign_ins: SignIns
    clock: Clock
    telemetry: Telemetry
    spool: Callable[[], AbstractContextManager[Spool]]
    relay_bell: Bell
    limits: Limits
    beat_s: float = 2.0
    """How often the lease is renewed, a wish to cancel noticed, and progress told."""
    egress: tuple[str, ...] = ()
    """Our own addresses, for the advice on firewalls."""
    surveyor: Surveyor | None = None
    """Looks around before a failure is told; without one nobody does."""
    retries: int = 0
    """How often a scheduled run is tried again before anybody is told."""


async def sync(run: ClaimedRun, *, ports: SyncPorts) -> Outcome:
    """Take one claimed run to its recorded outcome. Cancelled, it gives the run back to the queue."""
    progress = Progress()
    with ports.telemetry.bind(
        tenant=run.lease.tenant, directory=run.lease.directory, run=str(run.lease.run)
    ):
        try:
            outcome = await outcome_of(run, ports=ports, progress=progress)
        except asyncio.CancelledError:
            giving = partial(ports.runs.give_back, run)
            within_s = ports.beat_s * 5
            await asyncio.shield(given_back(giving, ports.telemetry, within_s=within_s))
            raise
        except Exception as bug:  # noqa: BLE001 - not even recording may end the worker: the lease lapses
            ports.telemetry.event("recording_broke", level="error", error=bug)
            outcome = Postponed("recording broke")
        told = type(outcome).__name__.lower()
        ports.telemetry.event("run_ended", outcome=told, **figures(outcome))
        ports.telemetry.count("runs", state=told, trigger=run.trigger)
        measure(outcome, ports.telemetry)
    ports.relay_bell.ring()
    return outcome


async def outcome_of(run: ClaimedRun, *, ports: SyncPorts, progress: Progress) -> Outcome:
    """Attempt the run and record whatever it comes to; a store that is away leaves it to its lease."""
    try:
        return await attempt(run, ports=ports, progress=progress)
    except RunStopped as stopped:
        ending: Failed | Skipped = Skipped(stopped.code)
    except Superseded:
        return await recorded(lambda: ports.runs.give_back(run, superseded=True), ports)
    except LeaseLost as lost:
        return lost_lease(lost, ports)
    except (DirectoryFailure, RequestFailure) as failure:
        ending = await failed(run, failure, ports=ports, progress=progress)
    except StoreFailure as away:
        ports.telemetry.event("store_away", code=away.code, detail=away.detail)
        return Postponed("store away")
    except Exception as bug:  # noqa: BLE001 - the one place where a bug in a run ends: recorded, not spread
        ports.telemetry.event("run_broke", level="error", error=bug)
        bug_of_ours = RequestFailure("internal", repr(bug))
        ending = await failed(run, bug_of_ours, ports=ports, progress=progress)
    return await recorded(lambda: ports.runs.end(run, ending), ports)


async def attempt(run: ClaimedRun, *, ports: SyncPorts, progress: Progress) -> Outcome:
    """Plan, read, compare, judge, record. Cancelled, it leaves nothing behind."""
    if run.skip is not None:
        raise RunStopped(run.skip)
    if run.fault is not None:
        raise RequestFailure(run.fault)
    progress.plan = plan = make_plan(run.settings, run.credentials, ports.limits)
    read_at = await ports.clock.now()
    with ports.spool() as rows, ports.spool() as aside:
        reading = Reading(run, plan, read_at=read_at, spools=(rows, aside), progress=progress)
        work = read(run, plan, reading, ports=ports, progress=progress)
        snapshot = await alongside(work, beat(run, ports=ports, progress=progress))
        return await conclude(run, snapshot, ports=ports)


async def read(
    run: ClaimedRun, plan: ReadPlan, reading: Reading, *, ports: SyncPorts, progress: Progress
) -> Snapshot:
    """Read the directory to its proved end. Raises a DirectoryFailure when the list is not whole."""
    gate = ports.sign_ins.gate(sign_in_of_run(run))
    try:
        async with (
            asyncio.timeout(plan.limits.run_s),
            ports.directory.listing(plan, gate=gate, stages=progress.stages) as pages,
        ):
            try:
                async with fit_learned(pages):
                    async for page in pages:
                        reading.take(page)
                    return await reading.snapshot(pages.proof)
            finally:
                progress.profile = pages.profile
    except TimeoutError as exc:
        told = plan.limits.run_told
        raise Unfinished("read.run_deadline", told, figure=told) from exc


async def conclude(run: ClaimedRun, snapshot: Snapshot, *, ports: SyncPorts) -> Outcome:
    """Compare, judge and record in the final transaction; tried again while the store is away.

    A commit whose answer was lost is found done by its run's state: the second try writes nothing.
    """
    for pause_s in FINAL_PAUSES_S:
        try:
            async with ports.runs.final(run, snapshot) as final:
                evidence = await final.compare()
                outcome = await final.record(judge(evidence, run.settings.removals))
        except (LeaseLost, Superseded):
            raise
        except StoreFailure as away:
            ports.telemetry.event("store_away", code=away.code, detail=away.detail)
            await asyncio.sleep(pause_s)
        else:
            return outcome
    raise StoreFailure(
        code="store.unavailable", detail="the final transaction was tried again in vain"
    )


async def beat(run: ClaimedRun, *, ports: SyncPorts, progress: Progress) -> None:
    """Renew the lease and tell the progress until cancelled. Raises LeaseLost, RunStopped.

    A store that is away for a while stops nobody: whether the lease still holds is decided at the end.
    """
    while True:
        await asyncio.sleep(ports.beat_s)
        news = (progress.entries, progress.addresses) if progress.entries != progress.told else None
        try:
            async with asyncio.timeout(ports.beat_s * 5):
                await ports.runs.keep(run, progress=news)
        except (LeaseLost, RunStopped):
            raise
        except (StoreFailure, TimeoutError) as away:
            ports.telemetry.event("beat_missed", detail=str(away))
        else:
            progress.told = progress.entries
            ports.relay_bell.ring()


async def failed(
    run: ClaimedRun, failure: Failure, *, ports: SyncPorts, progress: Progress
) -> Failed | Skipped:
    """Say what the customer is told of a failure; the server's own words stay with the operator."""
    try:
        survey = await surveyed(run, failure, ports=ports, progress=progress)
    except RunStopped as stopped:
        return Skipped(stopped.code)
    case = Case(
        run.settings,
        progress.plan,
        progress.stages,
        seen=progress.seen,
        survey=survey,
        profile=progress.profile,
        egress=ports.egress,
    )
    seconds = Seconds(queue=round(run.queue_s, 3))
    told = answer(failure.code, failed_by(failure, case))
    return Failed(told, detail=failure.detail, seconds=seconds)


async def surveyed(
    run: ClaimedRun, failure: Failure, *, ports: SyncPorts, progress: Progress
) -> Survey:
    """Look around if that explains the failure and somebody is about to be told of it; the lease is kept meanwhile.

    Raises RunStopped. A lease that is lost or a store that is away is found when the ending is recorded.
    """
    is_silent = is_tried_again(run, failure.code, retries=ports.retries)
    if is_silent or not is_worth_a_look(failure.code, run.settings):
        return Survey()
    look = looked_around(progress.plan, ports.surveyor, ports.telemetry)
    try:
        return await alongside(look, beat(run, ports=ports, progress=progress))
    except StoreFailure:
        return Survey()


async def recorded(
    record: Callable[[], Coroutine[None, None, Outcome]], ports: SyncPorts
) -> Outcome:
    """Record an ending, again while the store is away; else its lease lapses and another worker takes the run."""
    try:
        return await leased.recorded(record, ports.telemetry) or Postponed("store away")
    except LeaseLost as lost:
        return lost_lease(lost, ports)


def measure(outcome: Outcome, telemetry: Telemetry) -> None:
    """Feed the metrics from what a complete run came to."""
    if not isinstance(outcome, Applied | Unchanged | Held | Previewed):
        return
    for stage in ("connect", "read", "compare", "record"):
        telemetry.observe("stage_seconds", getattr(outcome.seconds, stage), stage=stage)
    if isinstance(outcome, Unchanged):
        telemetry.count("sync_skipped_unchanged")
    if not isinstance(outcome, Previewed):
        for change in Change:
            telemetry.count("sync_changes", getattr(outcome.counts, change), change=change)


def lost_lease(lost: LeaseLost, ports: SyncPorts) -> Postponed:
    """Another worker has the directory, or the run has ended already: nothing more is to be written."""
    ports.telemetry.event("lease_lost", level="warning", detail=lost.detail)
    ports.telemetry.count("lease_lost")
    return Postponed("lease lost")


def figures(outcome: Outcome) -> dict[str, object]:
    """Return what a log line says of an outcome: counts and seconds, no address."""
    match outcome:
        case Applied(counts, seconds) | Unchanged(counts, seconds):
            return {"counts": asdict(counts), "seconds": asdict(seconds)}
        case Held(counts, seconds, ruling) | Previewed(counts, seconds, ruling):
            codes = [reason.code for reason in ruling.reasons]
            return {"counts": asdict(counts), "seconds": asdict(seconds), "reasons": codes}
        case Failed(found, detail):
            return {"code": found.code, "detail": detail}
        case Skipped(reason) | Postponed(reason):
            return {"reason": reason}
        case _:
            assert_never(outcome)
