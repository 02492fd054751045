"""What results recommend, and when they keep quiet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.advice import (
    COMPLETE_RUNS,
    LARGE_COUNT,
    STABLE_FOR,
    Complete,
    Readiness,
    advice,
)
from worker.domain.model import Address, DirectorySettings, Logins, Removals, Security, Server, Tier
from worker.domain.warnings import Cause


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
FORM = DirectorySettings(
    name="Head office", type="openldap", servers=(Server("ldap.example.com"),), bind_name="cn=x"
)
READY = Readiness(
    domain="example.com",
    complete_runs=12,
    stable_since=NOW - timedelta(days=6),
    addresses=812,
    kinds={"mailbox": 800, "group": 1, "public_folder": 11},
    automatic=True,
)
A_MOMENT = timedelta(seconds=1)


def test_catch_all_is_advised_against_with_the_figures() -> None:
    """Whoever reads it wants to see why it is safe."""
    (given,) = advice(FORM, Complete(812, (READY,)), NOW, plan=Tier.ENTERPRISE)

    assert (given.code, given.domain) == ("catch_all_on", "example.com")
    assert given.text == (
        "example.com still accepts mail for every address (catch-all). Its list can be trusted: 812 addresses "
        "(800 mailboxes, 1 group, 11 public folders); the last 12 syncs were complete, the list is stable since "
        "2026-01-09, and automatic sync keeps it so. Turn catch-all off, and mail for people who do not exist is refused."
    )


@pytest.mark.parametrize(
    ("changed", "is_advised"),
    [
        ({"complete_runs": COMPLETE_RUNS}, True),
        ({"complete_runs": COMPLETE_RUNS - 1}, False),
        ({"stable_since": NOW - STABLE_FOR}, True),
        ({"stable_since": NOW - STABLE_FOR + A_MOMENT}, False),
        ({"automatic": False}, False),
        ({"addresses": 0}, False),
        ({"kinds": {}}, True),
    ],
)
def test_a_list_that_is_not_complete_stable_and_kept_so_is_not_relied_on(
    changed: dict[str, object],
    is_advised: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Advice taken too early would have mail refused."""
    ready = replace(READY, **changed)  # type: ignore[arg-type]

    codes = [each.code for each in advice(FORM, Complete(812, (ready,)), NOW, plan=Tier.ENTERPRISE)]

    assert codes == (["catch_all_on"] if is_advised else [])


def test_each_domain_is_advised_by_itself() -> None:
    """One that is new says nothing about the others."""
    young = replace(READY, domain="new.example", stable_since=NOW)
    other = replace(READY, domain="other.example", addresses=1, kinds={"mailbox": 1})

    given = advice(FORM, Complete(812, (READY, young, other)), NOW, plan=Tier.ENTERPRISE)

    assert [each.domain for each in given] == ["example.com", "other.example"]
    assert "1 address (1 mailbox)" in given[1].text


@pytest.mark.parametrize(
    ("security", "codes"),
    [(Security.NONE, ["plain_ldap"]), (Security.LDAPS, []), (Security.STARTTLS, [])],
)
def test_plain_ldap_is_advised_against(security: Security, codes: list[str]) -> None:
    """The password goes over the wire as it is."""
    form = replace(FORM, security=security)

    assert [each.code for each in advice(form, Complete(10), NOW, plan=Tier.ENTERPRISE)] == codes


@pytest.mark.parametrize(("days", "is_advised"), [(29, True), (30, True), (31, False), (-1, True)])
@pytest.mark.parametrize(
    ("cause", "code"),
    [(Cause.CERTIFICATE, "certificate_expiring"), (Cause.PASSWORD, "password_expiring")],
)
def test_what_expires_within_thirty_days_is_told_with_its_day(
    cause: Cause,
    code: str,
    days: int,
    is_advised: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """In the words of the warning, so that whoever reads both knows that it is one thing."""
    at = NOW + timedelta(days=days)

    given = advice(FORM, Complete(10, until={cause: at}), NOW, plan=Tier.ENTERPRISE)

    assert [each.code for each in given] == ([code] if is_advised else [])
    assert all(f"{at:%Y-%m-%d}" in each.text for each in given)


def test_what_expires_never_or_on_a_day_that_nobody_tells_is_not_spoken_of() -> None:
    """Most directories say nothing of passwords."""
    until = dict.fromkeys((Cause.CERTIFICATE, Cause.PASSWORD))

    assert advice(FORM, Complete(10, until=until), NOW, plan=Tier.ENTERPRISE) == ()


@pytest.mark.parametrize(
    ("bind_name", "codes"),
    [
        ("cn=admin,dc=example,dc=com", ["mighty_account"]),
        ("CORP\\Administrator", ["mighty_account"]),
        ("cn=reader,dc=example,dc=com", []),
    ],
)
def test_an_account_that_may_do_everything_is_advised_against(
    bind_name: str, codes: list[str]
) -> None:
    """As far as its name shows it; a test asks for its groups, too."""
    form = replace(FORM, bind_name=bind_name)

    assert [each.code for each in advice(form, Complete(10), NOW, plan=Tier.ENTERPRISE)] == codes


@pytest.mark.parametrize(
    ("addresses", "canaries", "codes"),
    [
        (LARGE_COUNT, (), ["no_canary"]),
        (LARGE_COUNT - 1, (), []),
        (LARGE_COUNT, (Address("ceo@example.com"),), []),
    ],
)
def test_a_large_list_wants_a_canary(
    addresses: int, canaries: tuple[Address, ...], codes: list[str]
) -> None:
    """Nobody reads through a thousand addresses to see that some are missing."""
    form = replace(FORM, removals=Removals(canaries=canaries))

    given = advice(form, Complete(addresses), NOW, plan=Tier.ENTERPRISE)

    assert [each.code for each in given] == codes
    assert all("1,000 addresses" in each.text for each in given)


@pytest.mark.parametrize(
    ("plan", "is_advised"),
    [
        (Tier.BASIC, True),
        (Tier.STANDARD, True),
        (Tier.ENTERPRISE, False),
        (Tier.RESELLER, False),
    ],
)
def test_logins_that_the_plan_does_not_have_are_told_of(
    plan: Tier,
    is_advised: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Runs go on without them, so nothing else shows that a leaver's login stays."""
    form = replace(FORM, logins=Logins(create=True))

    given = advice(form, Complete(10), NOW, plan=plan)

    assert [each.code for each in given] == (["logins_paused"] if is_advised else [])


def test_what_is_said_of_logins_names_the_plan_and_those_that_have_them() -> None:
    """Who reads it wants to know what it means and what to buy."""
    form = replace(FORM, logins=Logins(create=True))

    (given,) = advice(form, Complete(10), NOW, plan=Tier.STANDARD)

    assert given.text == (
        "Quarantine logins are not looked after: the plan Standard does not have them. "
        "It takes Enterprise or Reseller; logins stay as they are, also those of people who leave."
    )


def test_a_form_that_wants_no_logins_misses_none() -> None:
    """A plan is not advertised."""
    assert advice(FORM, Complete(10), NOW, plan=Tier.STANDARD) == ()
