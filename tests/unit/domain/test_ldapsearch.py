import shlex
from dataclasses import replace

import pytest

from worker.domain.ldapsearch import ldapsearch_line
from worker.domain.model import (
    Credentials,
    DirectorySettings,
    Limits,
    Secret,
    Security,
    Server,
    Trust,
)
from worker.domain.plan import ReadPlan
from worker.domain.presets import PRESETS


def plan(security: Security = Security.LDAPS, trust: Trust = Trust()) -> ReadPlan:  # noqa: B008 -- frozen
    """Return a plan with awkward values."""
    form = DirectorySettings(
        "HQ",
        "openldap",
        (Server("dc1.example.com"),),
        "cn=o'neil,dc=x",
        security=security,
        trust=trust,
    )
    return ReadPlan(
        form,
        Credentials(Secret("never shown")),
        PRESETS["openldap"],
        ("dc=x y",),
        "(&(mail=*)(cn=$HOME))",
        ("mail", "proxyAddresses"),
        Limits(page_size=500),
    )


def test_the_line_can_be_pasted() -> None:
    """An admin repeats the very search on their own shell; the password is a variable."""
    line = ldapsearch_line(plan(), Server("dc1.example.com"))

    assert line == (
        "ldapsearch -LLL -x -D 'cn=o'\"'\"'neil,dc=x' -w \"$LDAP_PASSWORD\""
        " -H ldaps://dc1.example.com:636 -b 'dc=x y' -s sub -E pr=500/noprompt"
        " '(&(mail=*)(cn=$HOME))' mail proxyAddresses"
    )


def test_starttls_and_certificates_are_named() -> None:
    """The line does what the program does."""
    line = ldapsearch_line(
        plan(security=Security.STARTTLS, trust=Trust(ca_pem="…")), Server("::1", 3890)
    )

    words = shlex.split(line)
    assert words[0] == "LDAPTLS_CACERT=ca.pem"
    assert {"-ZZ", "ldap://[::1]:3890"} <= set(words)


def test_the_whole_tree_is_said_to_be_searched() -> None:
    """Left out, ldapsearch takes a base of its own configuration."""
    zimbra = replace(plan(), preset=PRESETS["zimbra"], bases=())

    words = shlex.split(ldapsearch_line(zimbra, Server("x")))

    assert words[words.index("-b") + 1] == ""


def test_a_base_that_the_server_is_asked_for_is_to_be_filled_in() -> None:
    """Nobody knows it before; without one, ldapsearch says that there is no such object."""
    words = shlex.split(ldapsearch_line(replace(plan(), bases=()), Server("x")))

    assert words[words.index("-b") + 1] == "YOUR-SEARCH-BASE"


def test_a_secret_is_never_in_it() -> None:
    """Lines are logged and shown."""
    assert "never shown" not in ldapsearch_line(plan(), Server("x"))


def named(name: str, security: Security = Security.LDAPS, trust: Trust = Trust()) -> ReadPlan:  # noqa: B008 -- frozen
    """Return a plan whose certificate carries another name than the server."""
    made = plan(security, trust)
    return replace(made, settings=replace(made.settings, certificate_name=name))


def test_the_line_connects_by_the_name_in_the_certificate() -> None:
    """By the server's own, ldapsearch refuses the certificate that our own check took."""
    line = ldapsearch_line(named("dc1.corp.example"), Server("192.0.2.10"))

    words = shlex.split(line, comments=True)
    assert words[words.index("-H") + 1] == "ldaps://dc1.corp.example:636"
    assert words[-1] == "proxyAddresses"
    assert "  # works where dc1.corp.example leads to 192.0.2.10: " in line


@pytest.mark.parametrize(
    ("name", "security", "trust"),
    [
        ("DC1.example.com.", Security.LDAPS, Trust()),
        ("dc1.corp.example", Security.NONE, Trust()),
        ("dc1.corp.example", Security.STARTTLS, Trust(fingerprint="0" * 64)),
        ("dc1 'x'\nrm -r", Security.LDAPS, Trust()),
    ],
    ids=["the same name", "no certificate", "no name is checked", "no name"],
)
def test_the_line_connects_by_the_server_s_name_otherwise(
    name: str, security: Security, trust: Trust
) -> None:
    """A name that need not lead anywhere is used only where it is needed."""
    line = ldapsearch_line(named(name, security, trust), Server("dc1.example.com"))

    assert f"://dc1.example.com:{389 if security is not Security.LDAPS else 636} " in line
    assert "#" not in line
    assert "\n" not in line
