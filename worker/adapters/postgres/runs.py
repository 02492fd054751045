"""Runs in the queue and at work: claimed under a lease, kept, ended, handed back, found again."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from uuid import UUID

import asyncpg
import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import announce
from worker.adapters.postgres.endings import Ending, RunRow, cancelled, end_run
from worker.adapters.postgres.final import PostgresFinal, final_transaction
from worker.adapters.postgres.schedule import Concerned, pause_refused, tier_of
from worker.codec.stored import load_or_blank
from worker.domain import events
from worker.domain.commands import Sealed
from worker.domain.events import RunRef
from worker.domain.failures import LeaseLost, RequestFailure
from worker.domain.findings import finding, is_tried_again
from worker.domain.logins import are_made, rule_of
from worker.domain.model import (
    ClaimedRun,
    Credentials,
    DirectoryId,
    DirectorySettings,
    LastApplied,
    Lease,
    Mode,
    RunId,
    RunState,
    Secret,
    TenantId,
    Tier,
    Trigger,
)
from worker.domain.outcomes import Failed, Outcome, Postponed, RunStopped, Skipped
from worker.domain.rulings import skip_reason
from worker.ports.runs import Snapshot
from worker.ports.vault import Clock, Vault


RESTARTS_MAX = 2
"""How often a run begins again because its settings or domains changed under it."""

CRASHES_MAX = 3
"""How many workers may die over one run before it is failed: it may be what kills them."""

SWEEP_AT_MOST = 100

KNOWN_REFUSED = "sign_in.known_refused"
"""Nothing automatic sends this password again: the schedule would only fail, and tell so, again and again."""


@dataclass(frozen=True, slots=True)
class Claiming:
    """How this worker claims: under which name, how long a lease lasts, how much one tenant may have at once."""

    owner: str
    lease: timedelta = timedelta(seconds=60)
    per_tenant: int = 4
    per_reseller: int = 16
    retries: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5))
    """When a scheduled run tries again after a failure that may pass: with these, three times within 15 minutes."""


@dataclass(frozen=True, slots=True)
class PostgresRuns:
    """The Runs port over Postgres."""

    pool: db.Pool
    clock: Clock
    vault: Vault
    claiming: Claiming
    egress: Sequence[str] = field(default=())

    # --- claim ---------------------------------------------------------------

    async def claim(self, most: int) -> list[ClaimedRun]:
        """Claim up to ``most`` due runs, each under its directory's lease."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            chosen = await db.rows(
                connection,
                "claim_runs",
                now=now,
                most=most,
                per_tenant=self.claiming.per_tenant,
                per_reseller=self.claiming.per_reseller,
            )
            # in one order, so that two claimers never wait for each other's leases
            in_order = sorted(chosen, key=itemgetter("directory_id"))
            claimed = [await self._take(connection, record, now) for record in in_order]
            keys = {key for c in chosen for key in (c["fair_key"], f"t:{c['tenant_id']}")}
            await db.run(connection, "serve_turns", fair_keys=sorted(keys))
        return [run for run in claimed if run is not None]

    async def _take(
        self, connection: db.Connection, chosen: asyncpg.Record, now: datetime
    ) -> ClaimedRun | None:
        lease = await db.row(
            connection,
            "take_lease",
            directory_id=chosen["directory_id"],
            tenant_id=chosen["tenant_id"],
            owner=self.claiming.owner,
            run_id=chosen["run_id"],
            length=self.claiming.lease,
        )
        if lease is None:
            return None
        begun = await db.only(connection, "begin_run", run_id=chosen["run_id"], now=now)
        return self._claimed(begun, token=lease["token"], now=now)

    def _claimed(self, begun: asyncpg.Record, *, token: int, now: datetime) -> ClaimedRun:
        trigger, tier = Trigger(begun["trigger"]), tier_of(begun)
        settings, illegible = load_or_blank(begun["settings"].encode())
        credentials, fault = opened(self.vault, begun)
        return ClaimedRun(
            lease=Lease(
                TenantId(begun["tenant"]),
                DirectoryId(begun["directory"]),
                RunId(begun["run_id"]),
                token,
            ),
            revision=begun["revision"],
            domain_revision=begun["domain_revision"],
            trigger=trigger,
            mode=Mode(begun["mode"]),
            attempt=begun["attempt"],
            restarts=begun["restarts"],
            causes=tuple(begun["causes"]),
            settings=settings,
            credentials=credentials,
            fault=illegible or fault or lacking(settings, credentials),
            domains=tuple(begun["domains"]),
            tier=tier,
            saved_at=begun["saved_at"],
            queued_at=begun["queued_at"],
            queue_s=max(0.0, (now - begun["run_after"]).total_seconds()),
            traceparent=begun["traceparent"],
            last=_last_applied(begun, settings, tier),
            skip=begun["cancel_reason"]
            or skip_reason(trigger, tier=tier, paused=begun["paused"], deleted=begun["is_deleted"]),
        )

    # --- keep ----------------------------------------------------------------

    async def keep(self, run: ClaimedRun, *, progress: tuple[int, int] | None) -> None:
        """Renew the lease; with entries and addresses so far, tell the progress."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "lazily")
            kept = await db.row(
                connection,
                "renew_lease",
                token=run.lease.token,
                run_id=run.lease.run,
                length=self.claiming.lease,
            )
            if kept is None:
                raise LeaseLost(code="store.lease_lost", detail=f"token {run.lease.token}")
            if kept["cancel_reason"] is not None:
                raise RunStopped(kept["cancel_reason"])
            if progress is not None:
                entries, addresses = progress
                await db.run(
                    connection,
                    "tell_progress",
                    run_id=run.lease.run,
                    entries=entries,
                    addresses=addresses,
                )
                await announce(
                    connection,
                    events.sync_progress(
                        run.lease.tenant,
                        _ref(run),
                        stage="read",
                        entries=entries,
                        addresses=addresses,
                    ),
                    now=now,
                    traceparent=run.traceparent,
                )

    # --- end -----------------------------------------------------------------

    def final(
        self, run: ClaimedRun, snapshot: Snapshot
    ) -> AbstractAsyncContextManager[PostgresFinal]:
        """Open the final transaction of a complete read."""
        return final_transaction(self.pool, self.clock, run, snapshot)

    async def end(self, run: ClaimedRun, outcome: Failed | Skipped) -> Outcome:
        """Record an outcome that changes no recipient, or postpone a scheduled run that may yet succeed."""
        pause = self._retry_after(run, outcome)
        if pause is not None:
            await self._requeue(run, after=pause)
            return Postponed("retry")
        ending = (
            cancelled(outcome.reason)
            if isinstance(outcome, Skipped)
            else Ending(
                RunState.FAILED,
                seconds=outcome.seconds,
                finding=outcome.finding,
                detail=outcome.detail,
                notify=run.settings.notify,
            )
        )
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            row = await lock_for_end(connection, run)
            await end_run(connection, row, ending, now=now)
            if isinstance(outcome, Failed) and outcome.finding.code == KNOWN_REFUSED:
                this = Concerned(connection, row.tenant_id, row.directory_id, now)
                await pause_refused(this, row.tenant, row.directory, causes=run.causes)
            await db.run(
                connection, "end_lease", directory_id=row.directory_id, token=run.lease.token
            )
        return outcome

    def _retry_after(self, run: ClaimedRun, outcome: Failed | Skipped) -> timedelta | None:
        retries = self.claiming.retries
        if isinstance(outcome, Skipped):
            return None
        if not is_tried_again(run, outcome.finding.code, retries=len(retries)):
            return None
        return retries[run.attempt - 1]

    async def give_back(self, run: ClaimedRun, *, superseded: bool = False) -> Outcome:
        """Hand the run back to the queue; one whose settings change for the third time under it fails."""
        if superseded and run.restarts >= RESTARTS_MAX:
            return await self.end(run, Failed(finding("settings.changing")))
        await self._requeue(run, after=timedelta(0), restarts=int(superseded), unattempt=1)
        return Postponed("superseded" if superseded else "given back")

    async def _requeue(
        self, run: ClaimedRun, *, after: timedelta, restarts: int = 0, unattempt: int = 0
    ) -> None:
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            row = await lock_for_end(connection, run)
            if not await merge_into_queued(connection, row.run_id, now=now):
                await db.run(
                    connection,
                    "queue_again",
                    run_id=row.run_id,
                    run_after=now + after,
                    restarts=restarts,
                    unattempt=unattempt,
                )
            await db.run(
                connection, "end_lease", directory_id=row.directory_id, token=run.lease.token
            )

    # --- find again ----------------------------------------------------------

    async def sweep(self) -> int:
        """Queue again what dead workers left running; a run that several died over is failed."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            lapsed = await db.rows(connection, "lapsed_runs", most=SWEEP_AT_MOST)
        return sum([await self._revive(record, now) for record in lapsed])

    async def _revive(self, lapsed: asyncpg.Record, now: datetime) -> bool:
        """Queue one again or end it, unless it ended or another sweeper was faster."""
        run_id, directory_id = lapsed["run_id"], lapsed["directory_id"]
        async with db.transaction(self.pool) as connection:
            tenant = await db.only(connection, "lock_tenant", tenant_id=lapsed["tenant_id"])
            await db.row(connection, "lock_any_lease", directory_id=directory_id)
            found = await db.row(connection, "lock_lapsed", run_id=run_id)
            if found is None:
                return False
            if found["cancel_reason"] is None and found["crashes"] < CRASHES_MAX:
                if not await merge_into_queued(connection, run_id, now=now):
                    await db.run(connection, "requeue_lapsed", run_id=run_id, now=now)
                return True
            row = RunRow(
                run_id,
                lapsed["tenant_id"],
                TenantId(tenant["tenant"]),
                directory_id,
                DirectoryId(found["directory"]),
            )
            await end_run(connection, row, _ending_of_lapsed(found["cancel_reason"]), now=now)
        return True


