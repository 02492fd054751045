from dataclasses import asdict

import pytest

from worker.cli.findings import show, show_search, show_servers
from worker.domain.events import finding_payload
from worker.domain.findings import finding
from worker.domain.survey import AddressSeen, PortSeen, PortState, ServerSeen, Speech


OPEN = PortSeen(636, PortState.OPEN, 2, speaks=Speech.TLS)


def shown(capsys: pytest.CaptureFixture[str], *servers: ServerSeen) -> list[list[str]]:
    """The rows of the table, below its head, cell by cell."""
    show_servers([asdict(each) for each in servers])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if ":636" in line]
    return [row for row in rows if row]


def test_every_server_of_the_list_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """One that is left out of the table looks as if it had been well."""
    unknown = ServerSeen("dc1.example.com:636", "name.not_found", 6)
    private = ServerSeen("dc2.example.com:636", "ok", 1, (AddressSeen("10.0.0.1", "private"),))
    missed = ServerSeen("dc3.example.com:636", "ok", 1, (AddressSeen("192.0.2.3"),))
    well = ServerSeen("dc4.example.com:636", "ok", 1, (AddressSeen("192.0.2.4", "", (OPEN,)),))

    assert shown(capsys, unknown, private, missed, well) == [
        ["dc1.example.com:636", "name.not_found", "6"],
        ["dc2.example.com:636", "10.0.0.1", "private:", "not", "dialled"],
        ["dc3.example.com:636", "192.0.2.3", "not", "reached", "in", "time"],
        ["dc4.example.com:636", "192.0.2.4", "636", "open", "2", "TLS"],
    ]


@pytest.mark.parametrize(("detail", "count"), [("dc=a, dc=b", 1), ("result 32", 2)])
def test_what_was_seen_is_said_once(
    capsys: pytest.CaptureFixture[str], detail: str, count: int
) -> None:
    """Of some faults the private words are the ones that were shown already."""
    told = finding_payload(finding("base.ambiguous", seen="dc=a, dc=b"))

    show(told, detail=detail)

    assert capsys.readouterr().out.count("Seen: ") == count


@pytest.mark.parametrize(
    ("server", "version", "bases", "said"),
    [
        (
            "openldap",
            "",
            ["dc=corp,dc=example"],
            (
                "The server: OpenLDAP. To enter for it: type openldap, base dc=corp,dc=example, addresses in mail.\n"
                "Test openldap_local_recipient as well, and compare by the number of addresses found.\n"
            ),
        ),
        ("389ds", "389 Directory Server 2.3.1", [], "The server: 389 Directory Server 2.3.1. To"),
        (
            "active_directory",
            "Windows Server 2025",
            [""],
            "The server: Active Directory Windows Server 2025. To enter for it: type openldap, addresses in",
        ),
    ],
)
def test_what_the_server_is_is_told_with_what_to_enter(
    capsys: pytest.CaptureFixture[str], server: str, version: str, bases: list[str], said: str
) -> None:
    """An admin seldom knows the product, and sees no JSON."""
    types = ["openldap", "openldap_local_recipient", "custom"]
    told = finding_payload(finding("read.no_entries", seen="nothing"))
    detected = {"server": server, "version": version, "types": types, "bases": bases}
    finding_told = {**told, "detected": {**detected, "attributes": ["mail"]}}

    show(finding_told)

    assert said in capsys.readouterr().out


def test_of_a_server_that_nobody_asked_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not known leads to no server."""
    show(finding_payload(finding("name.not_found", seen="nothing")))

    assert "The server:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'LDAPTLS_CACERT=ca.pem ldapsearch -w "$LDAP_PASSWORD"',
            "(first put the password into LDAP_PASSWORD and your authority's certificate into ca.pem):",
        ),
        ('ldapsearch -w "$LDAP_PASSWORD"', "(first put the password into LDAP_PASSWORD):"),
        ("ldapsearch -Y EXTERNAL", "The same search by hand:"),
    ],
)
def test_what_a_line_needs_is_said_before_it(
    capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    """A file that is not there makes the line fail for another reason than the one looked for."""
    show_search({"ldapsearch": line})

    assert said in capsys.readouterr().out
