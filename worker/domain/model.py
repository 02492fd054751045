"""The frozen nouns: tenants, directories, runs, limits. A noun here cannot exist half-valid.

Sources of the words: LDAP terms as in RFC 4511 to 4515, paging as in RFC 2696, mail addresses as
in RFC 5321 and RFC 6531.
"""

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType
from uuid import UUID

from typing_extensions import override


TenantId = NewType("TenantId", str)
"""The platform's name of a tenant: 1 to 64 of ``A-Z a-z 0-9 _ -``."""

DirectoryId = NewType("DirectoryId", str)
"""The platform's name of a directory, unique within its tenant; same alphabet."""

RunId = NewType("RunId", UUID)
HoldId = NewType("HoldId", UUID)

Address = NewType("Address", str)
"""A normal address: local part in NFC lower case, ``@``, domain as a lower-case A-label."""


class Tier(enum.StrEnum):
    """The plan a tenant has bought (``plan`` in messages)."""

    BASIC = "basic"
    STANDARD = "standard"
    ENTERPRISE = "enterprise"
    RESELLER = "reseller"


class Kind(enum.StrEnum):
    """What sort of entry receives the mail."""

    MAILBOX = "mailbox"
    GROUP = "group"
    CONTACT = "contact"
    PUBLIC_FOLDER = "public_folder"


class Security(enum.StrEnum):
    """How the connection is protected."""

    LDAPS = "ldaps"
    STARTTLS = "starttls"
    NONE = "none"


class RemovalPolicy(enum.StrEnum):
    """What may happen to addresses that left the directory."""

    SAFE = "safe"
    REVIEW = "review"
    NEVER = "never"


class LoginRole(enum.StrEnum):
    """Whether a quarantine login's user is sent mails."""

    SILENT = "silent"
    NORMAL = "normal"


class LoginState(enum.StrEnum):
    """Whether a quarantine login may be used."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    RELEASED = "released"
    """Deactivated for good: somebody else has the user name now."""


class LoginReason(enum.StrEnum):
    """Why a quarantine login is not active."""

    DISABLED = "disabled"
    GONE = "gone"
    NOT_WANTED = "not_wanted"
    """The form does not ask for logins of its kind any more."""
    DECIDED = "decided"
    UNDONE = "undone"


class LoginChange(enum.StrEnum):
    """What became of a quarantine login; of several the first here."""

    CREATED = "created"
    RELEASED = "released"
    REACTIVATED = "reactivated"
    DEACTIVATED = "deactivated"
    RENAMED = "renamed"
    CHANGED = "changed"
    """Its addresses, its role, or the directory that it belongs to."""


class Trigger(enum.StrEnum):
    """Who asked for a run."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"


class Mode(enum.StrEnum):
    """Whether a run may change anything."""

    APPLY = "apply"
    PREVIEW = "preview"


class RunState(enum.StrEnum):
    """Where a run stands; the last five are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    HELD = "held"
    PREVIEWED = "previewed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Change(enum.StrEnum):
    """What became of an address, as the tenant's list as a whole sees it."""

    ADDED = "added"
    RETURNED = "returned"
    MISSING = "missing"
    GRACE = "grace"
    REMOVED = "removed"


class Secret:
    """A value that must never be printed; ``reveal()`` is the one way to read it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for the wire and for nothing else."""
        return self._value

    @override
    def __repr__(self) -> str:
        return "Secret(…)"

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    @override
    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Server:
    """One LDAP server of a directory; ``port`` None means the default of the security chosen."""

    host: str
    port: int | None = None

    def port_for(self, security: Security) -> int:
        """Return the port to dial: 636 for LDAPS, else 389 (RFC 4516 section 2, IANA)."""
        if self.port is not None:
            return self.port
        return 636 if security is Security.LDAPS else 389

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Trust:
    """What proves a server's certificate: an own CA, a pinned fingerprint, or (neither) public CAs."""

    ca_pem: str | None = None
    fingerprint: str | None = None
    """SHA-256 of the server certificate in DER form, 64 lower-case hex digits."""


