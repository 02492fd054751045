"""The runs of the tenant in hand: asked for, joined, cancelled, undone."""

from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.endings import RunRow, cancelled, end_run
from worker.adapters.postgres.hand import Hand
from worker.adapters.postgres.undo import undo
from worker.domain import events
from worker.domain.decisions import RunRecord
from worker.domain.events import Event
from worker.domain.model import DirectoryId, Mode, RunId, RunState, Trigger
from worker.ports.desk import Done


async def stop_runs(hand: Hand, directory_id: int, directory: str) -> None:
    """End the queued runs of a deleted directory and ask the running one to end."""
    for run in await db.rows(hand.connection, "open_runs", directory_id=directory_id):
        await _stop_run(hand, run, directory_id, directory, reason="deleted")


async def _stop_run(
    hand: Hand, run: asyncpg.Record, directory_id: int, directory: str, *, reason: str
) -> None:
    if run["state"] == "running":
        await db.run(hand.connection, "ask_to_cancel", run_id=run["run_id"], reason=reason)
        return
    row = RunRow(
        run["run_id"],
        hand.tenant_id,
        hand.stored.envelope.tenant,
        directory_id,
        DirectoryId(directory),
    )
    await end_run(hand.connection, row, cancelled(reason), now=hand.now)


@dataclass(frozen=True, slots=True)
class PostgresRunBook:
    """The RunBook port."""

    hand: Hand

    async def request(self, directory: DirectoryId, *, trigger: Trigger, mode: Mode) -> Event:
        """Queue a run, or join the one that is queued for the same."""
        on, now = self.hand.connection, self.hand.now
        found = await db.only(
            on, "find_directory", tenant_id=self.hand.tenant_id, directory=directory
        )
        reads_pending = trigger is Trigger.MANUAL and found["revision_pending"] is not None
        standing = {
            "directory_id": found["directory_id"],
            "mode": mode,
            "pending": reads_pending,
        }
        queued = await db.row(on, "find_queued", **standing)
        if queued is not None:
            run_id = queued["run_id"]
            await db.run(on, "join_run", run_id=run_id, manual=trigger is Trigger.MANUAL, now=now)
        else:
            run_id = uuid4()
            revision = found["revision_pending"] if reads_pending else found["revision_in_force"]
            await db.run(
                on,
                "insert_run",
                run_id=run_id,
                tenant_id=self.hand.tenant_id,
                revision=revision,
                trigger=trigger,
                now=now,
                traceparent=self.hand.stored.envelope.traceparent,
                **standing,
            )
        await db.run(
            on,
            "add_cause",
            run_id=run_id,
            number=self.hand.stored.number,
            command_id=self.hand.stored.envelope.id,
        )
        ref = events.RunRef(RunId(run_id), directory, self.hand.causes, trigger, mode)
        return events.sync_accepted(self.hand.stored.envelope.tenant, ref)

    async def cancel(self, run: RunId) -> Done | None:
        """End a queued run as cancelled; a running one ends as soon as its worker sees it asked."""
        found = await db.row(
            self.hand.connection, "find_run", tenant_id=self.hand.tenant_id, run_id=run
        )
        if found is None or found["state"] not in ("queued", "running"):
            return None
        await db.run(
            self.hand.connection,
            "add_cause",
            run_id=run,
            number=self.hand.stored.number,
            command_id=self.hand.stored.envelope.id,
        )
        await _stop_run(
            self.hand, found, found["directory_id"], found["directory"], reason="cancelled"
        )
        return Done(None)

    async def find(self, run: RunId) -> RunRecord | None:
        """Return and lock a run with its directory."""
        found = await db.row(
            self.hand.connection, "find_run_to_undo", tenant_id=self.hand.tenant_id, run_id=run
        )
        if found is None:
            return None
        return RunRecord(
            run=RunId(found["run_id"]),
            directory=DirectoryId(found["directory"]),
            state=RunState(found["state"]),
            mode=Mode(found["mode"]),
            is_undone=found["is_undone"],
            is_directory_deleted=found["is_deleted"],
        )

    async def undo(self, run: RunRecord) -> Done:
        """Give back what it took, let go what it gave, pause its directory's schedule."""
        return await undo(self.hand, run)
