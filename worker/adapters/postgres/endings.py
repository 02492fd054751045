"""How a run ends in the store: its row, its outcome event, the answers to all who asked, the lease."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from worker.adapters.postgres import pool as db, schedule
from worker.adapters.postgres.announce import Answer, Place, announce, take_places
from worker.domain import events
from worker.domain.advice import Readiness
from worker.domain.events import Advice, Counts, Event, HoldRef, Payload, RunFacts, RunRef, Seconds
from worker.domain.failures import Finding
from worker.domain.guard import Reason
from worker.domain.model import DirectoryId, Mode, RunId, RunState, TenantId, Trigger
from worker.domain.plans import Right, sentence
from worker.domain.schedule import failed, recovered


@dataclass(frozen=True, slots=True)
class Ending:
    """What is recorded of a run that ends."""

    state: RunState
    verdict: str | None = None
    reasons: tuple[Payload, ...] = ()
    hold: HoldRef | None = None
    counts: Counts = field(default_factory=Counts)
    seconds: Seconds = field(default_factory=Seconds)
    finding: Finding | None = None
    detail: str = ""
    advice: tuple[Advice, ...] = ()
    readiness: tuple[Readiness, ...] = ()
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """Where a run belongs."""

    run_id: UUID
    tenant_id: int
    tenant: TenantId
    directory_id: int
    directory: DirectoryId


EVENT_OF: Mapping[RunState, Callable[[TenantId, RunRef, RunFacts], Event]] = {
    RunState.COMPLETED: events.sync_completed,
    RunState.HELD: events.sync_held,
    RunState.PREVIEWED: events.sync_previewed,
    RunState.FAILED: events.sync_failed,
    RunState.CANCELLED: events.sync_cancelled,
}


def reason_payload(reason: Reason) -> Payload:
    """Return a guard's reason as messages and ``api.run`` carry it."""
    return {
        "code": reason.code,
        "text": reason.text,
        "figures": dict(reason.figures),
        "addresses": list(reason.addresses),
    }


def cancelled(reason: str) -> Ending:
    """Return the ending of a run that did not run to its end."""
    return Ending(RunState.CANCELLED, reasons=({"code": reason, "text": CANCELLED_TEXT[reason]},))


CANCELLED_TEXT: Mapping[str, str] = {
    "cancelled": "The run was cancelled.",
    "paused": "Scheduled runs of this directory are paused.",
    "plan": sentence(Right.AUTOMATIC_SYNC),
    "deleted": "The directory or its tenant was deleted.",
}


async def end_run(
    connection: db.Connection,
    row: RunRow,
    ending: Ending,
    *,
    now: datetime,
    place: Place | None = None,
) -> Place:
    """Record the outcome and tell everyone who asked; the tenant's row must be locked.

    Returns the place of the outcome's event, which comes before the changes it tells of.
    """
    place = place or await take_places(connection, tenant_id=row.tenant_id, count=1)
    recorded = await _finish(connection, row, ending, now=now)
    causes = await db.rows(connection, "causes_of_run", run_id=row.run_id)
    ref = run_ref(row, recorded, causes)
    facts = RunFacts(
        attempt=recorded["attempt"],
        started_at=recorded["started_at"],
        finished_at=now,
        verdict=ending.verdict,
        reasons=ending.reasons,
        hold=ending.hold,
        counts=ending.counts,
        seconds=ending.seconds,
        advice=ending.advice,
        readiness=tuple(asdict(each) for each in ending.readiness),
        notify=ending.notify,
        finding=ending.finding,
    )
    await announce(
        connection,
        EVENT_OF[ending.state](row.tenant, ref, facts),
        now=now,
        place=place,
        answers=[Answer(c["number"], c["reply_to"], c["correlation_id"]) for c in causes],
        traceparent=recorded["traceparent"],
    )
    if ref.mode is Mode.APPLY:
        await _rearrange(connection, row, ending.state, trigger=ref.trigger, now=now)
    return place


async def _rearrange(
    connection: db.Connection, row: RunRow, state: RunState, *, trigger: Trigger, now: datetime
) -> None:
    """Work out anew when the directory is due: a complete run may have brought settings into force."""
    this = schedule.Concerned(connection, row.tenant_id, row.directory_id, now)
    if state in {RunState.COMPLETED, RunState.HELD}:
        await schedule.rearrange(this, recovered)
    elif state is RunState.FAILED:
        await db.run(connection, "break_row", directory_id=row.directory_id)
        if trigger is Trigger.SCHEDULED:
            await schedule.rearrange(this, failed)


def run_ref(row: RunRow, recorded: asyncpg.Record, causes: list[asyncpg.Record]) -> RunRef:
    """Return what every event of a run carries."""
    return RunRef(
        RunId(row.run_id),
        row.directory,
        tuple(cause["command_id"] for cause in causes),
        Trigger(recorded["trigger"]),
        Mode(recorded["mode"]),
    )


async def _finish(
    connection: db.Connection, row: RunRow, ending: Ending, *, now: datetime
) -> asyncpg.Record:
    return await db.only(
        connection,
        "finish_run",
        run_id=row.run_id,
        state=ending.state,
        now=now,
        verdict=ending.verdict,
        reasons=orjson.dumps(ending.reasons).decode(),
        counts=orjson.dumps(ending.counts).decode(),
        seconds=orjson.dumps(ending.seconds).decode(),
        finding=(
            orjson.dumps(events.finding_payload(ending.finding)).decode()
            if ending.finding
            else None
        ),
        detail=ending.detail or None,
        hold_id=ending.hold.id if ending.hold else None,
        advice=orjson.dumps(ending.advice).decode(),
    )