def _ending_of_lapsed(cancel_reason: str | None) -> Ending:
    if cancel_reason is not None:
        return cancelled(cancel_reason)
    return Ending(RunState.FAILED, finding=finding("internal"), detail="workers died over it")


def opened(vault: Vault, record: asyncpg.Record) -> tuple[Credentials, str | None]:
    """Open the secrets; one sealed for a key we have not must fail its own run or test, not the claiming."""
    sealed = (record["password_sealed"], record["client_key_sealed"])
    try:
        return Credentials(*(_unsealed(vault, each) for each in sealed)), None
    except RequestFailure as failure:
        return Credentials(), failure.code


def _unsealed(vault: Vault, sealed: bytes | None) -> Secret | None:
    return None if sealed is None else vault.unseal(Sealed(sealed))


def lacking(settings: DirectorySettings, credentials: Credentials) -> str | None:
    """Say what a sign-in would lack: secrets are erased when a directory goes, and a backup may hold that moment."""
    can_sign_in = credentials.password is not None or settings.client_certificate is not None
    return None if can_sign_in else "settings.no_password"


async def lock_for_end(connection: db.Connection, run: ClaimedRun) -> RunRow:
    """Take the locks of an ending in their order. Raises LeaseLost when the run is not this worker's any more."""
    ids = await db.row(connection, "ids_of_run", run_id=run.lease.run)
    if ids is None:
        raise LeaseLost(code="store.lease_lost", detail="the run is gone")
    await db.only(connection, "lock_tenant", tenant_id=ids["tenant_id"])
    lease = await db.row(
        connection,
        "lock_lease",
        directory_id=ids["directory_id"],
        token=run.lease.token,
        run_id=run.lease.run,
    )
    standing = await db.only(connection, "lock_run", run_id=run.lease.run)
    if lease is None or standing["state"] != RunState.RUNNING:
        raise LeaseLost(code="store.lease_lost", detail=f"token {run.lease.token}")
    return RunRow(
        run.lease.run,
        ids["tenant_id"],
        run.lease.tenant,
        ids["directory_id"],
        run.lease.directory,
    )