@dataclass(frozen=True, slots=True)
class Removals:
    """How departures are treated."""

    policy: RemovalPolicy = RemovalPolicy.SAFE
    max_share: float = 0.05
    min_count: int = 10
    max_count: int = 500
    grace: timedelta = timedelta(hours=72)
    canaries: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Automatic syncs."""

    automatic: bool = False
    every_hours: int = 6


@dataclass(frozen=True, slots=True)
class Logins:
    """Quarantine logins made from mailboxes."""

    create: bool = False
    kinds: tuple[Kind, ...] = (Kind.MAILBOX,)
    role: LoginRole = LoginRole.SILENT
    deactivate: bool = True


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """One saved revision of the form, without its secrets."""

    name: str
    type: str
    servers: tuple[Server, ...]
    bind_name: str
    security: Security = Security.LDAPS
    trust: Trust = Trust()
    certificate_name: str | None = None
    client_certificate: str | None = None
    search_bases: tuple[str, ...] = ()
    filter: str | None = None
    address_attributes: tuple[str, ...] | None = None
    kinds: tuple[Kind, ...] = tuple(Kind)
    leave_out: tuple[str, ...] = ()
    removals: Removals = Removals()
    schedule: Schedule = Schedule()
    logins: Logins = Logins()
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The opened secrets of one revision, for as long as a run needs them."""

    password: Secret | None = None
    client_key: Secret | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """One mail domain of a tenant; ``name`` is a lower-case A-label."""

    name: str
    catch_all: bool = False
    delimiter: str | None = None
    alias_of: str | None = None
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of one read: seconds, bytes and counts. Named settings fill it; tests state three numbers."""

    connect_s: float = 10.0
    bind_s: float = 10.0
    page_s: float = 60.0
    run_s: float = 1800.0
    page_size: int = 500
    message_bytes: int = 4 * 1024 * 1024
    run_bytes: int = 4 * 1024 * 1024 * 1024
    entries: int = 2_000_000
    values_per_entry: int = 20_000
    allow_networks: tuple[str, ...] = ()
    """Networks (CIDR) that may be dialled although they are private, reserved or our own."""
    own_networks: tuple[str, ...] = ()
    """Networks (CIDR) of our own, which are not dialled although they are public."""
    allow_private: bool = False
    """True on the command line only, where an admin reads a directory at home."""

    @property
    def run_told(self) -> str:
        """How long one read may take, in words."""
        minutes = self.run_s / 60
        whole = minutes >= 2 and minutes.is_integer()  # noqa: PLR2004 - "1 minutes" is no English
        return f"{minutes:g} minutes" if whole else f"{self.run_s:g} seconds"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to run one directory, until it lapses, with its fencing token."""

    tenant: TenantId
    directory: DirectoryId
    run: RunId
    token: int


@dataclass(frozen=True, slots=True)
class LastApplied:
    """What the last applied run left to recognise its like by; there is none after a hold or a decision."""

    digest: bytes
    wire_digest: bytes
    rows: int
    ignored: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that this worker holds the lease of, with all that is needed to carry it out."""

    lease: Lease
    revision: int
    domain_revision: int
    trigger: Trigger
    mode: Mode
    attempt: int
    restarts: int
    """How often the run was begun again because its revision or domains changed under it, or a worker died."""
    causes: tuple[str, ...]
    settings: DirectorySettings
    credentials: Credentials = field(repr=False)
    domains: tuple[str, ...]
    """The tenant's domains whose addresses may become recipients (lower-case A-labels)."""
    tier: Tier
    saved_at: datetime
    """When these settings were saved."""
    queued_at: datetime
    queue_s: float
    last: LastApplied | None = None
    traceparent: str | None = None
    skip: str | None = None
    """Why the run must not start (paused, plan, deleted, cancelled), or None."""
    fault: str | None = None
    """The code of what makes its stored settings unusable, or None."""


@dataclass(frozen=True, slots=True)
class ClaimedTest:
    """A test that this worker holds the lease of, with all that is needed to carry it out."""

    number: int
    """Of the command that it answers."""
    token: int
    """Who holds an older one writes nothing."""
    tenant: TenantId
    directory: DirectoryId | None
    """None: of a form that names none."""
    causes: tuple[str, ...]
    settings: DirectorySettings
    credentials: Credentials = field(repr=False)
    is_saved: bool
    """The settings are the directory's own; else a form."""
    domains: tuple[str, ...]
    """The tenant's domains (lower-case A-labels)."""
    asked_at: datetime
    queue_s: float
    traceparent: str | None = None
    fault: str | None = None
    """The code of why it is not to be carried out, or None."""
