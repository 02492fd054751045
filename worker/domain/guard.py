"""Decides whether a finished listing may change recipients. Never sees a row, only counts.

The rules are a table (``RULES``), from which the documentation is made. Each rule looks at the
evidence and gives a reason to hold, with its figures, or nothing.
"""

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
    no other source, neither decided nor approved by a person. ``left``: gone during the window before.
    """

    domain: str
    recipients: int
    leaving: int
    left: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the guard may know of a complete run."""

    addresses: int
    """Distinct addresses in the snapshot."""
    applied_addresses: int | None
    """The same of the last applied run; None if there was none."""
    domains: tuple[DomainCount, ...]
    """Only domains that something leaves, or left during the window."""
    scope_changed: bool
    canaries_missing: tuple[str, ...]
    leaving_sample: tuple[str, ...]

    @property
    def leaving(self) -> int:
        """How many addresses would leave the tenant's list."""
        return sum(count.leaving for count in self.domains)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is held, with the figures behind it."""

    code: str
    text: str
    figures: tuple[tuple[str, str | int | float], ...]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """The guard's verdict: hold if there is any reason, else apply."""

    reasons: tuple[Reason, ...] = ()

    @property
    def is_hold(self) -> bool:
        """Whether departures wait for a person."""
        return bool(self.reasons)


def domain_share(evidence: Evidence, removals: Removals) -> list[Reason]:
    """Hold when, with the last 7 days, more than both the count and the share of a domain would be gone."""
    return [
        Reason(
            "domain_share",
            f"{gone} of {total} addresses of {count.domain} would be gone within {WINDOW_DAYS} days; "
            f"allowed are {removals.min_count} or {removals.max_share:.0%}.",
            (
                ("domain", count.domain),
                ("gone", gone),
                ("of", total),
                ("max_share", removals.max_share),
            ),
            evidence.leaving_sample,
        )
        for count in evidence.domains
        if count.leaving
        and (gone := count.leaving + count.left) > removals.min_count
        and gone > removals.max_share * (total := count.recipients + count.left)
    ]


def domain_half(evidence: Evidence, _: Removals) -> list[Reason]:
    """Hold when more than half of a domain would leave, two addresses or more."""
    return [
        Reason(
            "domain_half",
            f"{gone} of {total} addresses of {count.domain} would be gone: more than half.",
            (("domain", count.domain), ("gone", gone), ("of", total)),
            evidence.leaving_sample,
        )
        for count in evidence.domains
        if count.leaving
        and (gone := count.leaving + count.left) >= 2  # noqa: PLR2004 - design: "two or more"
        and gone * 2 > (total := count.recipients + count.left)
    ]


def total_count(evidence: Evidence, removals: Removals) -> list[Reason]:
    """Hold when more than the allowed number would be gone in all."""
    gone = sum(count.leaving + count.left for count in evidence.domains)
    if not evidence.leaving or gone <= removals.max_count:
        return []
    return [
        Reason(
            "total_count",
            f"{gone} addresses would be gone within {WINDOW_DAYS} days; allowed are {removals.max_count}.",
            (("gone", gone), ("max_count", removals.max_count)),
            evidence.leaving_sample,
        )
    ]


def half_size(evidence: Evidence, _: Removals) -> list[Reason]:
    """Hold when the snapshot holds less than half of what the last applied run held."""
    before = evidence.applied_addresses
    if before is None or evidence.addresses * 2 >= before:
        return []
    return [
        Reason(
            "half_size",
            f"The directory shows {evidence.addresses} addresses; the last applied run held {before}.",
            (("addresses", evidence.addresses), ("before", before)),
            evidence.leaving_sample,
        )
    ]


def canary_missing(evidence: Evidence, _: Removals) -> list[Reason]:
    """Hold when an address that must always be found is not."""
    if not evidence.canaries_missing:
        return []
    names = ", ".join(evidence.canaries_missing[:SAMPLE])
    return [
        Reason(
            "canary_missing",
            f"The directory does not show {names}, which must always be found.",
            (("missing", len(evidence.canaries_missing)),),
            evidence.canaries_missing[:SAMPLE],
        )
    ]


def scope_changed(evidence: Evidence, _: Removals) -> list[Reason]:
    """Hold when what is read was changed since the last applied run and something would leave."""
    if not evidence.scope_changed or not evidence.leaving:
        return []
    return [
        Reason(
            "scope_changed",
            f"What is read was changed since the last applied run, and {evidence.leaving} addresses would leave.",
            (("leaving", evidence.leaving),),
            evidence.leaving_sample,
        )
    ]


def review(evidence: Evidence, removals: Removals) -> list[Reason]:
    """Hold every departure when the customer wants to see each."""
    if removals.policy is not RemovalPolicy.REVIEW or not evidence.leaving:
        return []
    return [
        Reason(
            "review",
            f"{evidence.leaving} addresses would leave, and removals are set to be reviewed.",
            (("leaving", evidence.leaving),),
            evidence.leaving_sample,
        )
    ]


Rule = Callable[[Evidence, Removals], list[Reason]]

OF_THE_LIST: tuple[Rule, ...] = (canary_missing, half_size)
"""Whether the list itself can be believed."""

OF_DEPARTURES: tuple[Rule, ...] = (scope_changed, domain_half, domain_share, total_count, review)
"""Whether so many may leave; where nobody is ever removed there is nothing to ask."""

RULES: tuple[Rule, ...] = (*OF_THE_LIST, *OF_DEPARTURES)


def judge(evidence: Evidence, removals: Removals) -> Ruling:
    """Ask every rule that applies, so that a person sees all that is wrong at once."""
    rules = OF_THE_LIST if removals.policy is RemovalPolicy.NEVER else RULES
    return Ruling(tuple(reason for rule in rules for reason in rule(evidence, removals)))
