"""What one command of the command line needs: built, used once and closed. Decides nothing, like ``app``."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from worker.adapters import secrets
from worker.adapters.directory.reader import LdapReader
from worker.adapters.directory.survey import LdapSurveyor
from worker.adapters.postgres import migrations
from worker.adapters.postgres.clock import PostgresClock
from worker.adapters.postgres.fleet import PostgresFleet
from worker.adapters.postgres.intake import PostgresIntake
from worker.adapters.postgres.pool import Pool, open_pool
from worker.adapters.postgres.reports import PostgresReports
from worker.adapters.postgres.reseal import Resealed, reseal
from worker.adapters.postgres.restored import Restored, begin_again
from worker.adapters.secrets import SealedVault
from worker.adapters.telemetry import configure_logs
from worker.domain.commands import Envelope, Received
from worker.domain.failures import StoreFailure
from worker.domain.model import Change, DirectoryId, HoldId, Mode, RunId, RunState, TenantId
from worker.domain.why import Why
from worker.flows.ask import (
    AskPorts,
    Decided,
    Followed,
    Patience,
    Refusal,
    ask,
    ask_sync,
    decided,
    follow,
)
from worker.flows.diagnose import Asked, DiagnosePorts, Diagnosis, diagnose
from worker.ports.reports import (
    ChangeLine,
    ClaimLine,
    DirectoryLine,
    HoldLine,
    LoginChangeLine,
    LoginLine,
    Look,
    ReadinessLine,
    RunLine,
    SetLine,
    Standing,
)
from worker.ports.runs import Backlog, FleetHold
from worker.settings import Settings


CONNECTIONS = 2
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """How everything stands."""

    directories: tuple[DirectoryLine, ...]
    backlog: Backlog
    readiness: tuple[ReadinessLine, ...] = ()
    """Of the domains of the tenant asked for."""
    fleet: FleetHold | None = None
    """The hold over all directories, if one stands."""


@dataclass(frozen=True, slots=True)
class History:
    """What happened, the newest first."""

    runs: tuple[RunLine, ...]
    changes: tuple[ChangeLine, ...]
    logins: tuple[LoginChangeLine, ...] = ()
    """What became of quarantine logins."""
    held: tuple[SetLine, ...] = ()
    """What waits in the hold of the run asked for, as long as the hold stands."""


@dataclass(frozen=True, slots=True)
class Logins:
    """Quarantine logins, and what entries claim for theirs and do not get."""

    logins: tuple[LoginLine, ...]
    claims: tuple[ClaimLine, ...]


class UnknownTenantError(LookupError):
    """There is no such tenant."""


class UnknownDirectoryError(LookupError):
    """The tenant has no such directory, and never had."""


async def look_at(settings: Settings, asked: Asked, *, tell: Callable[[int], None]) -> Diagnosis:
    """Read a directory as the doctor does; its networks may be private, since it is the reader's own."""
    configure_logs(sys.stderr, level="warning", form="console")
    ports = DiagnosePorts(
        LdapReader(),
        replace(settings.limits(), allow_private=True),
        settings.egress_ips,
        tell,
        surveyor=LdapSurveyor(now=_wall_clock),
    )
    return await diagnose(asked, ports=ports)


def _wall_clock() -> datetime:
    """For the age of certificates, which decides nothing."""
    return datetime.now(UTC)  # noqa: TID251 - see above


async def sync(
    settings: Settings,
    place: tuple[str, str],
    *,
    mode: Mode,
    patience: Patience | None,
    tell: Callable[[Standing], None],
) -> Refusal | Envelope | Followed:
    """Ask for a sync of (tenant, directory), and with patience follow it. Raises StoreFailure."""
    async with _store(settings) as pool:
        clock, vault = PostgresClock(pool), SealedVault(settings.keys)
        ports = AskPorts(PostgresIntake(pool, clock, vault), PostgresReports(pool), tell)
        asked = await ask_sync(*place, mode=mode, ports=ports)
        if isinstance(asked, Refusal) or patience is None:
            return asked
        return await follow(asked, patience=patience, ports=ports)


async def decide(
    settings: Settings,
    requests: Sequence[Received],
    *,
    patience: Patience,
    tell: Callable[[Standing], None],
) -> Refusal | list[Decided]:
    """Ask for decisions about one tenant, in order, and wait for each. Raises StoreFailure."""
    async with _store(settings) as pool:
        clock, vault = PostgresClock(pool), SealedVault(settings.keys)
        ports = AskPorts(PostgresIntake(pool, clock, vault), PostgresReports(pool), tell)
        refused = await ask(requests, ports=ports)
        if refused is not None:
            return refused
        return [await decided(each.envelope, patience=patience, ports=ports) for each in requests]


async def holds(settings: Settings, tenant: TenantId) -> list[HoldLine]:
    """Return the open holds of a tenant. Raises StoreFailure, UnknownTenantError."""
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        await _know(reports, tenant)
        return await reports.holds(tenant)


async def waiting(
    settings: Settings, tenant: TenantId, of: HoldId | RunId, *, most: int
) -> list[SetLine]:
    """Return the addresses of a hold, or a preview's changes. Raises StoreFailure, UnknownTenantError."""
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        await _know(reports, tenant)
        return await reports.waiting(tenant, of, most=most)


