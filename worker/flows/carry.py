"""Stored commands to what they ask: decided by pure rules, written through the books of one transaction."""

from typing import assert_never

from worker.domain import decisions, rulings
from worker.domain.commands import (
    AddRecipients,
    ApproveHold,
    CancelSync,
    CheckDirectory,
    DeleteDirectory,
    DeleteTenant,
    DiscardHold,
    FieldError,
    PauseDirectory,
    RemoveRecipients,
    RepublishRecipients,
    RequestSync,
    ResumeDirectory,
    SaveDirectory,
    SaveTenant,
    UndoRun,
)
from worker.domain.model import DirectoryId, Mode, Trigger
from worker.domain.rulings import DirectoryRecord, TenantRecord
from worker.ports.desk import Desk, Done, Rejected, Settled, Waiting


DirectoryCommand = DeleteDirectory | PauseDirectory | ResumeDirectory | RequestSync
RecipientCommand = AddRecipients | RemoveRecipients | RepublishRecipients
RunCommand = CancelSync | UndoRun | ApproveHold | DiscardHold
TenantCommand = (
    DeleteTenant | SaveDirectory | CheckDirectory | DirectoryCommand | RunCommand | RecipientCommand
)

PAUSED_BY_HAND = "paused by hand"

NO_TENANT = FieldError(
    "subject", "tenant.unknown", "This tenant is not known. Send tenant.save for it first."
)
NO_DIRECTORY = FieldError(
    "directory",
    "directory.unknown",
    "This tenant has no such directory. Send directory.save first.",
)
NO_OPEN_RUN = FieldError("run", "run.unknown", "This tenant has no such run, or it has ended.")


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
        case SaveDirectory() | CheckDirectory():
            return await about_form(desk, command, tenant)
        case CancelSync() | UndoRun() | ApproveHold() | DiscardHold():
            return await about_run(desk, command)
        case AddRecipients() | RemoveRecipients() | RepublishRecipients():
            return await about_recipients(desk, command, tenant)
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


async def about_form(
    desk: Desk, command: SaveDirectory | CheckDirectory, tenant: TenantRecord
) -> Settled:
    """Save a form, or have it tested."""
    if isinstance(command, SaveDirectory):
        return await save_directory(desk, command, tenant)
    return await check_directory(desk, command, tenant)


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


async def check_directory(desk: Desk, command: CheckDirectory, tenant: TenantRecord) -> Settled:
    """Queue a test; the outcome of the command is the test's. Nobody else's command waits for it."""
    known = None
    if command.directory is not None:
        known = await desk.directories.find(command.directory)
        if known is None:
            return Waiting(NO_DIRECTORY)
    errors = rulings.check_errors(command, known, tenant)
    if errors:
        return Rejected(errors)
    is_queued = await desk.directories.test(command)
    return Done(None) if is_queued else Rejected((rulings.TOO_MANY_TESTS,))


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
            return await resume_directory(desk, command, tenant, known)
        case RequestSync():
            return await request_sync(desk, command, tenant, known)
        case _:
            assert_never(command)


async def resume_directory(
    desk: Desk, command: ResumeDirectory, tenant: TenantRecord, known: DirectoryRecord
) -> Settled:
    """Let scheduled runs go on, if the plan does."""
    errors = rulings.resume_errors(tenant.plan, known)
    return (
        Rejected(errors) if errors else Done(await desk.directories.pause(command.directory, None))
    )


async def request_sync(
    desk: Desk, command: RequestSync, tenant: TenantRecord, known: DirectoryRecord
) -> Settled:
    """Queue a run or join the queued one; the outcome of the command is the run's."""
    errors = rulings.request_errors(command, tenant.plan, known)
    if errors:
        return Rejected(errors)
    accepted = await desk.runs.request(
        DirectoryId(command.directory), trigger=command.trigger, mode=command.mode
    )
    return Done(None, also=(accepted,))


async def about_run(desk: Desk, command: RunCommand) -> Settled:
    """Carry out what a person decides about a run, or about what a run left to decide."""
    match command:
        case CancelSync():
            return await desk.runs.cancel(command.run) or Rejected((NO_OPEN_RUN,))
        case UndoRun():
            return await undo_run(desk, command)
        case ApproveHold() | DiscardHold():
            return await decide_hold(desk, command)
        case _:
            assert_never(command)


async def undo_run(desk: Desk, command: UndoRun) -> Settled:
    """Undo a run once; what it changed and others have changed since stays as they left it."""
    run = await desk.runs.find(command.run)
    if run is None:
        return Rejected((decisions.NO_RUN,))
    errors = decisions.undo_errors(run)
    return Rejected(errors) if errors else await desk.runs.undo(run)


async def decide_hold(desk: Desk, command: ApproveHold | DiscardHold) -> Settled:
    """Approve or discard a hold, if it is still the one that the person saw."""
    hold = await desk.holds.find(command.hold)
    if hold is None:
        return Rejected((decisions.NO_HOLD,))
    discards = isinstance(command, DiscardHold)
    errors = decisions.hold_errors(command.version, hold, discards=discards)
    if errors:
        return Rejected(errors)
    return Done(await (desk.holds.discard(hold) if discards else desk.holds.approve(hold)))


async def about_recipients(desk: Desk, command: RecipientCommand, tenant: TenantRecord) -> Settled:
    """Carry out what people do to the list by hand: a list with one wrong address changes nothing."""
    match command:
        case AddRecipients():
            errors = decisions.other_domain_errors(command.addresses, tenant.domains)
            return Rejected(errors) if errors else await desk.recipients.add(command)
        case RemoveRecipients():
            unknown = await desk.recipients.not_by_hand(command.addresses)
            errors = decisions.not_by_hand_errors(command.addresses, unknown)
            return Rejected(errors) if errors else await desk.recipients.remove(command)
        case RepublishRecipients():
            return await desk.recipients.republish()
        case _:
            assert_never(command)
