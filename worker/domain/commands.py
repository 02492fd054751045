"""What is asked of Rollcall: each command a frozen value, already checked for its form.

Whether a command may be carried out (plan, revision, domains taken) is decided elsewhere.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType

from worker.domain.model import (
    Address,
    DirectoryId,
    DirectorySettings,
    Domain,
    HoldId,
    Mode,
    RunId,
    Secret,
    TenantId,
    Tier,
    Trigger,
)


Sealed = NewType("Sealed", bytes)
"""A secret in a libsodium sealed box; only this may be stored."""


@dataclass(frozen=True, slots=True)
class SaveTenant:
    """Set plan, reseller and (unless None) the whole list of domains of a tenant."""

    tier: Tier
    domains: tuple[Domain, ...] | None
    reseller: str | None
    revision: int | None


@dataclass(frozen=True, slots=True)
class DeleteTenant:
    """Stop a tenant's runs, erase its secrets, hide its rows."""


@dataclass(frozen=True, slots=True)
class SaveDirectory:
    """Save one revision of the form; ``sync`` makes it Save & Sync.

    A secret comes in clear (``Secret``), is sealed before it is stored (``Sealed``), or is left out
    (``None``: keep the one in force).
    """

    directory: DirectoryId
    settings: DirectorySettings
    password: Secret | Sealed | None
    client_key: Secret | Sealed | None
    sync: bool
    force: bool
    revision: int | None


@dataclass(frozen=True, slots=True)
class Form:
    """Settings that were not saved, with their secrets as in ``SaveDirectory``."""

    settings: DirectorySettings
    password: Secret | Sealed | None
    client_key: Secret | Sealed | None


@dataclass(frozen=True, slots=True)
class CheckDirectory:
    """Test a stored directory, or a form; with both, the form as edited for that directory. One of them at least."""

    directory: DirectoryId | None
    form: Form | None


@dataclass(frozen=True, slots=True)
class DeleteDirectory:
    """Delete a directory; its addresses leave by grace, or are kept by hand."""

    directory: DirectoryId
    keep_by_hand: bool


@dataclass(frozen=True, slots=True)
class PauseDirectory:
    """Stop scheduled runs of a directory."""

    directory: DirectoryId


@dataclass(frozen=True, slots=True)
class ResumeDirectory:
    """Let scheduled runs of a directory go on."""

    directory: DirectoryId


@dataclass(frozen=True, slots=True)
class RequestSync:
    """Ask for a run of a directory."""

    directory: DirectoryId
    trigger: Trigger
    mode: Mode


@dataclass(frozen=True, slots=True)
class CancelSync:
    """Cancel a run that has not ended."""

    run: RunId


@dataclass(frozen=True, slots=True)
class ApproveHold:
    """Let the departures of a hold happen, as the person saw them: the set of this version."""

    hold: HoldId
    version: int


@dataclass(frozen=True, slots=True)
class DiscardHold:
    """Let nobody leave, and tell nobody again until the set of this version changes."""

    hold: HoldId
    version: int


@dataclass(frozen=True, slots=True)
class UndoRun:
    """Give back what a run took; what it gave leaves through guard and grace."""

    run: RunId


@dataclass(frozen=True, slots=True)
class AddRecipients:
    """Hold addresses by hand: in normal form, one that is named twice counts once.

    ``adopt``: the first directory that shows an address takes it over. ``protect``: no run ever does.
    """

    addresses: tuple[Address, ...]
    adopt: bool
    protect: bool


@dataclass(frozen=True, slots=True)
class RemoveRecipients:
    """End the source by hand of these addresses; what a directory holds it goes on holding."""

    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class RepublishRecipients:
    """Tell the whole list of a tenant again."""


Command = (
    SaveTenant
    | DeleteTenant
    | SaveDirectory
    | CheckDirectory
    | DeleteDirectory
    | PauseDirectory
    | ResumeDirectory
    | RequestSync
    | CancelSync
    | ApproveHold
    | DiscardHold
    | UndoRun
    | AddRecipients
    | RemoveRecipients
    | RepublishRecipients
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a command, about which tenant, and where the answer goes besides the events exchange.

    ``source`` and ``id`` together are the idempotency key (CloudEvents 1.0, section 3.1).
    """

    source: str
    id: str
    tenant: TenantId
    name: str
    """The command's name without ``rollcall.`` and version: ``sync.request``."""
    reply_to: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One command as it came in: its envelope, its meaning, and the bytes that tell a repeat from a reuse."""

    envelope: Envelope
    command: Command
    body: bytes = field(repr=False)
    """The canonical bytes of ``data``; digested with a key, never stored."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a command, with what to enter instead."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A delivery that cannot become a command: parked with the reason, answered where an answer can go.

    Every part of the envelope that could be read is kept; the body never is (it may hold a password).
    """

    errors: tuple[FieldError, ...]
    size: int
    """Bytes."""
    body: bytes = field(default=b"", repr=False)
    """For a keyed digest only."""
    source: str | None = None
    id: str | None = None
    tenant: TenantId | None = None
    name: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable command waiting to be carried out, in stored order per tenant."""

    number: int
    envelope: Envelope
    command: Command
    received_at: datetime
