"""Decides what each plan has. The only place that knows: asked when a command comes in and again when a run starts and ends.

Pure: plans and rights go in, a yes or a sentence for the customer comes out. Never branches on a tenant.
"""

import enum
from collections.abc import Mapping

from worker.domain.commands import FieldError
from worker.domain.model import Tier


class Right(enum.StrEnum):
    """What a plan may have; the value is part of the code that a refusal carries (``plan.automatic_sync``)."""

    MANUAL_SYNC = "manual_sync"
    AUTOMATIC_SYNC = "automatic_sync"
    LOGINS = "quarantine_logins"


ASCENDING = (Tier.BASIC, Tier.STANDARD, Tier.ENTERPRISE, Tier.RESELLER)
"""The plans, each with all that those before it have."""

RIGHTS: Mapping[Tier, frozenset[Right]] = {
    Tier.BASIC: frozenset({Right.MANUAL_SYNC}),
    Tier.STANDARD: frozenset({Right.MANUAL_SYNC, Right.AUTOMATIC_SYNC}),
    Tier.ENTERPRISE: frozenset(Right),
    Tier.RESELLER: frozenset(Right),
}

NAMES: Mapping[Tier, str] = {tier: tier.value.capitalize() for tier in ASCENDING}
"""As customers read them."""

NEEDS: Mapping[Right, str] = {
    Right.MANUAL_SYNC: "Syncing by hand needs",
    Right.AUTOMATIC_SYNC: "Automatic sync needs",
    Right.LOGINS: "Quarantine logins need",
}


def allows(tier: Tier, right: Right) -> bool:
    """Whether a plan has a right."""
    return right in RIGHTS[tier]


def least(right: Right) -> Tier:
    """Return the smallest plan that has a right."""
    return next(tier for tier in ASCENDING if allows(tier, right))


def having(right: Right) -> tuple[Tier, ...]:
    """Return the plans that have a right, the smallest first."""
    return tuple(tier for tier in ASCENDING if allows(tier, right))


def effective(own: Tier, of_reseller: Tier | None) -> Tier:
    """Return the plan by which a tenant is judged: the higher of its own and its reseller's, if that one is a tenant here."""
    return own if of_reseller is None else max(own, of_reseller, key=ASCENDING.index)


def sentence(right: Right) -> str:
    """Say which plan has a right, to somebody whose plan has it not."""
    return f"{NEEDS[right]} the plan {NAMES[least(right)]} or higher."


PAUSED = (
    f"the plan has no automatic sync, which needs {NAMES[least(Right.AUTOMATIC_SYNC)]} or higher"
)
"""Why a schedule stands still whose right was lost, as ``paused_reason`` says it. The settings stay as they are."""


def lacking(right: Right, field: str) -> FieldError:
    """Refuse a field for the plan's sake, naming the plan that has what is asked."""
    return FieldError(field, f"plan.{right}", sentence(right))
