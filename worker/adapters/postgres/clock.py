"""The database's clock, the same for all workers."""

from dataclasses import dataclass
from datetime import datetime

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.translate import translated


@dataclass(frozen=True, slots=True)
class PostgresClock:
    """The Clock port over Postgres."""

    pool: db.Pool

    async def now(self) -> datetime:
        """Return the database's time. Raises StoreFailure."""
        with translated():
            async with self.pool.acquire(timeout=db.ACQUIRE_S) as connection:
                now: datetime = (await db.only(connection, "now"))["now"]
        return now
