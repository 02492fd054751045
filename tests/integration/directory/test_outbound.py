"""Nobody is dialled whom the operator has not allowed: from what a customer types to the connection itself."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import dns.rcode
import pytest

from tests.integration.directory.conftest import Reading, RecordingConnector, RecordingGate
from tests.integration.directory.test_names import NameServer, name_server
from tests.integration.directory.test_scripted import plan_at, two_people
from tests.servers.forbidden import LOOPBACK, NAMES, PUBLIC, SPELLINGS, hosts_file
from tests.servers.scripted_ldap import (
    BIND,
    Client,
    Request,
    ScriptedLdap,
    done,
    octets,
    person,
    reference,
    result,
    tlv,
)
from worker.adapters.directory.dial import Connector, Names
from worker.adapters.directory.reader import LdapReader
from worker.adapters.directory.survey import LdapSurveyor
from worker.codec.inbound import read_form
from worker.domain.commands import SaveDirectory
from worker.domain.model import Credentials, Limits, Secret, Security
from worker.domain.plan import ReadPlan, make_plan


pytestmark = pytest.mark.integration

SERVICE = Limits(connect_s=3, bind_s=3, page_s=3, run_s=5)


@dataclass(slots=True)
class RefusingConnector:
    """Connects to nobody, and remembers who was asked for."""

    asked: list[str] = field(default_factory=list)

    async def connect(self, address: str, port: int) -> socket.socket:
        """Remember and refuse."""
        self.asked.append(address)
        raise ConnectionRefusedError


@dataclass(slots=True)
class HangingUpConnector:
    """Connects to somebody who hangs up at once, and remembers who was asked for."""

    asked: list[str] = field(default_factory=list)

    async def connect(self, address: str, port: int) -> socket.socket:
        """Remember and give a line that is cut already."""
        self.asked.append(address)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        theirs.close()
        return ours


def said(name: str, kind: str) -> dns.rcode.Rcode | str | tuple[str, ...]:
    """What the attacker's name server answers."""
    version = 4 if kind == "A" else 6
    known = NAMES.get(name.rstrip(".").lower())
    if known is None:
        return dns.rcode.NXDOMAIN
    return tuple(each for each in known if ip_address(each).version == version)


def typed(server: str, *, limits: Limits = SERVICE, security: str = "none") -> ReadPlan | None:
    """Return the plan for what somebody typed, or None when the form refuses the server, and nothing else."""
    form: Mapping[str, object] = {
        "directory": "hq",
        "type": "openldap",
        "servers": [server],
        "security": security,
        "bind_name": "cn=reader,dc=x",
        "password": "secret",
        "search_bases": ["dc=x"],
    }
    command = read_form("directory.save", dict(form))
    if isinstance(command, tuple):
        assert {error.field for error in command} == {"servers.0"}
        return None
    assert isinstance(command, SaveDirectory)
    return make_plan(command.settings, Credentials(Secret("secret")), limits)


async def code_of(plan: ReadPlan, names: Names, connector: Connector) -> str:
    """Return how a reading of this plan fails."""
    reading = Reading(plan, reader=LdapReader(names, connector), gate=RecordingGate())
    code = await reading.code()
    assert reading.gate.events == []
    return code


@pytest.fixture
async def attacker(tmp_path: Path) -> AsyncIterator[tuple[Names, NameServer]]:
    """The names of ``tests.servers.forbidden``, real hosts file and real DNS."""
    hosts = tmp_path / "hosts"
    hosts.write_text(hosts_file(), encoding="utf-8")
    async with name_server(said, hosts) as both:
        yield both


def test_there_are_many_ways_to_write_it() -> None:
    """Each once: the list is what the next test is worth."""
    assert len(set(SPELLINGS)) == len(SPELLINGS) >= 30


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_a_forbidden_place_is_dialled(
    spelling: str, attacker: tuple[Names, NameServer]
) -> None:
    """The form refuses it, or its address is refused; of a name with a public address only that one is dialled."""
    connector = RefusingConnector()
    plan = typed(spelling)

    code = await code_of(plan, attacker[0], connector) if plan else "refused by the form"

    assert set(connector.asked) <= {PUBLIC}
    expected = {"refused by the form", "reach.not_allowed", "name.not_found"}
    assert code in (expected if not connector.asked else {"reach.refused"})
    assert bool(connector.asked) is spelling.startswith("both")


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_nobody_looks_around_at_a_forbidden_place(
    spelling: str, attacker: tuple[Names, NameServer]
) -> None:
    """The doctor's look dials where a reading would, and nowhere else, on whatever port."""
    connector = RefusingConnector()
    plan = typed(spelling)

    if plan is not None:
        surveyor = LdapSurveyor(attacker[0], connector, now=lambda: datetime.fromtimestamp(0, UTC))
        (server,) = (await surveyor.survey(plan)).servers
        told = [address.forbidden for address in server.addresses]
        assert any(told) or server.name == "name.not_found"

    assert set(connector.asked) <= {PUBLIC}
    assert bool(connector.asked) is spelling.startswith("both")


@pytest.mark.parametrize("spelling", [" 93.184.216.34 ", "ldap://93.184.216.34:389"])
async def test_a_public_address_is_dialled(
    spelling: str, attacker: tuple[Names, NameServer]
) -> None:
    """Else the test above would pass with a reader that dials nobody."""
    connector, plan = RefusingConnector(), typed(spelling)
    assert plan is not None

    assert await code_of(plan, attacker[0], connector) == "reach.refused"
    assert connector.asked == [PUBLIC]


