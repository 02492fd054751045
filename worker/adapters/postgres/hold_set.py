"""The hold of a directory after one more complete run: its set as it is now, under a version that moves with it."""

from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.endings import reason_payload
from worker.adapters.postgres.evidence import Doubt, State
from worker.domain.events import HoldRef
from worker.domain.guard import Ruling
from worker.domain.model import HoldId
from worker.ports.runs import Snapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """A hold as it stands, and whether a person wants to hear no more of this set."""

    ref: HoldRef
    is_discarded: bool = False


async def refresh(
    connection: db.Connection,
    state: State,
    snapshot: Snapshot,
    doubt: Doubt,
    ruling: Ruling,
) -> Standing:
    """Open the directory's hold, or bring the standing one up to date."""
    standing = await _refreshed(connection, state)
    await db.run(
        connection,
        "write_hold",
        hold_id=standing.ref.id,
        version=standing.ref.version,
        now=state.now,
        run_id=state.row.run_id,
        reasons=orjson.dumps([reason_payload(reason) for reason in ruling.reasons]).decode(),
        scope=snapshot.scope,
        addresses=doubt.evidence.addresses,
        read_at=snapshot.read_at,
        canaries=list(doubt.absent),
        tenant_id=state.row.tenant_id,
        directory_id=state.row.directory_id,
    )
    return standing


async def _refreshed(connection: db.Connection, state: State) -> Standing:
    """Write the set anew if it differs: what came back drops out, what is newly absent joins."""
    known = await db.row(connection, "open_hold", directory_id=state.row.directory_id)
    if known is None:
        hold, is_discarded = HoldRef(HoldId(uuid4()), 1), False
    else:
        query = "hold_differs_with_logins" if state.makes_logins else "hold_differs"
        differs = await db.only(connection, query, hold_id=known["hold_id"])
        hold = HoldRef(HoldId(known["hold_id"]), known["version"] + differs["differs"])
        is_discarded = not differs["differs"] and _is_discarded(known)
        if not differs["is_old"]:
            return Standing(hold, is_discarded)
    await db.run(connection, "empty_set", set_id=hold.id)
    here = {"set_id": hold.id, "tenant_id": state.row.tenant_id}
    await db.run(connection, "fill_hold_set", **here)
    if state.makes_logins:
        await db.run(connection, "fill_hold_logins", **here)
    return Standing(hold, is_discarded)


def _is_discarded(known: asyncpg.Record) -> bool:
    return bool(known["discarded_version"] == known["version"])
