"""Turns what the store knows of one address into sentences that a person can paste into a ticket. Decides nothing.

Each step, each reason and each thing that may happen next has one sentence, in tables; ``sentences`` puts them in order.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.domain.model import Change, DirectoryId, HoldId, Kind, RunId, TenantId
from worker.domain.reasons import Reason
from worker.domain.reconcile import Step


class State(enum.StrEnum):
    """What a look-up answers."""

    VALID = "valid"
    GRACE = "grace"
    CATCH_ALL = "catch_all"
    UNKNOWN = "unknown"
    NOT_AUTHORITATIVE = "not_authoritative"


class Via(enum.StrEnum):
    """By which way an address that was asked for is one that is known."""

    ITSELF = "itself"
    SUB_ADDRESS = "sub_address"
    ALIAS_DOMAIN = "alias_domain"
    ALIAS_DOMAIN_SUB_ADDRESS = "alias_domain_sub_address"
    POSTMASTER = "postmaster"
    CATCH_ALL = "catch_all"


class Said(enum.StrEnum):
    """What the last complete run of a directory said of an address."""

    SHOWN = "shown"
    IGNORED = "ignored"
    NOT_SHOWN = "not_shown"
    NOT_READ = "not_read"
    """There was no complete run yet."""


class Coming(enum.StrEnum):
    """What happens next to an address on its way out."""

    GRACE = "grace"
    REMOVED = "removed"
    HELD = "held"
    NEVER = "never"
    """The directory's removals are ``never``: it stays as it is."""
    FORGOTTEN = "forgotten"


class Hand(enum.StrEnum):
    """How people hold an address, besides simply until they let it go."""

    ADOPT = "adopt"
    PROTECT = "protect"


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """The domain as it bears on the address."""

    domain: str
    catch_all: bool
    alias_of: str | None
    by_hand: bool
    authoritative: bool
    added_at: datetime
    removed_at: datetime | None
    """When it was taken off the tenant."""
    restored_at: datetime | None
    """When our database was last restored from a backup."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source that holds the address or held it."""

    directory: DirectoryId | None
    """None: people, by hand."""
    deleted: bool
    """Whether the directory is."""
    hand: Hand | None
    entry: UUID | None
    kind: Kind
    primary: bool
    enabled: bool
    name: str | None
    since: datetime
    step: Step
    left_at: datetime | None
    grace_until: datetime | None
    removed_at: datetime | None
    decided: bool
    approved: bool


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The last run of a directory, if it failed after the last complete one."""

    run: RunId
    finished_at: datetime
    code: str


@dataclass(frozen=True, slots=True)
class LastRun:
    """What the last complete apply run of one directory said."""

    directory: DirectoryId
    run: RunId | None
    state: str | None
    finished_at: datetime | None
    said: Said
    reasons: tuple[Reason, ...]
    """Why it was ignored, if it was."""
    entries: int | None
    not_kept: int | None
    """How many more values the run ignored than are kept; None: none of them were."""
    failed: FailedRun | None
    paused: str | None
    next_sync_at: datetime | None


@dataclass(frozen=True, slots=True)
class NextStep:
    """What happens next with one source."""

    directory: DirectoryId | None
    what: Coming
    not_before: datetime | None
    by: str | None
    """``complete_run``, ``clock`` or ``person``."""
    hold: HoldId | None
    version: int | None
    discarded: bool
    fleet: bool
    """Whether the removals of all directories are held."""
    paused: str | None
    next_sync_at: datetime | None


@dataclass(frozen=True, slots=True)
class IgnoredValue:
    """One value that a directory's last complete run read and did not take."""

    tenant: TenantId
    directory: DirectoryId
    address: str
    reason: Reason
    entry: str
    """Its DN."""
    run: RunId
    """The first that ignored it so."""
    seen_at: datetime
    last_run: RunId
    last_run_at: datetime


@dataclass(frozen=True, slots=True)
class PastChange:
    """One change of the address in the tenant's list."""

    at: datetime
    change: Change
    directory: DirectoryId | None
    run: RunId | None
    by_command: bool


