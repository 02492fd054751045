"""The look around on real servers: addresses, ports, encryption, certificates, and never a sign-in."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.directory.conftest import RecordingConnector, plan_for
from tests.servers.certs import LIFETIME, Authority, fingerprint, self_signed
from tests.servers.daemon import free_port
from tests.servers.scripted_ldap import BIND, ScriptedLdap
from tests.servers.slapd import Certificate, Slapd
from worker.adapters.directory.dial import Names
from worker.adapters.directory.survey import SURVEYS, LdapSurveyor, Patience
from worker.domain.model import Limits, Security, Server, Trust
from worker.domain.plan import ReadPlan
from worker.domain.survey import PortState, ServerSeen, Speech, Survey, told


pytestmark = pytest.mark.integration

HOST = "dc1.hq.test"
SHORT = Patience(part_s=0.5, whole_s=3)


def now() -> datetime:
    """The time of day, which decides nothing here."""
    return datetime.now(UTC)  # noqa: TID251 -- see above


@pytest.fixture
def names(tmp_path: Path) -> Names:
    """Names of a hosts file: one of two addresses, at the second of which nobody listens."""
    path = tmp_path / "hosts"
    path.write_text(
        f"127.0.0.1 {HOST} localhost\n127.0.0.2 {HOST}\n127.0.0.1 dc2.hq.test\n", "utf-8"
    )
    return Names(path)


async def look(
    plan: ReadPlan,
    names: Names,
    *usual: int,
    patience: Patience = Patience(),  # noqa: B008 -- frozen
) -> Survey:
    """Look around; the usual ports are the test's own."""
    return await LdapSurveyor(names, now=now, usual=lambda _: usual, patience=patience).survey(plan)


async def look_at(plan: ReadPlan, names: Names, *usual: int) -> ServerSeen:
    """Look at the one server there is."""
    (server,) = (await look(plan, names, *usual)).servers
    return server


async def test_every_address_of_a_name_is_looked_at(
    names: Names, slapd: Slapd, own_ca: Trust
) -> None:
    """A name of two addresses fails every other time, and nobody sees why."""
    plan = plan_for(Server(HOST, slapd.ldaps_port), security=Security.LDAPS, trust=own_ca)

    server = await look_at(plan, names)

    assert [each.address for each in server.addresses] == ["127.0.0.1", "127.0.0.2"]
    assert [each.ports[0].state for each in server.addresses] == [
        PortState.OPEN,
        PortState.REFUSED,
    ]
    assert not server.is_well
    assert f"{HOST} has 2 addresses: 127.0.0.1 port {slapd.ldaps_port} open (TLS); " in told(
        [server]
    )


async def test_all_servers_are_looked_at(names: Names, slapd: Slapd) -> None:
    """The second of a list is there for the day when the first is down: it should not be found broken then."""
    away = free_port()

    survey = await look(
        plan_for(Server("dc2.hq.test", slapd.port), Server("dc2.hq.test", away)), names
    )

    assert [each.server for each in survey.servers] == [
        f"dc2.hq.test:{slapd.port}",
        f"dc2.hq.test:{away}",
    ]
    assert [each.is_well for each in survey.servers] == [True, False]


async def test_another_port_that_is_open_is_found(names: Names, slapd: Slapd) -> None:
    """The commonest slip of all, and the answer is one sentence."""
    away = free_port()
    plan = plan_for(Server("dc2.hq.test", away), security=Security.STARTTLS)

    server = await look_at(plan, names, slapd.ldaps_port, away)

    assert [(port.port, port.configured) for port in server.ports] == [
        (away, True),
        (slapd.ldaps_port, False),
    ]
    assert f"{slapd.ldaps_port} is open, {away} is not." in told([server])


async def test_what_an_open_port_speaks_is_found_out(
    names: Names, slapd: Slapd, own_ca: Trust
) -> None:
    """LDAPS on the plain port: it says plain LDAP, and that StartTLS would do."""
    plan = plan_for(Server("dc2.hq.test", slapd.port), security=Security.LDAPS, trust=own_ca)

    server = await look_at(plan, names, slapd.ldaps_port)

    first, second = server.ports
    assert (first.speaks, first.starttls) == (Speech.LDAP, True)
    assert (second.speaks, second.starttls) == (Speech.TLS, None)


