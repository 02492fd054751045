"""The ``data`` of every event, as a receiver may rely on it: the schemas are made from here, the tests hold events to it.

Nothing undeclared is sent, so each model forbids what it does not name; the published schemas leave room, since a
later minor version may add members.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from worker.codec.fields import Id
from worker.domain.events import CHANGES_MAX_COUNT
from worker.domain.failures import Retry, Stage, StageState
from worker.domain.guard import SAMPLE
from worker.domain.logins import ADDRESSES_MAX_COUNT, MAILBOXES_TOLD, ClaimCode
from worker.domain.model import (
    Change,
    Kind,
    LoginChange,
    LoginReason,
    LoginRole,
    LoginState,
    Mode,
    Tier,
    Trigger,
)
from worker.domain.server import ServerType
from worker.domain.survey import PortState, Speech


Count = Annotated[int, Field(ge=0)]
Duration = Annotated[float, Field(ge=0, description="Seconds.")]
Causes = Annotated[tuple[str, ...], Field(description="The ids of the commands this answers.")]


class Payload(BaseModel):
    """What every outbound model shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sequenced(Payload):
    """A state event: each carries the tenant's next number, without gaps within an epoch."""

    epoch: Annotated[int, Field(ge=1, description="Grows when the tenant's numbering starts anew.")]
    sequence: Annotated[
        int, Field(ge=1, description="The tenant's next number; ignore one seen already.")
    ]


class Answering(Sequenced):
    """A state event that answers commands."""

    causes: Causes


# --- tenants and directories -------------------------------------------------


class DomainFacts(Payload):
    """One mail domain."""

    name: str
    catch_all: bool
    delimiter: str | None
    alias_of: str | None
    by_hand: bool


class TenantSaved(Answering):
    """The tenant stands as told here; ``domains`` is the whole list."""

    plan: Tier
    reseller: str | None
    revision: int | None
    domains: tuple[DomainFacts, ...]


class TenantDeleted(Answering):
    """Runs are stopped, secrets erased, rows hidden."""


class DirectorySaved(Answering):
    """The form was kept; a pending revision comes into force with its first complete run."""

    directory: Id
    revision: Count
    state: Literal["pending", "in_force"]


class DirectoryDeleted(Answering):
    """The directory is gone; its addresses leave by grace, or are kept by hand."""

    directory: Id
    recipients: Literal["leave", "keep_by_hand"]


class DirectoryPaused(Answering):
    """Scheduled runs stop."""

    directory: Id
    reason: Annotated[str, Field(description="Why, as `api.directory` says it.")]


class DirectoryResumed(Answering):
    """Scheduled runs go on."""

    directory: Id


class DirectoryWarning(Sequenced):
    """Something will go wrong, or does so quietly; told once until it is over."""

    directory: Id
    code: Annotated[
        str, Field(description="`certificate_expiring`, `password_expiring`, `not_synced`.")
    ]
    text: str
    at: Annotated[
        datetime, Field(description="Until when it is valid, or since when nothing succeeded.")
    ]
    notify: Annotated[tuple[str, ...], Field(description="Who is to be mailed, by the platform.")]


class DirectoryWarningCleared(Sequenced):
    """What was warned of is over."""

    directory: Id
    code: str
    text: Annotated[str, Field(description="Why it is over, for a person.")]
    notify: Annotated[tuple[str, ...], Field(description="Who is to be mailed, by the platform.")]


# --- runs --------------------------------------------------------------------


class RunMembers(Payload):
    """Which run, and which commands it answers."""

    run: UUID
    directory: Id
    causes: Causes
    trigger: Trigger
    mode: Mode


class SyncAccepted(RunMembers):
    """A run is queued, or the request joined the queued one."""


class SyncProgress(RunMembers):
    """How far a run has come; some may be left out, and the order is not promised."""

    stage: str
    entries: Count
    addresses: Count


