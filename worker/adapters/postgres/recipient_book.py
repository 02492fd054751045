"""What people hold by hand of the tenant in hand, and the whole of its list told again."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import take_places
from worker.adapters.postgres.decisions import (
    BY_HAND,
    CHANGES_PER_PART,
    Decision,
    Departing,
    depart,
    reply,
    tell_changes,
)
from worker.adapters.postgres.hand import DECIDED_GRACE, Hand
from worker.domain.commands import AddRecipients, RemoveRecipients
from worker.domain.model import Address
from worker.ports.desk import Done


FEW = 100
"""Addresses that are looked up one by one; more are joined in sets, or each would be compared with all."""


@dataclass(frozen=True, slots=True)
class PostgresRecipients:
    """The RecipientBook port."""

    hand: Hand

    async def add(self, command: AddRecipients) -> Done:
        """Hold these addresses by hand."""
        on, tenant_id = self.hand.connection, self.hand.tenant_id
        addresses = list(dict.fromkeys(command.addresses))
        these = {"tenant_id": tenant_id, "addresses": addresses}
        await db.run(on, "make_touched")
        if len(addresses) > FEW:
            await db.run(on, "plan_for_many")
        await db.run(on, "touch_added", **these)
        await db.run(on, "name_changes")
        await db.run(on, "hold_by_hand", now=self.hand.now, hand=_hand(command), **these)
        by_hand = {"tenant_id": tenant_id, "directory_id": BY_HAND}
        await db.run(on, "renew_since", now=self.hand.now, **by_hand)
        await db.run(on, "end_departures", **by_hand)
        await tell_changes(self.hand.decision(), None, answer=self.hand.slip.to)
        await self._forget_digests()
        return Done(None)

    async def not_by_hand(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Return those that nobody holds by hand; who was removed by hand before is none of them."""
        found = await db.rows(
            self.hand.connection,
            "not_by_hand",
            tenant_id=self.hand.tenant_id,
            addresses=list(addresses),
        )
        return tuple(Address(record["address"]) for record in found)

    async def remove(self, command: RemoveRecipients) -> Done:
        """End the source by hand: grace by decision, then the clock alone."""
        await db.run(self.hand.connection, "make_touched")
        await depart(
            self.hand.decision(),
            Departing(directory_id=BY_HAND, addresses=list(command.addresses)),
            grace=DECIDED_GRACE,
            answer=self.hand.slip.to,
        )
        await self._forget_digests()
        return Done(None)

    async def _forget_digests(self) -> None:
        await db.run(
            self.hand.connection,
            "forget_digests",
            tenant_id=self.hand.tenant_id,
            directory_id=None,
        )

    async def republish(self) -> Done:
        """Tell the whole list; the parts are kept as no outcome, since a repeat would tell what was true once."""
        told = await publish_list(self.hand.decision())
        await reply(self.hand.connection, self.hand.slip.to, told.parts)
        return Done(None)


def _hand(command: AddRecipients) -> str | None:
    if command.protect:
        return "protect"
    return "adopt" if command.adopt else None


@dataclass(frozen=True, slots=True)
class ToldList:
    """A list that was told whole."""

    parts: list[int]
    """Their numbers in the outbox, in order."""
    recipients: int


async def publish_list(decision: Decision) -> ToldList:
    """Tell the whole list of a tenant whose row is locked."""
    on = decision.connection
    await db.run(on, "plan_for_many")
    summed = await db.only(on, "checksum_of_list", tenant_id=decision.tenant_id)
    parts = max(1, -(-summed["recipients"] // CHANGES_PER_PART))
    place = await take_places(on, tenant_id=decision.tenant_id, count=parts)
    written = await db.rows(
        on,
        "write_snapshot_events",
        tenant=decision.tenant,
        tenant_id=decision.tenant_id,
        causes=orjson.dumps(list(decision.causes)).decode(),
        now=decision.now,
        traceparent=decision.traceparent,
        epoch=place.epoch,
        first=place.sequence,
        parts=parts,
        per_part=CHANGES_PER_PART,
        recipients=summed["recipients"],
        checksum=summed["checksum"],
    )
    return ToldList([record["number"] for record in written], summed["recipients"])
