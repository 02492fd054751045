"""The holds of the tenant in hand: what a person approves enters grace, what one discards stays."""

from dataclasses import dataclass

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.decisions import tell_changes
from worker.adapters.postgres.hand import Hand
from worker.adapters.postgres.login_decisions import Approved, approve as approve_logins
from worker.adapters.postgres.schedule import tier_of
from worker.codec.stored import load_or_blank
from worker.domain import events
from worker.domain.decisions import HoldRecord
from worker.domain.events import ApprovalFacts, Event, HoldRef
from worker.domain.logins import are_made
from worker.domain.model import DirectoryId, DirectorySettings, HoldId, RemovalPolicy


@dataclass(frozen=True, slots=True)
class PostgresHolds:
    """The HoldBook port."""

    hand: Hand

    async def _found(self, hold: HoldId) -> asyncpg.Record | None:
        return await db.row(
            self.hand.connection, "find_hold", tenant_id=self.hand.tenant_id, hold_id=hold
        )

    async def find(self, hold: HoldId) -> HoldRecord | None:
        """Return and lock a hold with its directory."""
        found = await self._found(hold)
        if found is None:
            return None
        return HoldRecord(
            hold=HoldId(found["hold_id"]),
            directory=DirectoryId(found["directory"]),
            version=found["version"],
            # one that an older release ended says no more than that
            ended_how=None if found["state"] == "open" else found["ended_how"] or "resolved",
            discarded_version=found["discarded_version"],
        )

    async def approve(self, hold: HoldRecord) -> Event:
        """Let the departures go on, and take what was read as the new baseline."""
        on, directory_id = self.hand.connection, await self._directory_of(hold)
        await db.run(on, "plan_for_many")
        await db.run(on, "make_touched")
        facts = await self._let_go(hold, directory_id)
        await db.run(on, "accept_baseline", hold_id=hold.hold)
        await db.run(on, "end_hold", directory_id=directory_id, now=self.hand.now, how="approved")
        await self._forget_digest(directory_id)
        return events.hold_approved(
            self.hand.stored.envelope.tenant,
            hold.directory,
            causes=self.hand.causes,
            facts=facts,
        )

    async def _let_go(self, hold: HoldRecord, directory_id: int) -> ApprovalFacts:
        """Move those still absent to grace; where nobody is ever removed only the baseline moves."""
        on, here = (
            self.hand.connection,
            {"tenant_id": self.hand.tenant_id, "directory_id": directory_id},
        )
        found = await db.only(on, "removals_of_directory", directory_id=directory_id)
        settings = load_or_blank(found["settings"].encode())[0]
        removals = settings.removals
        if removals.policy is RemovalPolicy.NEVER:
            return ApprovalFacts(_ref(hold), 0, 0)
        approved = await db.run(
            on,
            "touch_approved",
            hold_id=hold.hold,
            now=self.hand.now,
            grace=removals.grace,
            **here,
        )
        await db.run(on, "name_changes")
        await db.run(on, "approve_departures", **here)
        counted = await db.only(on, "count_changes")
        decision = self.hand.decision(hold.directory)
        await tell_changes(decision, directory_id)
        logins = 0
        if await self._makes_logins(settings):
            logins = await approve_logins(decision, Approved(hold.hold, directory_id, settings))
        return ApprovalFacts(_ref(hold), approved + logins, counted["grace"], logins)

    async def _makes_logins(self, settings: DirectorySettings) -> bool:
        """Whether anybody looks after logins by now: a plan may be lost, or a form saved, while a hold stands."""
        tenant = await db.only(self.hand.connection, "lock_tenant", tenant_id=self.hand.tenant_id)
        return are_made(settings, tier_of(tenant))

    async def discard(self, hold: HoldRecord) -> Event:
        """Keep everyone; the hold stands, and is told again when its set changes."""
        on, directory_id = self.hand.connection, await self._directory_of(hold)
        await db.run(on, "discard_hold", hold_id=hold.hold)
        waiting = await db.only(on, "count_set", set_id=hold.hold)
        await self._forget_digest(directory_id)
        return events.hold_discarded(
            self.hand.stored.envelope.tenant,
            hold.directory,
            causes=self.hand.causes,
            hold=_ref(hold),
            kept=waiting["waiting"],
        )

    async def _directory_of(self, hold: HoldRecord) -> int:
        found = await self._found(hold.hold)
        if found is None:
            raise LookupError(hold.hold)
        directory_id: int = found["directory_id"]
        return directory_id

    async def _forget_digest(self, directory_id: int) -> None:
        await db.run(
            self.hand.connection,
            "forget_digests",
            tenant_id=self.hand.tenant_id,
            directory_id=directory_id,
        )


def _ref(hold: HoldRecord) -> HoldRef:
    return HoldRef(hold.hold, hold.version)
