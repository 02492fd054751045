"""The three failures that the README shows, brought about again on real servers: an admin sees what was promised."""

import errno
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import PROGRAM
from tests.harness.readme import Session, masked, played, sessions
from tests.integration.directory.conftest import people
from tests.servers.certs import Authority
from tests.servers.slapd import READER_PASSWORD, Slapd, Tree
from worker.cli.exits import Exit


pytestmark = pytest.mark.integration

TREE = Tree(base="dc=example,dc=org", seed=people("dc=example,dc=org"))
USUAL = 636
BLURRED = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "a day"),
    (re.compile(r"\w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT"), "a day"),
    (re.compile(r"\b(ok|failed|open|refused)( +)\d+\b"), r"\1\g<2>0"),
)
"""What differs from run to run: certificates are made anew, and time passes."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A server that stands for one of the README's; ``there`` is what the README calls its address."""

    slapd: Slapd
    ca: Path
    there: str

    def shown(self, output: str) -> str:
        """The output as it would be there."""
        output = output.replace(self.slapd.host, self.there)
        return output.replace(str(self.slapd.ldaps_port), str(USUAL))


def own_address() -> str:
    """A loopback address that no other run on this machine has, where the usual port is ours to take."""
    number = os.getpid()
    address = f"127.53.{number >> 8 & 255}.{number & 255 or 1}"
    with socket.socket() as taken:
        try:
            taken.bind((address, USUAL))
        except OSError as exc:
            if exc.errno == errno.EACCES:
                pytest.skip("port 636 is not ours to take: this needs root")
            raise
    return address


@pytest.fixture(scope="module")
def example_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority as a company has one."""
    return Authority.create(tmp_path_factory.mktemp("ca"), name="Example CA")


@pytest.fixture
def internal(tmp_path: Path, example_ca: Authority) -> Iterator[Stand]:
    """A server on the usual port for TLS alone, whose certificate carries its internal name."""
    shown = example_ca.issue("dc1.corp.example", hosts=["dc1.corp.example"])
    slapd = Slapd(tmp_path, [TREE], shown, host=own_address(), ldaps_port=USUAL)
    with slapd:
        yield Stand(slapd, example_ca.ca, "192.0.2.10")


@pytest.fixture
def limited(tmp_path: Path, example_ca: Authority) -> Iterator[Stand]:
    """A server that stops after twenty entries."""
    tree = replace(TREE, lines=["sizelimit 20"])
    with Slapd(tmp_path, [tree], example_ca.issue("ldap")) as slapd:
        yield Stand(slapd, example_ca.ca, "192.0.2.20")


def session(server: str) -> Session:
    """The README's check of this server."""
    (found,) = (
        one
        for one in sessions()
        if one.command[:2] == ("rollcall", "check") and server in one.command
    )
    return found


def replayed(shown: Session, stand: Stand, server: str) -> str:
    """Run a session's command here and return what it says, as it would be said there."""
    given = {server: f"{stand.slapd.host}:{server.rpartition(':')[2]}", "ca.pem": str(stand.ca)}
    if ":" not in server:
        given[server] = f"{stand.slapd.host}:{stand.slapd.ldaps_port}"
    command = [str(PROGRAM), *(given.get(word, word) for word in shown.command[1:])]
    output = played(command, {"ROLLCALL_PASSWORD": READER_PASSWORD}, code=Exit.NO)
    return stand.shown(output)


def blurred(output: str) -> list[str]:
    """The lines without what differs from run to run."""
    for pattern, instead in BLURRED:
        output = pattern.sub(instead, output)
    return masked(output)


def test_a_wrong_port_reads_as_the_readme_shows(internal: Stand) -> None:
    """One is shut, the other open: the answer is one sentence."""
    shown = session("192.0.2.10:389")

    output = replayed(shown, internal, "192.0.2.10:389")

    assert blurred(output) == blurred(shown.output)
    assert "636 is open, 389 is not." in output


def test_a_certificate_for_another_name_reads_as_the_readme_shows(internal: Stand) -> None:
    """The name to enter stands in the answer."""
    shown = session("192.0.2.10")

    output = replayed(shown, internal, "192.0.2.10")

    assert blurred(output) == blurred(shown.output)
    assert "The certificate is for dc1.corp.example, valid until" in output


def test_a_size_limit_reads_as_the_readme_shows(limited: Stand) -> None:
    """What is to be pasted on the server stands in the answer."""
    shown = session("192.0.2.20")

    output = replayed(shown, limited, "192.0.2.20")

    assert blurred(output) == blurred(shown.output)
    assert 'olcLimits: {0}dn.exact="cn=reader,ou=Service,dc=example,dc=org"' in output
