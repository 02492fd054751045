"""Each failure that a real server can be brought to."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.directory.conftest import (
    BASE,
    LOOPBACK,
    PEOPLE,
    TREE,
    Reading,
    RecordingConnector,
    plan_for,
)
from tests.servers.certs import Authority, self_signed
from tests.servers.daemon import free_port
from tests.servers.slapd import Certificate, Slapd
from worker.adapters.directory.reader import LdapReader
from worker.domain.failures import Denied, Stage, StageState, Unfinished
from worker.domain.model import Limits, Security, Server, Trust
from worker.domain.plan import ReadPlan


pytestmark = pytest.mark.integration


# --- reaching it -------------------------------------------------------------


@pytest.mark.proves("reach.refused")
async def test_a_closed_port_is_refused() -> None:
    """Service down or wrong port: the first thing to check."""
    assert await Reading(plan_for(Server("127.0.0.1", free_port()))).code() == "reach.refused"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "169.254.169.254"])
@pytest.mark.proves("reach.not_allowed")
async def test_our_own_network_is_never_dialled(host: str) -> None:
    """A customer's form must not be a way into the provider's network."""
    connector = RecordingConnector()
    reading = Reading(
        plan_for(Server(host, 389), limits=Limits()), reader=LdapReader(connector=connector)
    )

    assert await reading.code() == "reach.not_allowed"
    assert connector.dialled == []


async def test_a_name_is_resolved_once_and_that_address_is_dialled(slapd: Slapd) -> None:
    """A second look-up could answer differently: then the vetted address is not the dialled one."""
    connector = RecordingConnector()
    plan = plan_for(Server("localhost", slapd.port))

    await Reading(plan, reader=LdapReader(connector=connector)).entries()

    assert connector.dialled == [("127.0.0.1", slapd.port)]


# --- trusting it -------------------------------------------------------------


async def code_with(
    folder: Path, shown: Certificate, trust: Trust, *, name: str | None = None
) -> str:
    """Return how a directory that shows this certificate is refused."""
    with Slapd(folder, [TREE], certificate=shown) as server:
        target = Server("127.0.0.1", server.ldaps_port)
        plan = plan_for(target, security=Security.LDAPS, trust=trust, certificate_name=name)
        reading = Reading(plan)
        code = await reading.code()
    assert reading.gate.events == []  # no password was tried
    return code


@pytest.mark.proves("secure.expired")
async def test_an_expired_certificate(tmp_path: Path, authority: Authority, own_ca: Trust) -> None:
    """Somebody forgot to renew it."""
    assert await code_with(tmp_path, authority.expired(), own_ca) == "secure.expired"


@pytest.mark.proves("secure.not_yet_valid")
async def test_a_certificate_of_tomorrow(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """A wrong clock, here or there."""
    future = authority.issue("future", valid_from=timedelta(days=1))

    assert await code_with(tmp_path, future, own_ca) == "secure.not_yet_valid"


@pytest.mark.proves("secure.wrong_name")
async def test_a_certificate_for_another_name(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """The customer can enter the expected name."""
    code = await code_with(tmp_path, authority.wrong_name(), own_ca, name="dc1.hq.test")

    assert code == "secure.wrong_name"


@pytest.mark.proves("secure.self_signed")
async def test_a_self_signed_certificate(tmp_path: Path, own_ca: Trust) -> None:
    """The customer can upload or pin it."""
    shown = self_signed(tmp_path / "own")

    assert await code_with(tmp_path / "slapd", shown, own_ca) == "secure.self_signed"


@pytest.mark.proves("secure.untrusted_root")
async def test_a_private_root_that_nobody_uploaded(tmp_path: Path, authority: Authority) -> None:
    """The chain is whole but ends in a stranger."""
    shown = authority.issue("chained")

    assert await code_with(tmp_path, shown, Trust()) == "secure.untrusted_root"


@pytest.mark.proves("secure.missing_issuer")
async def test_a_chain_that_lacks_its_issuer(tmp_path: Path, authority: Authority) -> None:
    """The most common fault of private authorities: the server sends its own certificate only."""
    other = Authority.create(tmp_path / "other")
    shown = replace(authority.issue("alone"), ca=other.ca)

    assert await code_with(tmp_path / "slapd", shown, Trust()) == "secure.missing_issuer"


@pytest.mark.proves("secure.wrong_purpose")
async def test_a_certificate_for_clients(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """A certificate that is not meant for servers."""
    shown = authority.issue("client-only", usage="clientAuth")

    assert await code_with(tmp_path, shown, own_ca) == "secure.wrong_purpose"


def weak(folder: Path) -> Certificate:
    """Make a certificate of the last century."""
    cert, key = folder / "weak.pem", folder / "weak.key"
    subprocess.run(  # noqa: S603 -- fixed arguments
        [
            *("/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "9"),
            *("-keyout", str(key), "-out", str(cert), "-subj", "/CN=weak"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return Certificate(cert, key, cert)


@pytest.mark.proves("secure.weak_key")
async def test_a_key_too_weak_to_protect_anything(tmp_path: Path) -> None:
    """Old servers still show 1024 bits."""
    shown = weak(tmp_path)
    trust = Trust(ca_pem=shown.ca.read_text(encoding="ascii"))

    assert await code_with(tmp_path / "slapd", shown, trust) == "secure.weak_key"


@pytest.mark.proves("secure.wrong_fingerprint")
async def test_another_certificate_than_the_pinned_one(
    tmp_path: Path, authority: Authority
) -> None:
    """Renewed, or somebody in between: no password is sent before a person has looked."""
    trust = Trust(fingerprint="0" * 64)

    assert await code_with(tmp_path, authority.issue("other"), trust) == "secure.wrong_fingerprint"


@pytest.mark.proves("secure.tls_on_plain_port")
async def test_tls_to_a_plain_port(plain: Server, own_ca: Trust) -> None:
    """Port 389 with LDAPS: the reverse of what was meant."""
    code = await Reading(plan_for(plain, security=Security.LDAPS, trust=own_ca)).code()

    assert code == "secure.tls_on_plain_port"


@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS])
@pytest.mark.proves("secure.plain_on_tls_port")
async def test_plain_to_a_tls_port(secured: Server, security: Security) -> None:
    """Port 636 without LDAPS."""
    assert await Reading(plan_for(secured, security=security)).code() == "secure.plain_on_tls_port"


@pytest.mark.proves("secure.starttls_refused")
async def test_a_server_without_a_certificate_offers_no_starttls(tmp_path: Path) -> None:
    """The customer installs one, or uses another way."""
    with Slapd(tmp_path, [TREE]) as server:
        target = Server("127.0.0.1", server.port)
        code = await Reading(plan_for(target, security=Security.STARTTLS)).code()

    assert code == "secure.starttls_refused"


@asynccontextmanager
async def shaking_hands_once(context: ssl.SSLContext) -> AsyncIterator[Server]:
    """A TLS server by blocking calls: unlike asyncio's, it sends the alert that says what is wrong."""

    def shake(listener: socket.socket) -> None:
        near, _ = listener.accept()
        near.settimeout(5)
        with near, suppress(OSError), context.wrap_socket(near, server_side=True) as secure:
            secure.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(shake, listener))
            yield Server("127.0.0.1", listener.getsockname()[1])