class UnmetFacts(Payload):
    """An address that an entry claims for its login and does not get."""

    address: str
    code: ClaimCode
    text: str
    mailboxes: Annotated[
        tuple[str, ...],
        Field(
            max_length=MAILBOXES_TOLD,
            description="Those that show the address or whose login has it: each by its name and its login's user name.",
        ),
    ] = ()


class LoginCountsFacts(Payload):
    """What a run did to quarantine logins; all zero where there are none."""

    created: Count
    renamed: Count
    deactivated: Count
    reactivated: Count
    conflicts: Annotated[Count, Field(description="Claims of entries that are not met.")]
    unmet: Annotated[
        tuple[UnmetFacts, ...],
        Field(
            max_length=SAMPLE,
            description="The first of these; an address that several claim is there once.",
        ),
    ]


class CountsFacts(Payload):
    """What a run read and did; ``addresses`` = added + returned + unchanged."""

    entries: Count
    references: Count
    addresses: Count
    added: Count
    returned: Count
    unchanged: Count
    missing: Count
    grace: Count
    removed: Count
    held: Count
    ignored: Annotated[Mapping[str, Count], Field(description="Rejected values by reason.")]
    logins: LoginCountsFacts | None = None


class SecondsFacts(Payload):
    """Where the time went."""

    queue: Duration
    connect: Duration
    read: Duration
    compare: Duration
    record: Duration


class HoldFacts(Payload):
    """A hold and the version of its address set: what an approval names."""

    id: UUID
    version: Annotated[int, Field(ge=1)]


class Reason(BaseModel):
    """Why a run is held or was cancelled, with the figures behind it as further members."""

    model_config = ConfigDict(frozen=True, extra="allow")

    code: str
    text: str


class AdviceFacts(Payload):
    """A recommendation."""

    code: str
    text: str
    domain: str | None


class ReadinessFacts(Payload):
    """How far the list of a domain with catch-all can be trusted."""

    domain: str
    complete_runs: Annotated[int, Field(ge=0, description="In a row, of every directory.")]
    stable_since: Annotated[
        datetime, Field(description="When much of the list changed at once the last time.")
    ]
    addresses: Count
    kinds: Annotated[Mapping[Kind, Count], Field(description="The same by kind.")]
    automatic: Annotated[bool, Field(description="Every directory is synced by itself.")]


class StageFacts(Payload):
    """One of the doctor's stages."""

    stage: Stage
    state: StageState
    milliseconds: Count
    detail: str


class DetectedFacts(Payload):
    """What the server is, and what to enter for it."""

    server: ServerType
    version: Annotated[str, Field(description="In words; empty when the server does not tell.")]
    types: Annotated[
        tuple[str, ...], Field(description="Types of directory that may fit, the best first.")
    ]
    bases: Annotated[
        tuple[str, ...],
        Field(description="Where that type searches; several: one has to be chosen."),
    ]
    attributes: Annotated[
        tuple[str, ...], Field(description="Where that type finds addresses on this server.")
    ]


class CertificateFacts(Payload):
    """A server's certificate as it was shown, whether or not it can be trusted."""

    fingerprint: Annotated[
        str,
        Field(
            pattern="^sha256:[0-9a-f]{64}$",
            description="Over its DER form; may be pinned as `trust.fingerprint`.",
        ),
    ]
    subject: str
    names: Annotated[tuple[str, ...], Field(description="What it is for; at most ten.")]
    issuer: str
    valid_from: datetime | None
    valid_until: datetime | None
    self_signed: bool
    chain_length: Annotated[Count | None, Field(description="Certificates that were sent.")]
    key: Annotated[str, Field(description="Such as `RSA 2048`; empty if it is of no known kind.")]


class EncryptionFacts(Payload):
    """What a TLS handshake came to."""

    check: Annotated[
        str,
        Field(description="`ok`, or the code of what is wrong by the directory's own settings."),
    ]
    version: Annotated[str, Field(description="The best that both sides know, as `TLS 1.3`.")]
    versions: Annotated[
        Mapping[str, bool | None],
        Field(description="Whether each is offered, asked of one port a server; null: not known."),
    ]
    certificate: Annotated[
        str, Field(description="The fingerprint of the one shown; empty if none was.")
    ]


