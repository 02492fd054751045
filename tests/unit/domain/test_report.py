from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.advice import LARGE_COUNT
from worker.domain.might import mighty
from worker.domain.model import (
    Address,
    DirectorySettings,
    Kind,
    Removals,
    Security,
    Server,
)
from worker.domain.preview import Preview, Recipient
from worker.domain.report import Reading, report
from worker.domain.server import RootDse
from worker.domain.survey import (
    AddressSeen,
    Certificate,
    PortSeen,
    PortState,
    ServerSeen,
    Survey,
)


NOW = datetime(2026, 1, 15, tzinfo=UTC)
SETTINGS = DirectorySettings(
    "HQ", "openldap", (Server("a.example"), Server("b.example")), "cn=sync,dc=example"
)


def server(
    name: str = "a.example:636",
    *,
    suits: bool = True,
    days: int = 90,
    address: str | None = None,
) -> ServerSeen:
    """A server whose certificate ends in so many days."""
    address = address or ("192.0.2.1" if name.startswith("a") else "192.0.2.2")
    port = PortSeen(636, PortState.OPEN, 1, suits=suits)
    shown = Certificate(f"sha256:{'0' * 64}", valid_until=NOW + timedelta(days=days))
    return ServerSeen(name, "ok", 1, (AddressSeen(address, ports=(port,)),), 0, (shown,))


WELL = Survey(
    (server(), server("b.example:636")), RootDse(object_classes=frozenset({"OpenLDAProotDSE"})), NOW
)
READING = Reading(SETTINGS, WELL, page_s=0.25)


def preview(addresses: int = 3, references: int = 0) -> Preview:
    """A whole reading."""
    recipients = tuple(
        Recipient(f"p{number:02}@a.example", Kind.MAILBOX, primary=True, enabled=True, name="")
        for number in range(12)
    )
    return Preview(
        "a.example:636",
        ("dc=example",),
        500,
        references,
        addresses,
        {"a.example": addresses},
        {"mailbox": addresses},
        {},
        {"c.example": 2},
        recipients,
        0.1,
        2.0,
    )


def codes(reading: Reading, **figures: int) -> list[str]:
    """The codes of what might be better."""
    return [each.code for each in report(preview(**figures), reading).warnings]


def test_a_good_look_tells_its_figures() -> None:
    """The admin sees that it is the right directory, and all of it."""
    told = report(preview(), READING)

    assert (told.server_type, told.server_name) == ("openldap", "OpenLDAP")
    assert (told.entries, told.addresses, told.kinds) == (500, 3, {"mailbox": 3})
    assert (told.domains, told.other_domains) == ({"a.example": 3}, {"c.example": 2})
    assert told.first_addresses == tuple(f"p{number:02}@a.example" for number in range(10))
    assert (told.entries_per_second, told.page_milliseconds) == (250, 250)
    assert told.certificate_until == NOW + timedelta(days=90)
    assert told.warnings == ()


def test_a_windows_server_is_told_with_its_release() -> None:
    """What it is, in words that are on the box."""
    oid = "1.2.840.113556.1.4.800"
    root = RootDse(capabilities=frozenset({oid}), functionality="10")

    told = report(preview(), replace(READING, root=root))

    assert told.server_name == "Active Directory Windows Server 2025"


def test_a_connection_in_clear_is_told() -> None:
    """It works, and everybody on the way reads the password."""
    assert codes(replace(READING, settings=replace(SETTINGS, security=Security.NONE))) == [
        "plain_ldap"
    ]


@pytest.mark.parametrize(("days", "expected"), [(30, ["certificate_expiring"]), (31, [])])
def test_a_certificate_that_ends_within_thirty_days_is_told(days: int, expected: list[str]) -> None:
    """Before syncs fail, not after."""
    survey = replace(WELL, servers=(server(), server("b.example:636", days=days)))

    assert codes(replace(READING, survey=survey)) == expected


def test_a_large_directory_without_a_canary_is_told() -> None:
    """One address that must always be found costs nothing."""
    removals = Removals(canaries=(Address("ceo@a.example"),))
    named = replace(READING, settings=replace(SETTINGS, removals=removals))

    assert codes(READING, addresses=LARGE_COUNT) == ["no_canary"]
    assert codes(READING, addresses=LARGE_COUNT - 1) == []
    assert codes(named, addresses=LARGE_COUNT) == []


def test_one_server_alone_is_told() -> None:
    """While it is down nothing is read."""
    assert codes(replace(READING, survey=replace(WELL, servers=(server(),)))) == ["one_server"]


def test_two_names_of_one_server_are_told() -> None:
    """They look like two, and fall together."""
    twice = replace(WELL, servers=(server(), server("b.example:636", address="192.0.2.1")))

    (warning,) = report(preview(), replace(READING, survey=twice)).warnings

    assert (warning.code, "192.0.2.1" in warning.text) == ("one_server", True)


def test_a_second_server_that_would_not_do_is_told() -> None:
    """It is there for the day when the first is down."""
    survey = replace(WELL, servers=(server(), server("b.example:636", suits=False)))

    (warning,) = report(preview(), replace(READING, survey=survey)).warnings

    assert (warning.code, warning.text[:13]) == ("server_unwell", "b.example:636")


def test_references_are_told() -> None:
    """People who are missing may be there."""
    assert codes(READING, references=3) == ["references"]
    (one,) = report(preview(references=1), READING).warnings
    assert " in one place, " in one.text


@pytest.mark.parametrize(
    ("name", "groups", "said"),
    [
        ("cn=admin,dc=example,dc=com", (), "called admin"),
        ("cn=Directory Manager", (), "called directory manager"),
        ("uid=zimbra,cn=admins,cn=zimbra", (), "called zimbra"),
        ("CORP\\Administrator", (), "called administrator"),
        ("administrator@corp.example", (), "called administrator"),
        ("sync@corp.example", ("S-1-5-21-1-2-3-1104", "S-1-5-21-1-2-3-512"), "in Domain Admins"),
        ("sync@corp.example", ("S-1-5-32-544",), "in Administrators"),
        ("x@corp.example", ("S-1-5-21-1-2-3-500",), "the built-in Administrator"),
        ("sync@corp.example", ("S-1-5-21-1-2-3-513", "S-1-5-32-545"), ""),
        ("sync@corp.example", ("S-1-5-21-1-2-3-544", "S-1-1-0", "S-1-5-11"), ""),
        ("cn=sync,ou=admin,dc=example", (), ""),
        ("cn=administration,dc=example", (), ""),
    ],
)
def test_an_account_that_may_too_much_is_told(
    name: str, groups: tuple[str, ...], said: str
) -> None:
    """Its password is worth more than the list it reads."""
    told = mighty(name, groups)

    assert told.startswith(said)
    assert bool(told) == bool(said)
