"""The door's side of the store: a batch of deliveries becomes durable in one transaction, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import Answer, announce
from worker.codec.stored import encode_command
from worker.domain import events
from worker.domain.commands import FieldError, Received, Refused
from worker.ports.vault import Clock, Vault


ID_REUSED = FieldError(
    "id",
    "id_reused",
    "This source and id were used before for another message. Give each message an id of its own.",
)


@dataclass(frozen=True, slots=True)
class PostgresIntake:
    """Stores commands; a known one is answered with its recorded outcome, a garbled one is parked."""

    pool: db.Pool
    clock: Clock
    vault: Vault

    async def store(self, batch: Sequence[Received | Refused]) -> None:
        """Make the whole batch durable.

        Raises StoreFailure: then nothing of the batch is stored, and none of it may be acked.
        """
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            received = [item for item in batch if isinstance(item, Received)]
            new = await self._insert(connection, received, now)
            for item in received:
                if (item.envelope.source, item.envelope.id) in new:
                    new.discard((item.envelope.source, item.envelope.id))
                    continue
                await self._meet_again(connection, item, now)
            for refused in (item for item in batch if isinstance(item, Refused)):
                await self._park(connection, refused, now)

    async def _insert(
        self, connection: db.Connection, received: Sequence[Received], now: datetime
    ) -> set[tuple[str, str]]:
        if not received:
            return set()
        envelopes = [item.envelope for item in received]
        inserted = await db.rows(
            connection,
            "store_commands",
            now=now,
            sources=[envelope.source for envelope in envelopes],
            ids=[envelope.id for envelope in envelopes],
            tenants=[envelope.tenant for envelope in envelopes],
            names=[envelope.name for envelope in envelopes],
            bodies=[encode_command(item.command).decode() for item in received],
            digests=[self.vault.digests(item.body)[0] for item in received],
            reply_tos=[envelope.reply_to for envelope in envelopes],
            correlation_ids=[envelope.correlation_id for envelope in envelopes],
            traceparents=[envelope.traceparent for envelope in envelopes],
        )
        return {(record["source"], record["id"]) for record in inserted}

    async def _meet_again(self, connection: db.Connection, item: Received, now: datetime) -> None:
        envelope = item.envelope
        known = await db.only(connection, "find_command", source=envelope.source, id=envelope.id)
        if known["digest"] not in self.vault.digests(item.body):
            await self._park(connection, _reused(item), now)
            return
        await db.run(connection, "answer_again", number=known["number"], now=now)
        await db.run(
            connection,
            "reply_again",
            number=known["number"],
            reply_to=envelope.reply_to,
            correlation_id=envelope.correlation_id,
            now=now,
        )
        await db.run(
            connection,
            "reply_later",
            number=known["number"],
            reply_to=envelope.reply_to,
            correlation_id=envelope.correlation_id,
        )

    async def _park(self, connection: db.Connection, refused: Refused, now: datetime) -> None:
        await db.run(
            connection,
            "park",
            now=now,
            source=refused.source,
            id=refused.id,
            tenant=refused.tenant,
            type=refused.name,
            reason=orjson.dumps(refused.errors).decode(),
            size=refused.size,
            digest=self.vault.digests(refused.body)[0],
        )
        event = events.command_refused(refused)
        reply = Answer(reply_to=refused.reply_to, correlation_id=refused.correlation_id)
        await announce(connection, event, now=now, answers=(reply,))


def _reused(item: Received) -> Refused:
    envelope = item.envelope
    return Refused(
        errors=(ID_REUSED,),
        size=len(item.body),
        body=item.body,
        source=envelope.source,
        id=envelope.id,
        tenant=envelope.tenant,
        name=envelope.name,
        reply_to=envelope.reply_to,
        correlation_id=envelope.correlation_id,
    )