@dataclass(frozen=True, slots=True)
class Why:
    """All that is known of one address."""

    asked: str
    tenant: TenantId | None
    """Whose its domain is, or was last."""
    address: str
    """The one that the one asked for was found as."""
    state: State
    via: Via | None
    since: datetime | None
    domain: DomainFacts | None
    sources: tuple[Source, ...]
    last_run: tuple[LastRun, ...]
    next: tuple[NextStep, ...]
    ignored: tuple[IgnoredValue, ...]
    history: tuple[PastChange, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether somebody stands behind the address: valid, on its way out, or taken by a catch-all domain."""
        return self.state in {State.VALID, State.GRACE, State.CATCH_ALL}

    @property
    def is_address(self) -> bool:
        """Whether what was asked for could be one at all."""
        return "@" in self.address or self.via is Via.POSTMASTER

    @property
    def is_known(self) -> bool:
        """Whether anything is to be said of it: a source holds it or held it, or a run read it."""
        return bool(self.sources or self.ignored or self.via)


# --- the tables ---------------------------------------------------------------

REASONS: Mapping[Reason, str] = {
    Reason.OTHER_TYPE: "it is an address of another sort (such as X500 or SIP), not a mail address",
    Reason.NO_TYPE: "it stands without smtp: where the directory marks its mail addresses with it",
    Reason.MALFORMED: "it is no mail address as it stands",
    Reason.CATCH_ALL: "it is a domain alone; whether a domain takes everything is set with the domain",
    Reason.OTHER_DOMAIN: "its domain was none of the tenant's",
    Reason.LEFT_OUT: "leave_out in the directory's settings matches it",
    Reason.SYSTEM: "its entry is a mailbox that the mail system made for itself",
    Reason.KIND: "its entry is of a kind that the directory's settings do not include",
    Reason.NO_MAIL: "the directory's own mail server takes no mail for its entry",
    Reason.NO_ADDRESS: "its entry has no address at all",
}
"""Why a run did not take a value: after "left it out because"."""

VIAS: Mapping[Via, str] = {
    Via.ITSELF: "{address}",
    Via.SUB_ADDRESS: "{asked} is a sub-address of {address}, which",
    Via.ALIAS_DOMAIN: "{asked} is {address} in an alias domain, which",
    Via.ALIAS_DOMAIN_SUB_ADDRESS: "{asked} is a sub-address of {address} in an alias domain, which",
    Via.POSTMASTER: "{address}",
    Via.CATCH_ALL: "{asked}",
}
"""How a sentence about an address begins."""

STATES: Mapping[State, str] = {
    State.VALID: "is valid{since}.",
    State.GRACE: "is in grace{since}: its mail is put off (450), not refused.",
    State.CATCH_ALL: "is accepted because its domain {domain} is a catch-all: it takes every address.",
    State.UNKNOWN: "is unknown{since}: no source holds it, and its mail is refused (550).",
    State.NOT_AUTHORITATIVE: "is not refused: Rollcall may not call it unknown.",
}
"""What a look-up answers, said."""

NO_ADDRESS = "{asked} is no mail address."

POSTMASTER = "Mail to postmaster is always accepted (RFC 5321 section 4.5.1)."

HANDS: Mapping[Hand | None, str] = {
    None: "It is held by hand since {since}, until a person lets it go.",
    Hand.ADOPT: "It is held by hand since {since}, until a directory shows it too.",
    Hand.PROTECT: "It is held by hand since {since} and protected: no run removes it.",
}
"""A source by hand that stands."""

STEPS: Mapping[Step, str] = {
    Step.PRESENT: "Directory {directory} holds it since {since}: entry {entry}{details}.",
    Step.MISSING: "It is missing from {directory} since {left_at}; until its grace begins it is valid.",
    Step.GRACE: "It left {directory} ({left_at}); its grace ends {grace_until}.",
    Step.REMOVED: "It left {directory} ({left_at}) and was removed {removed_at}.",
}
"""A directory as a source, by how far the address is on its way out of it."""

DECIDED: Mapping[Step, str] = {
    Step.GRACE: "A decision took it off ({from_}, {left_at}); its grace ends {grace_until}.",
    Step.REMOVED: "A decision took it off ({from_}, {left_at}); it was removed {removed_at}.",
}
"""The same after a person's decision about the address, its domain or its directory."""

ADOPTED = "It was held by hand until a directory took it over ({removed_at})."

SAYINGS: Mapping[Said, str] = {
    Said.SHOWN: "The last complete run of {directory} ({run}, {finished_at}) showed it.",
    Said.IGNORED: "The last complete run of {directory} ({run}, {finished_at}) read it and left it out.",
    Said.NOT_SHOWN: "The last complete run of {directory} ({run}, {finished_at}) read {entries} entries and did not show it.",
    Said.NOT_READ: "Directory {directory} has had no complete run yet.",
}
"""What the last complete run said."""

LOOK_THERE = (
    "If it should be there: does its entry lie below the search bases, does the filter match it, "
    "and is the address in one of the attributes that are read?"
)
NOT_KEPT = "That run ignored {count} more values than are kept, so it may be among them."
NONE_KEPT = "What that run ignored was not kept; the next complete run keeps it."
FAILED = "A later run of {directory} failed ({finished_at}, {code}); what it held stays as it is."
PAUSED = "Scheduled runs of {directory} are paused: {paused}."

COMINGS: Mapping[Coming, str] = {
    Coming.GRACE: "It enters grace with the first complete run of {directory} that begins after {not_before} and does not show it, unless the run is held.",
    Coming.REMOVED: "It is removed by the first complete run of {directory} that begins after {not_before} and does not show it, unless the run is held.",
    Coming.HELD: "It stays as it is: hold {hold} (version {version}) of {directory} waits for a person.",
    Coming.NEVER: "It stays as it is: removals of {directory} are set to never.",
    Coming.FORGOTTEN: "If it comes back before {not_before}, it comes back with its history; then it is forgotten.",
}
"""What happens next."""

BY_THE_CLOCK = "It is removed when its grace ends ({not_before}), without another run."
APPROVED = "A person approved that it goes: no hold stops it."
DISCARDED = (
    "The hold was discarded: nothing leaves, and nobody is told again until its addresses change."
)
FLEET_HELD = "It stays as it is: removals of all directories are held until the operator releases them (many directories failed or shrank at once)."
NEXT_SYNC = "The next scheduled run of {directory} is due {next_sync_at}."

IGNORED = "Directory {directory}{of_tenant} has {address} in entry {entry}; it is left out because {reason} (first by run {run}, {seen_at})."
OURS_SINCE = (
    "The domain is the tenant's since {added_at}: the next complete run of {directory} takes it."
)

NO_DOMAIN = "Its domain belongs to no tenant."
TAKEN_OFF = "Its domain {domain} was taken off tenant {tenant} ({removed_at})."
NOT_YET = (
    "Its domain {domain} is {tenant}'s since {added_at}; an address there is called unknown only once "
    "somebody is valid in it and every directory in force had an applied complete run that began after that."
)

RESTORED = (
    "The database was restored from a backup ({restored_at}); an address in {domain} is called unknown again "
    "only once every directory in force had an applied complete run that began after that, or, by hand, once "
    "the tenant was saved with its domains."
)


# --- the sentences ------------------------------------------------------------


def sentences(why: Why) -> list[str]:
    """Return what is to be said of an address, in order; each sentence stands by itself."""
    return [
        *_headline(why),
        *map(_source, why.sources),
        *_runs(why),
        *_nexts(why),
        *_ignored(why),
    ]


def moment(at: datetime | None) -> str:
    """Return a time as people write it into a ticket."""
    return "at an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _headline(why: Why) -> Iterator[str]:
    if not why.is_address:
        yield NO_ADDRESS.format(asked=why.asked)
        return
    begin = VIAS[why.via or Via.ITSELF].format(asked=why.asked, address=why.address)
    since = f" since {moment(why.since)}" if why.since else ""
    domain = why.domain.domain if why.domain else ""
    yield f"{begin} {STATES[why.state].format(since=since, domain=domain)}"
    if why.via is Via.POSTMASTER:
        yield POSTMASTER
    if why.state is State.NOT_AUTHORITATIVE:
        yield _why_not_authoritative(why)


def _why_not_authoritative(why: Why) -> str:
    domain = why.domain
    if domain is None:
        return NO_DOMAIN
    if domain.removed_at is not None:
        return TAKEN_OFF.format(
            domain=domain.domain, tenant=why.tenant, removed_at=moment(domain.removed_at)
        )
    if domain.restored_at is not None and domain.restored_at >= domain.added_at:
        return RESTORED.format(domain=domain.domain, restored_at=moment(domain.restored_at))
    return NOT_YET.format(domain=domain.domain, tenant=why.tenant, added_at=moment(domain.added_at))


def _source(source: Source) -> str:
    from_ = "by hand" if source.directory is None else f"directory {source.directory}"
    values = {
        "directory": source.directory or "by hand",
        "from_": from_ + (", deleted since" if source.deleted else ""),
        "since": moment(source.since),
        "entry": source.entry,
        "details": _details(source),
        "left_at": moment(source.left_at),
        "grace_until": moment(source.grace_until),
        "removed_at": moment(source.removed_at),
    }
    return _template(source).format(**values)


def _template(source: Source) -> str:
    if source.decided and source.step in DECIDED:
        return DECIDED[source.step]
    if source.directory is not None:
        return STEPS[source.step]
    return HANDS[source.hand] if source.step is Step.PRESENT else ADOPTED


def _details(source: Source) -> str:
    told = [
        source.kind.value.replace("_", " "),
        "its primary address" if source.primary else "",
        "" if source.enabled else "disabled",
        source.name or "",
    ]
    return f" ({', '.join(filter(None, told))})"


def _runs(why: Why) -> Iterator[str]:
    for last in why.last_run:
        values = {
            "directory": last.directory,
            "run": last.run,
            "finished_at": moment(last.finished_at),
            "entries": last.entries,
            "paused": last.paused,
        }
        yield SAYINGS[last.said].format(**values)
        if last.said is Said.NOT_SHOWN and not why.is_accepted:
            yield from _if_not_shown(why, last)
        if last.failed is not None:
            yield FAILED.format(
                directory=last.directory,
                finished_at=moment(last.failed.finished_at),
                code=last.failed.code,
            )
        if last.paused is not None:
            yield PAUSED.format(**values)


def _if_not_shown(why: Why, last: LastRun) -> Iterator[str]:
    if not why.sources:
        yield LOOK_THERE
    if last.not_kept is None:
        yield NONE_KEPT
    elif last.not_kept:
        yield NOT_KEPT.format(count=last.not_kept)


def _nexts(why: Why) -> Iterator[str]:
    approved = {source.directory for source in why.sources if source.approved}
    for step in why.next:
        values = {
            "directory": step.directory or "by hand",
            "not_before": moment(step.not_before),
            "hold": step.hold,
            "version": step.version,
            "next_sync_at": moment(step.next_sync_at),
        }
        yield _coming(step).format(**values)
        if step.discarded:
            yield DISCARDED
        if step.directory in approved and step.by == "complete_run":
            yield APPROVED
        if step.next_sync_at is not None and step.by == "complete_run":
            yield NEXT_SYNC.format(**values)


def _coming(step: NextStep) -> str:
    if step.fleet:
        return FLEET_HELD
    if step.what is Coming.REMOVED and step.by == "clock":
        return BY_THE_CLOCK
    return COMINGS[step.what]


def _ignored(why: Why) -> Iterator[str]:
    for value in why.ignored:
        of_tenant = "" if value.tenant == why.tenant else f" of tenant {value.tenant}"
        yield IGNORED.format(
            run=value.run,
            directory=value.directory,
            of_tenant=of_tenant,
            seen_at=moment(value.seen_at),
            address=value.address,
            entry=value.entry,
            reason=REASONS[value.reason],
        )
        domain = why.domain
        if (
            value.reason is Reason.OTHER_DOMAIN
            and value.tenant == why.tenant
            and domain is not None
            and domain.removed_at is None
        ):
            yield OURS_SINCE.format(added_at=moment(domain.added_at), directory=value.directory)
