"""What decides about quarantine logins before a row is looked at."""

from dataclasses import replace

import pytest

from tests.unit.domain.makers import settings_of
from worker.domain.logins import (
    CLAIM_TEXTS,
    ClaimCode,
    are_ended,
    are_made,
    primary_is_told,
    rule_of,
)
from worker.domain.model import (
    DirectorySettings,
    Kind,
    LoginRole,
    Logins,
    RemovalPolicy,
    Removals,
    Tier,
)


ASKING = replace(settings_of("openldap"), logins=Logins(create=True))


@pytest.mark.parametrize(
    ("tier", "made"),
    [(Tier.BASIC, False), (Tier.STANDARD, False), (Tier.ENTERPRISE, True), (Tier.RESELLER, True)],
)
def test_logins_are_made_where_the_plan_has_them(tier: Tier, made: bool) -> None:  # noqa: FBT001 - the table's column
    """What was not bought is not done."""
    assert are_made(ASKING, tier) is made


def test_logins_are_made_only_where_asked_for() -> None:
    """The default is none."""
    assert not are_made(settings_of(), Tier.ENTERPRISE)


def test_where_nobody_is_removed_no_login_ends() -> None:
    """Logins that end count as removals."""
    never = replace(ASKING, removals=Removals(policy=RemovalPolicy.NEVER))

    assert are_ended(ASKING)
    assert not are_ended(never)
    assert not are_ended(replace(ASKING, logins=Logins(create=True, deactivate=False)))


@pytest.mark.parametrize(
    ("type_", "attributes", "told"),
    [
        ("active_directory", None, True),
        ("active_directory_no_exchange", None, True),
        ("openldap", None, False),
        ("openldap", ("mail", "mailAlternateAddress"), True),
        ("active_directory", ("mail",), False),
        ("custom", ("proxyAddresses",), True),
    ],
)
def test_a_primary_address_is_told_or_guessed(
    type_: str,
    attributes: tuple[str, ...] | None,
    told: bool,  # noqa: FBT001 - the table's column
) -> None:
    """By a guess nobody is renamed."""
    form = replace(ASKING, type=type_, address_attributes=attributes)

    assert primary_is_told(form) is told


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKING, logins=Logins(create=True, role=LoginRole.NORMAL)),
        replace(ASKING, logins=Logins(create=True, kinds=(Kind.MAILBOX, Kind.GROUP))),
        replace(ASKING, logins=Logins(create=True, deactivate=False)),
        replace(ASKING, removals=Removals(policy=RemovalPolicy.NEVER)),
        replace(ASKING, type="active_directory"),
    ],
    ids=["role", "kinds", "deactivate", "never removed", "another type"],
)
def test_another_form_is_another_rule(other: DirectorySettings) -> None:
    """By which all logins are looked at anew."""
    assert rule_of(other) != rule_of(ASKING)


def test_the_order_of_kinds_is_no_rule() -> None:
    """Saved again as a page happens to send it."""
    one, other = (
        replace(ASKING, logins=Logins(create=True, kinds=kinds))
        for kinds in ((Kind.MAILBOX, Kind.GROUP), (Kind.GROUP, Kind.MAILBOX))
    )

    assert rule_of(one) == rule_of(other)


def test_every_claim_that_is_not_met_is_explained() -> None:
    """A code alone helps nobody."""
    assert set(CLAIM_TEXTS) == set(ClaimCode)
    assert all(text.endswith(".") for text in CLAIM_TEXTS.values())