async def test_a_name_with_thousands_of_addresses_is_not_a_way_to_knock_everywhere(
    tmp_path: Path,
) -> None:
    """A customer's name server says where we connect to: to a few places, then."""
    everywhere = tuple(f"93.184.{third}.34" for third in range(20))
    connector, plan = RefusingConnector(), typed("everywhere.example")
    assert plan is not None

    async with name_server(
        lambda _, kind: everywhere if kind == "A" else "", tmp_path / "none"
    ) as (names, _):
        await code_of(plan, names, connector)

    assert len(connector.asked) <= 8


@pytest.mark.parametrize("security", ["none", "ldaps", "starttls"])
async def test_a_name_that_changes_its_address_is_asked_once(security: str, tmp_path: Path) -> None:
    """Rebinding: public when it is vetted, loopback a moment later. The second answer is never asked for.

    Also not when a broken handshake is looked into: that look goes to the same address.
    """
    answers = {"A": [PUBLIC, "127.0.0.1"], "AAAA": ["", "::1"]}
    connector, plan = HangingUpConnector(), typed("rebind.attacker.example", security=security)
    assert plan is not None

    async with name_server(lambda _, kind: answers[kind].pop(0), tmp_path / "none") as (names, dns):
        await Reading(plan, reader=LdapReader(names, connector)).code()

    assert set(connector.asked) == {PUBLIC}
    assert len(connector.asked) == 2
    assert len(dns.asked) == 2


@dataclass(slots=True)
class Listener:
    """Counts who connects."""

    port: int = 0
    connections: int = 0


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Listen on both loopback addresses."""
    listener = Listener()

    def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        writer.transport.abort()

    server = await asyncio.start_server(come, "127.0.0.1")
    listener.port = server.sockets[0].getsockname()[1]
    other = await asyncio.start_server(come, "::1", listener.port)
    async with server, other:
        yield listener


async def reading_there(
    spelling: str, listener: Listener, names: Names, limits: Limits
) -> set[str]:
    """Read what somebody typed, with this port, through a connector that connects; gives the addresses it was sent to."""
    told = spelling if spelling.count(":") < 2 or spelling.startswith("[") else f"[{spelling}]"
    plan, connector = typed(f"{told}:{listener.port}", limits=limits), RecordingConnector()
    if plan is not None:
        await Reading(plan, reader=LdapReader(names, connector)).code()
    return {address for address, _ in connector.dialled}


async def test_a_listener_on_loopback_sees_nobody(attacker: tuple[Names, NameServer]) -> None:
    """Not only the recording: no connection arrives."""
    async with listening() as listener:
        for spelling in LOOPBACK:
            assert not await reading_there(spelling, listener, attacker[0], SERVICE)

    assert listener.connections == 0


async def test_what_the_operator_allows_is_dialled_and_nothing_beside(
    attacker: tuple[Names, NameServer],
) -> None:
    """``ROLLCALL_ALLOW_NETWORKS`` names networks; what it does not name stays shut."""
    limits = replace(SERVICE, allow_networks=("127.0.0.1/32",))
    async with listening() as listener:
        dialled = {
            spelling: await reading_there(spelling, listener, attacker[0], limits)
            for spelling in LOOPBACK
        }

    assert listener.connections > 0
    assert set().union(*dialled.values()) <= {"127.0.0.1", "::ffff:7f00:1"}
    for spelling in ("127.0.0.1", "localhost", "loop.attacker.example", "[::ffff:127.0.0.1]"):
        assert dialled[spelling]
    for spelling in ("[::1]", "::1", "127.255.255.254", "[::]", "loop6.attacker.example"):
        assert not dialled[spelling]


# --- referrals ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "code"),
    [("bind", "sign_in.referral"), ("base", "base.referral"), ("search", "read.referral")],
)
async def test_a_referral_is_told_and_not_followed(where: str, code: str) -> None:
    """Where it leads was chosen by a server, not by the customer: it could be our own network."""
    async with listening() as listener:
        uri = f"ldap://127.0.0.1:{listener.port}/dc=x"

        async def refer(client: Client, request: Request) -> None:
            tag = 0x61 if request.operation == BIND else 0x65
            words = tlv(0xA3, octets(uri), octets(f"ldap://localhost:{listener.port}"))
            await client.send(result(request.id, tag, 10, "elsewhere", tail=words))

        script = ScriptedLdap(
            refer if where == "search" else two_people,
            bind=refer if where == "bind" else None,
            base=refer if where == "base" else None,
        )
        async with script.running() as server:
            assert await Reading(plan_at(server)).code() == code

    assert listener.connections == 0


async def test_references_are_counted_and_their_servers_see_nobody() -> None:
    """Active Directory sends some with every search of a domain's root."""
    async with listening() as listener:
        uri = f"ldap://127.0.0.1:{listener.port}/dc=x"

        async def search(client: Client, request: Request) -> None:
            found = [person(request.id, 1), *(reference(request.id, uri) for _ in range(5))]
            await client.send(*found, done(request.id))

        async with ScriptedLdap(search).running() as server:
            reading = Reading(plan_at(server))
            await reading.entries()

    assert reading.proof is not None
    assert (reading.proof.entries, reading.proof.references) == (1, 5)
    assert listener.connections == 0


def test_security_is_what_was_typed() -> None:
    """The plans above are those that a saved form makes."""
    plan = typed("dc1.example.com", security="starttls")

    assert plan is not None
    assert plan.settings.security is Security.STARTTLS
