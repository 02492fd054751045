"""What happened, in the past tense: one constructor per event, its payload named field by field.

Who sends an event adds ``epoch`` and ``sequence`` to those that are sequenced. Bulk parts of
``recipients.changed`` and ``logins.changed`` are rendered where the changes lie; the schemas hold them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from worker.domain.commands import Envelope, FieldError, Refused
from worker.domain.failures import Finding
from worker.domain.model import (
    Change,
    DirectoryId,
    Domain,
    HoldId,
    Kind,
    Mode,
    RunId,
    RunState,
    TenantId,
    Tier,
    Trigger,
)
from worker.domain.server import Detected


Payload = Mapping[str, object]
"""Values that JSON knows, besides times, enums and UUIDs."""

CHANGES_MAX_COUNT = 1_000
"""Changes in one part of ``recipients.changed``, or recipients in one of ``recipients.snapshot``, at most."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, not yet on its way. ``tenant`` is None only where a command did not say it legibly."""

    name: str
    tenant: TenantId | None
    data: Payload
    sequenced: bool = True
    """Whether it carries the tenant's epoch and next sequence."""

    @property
    def routing_key(self) -> str:
        """Return ``<name>.<tenant>``, as in ``sync.completed.tenant-17``."""
        return routing_key(self.name, self.tenant)


def routing_key(name: str, tenant: TenantId | None) -> str:
    """Return the key of an event; without a tenant it is the bare name, since any word could be a tenant."""
    return name if tenant is None else f"{name}.{tenant}"


# --- tenants and directories -------------------------------------------------


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """A tenant as it stands after a save."""

    tier: Tier
    reseller: str | None
    revision: int | None
    domains: tuple[Domain, ...]


def tenant_saved(tenant: TenantId, *, causes: Sequence[str], facts: TenantFacts) -> Event:
    """The tenant stands as told here; ``domains`` is the whole list."""
    return Event(
        "tenant.saved",
        tenant,
        {
            "causes": list(causes),
            "plan": facts.tier,
            "reseller": facts.reseller,
            "revision": facts.revision,
            "domains": [asdict(domain) for domain in facts.domains],
        },
    )


def tenant_deleted(tenant: TenantId, *, causes: Sequence[str]) -> Event:
    """Runs are stopped, secrets erased, rows hidden."""
    return Event("tenant.deleted", tenant, {"causes": list(causes)})


def directory_saved(
    tenant: TenantId,
    directory: DirectoryId,
    *,
    causes: Sequence[str],
    revision: int,
    in_force: bool,
) -> Event:
    """The form was kept as this revision; it is in force, or pending until its first complete run."""
    told = {
        "causes": list(causes),
        "directory": directory,
        "revision": revision,
        "state": "in_force" if in_force else "pending",
    }
    return Event("directory.saved", tenant, told)


def directory_deleted(
    tenant: TenantId, directory: DirectoryId, *, causes: Sequence[str], keep_by_hand: bool
) -> Event:
    """The directory is gone; its addresses leave by grace, or are kept by hand."""
    kept = "keep_by_hand" if keep_by_hand else "leave"
    return Event(
        "directory.deleted",
        tenant,
        {"causes": list(causes), "directory": directory, "recipients": kept},
    )


def directory_paused(
    tenant: TenantId, directory: DirectoryId, *, causes: Sequence[str], reason: str
) -> Event:
    """Scheduled runs stop; ``reason`` as in ``api.directory.paused_reason``."""
    told = {"causes": list(causes), "directory": directory, "reason": reason}
    return Event("directory.paused", tenant, told)


def directory_resumed(tenant: TenantId, directory: DirectoryId, *, causes: Sequence[str]) -> Event:
    """Scheduled runs go on."""
    return Event("directory.resumed", tenant, {"causes": list(causes), "directory": directory})


