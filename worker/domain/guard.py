"""Decides whether a finished listing may change recipients. Never sees a row, only counts.

The rules are a table (``RULES``), from which the documentation is made; what none of them holds is one as well
(``PASSES``). Each rule looks at the evidence and gives what it found, with its figures, or nothing.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from worker.domain.model import RemovalPolicy, Removals


WINDOW_DAYS = 7
"""Departures of this many days count together, so that slow bleeding trips the same limits."""

SAMPLE = 20
"""How many of the addresses concerned a reason names."""


@dataclass(frozen=True, slots=True)
class DomainCount:
    """The figures of one mail domain.

    ``recipients``: valid now in the whole tenant. ``leaving``: not present any more in this snapshot, held by
    no other source, neither decided nor approved by a person; and who would lose a quarantine login, each person
    once. ``left``: gone during the window before.
    """

    domain: str
    recipients: int
    leaving: int
    left: int
    sample: tuple[str, ...] = ()
    """The first of the addresses that leave, at most ``SAMPLE``."""
    lingering: int = 0
    """In grace for longer than the window: no part of a share any more, and still to be removed."""
    logins: int = 0
    """Of ``leaving``: those who keep their address and would lose their quarantine login."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What directories deleted during the window held, seen by the first run of a new one."""

    held: int
    """Distinct addresses that left by the deletion, in domains that the tenant still has."""
    missing: int
    """Those that neither this snapshot nor any other source shows."""
    sample: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discarded:
    """What a person wanted to keep when a hold was discarded, as far as it is still absent."""

    kept: int = 0
    sample: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the guard may know of a complete run."""

    addresses: int
    """Distinct addresses in the snapshot."""
    applied_addresses: int | None
    """The same of the last applied run; None if there was none."""
    domains: tuple[DomainCount, ...]
    """Only domains that something leaves, left during the window, or has yet to leave."""
    scope_changed: bool
    canaries_missing: tuple[str, ...]
    """Not found, and no person has accepted that they are gone."""
    replaced: Replaced = Replaced(0, 0)
    """Nothing, once the directory had an applied run."""
    discarded: Discarded = Discarded()
    fleet_is_held: bool = False
    """Many directories are in trouble at once, and the operator has not released removals yet."""

    @property
    def leaving(self) -> int:
        """How many addresses leave the tenant's list, as the limits count."""
        return sum(count.leaving for count in self.domains)

    @property
    def waiting(self) -> int:
        """How many would leave it if nothing held them, however long they have been in grace."""
        return self.leaving + sum(count.lingering for count in self.domains)

    @property
    def logins(self) -> int:
        """How many of those who leave would only lose their quarantine login."""
        return sum(count.logins for count in self.domains)

    @property
    def sample(self) -> tuple[str, ...]:
        """The first of all that leave."""
        return tuple(address for count in self.domains for address in count.sample)[:SAMPLE]