class PortFacts(Payload):
    """One port of one address."""

    port: Annotated[int, Field(ge=1, le=65535)]
    state: PortState
    milliseconds: Count
    configured: Annotated[bool, Field(description="False: a usual port, tried as well.")]
    speaks: Annotated[Speech | None, Field(description="Null if the port is not open.")]
    starttls: Annotated[
        bool | None, Field(description="Whether StartTLS is offered; null unless it speaks LDAP.")
    ]
    tls: EncryptionFacts | None
    suits: Annotated[bool, Field(description="Whether it does what the settings want.")]


class AddressSeenFacts(Payload):
    """One address of a server's name."""

    address: str
    forbidden: Annotated[str, Field(description="Why it is not dialled; empty if it is.")]
    ports: tuple[PortFacts, ...]


class ServerFacts(Payload):
    """One server of the list, as a look around without signing in saw it."""

    server: Annotated[str, Field(description="`host:port`.")]
    name: Annotated[str, Field(description="`ok`, or the code of what became of the name.")]
    milliseconds: Count
    addresses: tuple[AddressSeenFacts, ...]
    more_addresses: Annotated[Count, Field(description="Of the same name, not looked at.")]
    certificates: Annotated[
        tuple[CertificateFacts, ...], Field(description="Each once; at most four.")
    ]


class CommandFacts(Payload):
    """Lines to copy."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    label: Annotated[
        str, Field(alias="for", description="Whom they are for, such as `OpenLDAP, on the server`.")
    ]
    text: str


class CautionFacts(Payload):
    """Something that works and might be better."""

    code: str
    text: str


class ReportFacts(Payload):
    """What a test that found nothing wrong has to tell."""

    server: str
    server_type: str
    server_name: str
    bases: tuple[str, ...]
    entries: Count
    addresses: Count
    kinds: Mapping[str, Count]
    domains: Annotated[Mapping[str, Count], Field(description="The customer's, with addresses.")]
    other_domains: Annotated[Mapping[str, Count], Field(description="Found, not the customer's.")]
    first_addresses: tuple[str, ...]
    references: Annotated[Count, Field(description="To other servers, not followed.")]
    certificate_until: datetime | None
    entries_per_second: Count
    page_milliseconds: Annotated[Count, Field(description="Of the slowest page.")]
    warnings: tuple[CautionFacts, ...]


class FindingFacts(Payload):
    """What went wrong, in plain words, and what to do."""

    code: str
    stage: Stage
    headline: str
    seen: str
    checks: tuple[str, ...]
    fix: str
    retry: Retry
    ldapsearch: Annotated[
        str, Field(description="A command to try by hand; its password is a variable.")
    ]
    stages: tuple[StageFacts, ...]
    detected: Annotated[
        DetectedFacts | None,
        Field(description="Null where nobody came as far as asking the server."),
    ] = None
    servers: Annotated[
        tuple[ServerFacts, ...],
        Field(description="What a look around saw; empty if nobody looked."),
    ]
    commands: Annotated[tuple[CommandFacts, ...], Field(description="Lines to copy.")]
    report: Annotated[ReportFacts | None, Field(description="Only with the code `ok`.")]


class DirectoryTested(FindingFacts):
    """What the doctor found, code ``ok`` when all is well. Outside the tenant's order; nothing was changed."""

    causes: Causes
    directory: Annotated[
        Id | None, Field(description="The directory named in the request; null for a form alone.")
    ]
    notify: Annotated[tuple[str, ...], Field(description="Who is named in the settings tested.")]


