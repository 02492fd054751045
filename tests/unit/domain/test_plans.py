"""The plans: one table, and the sentences made from it."""

from itertools import pairwise

import pytest

from worker.domain.commands import FieldError
from worker.domain.model import Tier
from worker.domain.plans import (
    ASCENDING,
    PAUSED,
    Right,
    allows,
    effective,
    having,
    lacking,
    least,
    sentence,
)


@pytest.mark.parametrize(
    ("tier", "rights"),
    [
        (Tier.BASIC, {Right.MANUAL_SYNC}),
        (Tier.STANDARD, {Right.MANUAL_SYNC, Right.AUTOMATIC_SYNC}),
        (Tier.ENTERPRISE, set(Right)),
        (Tier.RESELLER, set(Right)),
    ],
)
def test_each_plan_has_what_was_sold_with_it(tier: Tier, rights: set[Right]) -> None:
    """Nothing more, nothing less."""
    assert {right for right in Right if allows(tier, right)} == rights


def test_every_plan_has_all_that_a_smaller_one_has() -> None:
    """What a refusal says, "or higher", must be true."""
    for smaller, higher in pairwise(ASCENDING):
        assert all(allows(higher, right) for right in Right if allows(smaller, right))
    assert set(ASCENDING) == set(Tier)


@pytest.mark.parametrize(
    ("right", "tier", "text"),
    [
        (Right.MANUAL_SYNC, Tier.BASIC, "Syncing by hand needs the plan Basic or higher."),
        (Right.AUTOMATIC_SYNC, Tier.STANDARD, "Automatic sync needs the plan Standard or higher."),
        (Right.LOGINS, Tier.ENTERPRISE, "Quarantine logins need the plan Enterprise or higher."),
    ],
)
def test_a_refusal_names_the_plan_that_has_it(right: Right, tier: Tier, text: str) -> None:
    """Who is refused wants to know what to buy."""
    assert least(right) == having(right)[0] == tier
    assert sentence(right) == text
    assert lacking(right, "there") == FieldError("there", f"plan.{right}", text)


def test_a_pause_by_plan_names_the_plan_that_has_it() -> None:
    """Who finds the schedule standing still wants to know what to buy, as who is refused does."""
    assert PAUSED == "the plan has no automatic sync, which needs Standard or higher"


@pytest.mark.parametrize(
    ("own", "of_reseller", "by"),
    [
        (Tier.BASIC, None, Tier.BASIC),
        (Tier.BASIC, Tier.RESELLER, Tier.RESELLER),
        (Tier.ENTERPRISE, Tier.STANDARD, Tier.ENTERPRISE),
        (Tier.STANDARD, Tier.STANDARD, Tier.STANDARD),
    ],
)
def test_a_tenant_is_judged_by_the_higher_of_its_own_and_its_resellers_plan(
    own: Tier, of_reseller: Tier | None, by: Tier
) -> None:
    """A reseller's plan counts for all below it; what a tenant bought itself is not taken from it."""
    assert effective(own, of_reseller) == by