async def test_the_certificate_is_shown_whole(
    names: Names, slapd: Slapd, own_ca: Trust, authority: Authority
) -> None:
    """The admin compares it with the one they know, and may pin it."""
    plan = plan_for(Server("127.0.0.1", slapd.ldaps_port), security=Security.LDAPS, trust=own_ca)

    server = await look_at(plan, names)

    (shown,) = server.certificates
    (port,) = server.ports
    assert shown.fingerprint == f"sha256:{fingerprint(authority.directory / 'hq.pem')}"
    assert shown.names == ("localhost", "127.0.0.1")
    assert (shown.subject, shown.issuer) == ("CN=hq", "CN=Rollcall test CA")
    assert (shown.self_signed, shown.chain_length, shown.key) == (False, 2, "EC secp256r1")
    assert shown.valid_from is not None
    assert shown.valid_until is not None
    assert shown.valid_until - shown.valid_from == LIFETIME
    assert port.tls is not None
    assert (port.tls.check, port.tls.certificate) == ("ok", shown.fingerprint)
    assert (port.tls.version, port.tls.versions["TLS 1.2"]) == ("TLS 1.3", True)


@pytest.mark.parametrize("security", [Security.LDAPS, Security.STARTTLS])
async def test_what_is_wrong_with_the_encryption_of_each_port_is_told(
    names: Names, slapd: Slapd, own_ca: Trust, security: Security
) -> None:
    """By the directory's own trust, so that a second server's certificate is found wrong before it is needed."""
    port = slapd.ldaps_port if security is Security.LDAPS else slapd.port
    plan = plan_for(Server("dc2.hq.test", port), security=security, trust=own_ca)

    wrong_name = await look_at(plan, names)
    stranger = await look_at(replace_trust(plan, Trust(fingerprint="0" * 64)), names)
    public = await look_at(replace_trust(plan, Trust()), names)

    checks = [
        port.tls.check for seen in (wrong_name, stranger, public) for port in seen.ports if port.tls
    ]
    assert checks == ["secure.wrong_name", "secure.wrong_fingerprint", "secure.untrusted_root"]
    assert len(public.certificates) == 1


def replace_trust(plan: ReadPlan, trust: Trust) -> ReadPlan:
    """The same with another trust."""
    return replace(plan, settings=replace(plan.settings, trust=trust))


async def test_settings_that_cannot_be_used_still_show_the_certificate(
    names: Names, slapd: Slapd
) -> None:
    """The authority pasted was none; the one that is needed can be told from the certificate."""
    plan = plan_for(
        Server("127.0.0.1", slapd.ldaps_port), security=Security.LDAPS, trust=Trust(ca_pem="none")
    )

    server = await look_at(plan, names)

    (port,) = server.ports
    assert port.tls is not None
    assert (port.tls.check, port.suits) == ("secure.bad_ca", False)
    assert server.certificates[0].issuer == "CN=Rollcall test CA"


async def test_nobody_signs_in_and_the_server_is_known_all_the_same(names: Names) -> None:
    """A look around must never count towards a lockout."""
    async with ScriptedLdap(search=nothing).running() as server:
        survey = await look(plan_for(Server("127.0.0.1", server.port)), names)

        assert survey.root is not None
        assert survey.root.contexts == ("dc=x",)
        assert server.requests
        assert BIND not in {request.operation for request in server.requests}


async def nothing(*_: object) -> None:
    """No search but that of the rootDSE is expected."""
    raise AssertionError


async def test_a_forbidden_address_is_told_and_never_dialled(tmp_path: Path) -> None:
    """Our own network is not the customer's to look around in."""
    hosts = tmp_path / "hosts"
    hosts.write_text("10.1.2.3 dc1.hq.test\n169.254.169.254 dc1.hq.test\n", "utf-8")
    connector = RecordingConnector()
    plan = plan_for(Server(HOST), Server("localhost"), Server("127.0.0.1"), limits=Limits())

    survey = await LdapSurveyor(Names(hosts), connector, now=now).survey(plan)

    assert connector.dialled == []
    assert told(survey.servers[:1]) == (
        "dc1.hq.test has 2 addresses: 10.1.2.3 is an address inside a private network: not dialled from here; "
        "169.254.169.254 is a link-local address, known to its own network segment alone: not dialled from here."
    )


async def test_a_name_that_is_not_known_is_told(names: Names) -> None:
    """The other servers are looked at all the same."""
    server = await look_at(plan_for(Server("a..b")), names)

    assert (server.name, server.addresses) == ("name.not_found", ())
    assert told([server]) == "a..b: its name is not known."


@asynccontextmanager
async def saying(words: bytes) -> AsyncIterator[int]:
    """A server that says one thing to whoever connects, and nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("words", "speaks"), [(b"SSH-2.0-OpenSSH_9\r\n", Speech.OTHER), (b"", Speech.NOTHING)]
)
async def test_what_is_no_ldap_is_told_and_holds_nobody_up(
    names: Names, words: bytes, speaks: Speech
) -> None:
    """A port that stays silent costs a bounded time; a stranger's greeting is not repeated."""
    began = asyncio.get_running_loop().time()
    async with saying(words) as port:
        survey = await look(plan_for(Server("127.0.0.1", port)), names, patience=SHORT)

    assert asyncio.get_running_loop().time() - began < SHORT.whole_s + 1
    assert [each.speaks for each in survey.servers[0].ports] == [speaks]
    assert "OpenSSH" not in repr(survey)


