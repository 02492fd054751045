"""The store as commands see it: intake, and the books of the one command in hand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.domain.commands import (
    AddRecipients,
    CheckDirectory,
    DeleteDirectory,
    FieldError,
    Received,
    Refused,
    RemoveRecipients,
    SaveDirectory,
    SaveTenant,
    Stored,
)
from worker.domain.decisions import HoldRecord, RunRecord
from worker.domain.events import Event
from worker.domain.model import (
    Address,
    DirectoryId,
    HoldId,
    Mode,
    RunId,
    Trigger,
)
from worker.domain.rulings import DirectoryRecord, DomainChanges, TenantRecord


class Intake(Protocol):
    """Makes deliveries durable."""

    async def store(self, batch: Sequence[Received | Refused]) -> None:
        """Store commands and park what cannot be one, all in one transaction. Raises StoreFailure."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out. ``outcome`` is kept and sent again when the command comes again."""

    outcome: Event | None
    also: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command was understood and may not be carried out."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a command names is not known yet; it is looked at again."""

    missing: FieldError


Settled = Done | Rejected | Waiting


class TenantBook(Protocol):
    """The tenant that the command in hand is about; all within the command's one transaction."""

    async def find(self) -> TenantRecord | None:
        """Return the living tenant, locked until the command is settled."""
        ...

    async def taken(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these domains that another tenant has."""
        ...

    async def save(self, command: SaveTenant, changes: DomainChanges) -> Event:
        """Write plan, reseller and domains; who had an address in a domain taken off departs by decision."""
        ...

    async def delete(self) -> Done:
        """Hide the tenant, end its runs, erase its secrets."""
        ...


class DirectoryBook(Protocol):
    """One directory of that tenant; the tenant must have been found."""

    async def find(self, directory: DirectoryId) -> DirectoryRecord | None:
        """Return the living directory, locked until the command is settled."""
        ...

    async def save(self, command: SaveDirectory, *, revision: int, pending: bool) -> Event:
        """Write a new revision; a queued run of a replaced one takes it."""
        ...

    async def test(self, command: CheckDirectory) -> bool:
        """Queue a test for the command in hand, of the form or of the settings a manual request reads.

        False if ``OPEN_TESTS_MAX`` tests of the tenant wait already.
        """
        ...

    async def pause(self, directory: DirectoryId, reason: str | None) -> Event:
        """Pause its scheduled runs, or with None let them go on."""
        ...

    async def delete(self, command: DeleteDirectory) -> Done:
        """Delete it; its addresses leave by decision, or stay by hand."""
        ...


class RunBook(Protocol):
    """The runs of that tenant."""

    async def request(self, directory: DirectoryId, *, trigger: Trigger, mode: Mode) -> Event:
        """Queue a run for the command in hand, or join the queued one; ``sync.accepted``."""
        ...

    async def cancel(self, run: RunId) -> Done | None:
        """End a queued run, ask a running one to end; None if the tenant has no such open run."""
        ...

    async def find(self, run: RunId) -> RunRecord | None:
        """Return a run of the tenant, locked until the command is settled."""
        ...

    async def undo(self, run: RunRecord) -> Done:
        """Give back what it took, let go what it gave, pause its directory's schedule."""
        ...


class HoldBook(Protocol):
    """The holds of that tenant."""

    async def find(self, hold: HoldId) -> HoldRecord | None:
        """Return a hold of the tenant, open or ended, locked until the command is settled."""
        ...

    async def approve(self, hold: HoldRecord) -> Event:
        """Let its departures happen: those still absent enter grace; what was read is the new baseline."""
        ...

    async def discard(self, hold: HoldRecord) -> Event:
        """Let nobody leave, and tell nobody again until the set changes."""
        ...


class RecipientBook(Protocol):
    """What people hold by hand of that tenant, and the whole of its list."""

    async def add(self, command: AddRecipients) -> Done:
        """Hold addresses by hand; told as ``recipients.changed``, empty if the list does not change."""
        ...

    async def not_by_hand(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Return those of these addresses that nobody holds by hand."""
        ...

    async def remove(self, command: RemoveRecipients) -> Done:
        """End the source by hand: grace by decision, where nothing else holds the address; told like ``add``."""
        ...

    async def republish(self) -> Done:
        """Tell the whole list, in parts that follow one another."""
        ...


class Desk(Protocol):
    """One command in hand, and the books it may write."""

    @property
    def stored(self) -> Stored:
        """The command."""
        ...

    @property
    def tenant(self) -> TenantBook:
        """The tenant it is about."""
        ...

    @property
    def directories(self) -> DirectoryBook:
        """That tenant's directories."""
        ...

    @property
    def runs(self) -> RunBook:
        """That tenant's runs."""
        ...

    @property
    def holds(self) -> HoldBook:
        """That tenant's holds."""
        ...

    @property
    def recipients(self) -> RecipientBook:
        """What people hold by hand of it."""
        ...


class Orders(Protocol):
    """Stored commands, taken one at a time, in stored order per tenant."""

    async def carry_next(self, carry: Callable[[Desk], Awaitable[Settled]]) -> bool:
        """Take the next command that is due, carry it out and settle it in one transaction; False if none is due."""
        ...
