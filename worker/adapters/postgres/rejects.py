"""What the last complete run of a directory rejected, kept so that a person can ask for one address.

Written by differences, and only when there are any: a run that rejects what the last one did writes nothing.
"""

from collections.abc import AsyncIterator

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.evidence import State
from worker.domain.reasons import KeptRejects


COPY_BYTES = 256 * 1024


async def remember_rejects(
    connection: db.Connection, state: State, rejects: KeptRejects | None
) -> None:
    """Bring the kept rejects of a directory to these; None: they are what was kept last."""
    if rejects is None or rejects.digest == state.rejects_digest:
        return
    await db.run(connection, "make_rejected")
    await connection.copy_to_table("rejected", source=_chunks(rejects.lines), format="text")
    here = {"tenant_id": state.row.tenant_id, "directory_id": state.row.directory_id}
    await db.run(connection, "drop_ignored", **here)
    await db.run(connection, "keep_ignored", run_id=state.row.run_id, now=state.now, **here)
    await db.run(
        connection,
        "note_ignored",
        digest=rejects.digest,
        left_out=rejects.left_out,
        directory_id=state.row.directory_id,
    )


async def _chunks(lines: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(lines), COPY_BYTES):
        yield lines[start : start + COPY_BYTES]
