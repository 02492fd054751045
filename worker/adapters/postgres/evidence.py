"""What the guard may know of a complete run, counted in the final transaction once the snapshot is compared."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.endings import RunRow
from worker.adapters.postgres.logins import RunLogins
from worker.domain.guard import WINDOW_DAYS, Discarded, DomainCount, Evidence, Replaced
from worker.domain.model import ClaimedRun, Tier
from worker.ports.runs import Snapshot


@dataclass(frozen=True, slots=True)
class State:
    """The directory as the locks found it."""

    row: RunRow
    is_equal: bool
    is_shared: bool
    is_new: bool
    """Nothing is known of the tenant's addresses yet, and only this directory tells."""
    scope: str | None
    applied_addresses: int | None
    accepted_canaries: tuple[str, ...]
    fleet_is_held: bool
    rejects_digest: bytes | None
    """Of what the last complete run rejected; None if that was not kept."""
    plan: Tier
    """The plan that counts, as it is now."""
    now: datetime
    makes_logins: bool
    """The form asks for logins, and the plan has them."""
    logins_rule: str | None
    """By which the directory's logins were settled by the last complete run; None: not all of them were."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The evidence, and all canaries that were not found, also those whose absence a person accepted."""

    evidence: Evidence
    absent: tuple[str, ...]

    def still_accepted(self, accepted: tuple[str, ...]) -> list[str]:
        """Return those accepted that are still absent: who is seen again is awaited again."""
        return [canary for canary in accepted if canary in self.absent]


async def gather(
    connection: db.Connection,
    state: State,
    run: ClaimedRun,
    snapshot: Snapshot,
    *,
    addresses: int,
) -> Doubt:
    """Count what leaves, and look for the canaries."""
    here = {"tenant_id": state.row.tenant_id, "directory_id": state.row.directory_id}
    hold = await db.row(connection, "open_hold", directory_id=state.row.directory_id)
    leaving = await db.rows(
        connection,
        "count_leaving",
        window_from=state.now - timedelta(days=WINDOW_DAYS),
        held_since=None if hold is None else hold["since"],
        shared=state.is_shared,
        **here,
    )
    absent = await _absent_canaries(connection, state, run)
    evidence = Evidence(
        addresses=addresses,
        applied_addresses=state.applied_addresses,
        domains=tuple(
            DomainCount(
                c["domain"],
                c["recipients"],
                c["leaving"],
                c["gone"],
                tuple(c["sample"]),
                c["lingering"],
            )
            for c in leaving
        ),
        scope_changed=state.scope not in (None, snapshot.scope),
        canaries_missing=tuple(each for each in absent if each not in state.accepted_canaries),
        replaced=await _replaced(connection, state),
        discarded=await _discarded(connection, hold),
        fleet_is_held=state.fleet_is_held,
    )
    return Doubt(evidence, absent)


async def with_logins(connection: db.Connection, doubt: Doubt, logins: RunLogins) -> Doubt:
    """Count logins that end as addresses that leave."""
    hold = await db.row(connection, "open_hold", directory_id=logins.row.directory_id)
    evidence, discarded = doubt.evidence, doubt.evidence.discarded
    if hold is not None and hold["discarded_version"] is not None:
        discarded = await logins.discarded(hold["hold_id"], discarded)
    domains = await logins.counted(evidence.domains)
    return replace(doubt, evidence=replace(evidence, domains=domains, discarded=discarded))


async def _discarded(connection: db.Connection, hold: asyncpg.Record | None) -> Discarded:
    if hold is None or hold["discarded_version"] is None:
        return Discarded()
    counted = await db.only(connection, "count_discarded", hold_id=hold["hold_id"])
    return Discarded(counted["kept"], tuple(counted["sample"]))


async def _replaced(connection: db.Connection, state: State) -> Replaced:
    """Count what a directory deleted lately held, for the first run of one that may stand in its place."""
    if state.applied_addresses is not None or not state.is_shared or state.is_equal:
        return Replaced(0, 0)
    counted = await db.only(
        connection,
        "count_replaced",
        window_from=state.now - timedelta(days=WINDOW_DAYS),
        tenant_id=state.row.tenant_id,
        directory_id=state.row.directory_id,
    )
    return Replaced(counted["held"], counted["missing"], tuple(counted["sample"]))


async def _absent_canaries(
    connection: db.Connection, state: State, run: ClaimedRun
) -> tuple[str, ...]:
    """Name those not found; one whose domain was taken off left by decision, and no run could find it."""
    canaries = [
        canary
        for canary in run.settings.removals.canaries
        if canary.rpartition("@")[2] in run.domains
    ]
    if not canaries:
        return ()
    if state.is_equal:
        missing = await db.rows(
            connection,
            "canaries_not_held",
            canaries=canaries,
            tenant_id=state.row.tenant_id,
            directory_id=state.row.directory_id,
        )
    else:
        missing = await db.rows(connection, "canaries_not_staged", canaries=canaries)
    return tuple(record["address"] for record in missing)