@pytest.mark.proves("secure.protocol_too_old")
async def test_only_old_tls(authority: Authority, own_ca: Trust) -> None:
    """A server of 2008 speaks nothing we would send a password through."""
    shown = authority.issue("old")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.cert, shown.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    async with shaking_hands_once(context) as target:
        code = await Reading(plan_for(target, security=Security.LDAPS, trust=own_ca)).code()

    assert code == "secure.protocol_too_old"


@pytest.mark.proves("secure.client_certificate")
async def test_a_demanded_client_certificate_is_named(authority: Authority, own_ca: Trust) -> None:
    """TLS 1.3 tells only after the handshake; the customer still learns what is missing."""
    shown = authority.issue("strict")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.cert, shown.key)
    context.load_verify_locations(shown.ca)
    context.verify_mode = ssl.CERT_REQUIRED

    async with shaking_hands_once(context) as target:
        code = await Reading(plan_for(target, security=Security.LDAPS, trust=own_ca)).code()

    assert code == "secure.client_certificate"


@pytest.mark.proves("secure.closed")
async def test_a_server_that_hangs_up_after_the_handshake(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """OpenLDAP says nothing at all when it misses a client certificate."""
    lines = ["TLSVerifyClient demand"]
    with Slapd(tmp_path, [TREE], certificate=authority.issue("mute"), lines=lines) as server:
        target = Server("127.0.0.1", server.ldaps_port)
        code = await Reading(plan_for(target, security=Security.LDAPS, trust=own_ca)).code()

    assert code == "secure.closed"


@pytest.mark.proves("secure.bad_client_certificate")
async def test_a_client_certificate_that_does_not_fit_its_key(
    secured: Server, authority: Authority
) -> None:
    """Two files of different pairs: told before anything is dialled."""
    one, two = authority.client("one"), authority.client("two")
    pair = (one.cert.read_text(encoding="ascii"), two.key.read_text(encoding="ascii"))

    reading = Reading(plan_for(secured, security=Security.LDAPS, client=pair))

    assert await reading.code() == "secure.bad_client_certificate"
    assert reading.states() == [(Stage.SECURE, StageState.FAILED)]


# --- signing in --------------------------------------------------------------


@pytest.mark.proves("sign_in.wrong_password")
async def test_a_wrong_password_goes_to_no_other_server(plain: Server) -> None:
    """Each refusal counts towards a lockout of the customer's account."""
    reading = Reading(plan_for(plain, plain, password="wrong"))

    assert await reading.code() == "sign_in.wrong_password"
    assert reading.gate.events == ["admit", "settle False"]
    assert reading.states()[-1] == (Stage.SIGN_IN, StageState.FAILED)


@pytest.mark.parametrize("password", ["", None])
@pytest.mark.proves("sign_in.empty_password")
async def test_an_empty_password_is_refused_before_anything_is_dialled(
    plain: Server, password: str | None
) -> None:
    """Some servers call that success and show an empty directory."""
    connector = RecordingConnector()
    reading = Reading(plan_for(plain, password=password), reader=LdapReader(connector=connector))

    assert await reading.code() == "sign_in.empty_password"
    assert (reading.gate.events, connector.dialled) == ([], [])


@pytest.mark.proves("sign_in.bad_password")
async def test_a_password_that_the_library_would_cut_is_refused(plain: Server) -> None:
    """The library ends it at the NUL: what is left may be empty, an anonymous bind."""
    reading = Reading(plan_for(plain, password="\0rest"))

    assert await reading.code() == "sign_in.bad_password"
    assert reading.states() == [(Stage.SIGN_IN, StageState.FAILED)]


@pytest.mark.proves("sign_in.bad_name")
async def test_a_bind_name_that_is_no_name(plain: Server) -> None:
    """OpenLDAP wants a DN where AD takes user@domain."""
    reading = Reading(plan_for(plain, bind_name="reader@hq.test"))

    assert await reading.code() == "sign_in.bad_name"
    assert reading.gate.events == ["admit", "settle None"]


@pytest.mark.proves("sign_in.needs_tls")
async def test_a_server_that_demands_tls_for_passwords(tmp_path: Path) -> None:
    """The form's security has to change, not the password."""
    with Slapd(tmp_path, [TREE], lines=["security simple_bind=128"]) as server:
        code = await Reading(plan_for(Server("127.0.0.1", server.port))).code()

    assert code == "sign_in.needs_tls"


async def test_a_gate_that_says_no_is_heard(plain: Server) -> None:
    """An account near its lockout is left alone."""

    class Closed:
        async def admit(self) -> None:
            raise Denied("sign_in.too_often")

        async def settle(self, *, accepted: bool | None) -> None:
            raise AssertionError(accepted)

    with pytest.raises(Denied) as caught:
        async with LdapReader().listing(plan_for(plain), gate=Closed(), stages=[]):
            pass

    assert caught.value.code == "sign_in.too_often"


# --- finding and reading -----------------------------------------------------


async def code_of(plan: ReadPlan) -> str:
    """Return how a plan fails."""
    return await Reading(plan).code()


@pytest.mark.proves("base.not_found")
async def test_a_base_that_is_not_there(plain: Server) -> None:
    """A missing base comes back from the library as an empty list: everyone would have left."""
    assert await code_of(plan_for(plain, bases=("ou=Gone,dc=hq,dc=test",))) == "base.not_found"


@pytest.mark.proves("base.bad_name")
async def test_a_base_that_is_no_name(plain: Server) -> None:
    """A typing mistake."""
    assert await code_of(plan_for(plain, bases=("hq.test",))) == "base.bad_name"


@pytest.mark.proves("base.referral")
async def test_a_base_in_another_directory(tmp_path: Path) -> None:
    """A referral is not followed, and is not success."""
    with Slapd(tmp_path, [TREE], lines=['referral "ldap://other.example"']) as server:
        target = Server("127.0.0.1", server.port)
        code = await code_of(plan_for(target, bases=("dc=other,dc=test",)))

    assert code == "base.referral"


async def test_a_base_this_account_may_not_see(tmp_path: Path) -> None:
    """Rights, not the base, have to change."""
    tree = replace(TREE, access=("to * by anonymous auth by * none",))
    with Slapd(tmp_path, [tree]) as server:
        code = await code_of(plan_for(Server("127.0.0.1", server.port)))

    assert code in {"base.not_found", "base.not_allowed"}  # OpenLDAP discloses nothing: 32


@pytest.mark.proves("read.nothing_found")
async def test_rights_that_show_the_base_and_nobody_in_it(tmp_path: Path) -> None:
    """Success and no entry: the most dangerous answer of all."""
    access = ("to dn.base=dc=hq,dc=test by * read", "to * by anonymous auth by * none")
    with Slapd(tmp_path, [replace(TREE, access=access)]) as server:
        code = await code_of(plan_for(Server("127.0.0.1", server.port)))

    assert code == "read.nothing_found"


@pytest.mark.proves("read.size_limit")
async def test_a_size_limit_is_not_the_end_of_the_list(tmp_path: Path) -> None:
    """The first entries come with success, and then no more."""
    tree = replace(TREE, lines=["sizelimit 20"])
    with Slapd(tmp_path, [tree]) as server:
        reading = Reading(plan_for(Server("127.0.0.1", server.port)))
        code = await reading.code()

    assert code == "read.size_limit"
    assert reading.proof is None


@pytest.mark.proves("read.bad_filter")
async def test_a_filter_that_is_none(plain: Server) -> None:
    """A bracket too few."""
    assert await code_of(plan_for(plain, wanted="(mail=*")) == "read.bad_filter"


@pytest.mark.proves("read.lost_connection")
async def test_a_server_killed_between_two_pages(tmp_path: Path) -> None:
    """What came before is not the list."""
    with Slapd(tmp_path, [TREE]) as server:
        reading = Reading(plan_for(Server("127.0.0.1", server.port), page_size=3))
        seen: list[str] = []

        async def kill_after_the_first_page() -> None:
            async for page in reading.pages():
                seen.extend(name for name, _ in page)
                server.kill()

        with pytest.raises(Unfinished) as caught:
            await kill_after_the_first_page()

    assert caught.value.code == "read.lost_connection"
    assert 0 < len(seen) < PEOPLE


@pytest.mark.proves("sign_in.timed_out")
async def test_a_server_that_falls_silent_is_left_at_the_deadline(tmp_path: Path) -> None:
    """A hanging directory costs its own run and nobody else's."""
    with Slapd(tmp_path, [TREE]) as server:
        limits = replace(LOOPBACK, bind_s=0.3)
        reading = Reading(plan_for(Server("127.0.0.1", server.port), limits=limits))
        with server.frozen():
            code = await reading.code()

    assert code == "sign_in.timed_out"
    # it may have counted what it did not answer: the gate does so, too
    assert reading.gate.events == ["admit"]


@pytest.mark.proves("secure.timed_out")
async def test_a_handshake_that_is_not_answered(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """Accepted and then silence: the deadline covers TLS too."""
    with Slapd(tmp_path, [TREE], certificate=authority.issue("silent")) as server:
        limits = replace(LOOPBACK, connect_s=0.3)
        target = Server("127.0.0.1", server.ldaps_port)
        with server.frozen():
            code = await code_of(
                plan_for(target, security=Security.LDAPS, trust=own_ca, limits=limits)
            )

    assert code == "secure.timed_out"


async def test_bases_are_searched_under_this_account(plain: Server) -> None:
    """The reader's own account is hidden from itself, and that is no failure."""
    names = await Reading(plan_for(plain, wanted="(objectClass=*)")).names()

    assert f"ou=Service,{BASE}" not in names