async def merge_into_queued(connection: db.Connection, run_id: UUID, *, now: datetime) -> bool:
    """Give a run's causes to one that is queued for the same, if there is one; the run itself goes.

    Like a request that joins: what a person asked for stays manual, and due now.
    """
    other = await db.row(connection, "find_twin", run_id=run_id)
    if other is None:
        return False
    is_manual = other["trigger"] == Trigger.MANUAL
    await db.run(connection, "join_run", run_id=other["run_id"], manual=is_manual, now=now)
    await db.run(connection, "move_causes", from_run=run_id, to_run=other["run_id"])
    await db.run(connection, "drop_run", run_id=run_id)
    return True


def _last_applied(
    begun: asyncpg.Record, settings: DirectorySettings, tier: Tier
) -> LastApplied | None:
    if begun["digest"] is None or begun["wire_digest"] is None:
        return None
    if are_made(settings, tier) and begun["logins_rule"] != rule_of(settings):
        return None  # all logins are looked at anew, which takes the rows
    return LastApplied(
        digest=begun["digest"],
        wire_digest=begun["wire_digest"],
        rows=begun["applied_rows"],
        ignored=tuple(orjson.loads(begun["applied_ignored"]).items()),
    )


def _ref(run: ClaimedRun) -> RunRef:
    return RunRef(run.lease.run, run.lease.directory, run.causes, run.trigger, run.mode)