class RunEnded(RunMembers, Sequenced):
    """The outcome of a run; exactly one is sent of each."""

    attempt: Annotated[int, Field(ge=0)]
    verdict: Literal["apply", "hold"] | None
    reasons: tuple[Reason, ...]
    hold: HoldFacts | None
    counts: CountsFacts
    seconds: SecondsFacts
    advice: tuple[AdviceFacts, ...]
    readiness: Annotated[
        tuple[ReadinessFacts, ...],
        Field(description="Of each domain that accepts everything, until it need not any more."),
    ]
    notify: Annotated[tuple[str, ...], Field(description="Who is to be mailed, by the platform.")]
    finding: FindingFacts | None
    started_at: datetime | None
    finished_at: datetime


class SyncCompleted(RunEnded):
    """The snapshot was whole and was applied."""


class SyncHeld(RunEnded):
    """What joined was applied; what left waits for a person."""


class SyncPreviewed(RunEnded):
    """Nothing was changed; the counts say what would be."""


class SyncFailed(RunEnded):
    """Nothing was changed; the finding says why."""


class SyncCancelled(RunEnded):
    """Nothing was changed; the reasons say why it did not run to its end."""


# --- recipients --------------------------------------------------------------


class AddressFacts(Payload):
    """What became of one address, as the tenant's list as a whole sees it."""

    address: str
    change: Change
    state: Literal["valid", "grace", "removed"]
    grace_until: datetime | None
    kind: Kind | None
    primary: bool


class RecipientsChanged(Sequenced):
    """One part of a set of changes; ``run`` and ``directory`` are null for changes by hand."""

    run: UUID | None
    directory: Id | None
    causes: Causes = ()
    part: Annotated[int, Field(ge=1)]
    parts: Annotated[int, Field(ge=1)]
    changes: Annotated[tuple[AddressFacts, ...], Field(max_length=CHANGES_MAX_COUNT)]


class RecipientFacts(Payload):
    """One address of the list."""

    address: str
    state: Literal["valid", "grace"]
    grace_until: datetime | None
    kind: Kind
    primary: bool


class RecipientsSnapshot(Answering):
    """One part of the whole list. The parts follow one another in the sequence, nothing between them."""

    part: Annotated[int, Field(ge=1)]
    parts: Annotated[int, Field(ge=1)]
    true_for: Annotated[
        int,
        Field(ge=0, description="The list is what it was after the event of this sequence."),
    ]
    count: Annotated[Count, Field(description="Recipients in all parts.")]
    checksum: Annotated[
        str,
        Field(
            pattern="^sha256:[0-9a-f]{64}$",
            description="SHA-256 over all recipients in the order of their addresses' UTF-8 bytes, which is the order "
            "of the parts: each its address, a space, its state and a line feed.",
        ),
    ]
    recipients: Annotated[tuple[RecipientFacts, ...], Field(max_length=CHANGES_MAX_COUNT)]


# --- quarantine logins -------------------------------------------------------


class LoginFacts(Payload):
    """A quarantine login as it stands now: take it whole, whatever the change is called."""

    login: Annotated[UUID, Field(description="Its own for ever, whatever it is called.")]
    directory: Annotated[Id | None, Field(description="Null: it stays by hand from now on.")]
    change: LoginChange
    username: str
    was: Annotated[str | None, Field(description="Its user name before, if that changed.")]
    addresses: Annotated[
        tuple[str, ...],
        Field(max_length=ADDRESSES_MAX_COUNT, description="All that lead to it now, in order."),
    ]
    role: LoginRole
    state: LoginState
    reason: Annotated[LoginReason | None, Field(description="Why it is not active.")]


class LoginsChanged(Sequenced):
    """One part of what became of quarantine logins; ``run`` is null where a person's command did it."""

    run: UUID | None
    directory: Id | None
    causes: Causes = ()
    part: Annotated[int, Field(ge=1)]
    parts: Annotated[int, Field(ge=1)]
    changes: Annotated[tuple[LoginFacts, ...], Field(max_length=CHANGES_MAX_COUNT)]


# --- what a person decided ---------------------------------------------------


