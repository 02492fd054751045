"""What people's decisions do to quarantine logins: a hold approved, a domain taken off, a directory deleted, a run undone.

Within the transaction of the command, after the addresses: ``touched`` says which of them left.
"""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import take_places
from worker.adapters.postgres.decisions import Decision
from worker.adapters.postgres.logins import Telling, make_tables, render, tell
from worker.domain.entries import KINDS
from worker.domain.events import UndoneLogins
from worker.domain.logins import ADDRESSES_MAX_COUNT, are_ended
from worker.domain.model import DirectorySettings, LoginReason


async def let_go(decision: Decision) -> None:
    """Deactivate those of whom no address is left."""
    on = decision.connection
    if not await _has_logins(decision):
        return
    await make_tables(on)
    await db.run(on, "drop_decided_addresses", tenant_id=decision.tenant_id)
    await db.run(
        on,
        "end_lost_logins",
        tenant_id=decision.tenant_id,
        now=decision.now,
        reason=LoginReason.DECIDED,
    )
    await _tell(decision)


@dataclass(frozen=True, slots=True)
class Approved:
    """A hold that a person approved, and the settings of its directory that count by then."""

    hold_id: UUID
    directory_id: int
    settings: DirectorySettings


async def approve(decision: Decision, approved: Approved) -> int:
    """Deactivate those of whom no address is left, and those who waited themselves; gives how many the latter are.

    As in a run: nobody where the settings end no login.
    """
    on, tenant_id = decision.connection, decision.tenant_id
    if not await _has_logins(decision):
        return 0
    await make_tables(on)
    await db.run(on, "drop_decided_addresses", tenant_id=tenant_id)
    waited = await _end_approved(decision, approved) if are_ended(approved.settings) else 0
    await _tell(decision)
    return waited


async def _end_approved(decision: Decision, approved: Approved) -> int:
    on, now = decision.connection, decision.now
    here = {"tenant_id": decision.tenant_id, "directory_id": approved.directory_id}
    kinds = [KINDS.index(kind) for kind in approved.settings.logins.kinds]
    waited = await db.run(on, "step_approved_logins", hold_id=approved.hold_id, **here)
    await db.run(on, "step_approved_names", hold_id=approved.hold_id, kinds=kinds, **here)
    gone = {"tenant_id": decision.tenant_id, "reason": LoginReason.GONE}
    await db.run(on, "end_lost_logins", now=now, **gone)
    await db.run(on, "end_approved_logins", now=now, **here)
    return waited


async def end_directory(decision: Decision, directory_id: int, *, keep_by_hand: bool) -> None:
    """Deactivate the logins of a directory that is deleted, or let them stay by hand."""
    on, here = decision.connection, {"directory_id": directory_id}
    if not await _has_logins(decision):
        return
    await make_tables(on)
    if keep_by_hand:
        await db.run(on, "step_kept_logins", **here)
        await db.run(on, "keep_logins_by_hand", tenant_id=decision.tenant_id, **here)
    await db.run(on, "step_directory_logins", **here)
    await db.run(on, "end_directory_logins", tenant_id=decision.tenant_id, now=decision.now, **here)
    await _tell(decision)


async def undo(decision: Decision, found: asyncpg.Record) -> UndoneLogins:
    """Set the logins that a run changed back to what they were, as far as they are still as it left them.

    Who is gone since, with an address that the undo gave back, is back with it.
    """
    on = decision.connection
    if not await _has_logins(decision):
        return UndoneLogins()
    await make_tables(on)
    of_run = {
        "tenant_id": decision.tenant_id,
        "run_id": found["run_id"],
        "at": found["finished_at"],
    }
    here = {"tenant_id": decision.tenant_id, "directory_id": found["directory_id"]}
    await db.run(on, "step_returned_logins", at=found["finished_at"], **here)
    await db.run(on, "return_logins", now=decision.now)
    await db.run(on, "step_undone_logins", directory_id=found["directory_id"], **of_run)
    await db.run(on, "undo_logins", now=decision.now, **of_run)
    await db.run(on, "lead_again", tenant_id=decision.tenant_id, most=ADDRESSES_MAX_COUNT)
    counted = await _tell(decision)
    return UndoneLogins(counted["reactivated"], counted["deactivated"], counted["renamed"])


async def _has_logins(decision: Decision) -> bool:
    found = await db.only(decision.connection, "has_logins", tenant_id=decision.tenant_id)
    return bool(found["has_logins"])


async def _tell(decision: Decision) -> asyncpg.Record:
    """Record and tell what the decision changed; gives the counts of it."""
    on = decision.connection
    await db.run(on, "name_login_steps")
    counted = await db.only(on, "count_undone_logins")
    telling = Telling(
        decision.tenant,
        decision.directory,
        decision.now,
        command=decision.command,
        causes=tuple(decision.causes),
        traceparent=decision.traceparent,
    )
    parts = await render(on, tenant_id=decision.tenant_id, telling=telling)
    if parts:
        place = await take_places(on, tenant_id=decision.tenant_id, count=parts)
        await tell(on, telling, place, parts=parts)
    for table in ("clear_login_steps", "clear_login_lines"):
        await db.run(on, table)
    return counted
