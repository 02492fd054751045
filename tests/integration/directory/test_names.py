"""Names: the hosts file, a private name server that answers as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from typing_extensions import override

from worker.adapters.directory.dial import Names
from worker.domain.failures import Unreachable


pytestmark = pytest.mark.integration

NameAnswer = Callable[[str, str], dns.rcode.Rcode | str | tuple[str, ...] | None]
"""Name and record type to an address or several, a response code, or None for no answer at all."""


class NameServer(asyncio.DatagramProtocol):
    """Answers each question by a function."""

    def __init__(self, answer: NameAnswer) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self._transport: asyncio.DatagramTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(question.name.to_text())
        said = self._answer(question.name.to_text(), kind)
        if said is None or self._transport is None:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        addresses = (said,) if isinstance(said, str) else said
        if isinstance(addresses, dns.rcode.Rcode):
            response.set_rcode(addresses)
        elif any(addresses):
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *addresses))
        self._transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def name_server(answer: NameAnswer, hosts: Path) -> AsyncIterator[tuple[Names, NameServer]]:
    """Run one on loopback, with the names that ask it."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(answer), ("127.0.0.1", 0)
    )

    def resolver() -> dns.asyncresolver.Resolver:
        made = dns.asyncresolver.Resolver(configure=False)
        made.nameservers = ["127.0.0.1"]
        made.port = transport.get_extra_info("sockname")[1]
        return made

    try:
        yield Names(hosts, resolver), server
    finally:
        transport.close()


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """A hosts file of one's own."""
    path = tmp_path / "hosts"
    path.write_text("192.0.2.7 dc1.corp.test dc1 # the old one\nbroken dc1\n", encoding="utf-8")
    return path


async def test_both_kinds_of_address_are_found(hosts: Path) -> None:
    """A directory may be reachable by either."""
    said = {"A": "192.0.2.1", "AAAA": "2001:db8::1"}
    async with name_server(lambda _, kind: said[kind], hosts) as (names, _):
        found = await names.addresses("dc2.corp.test", within_s=5)

    assert found == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))


async def test_one_broken_kind_does_not_spoil_the_other(hosts: Path) -> None:
    """Many name servers answer AAAA with a failure."""
    async with name_server(
        lambda _, kind: "192.0.2.1" if kind == "A" else dns.rcode.SERVFAIL, hosts
    ) as (names, _):
        found = await names.addresses("dc2.corp.test", within_s=5)

    assert found == (ip_address("192.0.2.1"),)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (dns.rcode.NXDOMAIN, "name.not_found"),
        ("", "name.not_found"),
        (dns.rcode.SERVFAIL, "name.failed"),
        (dns.rcode.REFUSED, "name.failed"),
        (None, "name.timed_out"),
    ],
)
async def test_not_found_failed_and_silent_are_told_apart(
    hosts: Path, said: dns.rcode.Rcode | str | None, code: str
) -> None:
    """A typing mistake is the customer's, a dead name server is not."""
    async with name_server(lambda _, __: said, hosts) as (names, _):
        with pytest.raises(Unreachable) as caught:
            await names.addresses("dc2.corp.test", within_s=0.5)

    assert caught.value.code == code


async def test_our_own_search_domains_are_never_tried(hosts: Path) -> None:
    """A customer's ``mail`` must not become our mail server."""
    async with name_server(lambda _, __: dns.rcode.NXDOMAIN, hosts) as (names, server):
        with pytest.raises(Unreachable):
            await names.addresses("mail", within_s=5)

    assert set(server.asked) == {"mail."}


@pytest.mark.parametrize("host", ["dc1.corp.test", "DC1.corp.test.", "dc1"])
async def test_the_hosts_file_still_works(hosts: Path, host: str) -> None:
    """Providers pin a customer's name there."""
    async with name_server(lambda _, __: dns.rcode.NXDOMAIN, hosts) as (names, server):
        found = await names.addresses(host, within_s=5)

    assert (found, server.asked) == ((ip_address("192.0.2.7"),), [])


@pytest.mark.parametrize("host", ["192.0.2.9", "2001:db8::9", "[2001:db8::9]"])
async def test_an_address_is_asked_of_nobody(hosts: Path, host: str) -> None:
    """Literals are what they are."""
    async with name_server(lambda _, __: dns.rcode.NXDOMAIN, hosts) as (names, server):
        found = await names.addresses(host, within_s=5)

    assert (str(found[0]), server.asked) == (host.strip("[]"), [])


@pytest.mark.parametrize("host", ["a" * 70 + ".test", "a..b", "127.1x..", "0x7f.1"])
async def test_a_host_that_is_no_name_is_not_found(hosts: Path, host: str) -> None:
    """And never read as an address in some old notation."""
    async with name_server(lambda _, __: dns.rcode.NXDOMAIN, hosts) as (names, _):
        with pytest.raises(Unreachable) as caught:
            await names.addresses(host, within_s=5)

    assert caught.value.code == "name.not_found"