async def test_a_port_that_drops_what_comes_is_told_as_no_answer(names: Names) -> None:
    """A firewall that drops looks like that; here a listener whose queue is full."""
    with socket.socket() as hole, contextlib.ExitStack() as waiting:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        for _ in range(3):  # the kernel takes one or two more than it is told
            knocking = waiting.enter_context(socket.socket())
            knocking.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            knocking.connect_ex(("127.0.0.1", port))
        began = asyncio.get_running_loop().time()
        survey = await look(plan_for(Server("127.0.0.1", port)), names, patience=SHORT)

    (seen,) = survey.servers[0].ports
    assert (seen.state, seen.speaks) == (PortState.TIMED_OUT, None)
    assert asyncio.get_running_loop().time() - began < SHORT.whole_s + 1
    assert told(survey.servers) == f"127.0.0.1 port {port} no answer."


async def test_a_look_has_an_end_and_tells_what_it_has_seen(names: Names, slapd: Slapd) -> None:
    """Four ports that stay silent, one after another, would take longer than anybody waits."""
    whole = Patience(part_s=5, whole_s=0.5)
    began = asyncio.get_running_loop().time()
    async with saying(b"") as port:
        plan = plan_for(Server("127.0.0.1", port), Server("127.0.0.1", slapd.port))
        survey = await look(plan, names, patience=whole)

    assert asyncio.get_running_loop().time() - began < whole.part_s
    silent, well = survey.servers
    assert [each.state for each in silent.ports] == [PortState.OPEN]
    assert well.is_well


async def test_cancelled_it_leaves_nothing_open(names: Names) -> None:
    """A run that is stopped does not wait for it."""
    async with saying(b"") as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await look(plan_for(Server("127.0.0.1", port)), names)


async def test_only_so_many_are_made_at_once(names: Names, slapd: Slapd) -> None:
    """When all directories fail together a look at each would tell nothing new, and take long."""
    surveyor = LdapSurveyor(names, now=now, usual=lambda _: ())
    plan = plan_for(Server("127.0.0.1", slapd.port))

    async with asyncio.TaskGroup() as group:
        made = [group.create_task(surveyor.survey(plan)) for _ in range(SURVEYS + 2)]

    assert [len(each.result().servers) for each in made] == [1] * SURVEYS + [0] * 2
    assert len((await surveyor.survey(plan)).servers) == 1


@asynccontextmanager
async def tls_server(certificate: Certificate, latest: ssl.TLSVersion) -> AsyncIterator[int]:
    """A TLS server that knows nothing newer than this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, latest

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_server_of_old_days_shows_its_certificate_too(names: Names, tmp_path: Path) -> None:
    """What is refused is named: only versions that are no longer safe."""
    shown = self_signed(tmp_path / "old")
    plan = plan_for(Server("127.0.0.1", 1), security=Security.LDAPS)
    async with tls_server(shown, ssl.TLSVersion.TLSv1_1) as port:
        plan = replace(plan, settings=replace(plan.settings, servers=(Server("127.0.0.1", port),)))
        (server,) = (await look(plan, names, patience=SHORT)).servers

    (seen,) = server.ports
    assert seen.tls is not None
    assert (seen.tls.check, seen.tls.version) == ("secure.protocol_too_old", "TLS 1.1")
    assert seen.tls.versions == {
        "TLS 1.3": False,
        "TLS 1.2": False,
        "TLS 1.1": True,
        "TLS 1.0": True,
    }
    assert "It offers TLS 1.1 and TLS 1.0." in told([server])
    (certificate,) = server.certificates
    assert certificate.self_signed
    assert certificate.fingerprint == f"sha256:{fingerprint(shown.cert)}"


async def test_an_expired_certificate_is_dated(
    names: Names, authority: Authority, own_ca: Trust
) -> None:
    """The day it ended tells whether somebody forgot to renew it, or the clock is wrong."""
    expired = authority.expired()
    async with tls_server(expired, ssl.TLSVersion.TLSv1_2) as port:
        plan = plan_for(Server("127.0.0.1", port), security=Security.LDAPS, trust=own_ca)
        (server,) = (await look(plan, names, patience=SHORT)).servers

    (seen,) = server.ports
    yesterday = now() - timedelta(days=1)
    assert seen.tls is not None
    assert seen.tls.check == "secure.expired"
    assert f"valid until {yesterday:%Y-%m-%d}" in told([server])
