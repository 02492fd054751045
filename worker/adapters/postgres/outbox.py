"""The outbox as the relay sees it: read in order, forgotten once confirmed, by one worker at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.translate import translated
from worker.ports.broker import Message


LEAD = timedelta(seconds=6)
"""Longer than one batch may take to publish."""

BATCH_BYTES = 2 * 1024 * 1024
"""What a batch may hold of the worker's memory, give or take one event."""


@dataclass(frozen=True, slots=True)
class PostgresOutbox:
    """The Outbox port over Postgres."""

    pool: db.Pool
    owner: str
    lead_for: timedelta = LEAD

    async def lead(self) -> bool:
        """Take or keep the relay's lease, so that a tenant's events go out in one order."""
        async with db.transaction(self.pool) as connection:
            held = await db.row(
                connection,
                "hold_service",
                service="relay",
                owner=self.owner,
                length=self.lead_for,
            )
        return held is not None

    async def release(self) -> None:
        """Let another worker relay at once."""
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "release_service", service="relay", owner=self.owner)

    async def next(self, most: int) -> list[Message]:
        """Return the oldest messages, in order."""
        with translated():
            async with self.pool.acquire(timeout=db.ACQUIRE_S) as connection:
                records = await db.rows(
                    connection, "next_outbox", most=most, most_bytes=BATCH_BYTES
                )
        return [
            Message(
                number=record["number"],
                id=str(record["event_id"]),
                type=record["type"],
                tenant=record["tenant"],
                routing_key=record["routing_key"],
                body=record["body"].encode(),
                reply_to=record["reply_to"],
                correlation_id=record["correlation_id"],
                traceparent=record["traceparent"],
            )
            for record in records
        ]

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """Forget what the broker has confirmed."""
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "delete_outbox", numbers=list(numbers))
