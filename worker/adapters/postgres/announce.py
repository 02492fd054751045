"""Events on their way into the outbox: numbered, rendered, kept as what a command was answered.

Always inside the transaction of what they tell of, and with the tenant's row locked, so that the order of
the outbox is the order of the sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from worker.adapters.postgres import pool as db
from worker.codec.outbound import Stamp, message_type, render
from worker.domain.events import Event


@dataclass(frozen=True, slots=True)
class Answer:
    """Who gets an event besides the exchange: a stored command, a reply queue, or both."""

    number: int | None = None
    reply_to: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a tenant's order of events."""

    epoch: int
    sequence: int


async def take_places(connection: db.Connection, *, tenant_id: int, count: int) -> Place:
    """Take the tenant's next numbers, without gaps; gives the first of them."""
    taken = await db.only(connection, "take_sequence", tenant_id=tenant_id, count=count)
    return Place(taken["epoch"], taken["first"])


async def announce(  # noqa: PLR0913 - what is sent, where in the order, when, for whom
    connection: db.Connection,
    event: Event,
    *,
    now: datetime,
    place: Place | None = None,
    answers: Sequence[Answer] = (),
    traceparent: str | None = None,
) -> None:
    """Put an event into the outbox, once for the exchange and once for every reply queue; keep it as an outcome."""
    envelope = _Rendered.of(event, now=now, place=place, traceparent=traceparent)
    await envelope.write(connection, routing_key=event.routing_key)
    for answer in answers:
        if answer.number is not None:
            await envelope.keep(connection, answer.number, routing_key=event.routing_key)
            await envelope.reply_to_repeats(connection, answer.number)
        if answer.reply_to is not None:
            await envelope.write(connection, routing_key=None, answer=answer)


@dataclass(frozen=True, slots=True)
class _Rendered:
    event_id: UUID
    tenant: str
    type: str
    body: str
    now: datetime
    traceparent: str | None

    @classmethod
    def of(
        cls, event: Event, *, now: datetime, place: Place | None, traceparent: str | None
    ) -> "_Rendered":
        event_id = uuid4()
        stamp = Stamp(
            str(event_id),
            now,
            epoch=place.epoch if place else None,
            sequence=place.sequence if place else None,
            traceparent=traceparent,
        )
        body = render(event, stamp).decode()
        kind = message_type(event.name)
        return cls(event_id, event.tenant or "", kind, body, now, traceparent)

    async def write(
        self, connection: db.Connection, *, routing_key: str | None, answer: Answer | None = None
    ) -> None:
        await db.run(
            connection,
            "write_event",
            event_id=self.event_id,
            tenant=self.tenant,
            type=self.type,
            routing_key=routing_key,
            reply_to=answer.reply_to if answer else None,
            correlation_id=answer.correlation_id if answer else None,
            traceparent=self.traceparent,
            body=self.body,
            now=self.now,
        )

    async def keep(self, connection: db.Connection, number: int, *, routing_key: str) -> None:
        await db.run(
            connection,
            "keep_outcome",
            number=number,
            event_id=self.event_id,
            type=self.type,
            routing_key=routing_key,
            body=self.body,
        )

    async def reply_to_repeats(self, connection: db.Connection, number: int) -> None:
        """Answer the repeats of a command; after ``keep``, which waits for one that is just coming in."""
        await db.run(
            connection,
            "reply_to_repeats",
            number=number,
            event_id=self.event_id,
            tenant=self.tenant,
            type=self.type,
            traceparent=self.traceparent,
            body=self.body,
            now=self.now,
        )