Figures = tuple[tuple[str, str | int | float], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What one rule found: words, the figures behind them, and the first of the addresses concerned."""

    text: str
    figures: Figures
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is held, with the figures behind it."""

    code: str
    text: str
    figures: Figures
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """The guard's verdict: hold if there is any reason, else apply."""

    reasons: tuple[Reason, ...] = ()

    @property
    def is_hold(self) -> bool:
        """Whether departures wait for a person."""
        return bool(self.reasons)


ONLY_LOGINS = (
    "disabled, is of a kind that gets no login, or is another one than the login was made for"
)
"""Why a login ends although its address stays: after "the mailbox is"."""


def some(count: int, one: str, more: str) -> str:
    """Return a number with what it counts."""
    return f"{count} {one if count == 1 else more}"


def _of_logins(count: int) -> str:
    if not count:
        return ""
    who, keep = ("its", "keeps") if count == 1 else ("their", "keep")
    return (
        f" Counted with them: {count} who would only lose {who} quarantine login and {keep} "
        f"{who} address, since {who} mailbox is {ONLY_LOGINS}."
    )


def _would(count: DomainCount) -> str:
    """Say what becomes of those that are counted: what left before may be of either sort."""
    if not count.logins:
        return "be gone"
    if count.logins == count.leaving + count.left:
        return "lose the quarantine login"
    return "be gone or lose the quarantine login"


def _domain_share(evidence: Evidence, removals: Removals) -> list[Found]:
    return [
        Found(
            f"{gone} of {total} addresses of {count.domain} would {_would(count)} within {WINDOW_DAYS} days; "
            f"allowed are {removals.min_count} or {removals.max_share:.0%}.{_of_logins(count.logins)}",
            (
                ("domain", count.domain),
                ("gone", gone),
                ("of", total),
                ("max_share", removals.max_share),
            ),
            count.sample,
        )
        for count in evidence.domains
        if count.leaving
        and (gone := count.leaving + count.left) > removals.min_count
        and gone > removals.max_share * (total := count.recipients + count.left)
    ]


def _domain_half(evidence: Evidence, _: Removals) -> list[Found]:
    return [
        Found(
            f"{gone} of {total} addresses of {count.domain} would {_would(count)}: more than half.{_of_logins(count.logins)}",
            (("domain", count.domain), ("gone", gone), ("of", total)),
            count.sample,
        )
        for count in evidence.domains
        if count.leaving
        and (gone := count.leaving + count.left) >= 2  # noqa: PLR2004 - design: "two or more"
        and gone * 2 > (total := count.recipients + count.left)
    ]


def _total_count(evidence: Evidence, removals: Removals) -> list[Found]:
    gone = sum(count.leaving + count.left for count in evidence.domains)
    if not evidence.leaving or gone <= removals.max_count:
        return []
    what = "be gone or lose the quarantine login" if evidence.logins else "be gone"
    text = (
        f"{some(gone, 'address', 'addresses')} would {what} within {WINDOW_DAYS} days; "
        f"allowed are {removals.max_count}.{_of_logins(evidence.logins)}"
    )
    return [Found(text, (("gone", gone), ("max_count", removals.max_count)), evidence.sample)]


def _half_size(evidence: Evidence, _: Removals) -> list[Found]:
    before = evidence.applied_addresses
    if before is None or evidence.addresses * 2 >= before:
        return []
    text = (
        f"The directory shows {evidence.addresses} addresses; the last applied run held {before}."
    )
    return [Found(text, (("addresses", evidence.addresses), ("before", before)), evidence.sample)]


def _canary_missing(evidence: Evidence, _: Removals) -> list[Found]:
    missing = evidence.canaries_missing
    if not missing:
        return []
    text = f"The directory does not show {', '.join(missing[:SAMPLE])}, which must always be found."
    return [Found(text, (("missing", len(missing)),), missing[:SAMPLE])]


def _replaced(evidence: Evidence, removals: Removals) -> list[Found]:
    held, missing = evidence.replaced.held, evidence.replaced.missing
    if missing <= removals.min_count and missing * 2 <= held:
        return []
    if missing <= removals.max_share * held:
        return []
    text = (
        f"This is the first run of the directory, and it does not show {missing} of the {held} addresses that a "
        f"directory deleted within {WINDOW_DAYS} days held. Nobody is called unknown until this is approved or mended."
    )
    return [Found(text, (("missing", missing), ("of", held)), evidence.replaced.sample)]


def _leaving(evidence: Evidence, text: str) -> list[Found]:
    if not evidence.waiting:
        return []
    said = text.format(leaving=_what_ends(evidence)) + _whose_address_stays(evidence.logins)
    return [Found(said, (("leaving", evidence.waiting),), evidence.sample)]


def _what_ends(evidence: Evidence) -> str:
    addresses, logins = evidence.waiting - evidence.logins, evidence.logins
    told = []
    if addresses:
        told.append(f"{some(addresses, 'address', 'addresses')} would leave")
    if logins:
        told.append(f"{some(logins, 'quarantine login', 'quarantine logins')} would end")
    return " and ".join(told)


def _whose_address_stays(logins: int) -> str:
    if not logins:
        return ""
    if logins == 1:
        return f" The address of that login stays: its mailbox is {ONLY_LOGINS}."
    return f" The addresses of those logins stay: each one's mailbox is {ONLY_LOGINS}."


def _scope_changed(evidence: Evidence, _: Removals) -> list[Found]:
    if not evidence.scope_changed:
        return []
    return _leaving(
        evidence,
        "What is read was changed since the last applied run, and {leaving}.",
    )


def _fleet(evidence: Evidence, _: Removals) -> list[Found]:
    if not evidence.fleet_is_held:
        return []
    return _leaving(
        evidence,
        "Many directories are in trouble at once, which is likelier our fault than theirs: removals of all wait for "
        "the operator. Here {leaving}.",
    )


def _discarded(evidence: Evidence, _: Removals) -> list[Found]:
    kept = evidence.discarded.kept
    if not kept:
        return []
    what = some(kept, "address or login", "addresses or logins")
    text = f"A person wanted {what} kept that the directory still does not show or has disabled: approve the hold to let {'it' if kept == 1 else 'them'} go."
    return [Found(text, (("kept", kept),), evidence.discarded.sample)]


def _review(evidence: Evidence, removals: Removals) -> list[Found]:
    if removals.policy is not RemovalPolicy.REVIEW:
        return []
    return _leaving(evidence, "{leaving}, and removals are set to be reviewed.")


class About(enum.StrEnum):
    """What a rule doubts."""

    LIST = "list"
    """Whether the list itself can be believed: asked whatever the policy is."""
    DEPARTURES = "departures"
    """Whether so many may leave: not asked where nobody is ever removed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: when it holds, and why that is wise. ``find`` gives one reason a domain or one in all."""

    code: str
    about: About
    holds_when: str
    because: str
    find: Callable[[Evidence, Removals], list[Found]]


RULES: tuple[Rule, ...] = (
    Rule(
        "canary_missing",
        About.LIST,
        "An address that must always be found is not, and nobody has accepted that.",
        "The customer named it to tell a wrong list from a right one.",
        _canary_missing,
    ),
    Rule(
        "half_size",
        About.LIST,
        "The list holds less than half of what the last applied run held.",
        "A list cut short looks like this.",
        _half_size,
    ),
    Rule(
        "replaced",
        About.LIST,
        "The first run of a directory does not show more than half, or more than min_count and max_share, of what a directory "
        "deleted in the last 7 days held.",
        "Deleted and saved again with a slip, it would be taken for the whole truth.",
        _replaced,
    ),
    Rule(
        "scope_changed",
        About.DEPARTURES,
        "What is read was changed (filter, base, attributes, kinds, leave_out, servers) and something would leave.",
        "Who leaves by a changed form has not left the company.",
        _scope_changed,
    ),
    Rule(
        "discarded",
        About.DEPARTURES,
        "A person discarded the standing hold, and some of its addresses are still absent.",
        "A no does not wear off because a week has passed.",
        _discarded,
    ),
    Rule(
        "fleet",
        About.DEPARTURES,
        "Many directories of distinct customers fail or shrink at once, the operator has not released removals, "
        "and something would leave.",
        "What happens to many at once is likelier our fault than theirs.",
        _fleet,
    ),
    Rule(
        "domain_half",
        About.DEPARTURES,
        "More than half of a domain would be gone, with what left in the last 7 days: two addresses or more.",
        "Small domains have no shares to speak of.",
        _domain_half,
    ),
    Rule(
        "domain_share",
        About.DEPARTURES,
        "More than min_count and more than max_share of a domain would be gone, with what left in the last 7 days.",
        "A company does not lose that many in a week; a slow loss trips the same limit.",
        _domain_share,
    ),
    Rule(
        "total_count",
        About.DEPARTURES,
        "More than max_count addresses would be gone in all, with what left in the last 7 days.",
        "In a large list a small share is many people.",
        _total_count,
    ),
    Rule(
        "review",
        About.DEPARTURES,
        "Removals are set to be reviewed and something would leave.",
        "The customer wants to see each departure.",
        _review,
    ),
)


@dataclass(frozen=True, slots=True)
class Passage:
    """What looks unusual and is held by no rule, with what becomes of it."""

    code: str
    what: str
    becomes: str


PASSES: tuple[Passage, ...] = (
    Passage("first_run", "the first run of a directory", "All it shows is added."),
    Passage(
        "migrated",
        "the same addresses under new ids",
        "Unchanged, with its history; where logins are made, theirs would end, and that counts.",
    ),
    Passage("domain_added", "a domain added", "Its addresses are added by the next run."),
    Passage(
        "domain_taken_off",
        "a domain taken off",
        "By decision: its addresses leave by grace and the clock, and do not count.",
    ),
    Passage("domain_made_alias", "a domain made an alias", "Its own addresses stay."),
    Passage("held_elsewhere", "addresses that another source holds", "They leave nothing."),
    Passage("approved", "departures that a person approved", "They go on and do not count again."),
    Passage("never", "removals set to never", "What is absent stays missing, and valid."),
)


def judge(evidence: Evidence, removals: Removals) -> Ruling:
    """Ask every rule that applies, so that a person sees all that is wrong at once."""
    asked = [
        rule
        for rule in RULES
        if rule.about is About.LIST or removals.policy is not RemovalPolicy.NEVER
    ]
    return Ruling(
        tuple(
            Reason(rule.code, found.text, found.figures, found.addresses)
            for rule in asked
            for found in rule.find(evidence, removals)
        )
    )