def directory_warning(  # noqa: PLR0913 - what, until when, in which words, for whom
    tenant: TenantId,
    directory: DirectoryId,
    *,
    code: str,
    text: str,
    at: datetime,
    notify: Sequence[str],
) -> Event:
    """Something will go wrong, or does so quietly; told once until it is over."""
    told = {"directory": directory, "code": code, "text": text, "at": at, "notify": list(notify)}
    return Event("directory.warning", tenant, told)


def directory_warning_cleared(
    tenant: TenantId, directory: DirectoryId, *, code: str, text: str, notify: Sequence[str]
) -> Event:
    """What was warned of is over; the text says why."""
    told = {"directory": directory, "code": code, "text": text, "notify": list(notify)}
    return Event("directory.warning_cleared", tenant, told)


# --- runs --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunRef:
    """Which run an event is about, and which commands it answers."""

    run: RunId
    directory: DirectoryId
    causes: tuple[str, ...]
    trigger: Trigger
    mode: Mode

    def payload(self) -> dict[str, object]:
        """Return the members that every event of a run carries."""
        return {
            "run": self.run,
            "directory": self.directory,
            "causes": list(self.causes),
            "trigger": self.trigger,
            "mode": self.mode,
        }


@dataclass(frozen=True, slots=True)
class UnmetClaim:
    """An address that an entry claims for its login and does not get."""

    address: str
    code: str
    """Of ``worker.domain.logins.ClaimCode``."""
    text: str
    mailboxes: tuple[str, ...] = ()
    """Those that show the address or whose login has it, a few of them by name."""


@dataclass(frozen=True, slots=True)
class LoginCounts:
    """What one run did to quarantine logins; a login may count under two of the first four."""

    created: int = 0
    renamed: int = 0
    deactivated: int = 0
    reactivated: int = 0
    conflicts: int = 0
    """Claims of the directory's entries that are not met, whichever run met them first."""
    unmet: tuple[UnmetClaim, ...] = ()
    """The first of these, at most 20."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run read and did, in distinct addresses (``entries`` and ``references`` apart)."""

    entries: int = 0
    references: int = 0
    addresses: int = 0
    """added + returned + unchanged."""
    added: int = 0
    returned: int = 0
    unchanged: int = 0
    missing: int = 0
    grace: int = 0
    removed: int = 0
    held: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Rejected values, counted by reason."""
    logins: LoginCounts = LoginCounts()


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where a run's time went, in seconds by step."""

    queue: float = 0.0
    connect: float = 0.0
    read: float = 0.0
    compare: float = 0.0
    record: float = 0.0


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation that comes with a result."""

    code: str
    text: str
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class HoldRef:
    """A hold and the version of its address set."""

    id: HoldId
    version: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The recorded outcome of a run."""

    attempt: int
    started_at: datetime | None
    """None if it never began."""
    finished_at: datetime
    verdict: str | None = None
    """``apply`` or ``hold``; None when there was nothing to judge."""
    reasons: tuple[Payload, ...] = ()
    """Why it is held or was cancelled: each a ``code``, a ``text`` and the figures behind it."""
    hold: HoldRef | None = None
    counts: Counts = field(default_factory=Counts)
    seconds: Seconds = field(default_factory=Seconds)
    advice: tuple[Advice, ...] = ()
    readiness: tuple[Payload, ...] = ()
    """Of each domain with catch-all, how far its list can be trusted."""
    notify: tuple[str, ...] = ()
    finding: Finding | None = None


def sync_accepted(tenant: TenantId, run: RunRef) -> Event:
    """A run is queued, or the request joined the queued one."""
    return Event("sync.accepted", tenant, run.payload(), sequenced=False)


def sync_progress(
    tenant: TenantId, run: RunRef, *, stage: str, entries: int, addresses: int
) -> Event:
    """How far a run has come; sent at a limited rate, and some may be left out."""
    told = {"stage": stage, "entries": entries, "addresses": addresses}
    return Event("sync.progress", tenant, run.payload() | told, sequenced=False)


