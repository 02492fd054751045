"""Names and ways to a server: a private name server, a listener that resets, a network that drops or forbids."""

import asyncio
import os
import select
import socket
import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import dns.rcode
import orjson
import pytest

from tests.conftest import PROGRAM
from tests.integration.directory.conftest import LOOPBACK, Reading, RecordingConnector, plan_for
from tests.integration.directory.test_names import name_server
from tests.proofs.telling import heard
from worker.adapters.directory.dial import Names
from worker.adapters.directory.reader import LdapReader
from worker.domain.model import Limits, Server


pytestmark = pytest.mark.integration

DC = Server("dc1.hq.test")
WITHIN_S = 30
NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset (socket(7))."""


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """Give a hosts file that knows nobody."""
    path = tmp_path / "hosts"
    path.write_text("", encoding="utf-8")
    return path


async def code_when(said: dns.rcode.Rcode | str | None, hosts: Path) -> str:
    """Return how a directory is told whose name servers say this."""
    async with name_server(lambda _, __: said, hosts) as (names, _):
        limits = replace(LOOPBACK, connect_s=0.5)
        return await Reading(plan_for(DC, limits=limits), reader=LdapReader(names)).code()


@pytest.mark.parametrize("said", [dns.rcode.NXDOMAIN, ""], ids=["nxdomain", "no-address"])
@pytest.mark.proves("name.not_found")
async def test_a_name_that_nobody_knows(said: dns.rcode.Rcode | str, hosts: Path) -> None:
    """A typing mistake, or a name that only the customer's own network knows."""
    assert await code_when(said, hosts) == "name.not_found"


@pytest.mark.parametrize("said", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
@pytest.mark.proves("name.failed")
async def test_a_name_whose_servers_are_in_trouble(said: dns.rcode.Rcode, hosts: Path) -> None:
    """That is for whoever runs them to mend, and passes."""
    assert await code_when(said, hosts) == "name.failed"


@pytest.mark.proves("name.timed_out")
async def test_a_name_whose_servers_are_silent(hosts: Path) -> None:
    """Likewise."""
    assert await code_when(None, hosts) == "name.timed_out"


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.0.10"]
)
@pytest.mark.proves("reach.not_allowed")
async def test_a_name_that_leads_into_a_private_network(address: str, hosts: Path) -> None:
    """Internal names get published by mistake, and by whoever wants into our network."""
    connector = RecordingConnector()
    async with name_server(lambda _, kind: address if kind == "A" else "", hosts) as (names, _):
        reading = Reading(plan_for(DC, limits=Limits()), reader=LdapReader(names, connector))
        assert await reading.code() == "reach.not_allowed"

    assert connector.dialled == []


@pytest.mark.proves("name.no_server")
async def test_no_server_at_all() -> None:
    """The form asks for one; a directory that an older program saved may have none."""
    assert await Reading(plan_for()).code() == "name.no_server"


class LateConnector:
    """Looks at a connection only when something has become of it: as a busy process does."""

    async def connect(self, address: str, port: int) -> socket.socket:
        """Connect; raise what the kernel then says of it."""
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        sock.connect_ex((address, port))
        watch = select.poll()
        watch.register(sock, select.POLLIN)
        await asyncio.to_thread(watch.poll, WITHIN_S * 1000)
        fault = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        sock.close()
        raise OSError(fault, os.strerror(fault))


@pytest.mark.proves("reach.reset")
async def test_a_connection_reset_as_soon_as_it_stands() -> None:
    """Active Directory without a certificate does so on port 636; so do inspecting firewalls."""

    def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        writer.close()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        target = Server("127.0.0.1", server.sockets[0].getsockname()[1])
        reading = Reading(plan_for(target), reader=LdapReader(Names(), LateConnector()))
        assert await reading.code() == "reach.reset"


@pytest.mark.proves("reach.unroutable")
async def test_an_address_that_is_nobody_s() -> None:
    """The kernel connects to no broadcast address, whatever routes there are: nothing is sent."""
    limits = replace(LOOPBACK, allow_networks=("255.255.255.255/32",))

    assert await Reading(plan_for(Server("255.255.255.255", 636), limits=limits)).code() == (
        "reach.unroutable"
    )


# --- a network of one's own ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A network namespace (ip-netns(8)) in which the program is run: what happens there harms nobody."""

    rules: str

    def command(self, *arguments: str) -> list[str]:
        """Return what runs it there, after the rules are laid."""
        script = f'ip link set lo up && {self.rules} && exec "$@"'
        return ["unshare", "--map-root-user", "--net", "sh", "-c", script, "sh", *arguments]


DROPPED = Elsewhere("tc qdisc add dev lo root blackhole")
"""Every packet, also those to oneself, is thrown away without a word."""
UNREACHABLE = Elsewhere("ip route add unreachable 10.1.0.0/16")
FORBIDDEN = Elsewhere("ip route add prohibit 10.1.0.0/16")


def checked(network: Elsewhere, server: str, folder: Path) -> str:
    """Run ``rollcall check`` there; return the code of what it tells."""
    tried = subprocess.run(  # noqa: S603 -- fixed arguments
        network.command("true"), capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no network namespace here: {tried.stderr.strip()[-200:]}")
    asked = [
        "check",
        "--json",
        "--type",
        "openldap",
        "--server",
        server,
        "--bind-name",
        "cn=reader",
    ]
    environment = {"ROLLCALL_PASSWORD": "reader-5ecret", "ROLLCALL_CONNECT_S": "1"}
    done = subprocess.run(  # noqa: S603 -- the program under test
        network.command(str(PROGRAM), *asked),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=WITHIN_S,
    )
    return heard(orjson.loads(done.stdout)).code


@pytest.mark.timeout(60)
@pytest.mark.proves("reach.timed_out")
def test_packets_that_are_dropped(tmp_path: Path) -> None:
    """A firewall that says nothing: the most common fault of all."""
    assert checked(DROPPED, "127.0.0.1:636", tmp_path) == "reach.timed_out"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("network", [UNREACHABLE, FORBIDDEN], ids=["unreachable", "forbidden"])
@pytest.mark.proves("reach.unroutable")
def test_an_address_without_a_way_to_it(network: Elsewhere, tmp_path: Path) -> None:
    """A route that leads nowhere, and a router that says no."""
    assert checked(network, "10.1.2.3:636", tmp_path) == "reach.unroutable"