async def logins(
    settings: Settings, tenant: TenantId, directory: DirectoryId | None, *, most: int
) -> Logins:
    """Return the logins of a tenant, or of one of its directories.

    Raises StoreFailure, UnknownTenantError, UnknownDirectoryError.
    """
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        await _know(reports, tenant, directory)
        made = await reports.logins(tenant, directory, most=most)
        return Logins(tuple(made), tuple(await reports.claims(tenant, directory, most=most)))


async def fleet_hold(settings: Settings) -> FleetHold | None:
    """Return the hold over all directories. Raises StoreFailure."""
    async with _store(settings) as pool:
        return await PostgresFleet(pool, PostgresClock(pool), settings.fleet_limits()).standing()


async def release_fleet(settings: Settings) -> bool:
    """Let removals go on; False if nothing was held. Raises StoreFailure."""
    async with _store(settings) as pool:
        return await PostgresFleet(pool, PostgresClock(pool), settings.fleet_limits()).release()


async def history(settings: Settings, look: Look, *, with_changes: bool) -> History:
    """Return runs, or with changes what became of addresses and logins.

    Raises StoreFailure, UnknownTenantError, UnknownDirectoryError.
    """
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        await _know(reports, look.tenant, look.directory)
        changes = await reports.changes(look) if with_changes else []
        logins = await reports.login_changes(look) if with_changes else []
        if with_changes and look.run is None:
            return History((), tuple(changes), tuple(logins))
        runs = await reports.runs(look)
        if look.run is not None and runs and runs[0].state is RunState.PREVIEWED:
            changes = await _previewed(reports, runs[0], look)
        held = await _held(reports, runs[0], look) if look.run is not None and runs else []
        return History(tuple(runs), tuple(changes), tuple(logins), tuple(held))


async def export(
    settings: Settings,
    look: Look,
    *,
    runs: Callable[[Sequence[RunLine]], None] | None = None,
    changes: Callable[[Sequence[ChangeLine]], None] | None = None,
) -> None:
    """Tell all runs or changes page by page, the first empty, in bounded memory.

    Raises StoreFailure, UnknownTenantError, UnknownDirectoryError, before anything is told.
    """
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        await _know(reports, look.tenant, look.directory)
        if runs is not None:
            runs(())
            await reports.every_run(look, runs)
        if changes is not None:
            changes(())
            await reports.every_change(look, changes)


async def _previewed(reports: PostgresReports, run: RunLine, look: Look) -> list[ChangeLine]:
    """What a preview would have changed, for as long as it is kept."""
    at = run.finished_at or run.queued_at
    found = await reports.waiting(look.tenant, run.run, most=look.most)
    return [
        ChangeLine(at, run.directory, run.run, each.address, Change(each.change)) for each in found
    ]


async def _held(reports: PostgresReports, run: RunLine, look: Look) -> list[SetLine]:
    """What waits in the hold of a held run; nothing once the hold has ended."""
    if run.state is not RunState.HELD or run.hold is None:
        return []
    return await reports.waiting(look.tenant, run.hold, most=look.most)


async def status(
    settings: Settings, tenant: TenantId | None, *, reseller: str | None = None, most: int
) -> Status:
    """Return how directories and queues stand. Raises StoreFailure, UnknownTenantError."""
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        if tenant is not None:
            await _know(reports, tenant)
        directories = await reports.directories(tenant, reseller=reseller, most=most)
        fleet = PostgresFleet(pool, PostgresClock(pool), settings.fleet_limits())
        ready = [] if tenant is None else await reports.readiness(tenant)
        return Status(
            tuple(directories), await reports.backlog(), tuple(ready), await fleet.standing()
        )


async def why(
    settings: Settings, asked: str, tenant: TenantId | None
) -> tuple[Why, list[LoginLine]]:
    """Return all that is known of one address, and the quarantine logins of it.

    Raises StoreFailure, UnknownTenantError.
    """
    async with _store(settings) as pool:
        reports = PostgresReports(pool)
        if tenant is not None:
            await _know(reports, tenant)
        told = await reports.why(asked, tenant)
        if told.tenant is None:
            return told, []
        return told, await reports.logins_of(told.tenant, told.address)


async def _know(
    reports: PostgresReports, tenant: TenantId, directory: DirectoryId | None = None
) -> None:
    if not await reports.knows(tenant):
        raise UnknownTenantError
    if directory is not None and not await reports.knows_directory(tenant, directory):
        raise UnknownDirectoryError


def generate_key() -> str:
    """Return a new private key, base64."""
    return secrets.generate_key()


def public_key(settings: Settings) -> str:
    """Return the public half of the newest key, base64."""
    return secrets.public_key(settings.keys[0])


async def rotate(settings: Settings) -> Resealed:
    """Seal all stored secrets with the newest key. Raises StoreFailure."""
    async with _store(settings) as pool:
        return await reseal(pool, SealedVault(settings.keys))


async def restored(settings: Settings, *, tell: Callable[[int], None]) -> Restored:
    """Begin again after a restore; ``tell`` hears how many tenants are done. Raises StoreFailure."""
    async with _store(settings) as pool:
        return await begin_again(pool, PostgresClock(pool), tell=tell)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Pool]:
    """Connect for one errand. Raises StoreFailure, also when the database has another release's schema."""
    url = settings.database_url.reveal()
    pending = await migrations.pending(url)
    if pending:
        raise StoreFailure(code="store.not_migrated", detail=", ".join(pending))
    pool = await open_pool(url, size=CONNECTIONS)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()
