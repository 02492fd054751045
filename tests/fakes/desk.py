"""One command in hand, with books in memory that remember what was written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from worker.domain import events
from worker.domain.commands import (
    AddRecipients,
    CheckDirectory,
    Command,
    DeleteDirectory,
    Envelope,
    RemoveRecipients,
    SaveDirectory,
    SaveTenant,
    Stored,
)
from worker.domain.decisions import HoldRecord, RunRecord
from worker.domain.events import ApprovalFacts, Event, HoldRef, TenantFacts
from worker.domain.model import Address, DirectoryId, HoldId, Mode, RunId, TenantId, Trigger
from worker.domain.rulings import DirectoryRecord, DomainChanges, TenantRecord
from worker.ports.desk import Done


ACME = TenantId("acme")
CAUSES = ("c-1",)
NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


@dataclass(slots=True)
class MemoryTenant:
    """The TenantBook port."""

    known: TenantRecord | None
    taken_names: tuple[str, ...] = ()
    saved: list[DomainChanges] = field(default_factory=list)
    is_deleted: bool = False

    async def find(self) -> TenantRecord | None:
        """The tenant."""
        return self.known

    async def taken(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those that another has."""
        return tuple(name for name in names if name in self.taken_names)

    async def save(self, command: SaveTenant, changes: DomainChanges) -> Event:
        """Write it."""
        self.saved.append(changes)
        facts = TenantFacts(command.tier, command.reseller, command.revision, changes.added)
        return events.tenant_saved(ACME, causes=CAUSES, facts=facts)

    async def delete(self) -> Done:
        """Hide it."""
        self.is_deleted = True
        return Done(events.tenant_deleted(ACME, causes=CAUSES))


@dataclass(slots=True)
class MemoryDirectories:
    """The DirectoryBook port."""

    known: DirectoryRecord | None
    saved: list[tuple[int, bool]] = field(default_factory=list)
    """Revision, and whether it is pending."""
    paused: list[str | None] = field(default_factory=list)
    tested: list[CheckDirectory] = field(default_factory=list)
    tests_max: int = 10
    deleted: list[bool] = field(default_factory=list)
    """Whether its addresses are kept by hand."""

    async def find(self, directory: DirectoryId) -> DirectoryRecord | None:
        """The directory."""
        return self.known

    async def save(self, command: SaveDirectory, *, revision: int, pending: bool) -> Event:
        """Write a revision."""
        self.saved.append((revision, pending))
        return events.directory_saved(
            ACME, command.directory, causes=CAUSES, revision=revision, in_force=not pending
        )

    async def test(self, command: CheckDirectory) -> bool:
        """Queue a test."""
        self.tested.append(command)
        return len(self.tested) <= self.tests_max

    async def pause(self, directory: DirectoryId, reason: str | None) -> Event:
        """Pause or resume."""
        self.paused.append(reason)
        if reason is None:
            return events.directory_resumed(ACME, directory, causes=CAUSES)
        return events.directory_paused(ACME, directory, causes=CAUSES, reason=reason)

    async def delete(self, command: DeleteDirectory) -> Done:
        """Delete it."""
        self.deleted.append(command.keep_by_hand)
        kept = command.keep_by_hand
        return Done(
            events.directory_deleted(ACME, command.directory, causes=CAUSES, keep_by_hand=kept)
        )


@dataclass(slots=True)
class MemoryRunBook:
    """The RunBook port."""

    open_runs: set[RunId] = field(default_factory=set)
    requested: list[tuple[Trigger, Mode]] = field(default_factory=list)
    cancelled: list[RunId] = field(default_factory=list)
    known: RunRecord | None = None
    undone: list[RunId] = field(default_factory=list)

    async def request(self, directory: DirectoryId, *, trigger: Trigger, mode: Mode) -> Event:
        """Queue a run."""
        self.requested.append((trigger, mode))
        ref = events.RunRef(RunId(UUID(int=1)), directory, CAUSES, trigger, mode)
        return events.sync_accepted(ACME, ref)

    async def cancel(self, run: RunId) -> Done | None:
        """End it, if it is open."""
        if run not in self.open_runs:
            return None
        self.cancelled.append(run)
        return Done(None)

    async def find(self, run: RunId) -> RunRecord | None:
        """The run."""
        return self.known

    async def undo(self, run: RunRecord) -> Done:
        """Take it back."""
        self.undone.append(run.run)
        return Done(None)


@dataclass(slots=True)
class MemoryHolds:
    """The HoldBook port."""

    known: HoldRecord | None = None
    approved: list[int] = field(default_factory=list)
    """Versions."""
    discarded: list[int] = field(default_factory=list)

    async def find(self, hold: HoldId) -> HoldRecord | None:
        """The hold."""
        return self.known

    async def approve(self, hold: HoldRecord) -> Event:
        """Let them go."""
        self.approved.append(hold.version)
        facts = ApprovalFacts(HoldRef(hold.hold, hold.version), 1, 1)
        return events.hold_approved(ACME, hold.directory, causes=CAUSES, facts=facts)

    async def discard(self, hold: HoldRecord) -> Event:
        """Keep them."""
        self.discarded.append(hold.version)
        ref = HoldRef(hold.hold, hold.version)
        return events.hold_discarded(ACME, hold.directory, causes=CAUSES, hold=ref, kept=1)


@dataclass(slots=True)
class MemoryRecipients:
    """The RecipientBook port."""

    by_hand: set[Address] = field(default_factory=set)
    republished: int = 0

    async def add(self, command: AddRecipients) -> Done:
        """Hold them."""
        self.by_hand |= set(command.addresses)
        return Done(None)

    async def not_by_hand(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Those that are not held."""
        return tuple(address for address in addresses if address not in self.by_hand)

    async def remove(self, command: RemoveRecipients) -> Done:
        """Let them go."""
        self.by_hand -= set(command.addresses)
        return Done(None)

    async def republish(self) -> Done:
        """Tell all."""
        self.republished += 1
        return Done(None)


@dataclass(slots=True)
class MemoryDesk:
    """The Desk port."""

    stored: Stored
    tenant: MemoryTenant
    directories: MemoryDirectories
    runs: MemoryRunBook = field(default_factory=MemoryRunBook)
    holds: MemoryHolds = field(default_factory=MemoryHolds)
    recipients: MemoryRecipients = field(default_factory=MemoryRecipients)


def desk(
    name: str,
    command: Command,
    *,
    tenant: TenantRecord | None = None,
    directory: DirectoryRecord | None = None,
) -> MemoryDesk:
    """A desk with this command, where these are known."""
    envelope = Envelope("test", "c-1", ACME, name)
    return MemoryDesk(
        Stored(1, envelope, command, NOW), MemoryTenant(tenant), MemoryDirectories(directory)
    )
