"""One command in hand: its transaction, its tenant, and how it is settled. What the books of a desk share."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import orjson

from worker.adapters.postgres import decisions, pool as db
from worker.adapters.postgres.announce import Answer, Place, announce
from worker.domain import events
from worker.domain.commands import Envelope, Stored
from worker.domain.events import Event
from worker.domain.model import DirectoryId, TenantId
from worker.ports.desk import Rejected


DECIDED_GRACE = timedelta(hours=72)
"""How long an address is known after a person took it, or its domain, off the list."""


def envelope_of(record: asyncpg.Record) -> Envelope:
    """Return the envelope of a stored command."""
    return Envelope(
        source=record["source"],
        id=record["id"],
        tenant=TenantId(record["tenant"]),
        name=record["name"],
        reply_to=record["reply_to"],
        correlation_id=record["correlation_id"],
        traceparent=record["traceparent"],
    )


@dataclass(frozen=True, slots=True)
class Slip:
    """What settles a command whatever it means: its number and where its answer goes."""

    connection: db.Connection
    number: int
    envelope: Envelope
    now: datetime

    async def reject(self, rejected: Rejected) -> None:
        """Answer what is wrong, park the reason, settle the command."""
        await db.run(
            self.connection,
            "park_command",
            now=self.now,
            number=self.number,
            reason=orjson.dumps(rejected.errors).decode(),
        )
        await self.answer(events.command_rejected(self.envelope, rejected.errors), place=None)
        await self.close("rejected")

    async def answer(self, event: Event, *, place: Place | None) -> None:
        """Tell an event that is the command's outcome."""
        await announce(
            self.connection,
            event,
            now=self.now,
            place=place,
            answers=(self.to,),
            traceparent=self.envelope.traceparent,
        )

    @property
    def to(self) -> Answer:
        """Who gets the outcome besides the exchange."""
        return Answer(self.number, self.envelope.reply_to, self.envelope.correlation_id)

    async def close(self, state: str) -> None:
        """Settle the command; its body, which may hold a sealed secret, goes."""
        await db.run(
            self.connection, "finish_command", number=self.number, state=state, now=self.now
        )


class Hand:
    """One command in hand."""

    def __init__(self, connection: db.Connection, stored: Stored, now: datetime) -> None:
        self.connection = connection
        self.stored = stored
        self.now = now
        self.known_tenant_id: int | None = None
        self.begins_epoch = False
        """Receivers may know another tenant of this name: after the outcome they are told the whole list, empty as it is."""

    @property
    def tenant_id(self) -> int:
        """The number of the tenant found. Raises LookupError before that."""
        if self.known_tenant_id is None:
            raise LookupError
        return self.known_tenant_id

    @property
    def causes(self) -> tuple[str, ...]:
        """What an event of this command answers."""
        return (self.stored.envelope.id,)

    @property
    def slip(self) -> Slip:
        """What settles the command."""
        return Slip(self.connection, self.stored.number, self.stored.envelope, self.now)

    def decision(self, directory: DirectoryId | None = None) -> decisions.Decision:
        """Return the decision that the command is."""
        return decisions.Decision(
            connection=self.connection,
            tenant_id=self.tenant_id,
            tenant=self.stored.envelope.tenant,
            now=self.now,
            command=self.stored.number,
            causes=self.causes,
            directory=directory,
            traceparent=self.stored.envelope.traceparent,
        )
