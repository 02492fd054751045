"""Settings and presets to a plan."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.domain.makers import plan_of, settings_of
from worker.domain.failures import RequestFailure
from worker.domain.model import Kind, RemovalPolicy, Removals, Security, Server
from worker.domain.plan import scope_digest
from worker.domain.presets import PRESETS, Marker, Syntax
from worker.domain.syntax import filter_error


CUSTOM = {"filter": "(mail=*)", "address_attributes": ("mail",)}


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"custom"}))
def test_a_preset_needs_no_knowledge_of_ldap(name: str) -> None:
    """Whoever chooses a type has a filter and attributes that a server takes."""
    plan = plan_of(name)

    assert filter_error(plan.filter) is None
    assert plan.preset.addresses
    assert len({attribute.lower() for attribute in plan.attributes}) == len(plan.attributes)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_no_filter_negates(preset: object) -> None:
    """A negated attribute that the server does not know finds nothing and calls it success."""
    assert "!" not in repr(getattr(preset, "filters", None))


def test_exchange_is_read_by_one_filter_whatever_is_wanted() -> None:
    """All kinds come by the same indexed attribute; they are told apart afterwards."""
    assert plan_of(kinds=(Kind.GROUP,)).filter == "(proxyAddresses=smtp:*)"


def test_only_the_kinds_wanted_are_asked_for() -> None:
    """A directory without Exchange is asked for no groups when nobody wants them."""
    one = plan_of("active_directory_no_exchange", kinds=(Kind.MAILBOX, Kind.CONTACT))
    both = plan_of("active_directory_no_exchange", kinds=(Kind.MAILBOX, Kind.GROUP))

    assert one.filter == "(&(objectCategory=person)(mail=*))"
    assert both.filter == "(|(&(objectCategory=person)(mail=*))(&(objectCategory=group)(mail=*)))"


def test_what_the_settings_say_goes_before_the_preset() -> None:
    """An admin who knows better is believed."""
    plan = plan_of(
        filter="(company=acme)",
        address_attributes=("mail", "ProxyAddresses", "mail"),
        search_bases=("OU=a,DC=x", "DC=x"),
    )

    assert plan.filter == "(company=acme)"
    assert [(a.name, a.syntax) for a in plan.preset.addresses] == [
        ("mail", Syntax.PLAIN),
        ("proxyAddresses", Syntax.PREFIXED),
    ]
    assert plan.bases == ("DC=x",)
    assert {"mail", "proxyAddresses", "objectGUID", "userAccountControl"} <= set(plan.attributes)


def test_proxy_addresses_carry_a_type_also_in_a_custom_directory() -> None:
    """An X500 value is no mail address in any directory."""
    plan = plan_of("custom", filter="(proxyAddresses=*)", address_attributes=("proxyaddresses",))

    assert plan.preset.addresses[0].syntax is Syntax.PREFIXED


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        ("lotus", {}, "settings.unknown_type"),
        ("custom", {"address_attributes": ("mail",)}, "settings.no_filter"),
        ("custom", {"filter": "(mail=*)"}, "settings.no_address_attributes"),
        ("openldap", {"kinds": (Kind.PUBLIC_FOLDER,)}, "settings.no_such_kind"),
    ],
)
def test_settings_that_cannot_be_read_by_say_why(
    name: str, changes: Mapping[str, Any], code: str
) -> None:
    """The answer names what to change, not an exception."""
    with pytest.raises(RequestFailure) as caught:
        plan_of(name, **changes)

    assert caught.value.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"filter": "(mail=*)"},
        {"search_bases": ("OU=a,DC=x",)},
        {"address_attributes": ("mail",)},
        {"kinds": (Kind.MAILBOX,)},
        {"leave_out": ("test*",)},
        {"servers": (Server("dc2.example.org"),)},
        {"servers": (Server("dc1.example.org", 3269),)},
    ],
)
def test_a_change_of_what_is_read_changes_the_scope(changes: Mapping[str, Any]) -> None:
    """A filter that finds fewer people must not look as if they had left."""
    assert scope_digest(plan_of(**changes)) != scope_digest(plan_of())


def test_another_type_is_another_scope() -> None:
    """The type brings the filter with it."""
    assert scope_digest(plan_of("openldap")) != scope_digest(plan_of())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Head office"},
        {"bind_name": "other@example.org"},
        {"removals": Removals(policy=RemovalPolicy.REVIEW)},
        {"servers": (Server("DC1.example.org", 636),)},
        {"kinds": tuple(reversed(Kind))},
    ],
)
def test_what_does_not_change_the_reading_leaves_the_scope(changes: Mapping[str, Any]) -> None:
    """Saving a new name must not hold anything."""
    assert scope_digest(plan_of(**changes)) == scope_digest(plan_of())


def test_another_spelling_of_the_same_base_is_the_same_scope() -> None:
    """A space after a comma is no change."""
    one = plan_of(search_bases=("OU=a,DC=x", "DC=y"), leave_out=("A@x.example", "b@x.example"))
    other = plan_of(search_bases=("dc=Y", "ou=A, dc=x"), leave_out=("b@x.example", "a@x.example"))

    assert scope_digest(one) == scope_digest(other)


def test_security_moves_the_default_port_and_so_the_scope() -> None:
    """Another port may be another server."""
    plain = plan_of(security=Security.STARTTLS)

    assert scope_digest(plain) != scope_digest(plan_of())


def test_a_plan_shows_no_secret() -> None:
    """A plan may come into a log."""
    assert "credentials" not in repr(plan_of())
    assert dataclasses.is_dataclass(settings_of())


def test_a_number_that_is_none_sets_no_bit() -> None:
    """A broken value must not end anybody's login."""
    assert not Marker("userAccountControl", bit=2).is_set_by(b"x")
    assert Marker("userAccountControl", bit=2).is_set_by(b"514")
    assert not Marker("userAccountControl", bit=2).is_set_by(b"512")
    assert Marker("nsAccountLock", frozenset({b"true"})).is_set_by(b"TRUE")
