"""The one final transaction of a run: check, stage, compare, judge (elsewhere), record.

Isolation: READ COMMITTED with row locks in the order tenant, directory, lease, run. The tenant's row shuts
out every other writer of its recipients, the lease's row shuts out a worker that lost it.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg
import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import Place, take_places
from worker.adapters.postgres.decisions import CHANGES_PER_PART
from worker.adapters.postgres.endings import Ending, RunRow, end_run, reason_payload
from worker.adapters.postgres.evidence import Doubt, State, gather, with_logins
from worker.adapters.postgres.hold_set import Standing, refresh
from worker.adapters.postgres.logins import RunLogins, Telling, make_tables, render, tell
from worker.adapters.postgres.readiness import count_recipients, readiness, recount_kinds
from worker.adapters.postgres.rejects import remember_rejects
from worker.adapters.postgres.schedule import Concerned, resume_refused, settle_plan, tier_of
from worker.domain.advice import Complete, Readiness, advice
from worker.domain.events import Advice, Counts, LoginCounts, Seconds
from worker.domain.failures import LeaseLost, Superseded
from worker.domain.guard import Evidence, Ruling
from worker.domain.logins import are_made, rule_of
from worker.domain.model import (
    ClaimedRun,
    DirectoryId,
    Mode,
    RemovalPolicy,
    RunState,
    TenantId,
    Tier,
)
from worker.domain.outcomes import Applied, Held, Outcome, Previewed, RunStopped, Unchanged
from worker.domain.plans import Right, allows
from worker.domain.rulings import skip_reason
from worker.domain.warnings import Cause
from worker.ports.runs import Snapshot, Spool
from worker.ports.vault import Clock


APART = timedelta(minutes=30)
"""Two complete runs count as two steps of an address on its way out only this far apart."""

ANALYZE_ABOVE_ROWS = 10_000
"""Below, statistics cost more than they save."""

COPY_BYTES = 256 * 1024

PREVIEW_KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Sides:
    """How many rows of the snapshot are new, changed in detail, or gone."""

    fresh: int = 0
    changed: int = 0
    gone: int = 0


@asynccontextmanager
async def final_transaction(
    pool: db.Pool, clock: Clock, run: ClaimedRun, snapshot: Snapshot
) -> AsyncIterator["PostgresFinal"]:
    """Open the transaction and take its locks; leaving it commits, an exception rolls all back."""
    now = await clock.now()
    async with db.transaction(pool) as connection:
        for table in ("make_stage", "make_diff", "make_touched"):
            await db.run(connection, table)
        state = await _lock(connection, run, snapshot, now)
        await db.run(connection, "plan_for_many")
        yield PostgresFinal(connection, run, snapshot, state)


def _plan_now(run: ClaimedRun, tenant: asyncpg.Record) -> Tier:
    """Return the plan that counts. Raises RunStopped when it changed while the run was reading: what it says now counts."""
    plan = tier_of(tenant)
    skip = skip_reason(run.trigger, tier=plan, paused=None, deleted=False)
    if skip is not None:
        raise RunStopped(skip)
    return plan


async def _lock(
    connection: db.Connection, run: ClaimedRun, snapshot: Snapshot, now: datetime
) -> State:
    ids = await db.row(connection, "ids_of_run", run_id=run.lease.run)
    if ids is None:
        raise LeaseLost(code="store.lease_lost", detail="the run is gone")
    tenant_id, directory_id = ids["tenant_id"], ids["directory_id"]
    tenant = await db.only(connection, "lock_tenant", tenant_id=tenant_id)
    directory = await db.only(
        connection, "lock_directory", tenant_id=tenant_id, directory_id=directory_id
    )
    lease = await db.row(
        connection,
        "lock_lease",
        directory_id=directory_id,
        token=run.lease.token,
        run_id=run.lease.run,
    )
    standing = await db.only(connection, "lock_run", run_id=run.lease.run)
    if lease is None or standing["state"] != RunState.RUNNING:
        raise LeaseLost(code="store.lease_lost", detail=f"token {run.lease.token}")
    if tenant["is_deleted"] or directory["is_deleted"]:
        raise RunStopped(code="deleted")
    if standing["cancel_reason"]:
        raise RunStopped(standing["cancel_reason"])
    plan = _plan_now(run, tenant)
    valid = (directory["revision_in_force"], directory["revision_pending"])
    if run.revision not in valid or tenant["domain_revision"] != run.domain_revision:
        raise Superseded(code="store.superseded")
    makes_logins = are_made(run.settings, plan)
    is_settled = not makes_logins or directory["logins_rule"] == rule_of(run.settings)
    is_equal = directory["digest"] == snapshot.digest and is_settled
    if snapshot.spool is None and not is_equal:
        # known by the wire, but what it was known by has been set aside meanwhile: read anew
        raise Superseded(code="store.superseded", detail="the last snapshot was set aside")
    shared = await db.only(connection, "is_shared", tenant_id=tenant_id, directory_id=directory_id)
    return State(
        row=RunRow(
            run.lease.run,
            tenant_id,
            TenantId(tenant["tenant"]),
            directory_id,
            DirectoryId(directory["directory"]),
        ),
        is_equal=is_equal,
        is_shared=shared["shared"],
        is_new=not (is_equal or shared["shared"] or shared["known"]),
        scope=directory["scope"],
        applied_addresses=directory["applied_addresses"],
        accepted_canaries=tuple(directory["accepted_canaries"]),
        fleet_is_held=directory["fleet_is_held"],
        rejects_digest=directory["rejects_digest"],
        plan=plan,
        now=now,
        makes_logins=makes_logins,
        logins_rule=directory["logins_rule"],
    )


async def _chunks(spool: Spool) -> AsyncIterator[bytes]:
    """Give the snapshot in pieces, so that the loop turns between them."""
    while chunk := spool.read(COPY_BYTES):
        yield chunk


class PostgresFinal:
    """One open final transaction."""

    def __init__(
        self, connection: db.Connection, run: ClaimedRun, snapshot: Snapshot, state: State
    ) -> None:
        self._connection = connection
        self._run = run
        self._snapshot = snapshot
        self._state = state
        self._addresses = 0
        self._sides = _Sides()
        self._doubt = Doubt(Evidence(0, None, (), scope_changed=False, canaries_missing=()), ())
        self._logins = self._run_logins() if state.makes_logins else None
        self._login_parts = 0
        self._began = time.monotonic()
        self._compared = self._began

    def _run_logins(self) -> RunLogins:
        state, run = self._state, self._run
        everything = state.is_new or state.logins_rule != rule_of(run.settings)
        return RunLogins(self._connection, state.row, run.settings, everything, self._telling)

    @property
    def _telling(self) -> Telling:
        row, run = self._state.row, self._run
        return Telling(
            row.tenant,
            row.directory,
            self._state.now,
            run_id=row.run_id,
            causes=run.causes,
            traceparent=run.traceparent,
        )

    @property
    def _here(self) -> dict[str, int]:
        row = self._state.row
        return {"tenant_id": row.tenant_id, "directory_id": row.directory_id}

    @property
    def _concerned(self) -> Concerned:
        return Concerned(self._connection, now=self._state.now, **self._here)

    # --- compare -------------------------------------------------------------

    async def compare(self) -> Evidence:
        """Fill ``touched`` with every address that takes a step, and count for the guard."""
        if self._logins is not None:
            await make_tables(self._connection)
        if self._state.is_equal:
            await self._compare_equal()
        elif self._state.is_new:
            await self._compare_new()
        else:
            await self._compare_rows()
        self._doubt = await gather(
            self._connection, self._state, self._run, self._snapshot, addresses=self._addresses
        )
        if self._logins is not None:
            await self._weigh_logins(self._logins)
        self._compared = time.monotonic()
        return self._doubt.evidence

    async def _weigh_logins(self, logins: RunLogins) -> None:
        if not (self._state.is_equal or self._state.is_new):
            await logins.weigh()
        self._doubt = await with_logins(self._connection, self._doubt, logins)

    async def _compare_equal(self) -> None:
        self._addresses = self._state.applied_addresses or 0
        await db.run(
            self._connection, "touch_departures", shared=self._state.is_shared, **self._here
        )

    async def _compare_new(self) -> None:
        """Take the snapshot as it is; of 250,000 addresses that saves a join and two copies, 0.4 s."""
        await self._stage()
        self._addresses = await db.run(self._connection, "touch_all")

    async def _compare_rows(self) -> None:
        connection, shared = self._connection, self._state.is_shared
        await self._stage()
        if self._snapshot.rows > ANALYZE_ABOVE_ROWS:
            await db.run(connection, "analyze_stage")
        await db.run(connection, "fill_diff", **self._here)
        if self._snapshot.rows > ANALYZE_ABOVE_ROWS:
            await db.run(connection, "analyze_diff")
        sides = await db.only(connection, "count_sides")
        self._sides = _Sides(sides["fresh"], sides["changed"], sides["gone"])
        counted = await db.only(connection, "count_addresses")
        self._addresses = counted["addresses"]
        if self._sides.fresh:
            await db.run(connection, "touch_arrivals", shared=shared, **self._here)
        await db.run(connection, "touch_returns", shared=shared, **self._here)
        if self._sides.gone:
            await db.run(
                connection,
                "touch_absent",
                shared=shared,
                read_at=self._snapshot.read_at,
                **self._here,
            )
        if self._snapshot.rows > ANALYZE_ABOVE_ROWS:
            await db.run(connection, "analyze_touched")

    async def _stage(self) -> None:
        spool = self._snapshot.spool
        if spool is None:  # the locks saw to it that an unequal snapshot has rows
            raise LookupError
        spool.rewind()
        await self._connection.copy_to_table("stage", source=_chunks(spool), format="text")

    # --- record --------------------------------------------------------------

    async def record(self, ruling: Ruling) -> Outcome:
        """Take the steps that the verdict allows, and tell of them."""
        if not self._state.is_new:
            await self._take_steps(ruling)
        counts = await self._count(ruling)
        if self._run.mode is Mode.PREVIEW:
            counts = await self._preview_logins(counts, ruling)
            await db.run(self._connection, "plan_for_few")
            return await self._end_preview(counts, ruling)
        standing = await self._hold(ruling)
        await self._write_recipients(counts)
        counts = await self._settle_logins(counts, ruling)
        await remember_rejects(self._connection, self._state, self._snapshot.rejects)
        await db.run(self._connection, "plan_for_few")
        await self._baseline(ruling)
        return await self._end_applied(counts, ruling, standing)

    async def _take_steps(self, ruling: Ruling) -> None:
        removals = self._run.settings.removals
        if removals.policy is not RemovalPolicy.NEVER:
            read_at = self._snapshot.read_at
            await db.run(
                self._connection,
                "step_to_removed",
                read_at=read_at,
                held=ruling.is_hold,
            )
            await db.run(
                self._connection,
                "step_to_grace",
                now=self._state.now,
                grace=removals.grace,
                read_at=read_at,
                apart=APART,
                held=ruling.is_hold,
            )
        await db.run(self._connection, "name_changes")

    async def _count(self, ruling: Ruling) -> Counts:
        counted = await db.only(self._connection, "count_changes")
        tally = self._snapshot.tally
        return Counts(
            entries=tally.entries,
            references=tally.references,
            addresses=self._addresses,
            added=counted["added"],
            returned=counted["returned"],
            unchanged=self._addresses - counted["added"] - counted["returned"],
            missing=counted["missing"],
            grace=counted["grace"],
            removed=counted["removed"],
            held=await self._held(counted["waiting"]) if ruling.is_hold else 0,
            ignored=tally.ignored,
        )

    async def _held(self, addresses: int) -> int:
        return addresses + (await self._logins.waiting() if self._logins is not None else 0)

    async def _settle_logins(self, counts: Counts, ruling: Ruling) -> Counts:
        """Let logins follow the addresses that are written, and render what is to be told of them."""
        if self._logins is None:
            return counts
        logins = await self._logins.settle(is_held=ruling.is_hold)
        self._login_parts = await render(
            self._connection, tenant_id=self._state.row.tenant_id, telling=self._telling
        )
        return replace(counts, logins=logins)

    async def _preview_logins(self, counts: Counts, ruling: Ruling) -> Counts:
        """Do it all, look at the logins, and take it back."""
        if self._logins is None:
            return counts
        attempt = self._connection.transaction()
        await attempt.start()
        try:
            await self._write_recipients(counts)
            logins: LoginCounts = await self._logins.settle(is_held=ruling.is_hold)
        finally:
            await attempt.rollback()
        return replace(counts, logins=logins)

    async def _hold(self, ruling: Ruling) -> Standing | None:
        """Open, refresh or end the directory's hold."""
        if not ruling.is_hold:
            await db.run(
                self._connection,
                "end_hold",
                directory_id=self._state.row.directory_id,
                now=self._state.now,
                how="resolved",
            )
            return None
        return await refresh(self._connection, self._state, self._snapshot, self._doubt, ruling)

    async def _write_recipients(self, counts: Counts) -> None:
        connection, now = self._connection, self._state.now
        kinds_follow = self._state.is_new or not await self._kinds_moved(counts)
        if self._state.is_new:
            await db.run(connection, "insert_all", now=now, **self._here)
        else:
            await self._write_differences(counts)
        await db.run(
            connection, "write_history", now=now, run_id=self._state.row.run_id, **self._here
        )
        tenant_id = self._state.row.tenant_id
        if not kinds_follow:
            await recount_kinds(connection, tenant_id)
        await count_recipients(connection, tenant_id, now, kinds_follow=kinds_follow)

    async def _kinds_moved(self, counts: Counts) -> bool:
        """Whether some may be of another kind now without having come or gone."""
        sides = self._sides
        has_differences = bool(sides.fresh or sides.changed or sides.gone)
        if self._state.is_shared:  # another source may make it another kind
            return has_differences or bool(counts.returned or counts.grace)
        if not has_differences:
            return False
        moved = await db.only(self._connection, "kinds_moved", fresh=sides.fresh, **self._here)
        return bool(moved["moved"])

    async def _write_differences(self, counts: Counts) -> None:
        connection, now = self._connection, self._state.now
        if self._sides.fresh:
            await db.run(
                connection, "insert_arrivals", now=now, shared=self._state.is_shared, **self._here
            )
        if self._sides.gone:
            await db.run(connection, "drop_replaced", **self._here)
        if self._sides.changed:
            await db.run(connection, "change_details", **self._here)
        if self._state.is_shared and not self._state.is_equal:
            await db.run(connection, "adopt", now=now, tenant_id=self._state.row.tenant_id)
        if counts.returned:
            await db.run(connection, "renew_since", now=now, **self._here)
        await db.run(connection, "end_departures", **self._here)
        await db.run(connection, "write_departures", now=now, **self._here)

    async def _baseline(self, ruling: Ruling) -> None:
        await db.run(
            self._connection,
            "good_run",
            run_id=self._state.row.run_id,
            revision=self._run.revision,
            is_applied=not ruling.is_hold,
            certificate_until=self._snapshot.certificate_until,
            password_until=self._snapshot.password_until,
            now=self._state.now,
            directory_id=self._state.row.directory_id,
        )
        await db.run(
            self._connection,
            "note_scope",
            scope=self._snapshot.scope,
            run_id=self._state.row.run_id,
        )
        await db.run(
            self._connection,
            "accept_canaries",
            canaries=self._doubt.still_accepted(self._state.accepted_canaries),
            directory_id=self._state.row.directory_id,
        )
        if ruling.is_hold:
            # What is stored is no snapshot now: additions are in, departures are not.
            await db.run(self._connection, "forget_digests", **self._here)
            return
        await db.run(
            self._connection,
            "apply_directory",
            digest=self._snapshot.digest,
            wire_digest=self._snapshot.wire_digest,
            rows=self._snapshot.rows,
            ignored=orjson.dumps(dict(self._snapshot.tally.ignored)).decode(),
            scope=self._snapshot.scope,
            addresses=self._addresses,
            read_at=self._snapshot.read_at,
            directory_id=self._state.row.directory_id,
        )
        if self._logins is not None:
            await self._logins.note()

    async def _end_applied(
        self, counts: Counts, ruling: Ruling, standing: Standing | None
    ) -> Outcome:
        changes = counts.added + counts.returned + counts.missing + counts.grace + counts.removed
        parts = -(-changes // CHANGES_PER_PART)
        place = await take_places(
            self._connection,
            tenant_id=self._state.row.tenant_id,
            count=1 + parts + self._login_parts,
        )
        ready = await readiness(
            self._connection,
            self._state.row.tenant_id,
            may_be_automatic=allows(self._state.plan, Right.AUTOMATIC_SYNC),
        )
        seconds = self._seconds()
        await self._end(
            Ending(
                RunState.HELD if ruling.is_hold else RunState.COMPLETED,
                verdict="hold" if ruling.is_hold else "apply",
                reasons=tuple(reason_payload(reason) for reason in ruling.reasons),
                hold=standing.ref if standing else None,
                counts=counts,
                seconds=seconds,
                advice=self._advice(ready),
                readiness=ready,
                notify=() if standing and standing.is_discarded else self._run.settings.notify,
            ),
            place,
        )
        if parts:
            await self._write_changed_events(place, parts)
        if self._login_parts:
            after = Place(place.epoch, place.sequence + 1 + parts)
            await tell(self._connection, self._telling, after, parts=self._login_parts)
        row, this = self._state.row, self._concerned
        await resume_refused(this, row.tenant, row.directory, causes=self._run.causes)
        await settle_plan(this, row.tenant, causes=self._run.causes)
        if ruling.is_hold:
            return Held(counts, seconds, ruling)
        return Unchanged(counts, seconds) if self._state.is_equal else Applied(counts, seconds)

    def _advice(self, ready: tuple[Readiness, ...]) -> tuple[Advice, ...]:
        state = self._state
        until = {
            Cause.CERTIFICATE: self._snapshot.certificate_until,
            Cause.PASSWORD: self._snapshot.password_until,
        }
        complete = Complete(self._addresses, ready, until)
        return advice(self._run.settings, complete, state.now, plan=state.plan)

    async def _write_changed_events(self, place: Place, parts: int) -> None:
        await db.run(
            self._connection,
            "write_changed_events",
            tenant=self._state.row.tenant,
            directory=self._state.row.directory,
            run_id=self._state.row.run_id,
            causes=orjson.dumps(self._run.causes).decode(),
            now=self._state.now,
            traceparent=self._run.traceparent,
            epoch=place.epoch,
            first=place.sequence + 1,
            parts=parts,
            per_part=CHANGES_PER_PART,
        )

    async def _end_preview(self, counts: Counts, ruling: Ruling) -> Outcome:
        await db.run(
            self._connection,
            "fill_preview_set",
            set_id=self._state.row.run_id,
            tenant_id=self._state.row.tenant_id,
            expires_at=self._state.now + PREVIEW_KEPT,
        )
        seconds = self._seconds()
        await self._end(
            Ending(
                RunState.PREVIEWED,
                verdict="hold" if ruling.is_hold else "apply",
                reasons=tuple(reason_payload(reason) for reason in ruling.reasons),
                counts=counts,
                seconds=seconds,
                advice=self._advice(()),
            ),
            place=None,
        )
        return Previewed(counts, seconds, ruling)

    async def _end(self, ending: Ending, place: Place | None) -> None:
        await end_run(self._connection, self._state.row, ending, now=self._state.now, place=place)
        await db.run(
            self._connection,
            "end_lease",
            directory_id=self._state.row.directory_id,
            token=self._run.lease.token,
        )

    def _seconds(self) -> Seconds:
        return Seconds(
            queue=round(self._run.queue_s, 3),
            connect=round(self._snapshot.connect_s, 3),
            read=round(self._snapshot.read_s, 3),
            compare=round(self._compared - self._began, 3),
            record=round(time.monotonic() - self._compared, 3),
        )
