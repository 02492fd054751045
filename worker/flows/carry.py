"""Stored commands to what they ask: decided by pure rules, written through the books of one transaction."""

from typing import assert_never

from worker.domain import rulings
from worker.domain.commands import (
    CancelSync,
    DeleteDirectory,
    DeleteTenant,
    FieldError,
    PauseDirectory,
    RequestSync,
    ResumeDirectory,
    SaveDirectory,
    SaveTenant,
)
from worker.domain.model import DirectoryId, Mode, Trigger
from worker.domain.rulings import DirectoryRecord, TenantRecord
from worker.ports import Desk, Done, Rejected, Settled, Waiting


DirectoryCommand = DeleteDirectory | PauseDirectory | ResumeDirectory | RequestSync
TenantCommand = DeleteTenant | CancelSync | SaveDirectory | DirectoryCommand

PAUSED_BY_HAND = "paused by hand"

NO_TENANT = FieldError(
    "subject", "tenant.unknown", "This tenant is not known. Send tenant.save for it first."
)
NO_DIRECTORY = FieldError(
    "directory",
    "directory.unknown",
    "This tenant has no such directory. Send directory.save first.",
)
NO_RUN = FieldError("run", "run.unknown", "This tenant has no such run, or it has ended.")


async def carry(desk: Desk) -> Settled:
    """Carry out the command in hand, or say why not."""
    known = await desk.tenant.find()
    command = desk.stored.command
    if isinstance(command, SaveTenant):
        return await save_tenant(desk, command, known)
    if known is None:
        return Waiting(NO_TENANT)
    return await about_tenant(desk, command, known)


async def about_tenant(desk: Desk, command: TenantCommand, tenant: TenantRecord) -> Settled:
    """Carry out what needs a tenant that is known."""
    match command:
        case DeleteTenant():
            return await desk.tenant.delete()
        case CancelSync():
            return await desk.runs.cancel(command.run) or Rejected((NO_RUN,))
        case SaveDirectory():
            return await save_directory(desk, command, tenant)
        case DeleteDirectory() | PauseDirectory() | ResumeDirectory() | RequestSync():
            return await about_directory(desk, command, tenant)
        case _:
            assert_never(command)


async def save_tenant(desk: Desk, command: SaveTenant, known: TenantRecord | None) -> Settled:
    """Make or change the tenant: plan, reseller, domains."""
    names = [domain.name for domain in command.domains or ()]
    errors = rulings.tenant_errors(command, known, await desk.tenant.taken(names))
    if errors:
        return Rejected(errors)
    changes = rulings.domain_changes(known.domains if known else (), command.domains)
    return Done(await desk.tenant.save(command, changes))


async def save_directory(desk: Desk, command: SaveDirectory, tenant: TenantRecord) -> Settled:
    """Save a revision of the form; Save & Sync makes it pending and asks for a run."""
    known = await desk.directories.find(command.directory)
    errors = rulings.directory_errors(command, known, tenant)
    if errors:
        return Rejected(errors)
    saved = await desk.directories.save(
        command,
        revision=known.last_revision + 1 if known else 1,
        pending=command.sync and not command.force,
    )
    if not command.sync:
        return Done(saved)
    accepted = await desk.runs.request(command.directory, trigger=Trigger.MANUAL, mode=Mode.APPLY)
    return Done(saved, also=(accepted,))


async def about_directory(desk: Desk, command: DirectoryCommand, tenant: TenantRecord) -> Settled:
    """Carry out what needs a directory that is known."""
    known = await desk.directories.find(command.directory)
    if known is None:
        return Waiting(NO_DIRECTORY)
    match command:
        case DeleteDirectory():
            return await desk.directories.delete(command)
        case PauseDirectory():
            return Done(await desk.directories.pause(command.directory, PAUSED_BY_HAND))
        case ResumeDirectory():
            return Done(await desk.directories.pause(command.directory, None))
        case RequestSync():
            return await request_sync(desk, command, tenant, known)
        case _:
            assert_never(command)


async def request_sync(
    desk: Desk, command: RequestSync, tenant: TenantRecord, known: DirectoryRecord
) -> Settled:
    """Queue a run or join the queued one; the outcome of the command is the run's."""
    errors = rulings.request_errors(command, tenant.tier, known)
    if errors:
        return Rejected(errors)
    accepted = await desk.runs.request(
        DirectoryId(command.directory), trigger=command.trigger, mode=command.mode
    )
    return Done(None, also=(accepted,))