def _run_ended(state: RunState, tenant: TenantId, run: RunRef, facts: RunFacts) -> Event:
    told: dict[str, object] = {
        "attempt": facts.attempt,
        "verdict": facts.verdict,
        "reasons": [dict(reason) for reason in facts.reasons],
        "hold": None if facts.hold is None else asdict(facts.hold),
        "counts": asdict(facts.counts),
        "seconds": asdict(facts.seconds),
        "advice": [asdict(advice) for advice in facts.advice],
        "readiness": [dict(each) for each in facts.readiness],
        "notify": list(facts.notify),
        "finding": None if facts.finding is None else finding_payload(facts.finding),
        "started_at": facts.started_at,
        "finished_at": facts.finished_at,
    }
    return Event(f"sync.{state}", tenant, run.payload() | told)


def sync_completed(tenant: TenantId, run: RunRef, facts: RunFacts) -> Event:
    """The snapshot was whole and was applied."""
    return _run_ended(RunState.COMPLETED, tenant, run, facts)


def sync_held(tenant: TenantId, run: RunRef, facts: RunFacts) -> Event:
    """The snapshot was whole; what joined was applied, what left waits for a person."""
    return _run_ended(RunState.HELD, tenant, run, facts)


def sync_previewed(tenant: TenantId, run: RunRef, facts: RunFacts) -> Event:
    """The snapshot was whole and nothing was changed."""
    return _run_ended(RunState.PREVIEWED, tenant, run, facts)


def sync_failed(tenant: TenantId, run: RunRef, facts: RunFacts) -> Event:
    """Nothing was changed; the finding says why and what to do."""
    return _run_ended(RunState.FAILED, tenant, run, facts)


def sync_cancelled(tenant: TenantId, run: RunRef, facts: RunFacts) -> Event:
    """Nothing was changed; the reasons say why it did not run to its end."""
    return _run_ended(RunState.CANCELLED, tenant, run, facts)


def finding_payload(finding: Finding) -> Payload:
    """Return a finding as messages and ``api.run`` carry it."""
    detected = None if finding.detected is None else detected_payload(finding.detected)
    commands = [{"for": each.label, "text": each.text} for each in finding.commands]
    told = asdict(replace(finding, detected=None, commands=()))
    return told | {"detected": detected, "commands": commands}


def detected_payload(detected: Detected) -> Payload:
    """Return what a server is, and what to enter for it."""
    return {
        "server": detected.server,
        "version": detected.version,
        "types": detected.types,
        "bases": detected.bases,
        "attributes": detected.attributes,
    }


def directory_tested(
    tenant: TenantId,
    directory: DirectoryId | None,
    *,
    causes: Sequence[str],
    notify: Sequence[str],
    finding: Finding,
) -> Event:
    """The doctor's answer; nothing was changed. ``directory`` is None for a form that names none."""
    told = {
        **finding_payload(finding),
        "causes": list(causes),
        "directory": directory,
        "notify": list(notify),
    }
    return Event("directory.tested", tenant, told, sequenced=False)