class HoldApproved(Answering):
    """The departures of a hold happen: those approved leave, by grace."""

    directory: Id
    hold: HoldFacts
    approved: Annotated[
        Count, Field(description="Addresses approved, and logins whose address stays.")
    ]
    grace: Annotated[Count, Field(description="Those of them that entered grace now.")]
    logins: Annotated[
        Count, Field(description="Those of them of whom only the quarantine login ended.")
    ] = 0


class HoldDiscarded(Answering):
    """Nobody leaves, and nobody is told again until the set of addresses changes."""

    directory: Id
    hold: HoldFacts
    kept: Annotated[Count, Field(description="Addresses that stay.")]


class SampleFacts(Payload):
    """How many addresses, and up to 20 of them."""

    count: Count
    addresses: Annotated[tuple[str, ...], Field(max_length=SAMPLE)]


class UntouchedFacts(SampleFacts):
    """Addresses left as they are, and why."""

    code: str
    text: str


class UndoneLoginsFacts(Payload):
    """What the undo did to quarantine logins."""

    reactivated: Count
    deactivated: Count
    renamed: Count


class RunUndone(Answering):
    """What the run took is valid again; what it gave leaves through guard and grace. Automatic syncs pause."""

    directory: Id
    run: UUID
    given_back: SampleFacts
    leaving: SampleFacts
    not_touched: tuple[UntouchedFacts, ...]
    logins: UndoneLoginsFacts | None = None


# --- all directories at once -------------------------------------------------


class FleetHeld(Payload):
    """Many directories are in trouble at once: removals of all are held until the operator releases them."""

    since: datetime
    window_s: Annotated[Count, Field(description="Seconds that were looked at.")]
    directories: Annotated[Count, Field(description="That had a run in the window.")]
    failing: Annotated[Count, Field(description="That failed and had not before.")]
    shrinking: Annotated[
        Count, Field(description="That were held or showed markedly fewer addresses.")
    ]
    customers: Annotated[Count, Field(description="Distinct tenants of those in trouble.")]
    codes: Annotated[
        Mapping[str, Count], Field(description="Findings of those that failed, with their number.")
    ]


class FleetReleased(Payload):
    """The operator let removals go on."""

    since: datetime
    released_at: datetime


# --- refusals ----------------------------------------------------------------


class ErrorFacts(Payload):
    """One thing wrong with a command, and what to enter instead."""

    field: str
    code: str
    message: str


class CommandRejected(Payload):
    """A command was not carried out; ``command`` is its id, null if it could not be read."""

    command: str | None
    source: str | None
    causes: Causes
    errors: Annotated[tuple[ErrorFacts, ...], Field(min_length=1)]


PAYLOADS: Mapping[str, type[Payload]] = {
    "tenant.saved": TenantSaved,
    "tenant.deleted": TenantDeleted,
    "directory.saved": DirectorySaved,
    "directory.deleted": DirectoryDeleted,
    "directory.paused": DirectoryPaused,
    "directory.resumed": DirectoryResumed,
    "directory.warning": DirectoryWarning,
    "directory.warning_cleared": DirectoryWarningCleared,
    "directory.tested": DirectoryTested,
    "sync.accepted": SyncAccepted,
    "sync.progress": SyncProgress,
    "sync.completed": SyncCompleted,
    "sync.held": SyncHeld,
    "sync.previewed": SyncPreviewed,
    "sync.failed": SyncFailed,
    "sync.cancelled": SyncCancelled,
    "recipients.changed": RecipientsChanged,
    "recipients.snapshot": RecipientsSnapshot,
    "logins.changed": LoginsChanged,
    "hold.approved": HoldApproved,
    "hold.discarded": HoldDiscarded,
    "run.undone": RunUndone,
    "fleet.held": FleetHeld,
    "fleet.released": FleetReleased,
    "command.rejected": CommandRejected,
}
"""The events sent, by name."""

OF_NO_TENANT = frozenset({"fleet.held", "fleet.released"})
"""Events for the operator: without a subject, their routing key is their bare name."""
