"""The README's terminal sessions, played again."""

import sys

import pytest

from tests.conftest import PROGRAM, Servers
from tests.harness.readme import Session, masked, played, sessions


def session(*begin: str) -> Session:
    """The one session of the README that begins so."""
    (found,) = (one for one in sessions() if one.command[: len(begin)] == begin)
    return found


@pytest.mark.timeout(120)
def test_the_demo_plays_as_the_readme_shows(servers: Servers) -> None:
    """The first thing a newcomer sees is what they get."""
    shown = session("make", "demo")
    if why := servers.environment.get("STACK_AD_MISSING"):
        pytest.skip(f"the demo of the README has an Active Directory: {why}")

    output = played([sys.executable, "-m", "tests.demo"], servers.environment)

    assert masked(output) == masked(shown.output)


def test_the_preview_reads_as_the_readme_shows(servers: Servers) -> None:
    """The first command a newcomer types prints what they were promised."""
    shown = session("rollcall", "preview")
    here = {
        "ldap.example.org": servers["STACK_LDAP_URI"].removeprefix("ldap://"),
        "ca.pem": servers["STACK_LDAP_CA"],
    }
    password = {"ROLLCALL_PASSWORD": servers["STACK_LDAP_PLAIN_PASSWORD"]}

    output = played([str(PROGRAM), *(here.get(word, word) for word in shown.command[1:])], password)

    there = output.replace(here["ldap.example.org"], "ldap.example.org")
    assert masked(there) == masked(shown.output)