# --- recipients --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What became of one address."""

    address: str
    change: Change
    state: str
    """``valid``, ``grace`` or ``removed``."""
    grace_until: datetime | None = None
    kind: Kind | None = None
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One of the messages that tell one set of changes; ``run`` and ``directory`` are None for changes by hand."""

    part: int
    parts: int
    run: RunId | None = None
    directory: DirectoryId | None = None
    causes: tuple[str, ...] = ()


def recipients_changed(tenant: TenantId, part: Part, *, changes: Sequence[AddressChange]) -> Event:
    """Tell one part of a set of changes, at most 1,000 of them."""
    told = {
        "run": part.run,
        "directory": part.directory,
        "causes": list(part.causes),
        "part": part.part,
        "parts": part.parts,
        "changes": [asdict(change) for change in changes],
    }
    return Event("recipients.changed", tenant, told)


# --- what a person decided ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """What an approval did."""

    hold: HoldRef
    approved: int
    """Addresses approved, and logins whose address stays."""
    grace: int
    """Those of them that entered grace now; the others were in grace before, or nobody is removed here."""
    logins: int = 0
    """Those of them of whom only the quarantine login ended."""


def hold_approved(
    tenant: TenantId, directory: DirectoryId, *, causes: Sequence[str], facts: ApprovalFacts
) -> Event:
    """A person let the departures of a hold happen."""
    told = {"causes": list(causes), "directory": directory, **asdict(facts)}
    return Event("hold.approved", tenant, told)


def hold_discarded(
    tenant: TenantId, directory: DirectoryId, *, causes: Sequence[str], hold: HoldRef, kept: int
) -> Event:
    """A person wants nobody to leave: ``kept`` addresses stay, and nobody is told again until the set changes."""
    told = {"causes": list(causes), "directory": directory, "hold": asdict(hold), "kept": kept}
    return Event("hold.discarded", tenant, told)


@dataclass(frozen=True, slots=True)
class Sample:
    """How many addresses, and the first of them by name."""

    count: int = 0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Untouched:
    """Addresses that an undo leaves as they are, and why."""

    code: str
    text: str
    count: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UndoneLogins:
    """What an undo did to quarantine logins; the whole of it is told in ``logins.changed``."""

    reactivated: int = 0
    deactivated: int = 0
    renamed: int = 0


@dataclass(frozen=True, slots=True)
class UndoFacts:
    """What an undo did; the whole of it is told in ``recipients.changed``."""

    given_back: Sample
    leaving: Sample
    not_touched: tuple[Untouched, ...]
    logins: UndoneLogins = UndoneLogins()


def run_undone(
    tenant: TenantId, directory: DirectoryId, *, causes: Sequence[str], run: RunId, facts: UndoFacts
) -> Event:
    """What the run took is valid again; what it gave is on its way out, by guard and grace."""
    told = {"causes": list(causes), "directory": directory, "run": run, **asdict(facts)}
    return Event("run.undone", tenant, told)


# --- all directories at once -------------------------------------------------


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """How many directories were in trouble at once, within ``window_s`` seconds."""

    window_s: int
    directories: int
    """That had a run in the window."""
    failing: int
    """Of these: that failed and had not before."""
    shrinking: int
    """Of these: that were held, or showed markedly fewer addresses."""
    customers: int
    """Distinct tenants of those in trouble."""
    codes: tuple[tuple[str, int], ...] = ()
    """The findings of those that failed, the most frequent first."""


def fleet_held(since: datetime, figures: FleetFigures) -> Event:
    """Removals of all directories are held: ours is the likelier fault. For the operator, who releases."""
    told = asdict(figures) | {"since": since, "codes": dict(figures.codes)}
    return Event("fleet.held", None, told, sequenced=False)


def fleet_released(since: datetime, released_at: datetime) -> Event:
    """The operator let removals go on."""
    told = {"since": since, "released_at": released_at}
    return Event("fleet.released", None, told, sequenced=False)


# --- refusals ----------------------------------------------------------------


def command_refused(refused: Refused) -> Event:
    """A message that could not become a command."""
    return _rejected(refused.tenant, refused.id, refused.source, refused.errors)


def command_rejected(envelope: Envelope, errors: Sequence[FieldError]) -> Event:
    """A command that was understood but may not be carried out."""
    return _rejected(envelope.tenant, envelope.id, envelope.source, errors)


def _rejected(
    tenant: TenantId | None, command: str | None, source: str | None, errors: Sequence[FieldError]
) -> Event:
    told = {
        "command": command,
        "source": source,
        "causes": [] if command is None else [command],
        "errors": [asdict(error) for error in errors],
    }
    return Event("command.rejected", tenant, told, sequenced=False)
