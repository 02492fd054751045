"""A TLS endpoint with each bad certificate, and with those that are odd and good enough."""

import asyncio
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.directory.conftest import LOOPBACK, Reading, plan_for
from tests.proofs.telling import reads_well, told
from tests.servers.certs import MAY_ISSUE, SHORT_KEY, Authority, chain, forged, self_signed
from tests.servers.scripted_ldap import Client, Request, ScriptedLdap, done, person
from tests.servers.slapd import Certificate
from worker.adapters.directory.dial import TcpConnector, attach
from worker.adapters.directory.reader import LdapReader
from worker.adapters.directory.secure import CERTIFICATE_CODES, handshake_failure, tls_context
from worker.domain.failures import Untrusted
from worker.domain.findings import OK
from worker.domain.model import Credentials, Security, Server, Trust
from worker.domain.plan import ReadPlan
from worker.flows.diagnose import Asked, DiagnosePorts, diagnose


pytestmark = pytest.mark.integration

PUBLIC = Trust()
"""What a customer trusts who has said nothing."""
DC = "dc1.hq.test"


async def two_people(client: Client, request: Request) -> None:
    """Find two, in one page."""
    await client.send(person(request.id, 1), person(request.id, 2), done(request.id))


def showing(shown: Certificate) -> ScriptedLdap:
    """Return a directory behind TLS that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # old servers show what new ones would not load
    context.load_cert_chain(shown.cert, shown.key)
    return ScriptedLdap(two_people, tls=context)


def plan_at(server: ScriptedLdap, trust: Trust, name: str | None) -> ReadPlan:
    """Return a plan that goes there by its address, and expects this name or else the address."""
    return plan_for(
        Server("127.0.0.1", server.port),
        security=Security.LDAPS,
        trust=trust,
        certificate_name=name,
        bases=("dc=x",),
        limits=LOOPBACK,
    )


async def code_of(shown: Certificate, trust: Trust, *, name: str | None = None) -> str:
    """Return how it is refused; no password is sent to it."""
    async with showing(shown).running() as server:
        reading = Reading(plan_at(server, trust, name))
        code = await reading.code()
    assert reading.gate.events == []
    return code


async def is_accepted(shown: Certificate, trust: Trust, *, name: str | None = None) -> bool:
    """Whether the doctor finds nothing to say of the directory behind it."""
    async with showing(shown).running() as server:
        plan = plan_at(server, trust, name)
        settings = replace(plan.settings, search_bases=plan.bases, filter=plan.filter)
        asked = Asked(settings, plan.credentials, None)
        found = (await diagnose(asked, ports=DiagnosePorts(LdapReader(), plan.limits))).finding
    reads_well(found, found.code)
    return found.code == OK


def trust_in(authority: Authority) -> Trust:
    """Return what a customer says who pastes this authority."""
    return Trust(ca_pem=authority.ca.read_text(encoding="ascii"))


@pytest.fixture
def branch(authority: Authority, tmp_path: Path) -> Authority:
    """Give an authority below that of the tests, as companies have."""
    return authority.subordinate(tmp_path / "branch", name="Branch CA")


# --- time --------------------------------------------------------------------


@pytest.mark.proves("secure.expired")
async def test_a_certificate_of_yesterday(authority: Authority, own_ca: Trust) -> None:
    """Somebody forgot to renew it."""
    assert await code_of(authority.expired(), own_ca) == "secure.expired"


@pytest.mark.proves("secure.not_yet_valid")
async def test_a_certificate_of_tomorrow(authority: Authority, own_ca: Trust) -> None:
    """A clock is wrong, here or there."""
    shown = authority.issue("tomorrow", valid_from=timedelta(days=1))

    assert await code_of(shown, own_ca) == "secure.not_yet_valid"


@pytest.mark.proves("secure.expired")
async def test_an_issuer_of_yesterday(authority: Authority, tmp_path: Path, own_ca: Trust) -> None:
    """The server's own is in time, but the authority between was forgotten; it is renewed on the server as well."""
    old = authority.issue(
        "old-branch",
        hosts=[],
        extensions=MAY_ISSUE,
        valid_from=timedelta(days=-10),
        lasts=timedelta(days=9),
    )
    branch = Authority.create(tmp_path / "old-branch")
    old.cert.replace(branch.directory / "ca.pem")
    old.key.replace(branch.directory / "ca.key")

    assert await code_of(chain(branch.issue("late"), branch), own_ca) == "secure.expired"


# --- who vouches -------------------------------------------------------------


@pytest.mark.proves("secure.self_signed")
async def test_a_certificate_that_vouches_for_itself(tmp_path: Path, own_ca: Trust) -> None:
    """Directories make one when nobody gave them any."""
    assert await code_of(self_signed(tmp_path), own_ca) == "secure.self_signed"


async def test_a_certificate_that_vouches_for_itself_may_be_pasted(tmp_path: Path) -> None:
    """What the finding tells to do works."""
    shown = self_signed(tmp_path)

    assert await is_accepted(shown, Trust(ca_pem=shown.ca.read_text(encoding="ascii")))


@pytest.mark.proves("secure.untrusted_root")
async def test_a_chain_that_ends_in_a_private_root(authority: Authority, branch: Authority) -> None:
    """It is whole and ends in a stranger."""
    shown = chain(branch.issue("whole"), branch, authority)

    assert await code_of(shown, PUBLIC) == "secure.untrusted_root"


@pytest.mark.parametrize("is_pasted", [True, False], ids=["root-pasted", "nothing-pasted"])
@pytest.mark.proves("secure.missing_issuer")
async def test_a_certificate_sent_without_its_issuer(
    branch: Authority, own_ca: Trust, *, is_pasted: bool
) -> None:
    """The most common fault of private authorities: the server sends its own certificate only."""
    shown = branch.issue("alone")

    assert await code_of(shown, own_ca if is_pasted else PUBLIC) == "secure.missing_issuer"


@pytest.mark.parametrize("is_sent", [True, False], ids=["chain-sent", "leaf-sent"])
@pytest.mark.proves("ok")
async def test_an_intermediate_may_be_all_that_is_pasted(
    branch: Authority, *, is_sent: bool
) -> None:
    """Customers often have no more than that; OpenSSL would answer 2 to it by default."""
    shown = branch.issue("anchored")

    assert await is_accepted(chain(shown, branch) if is_sent else shown, trust_in(branch))


async def test_a_whole_chain_to_a_root_that_was_pasted(branch: Authority, own_ca: Trust) -> None:
    """As it should be."""
    assert await is_accepted(chain(branch.issue("good"), branch), own_ca)


NO_AUTHORITY = (
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
)
SIGNS_LISTS_ONLY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,cRLSign")


@pytest.mark.parametrize("constraints", [NO_AUTHORITY, SIGNS_LISTS_ONLY], ids=["no-ca", "no-sign"])
@pytest.mark.proves("secure.bad_issuer")
async def test_an_issuer_that_may_not_issue(
    authority: Authority, tmp_path: Path, own_ca: Trust, constraints: tuple[str, ...]
) -> None:
    """Somebody signed with a server's certificate."""
    impostor = authority.subordinate(tmp_path / "no", name="No CA", extensions=constraints)
    shown = chain(impostor.issue("child"), impostor)

    assert await code_of(shown, own_ca) == "secure.bad_issuer"


@pytest.mark.proves("secure.bad_issuer")
async def test_a_chain_longer_than_its_authority_allows(tmp_path: Path) -> None:
    """An authority may say that none below it may issue in turn."""
    last = ("basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign")
    root = Authority.create(tmp_path / "root", extensions=last)
    below = root.subordinate(tmp_path / "below", name="Below")

    assert await code_of(chain(below.issue("deep"), below), trust_in(root)) == "secure.bad_issuer"


@pytest.mark.proves("secure.untrusted")
async def test_a_certificate_with_a_forged_signature(authority: Authority, own_ca: Trust) -> None:
    """It says who issued it, and that is not so."""
    assert await code_of(forged(authority.issue("forged")), own_ca) == "secure.untrusted"


@pytest.mark.proves("secure.bad_ca")
@pytest.mark.parametrize(
    "pasted", ["rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_an_authority_that_is_none(authority: Authority, pasted: str) -> None:
    """Half of it was pasted: told before anything is dialled."""
    assert await code_of(authority.issue("fine"), Trust(ca_pem=pasted)) == "secure.bad_ca"


# --- whom it is for ----------------------------------------------------------


@pytest.mark.proves("secure.wrong_name")
async def test_a_certificate_for_another_name(authority: Authority, own_ca: Trust) -> None:
    """With Active Directory it usually carries the internal name; the customer can enter it."""
    shown = authority.issue("internal", hosts=["dc1.corp.local"])

    assert await code_of(shown, own_ca, name=DC) == "secure.wrong_name"
    assert await is_accepted(shown, own_ca, name="dc1.corp.local")


@pytest.mark.proves("secure.wrong_address")
async def test_a_certificate_that_does_not_name_the_address(
    authority: Authority, own_ca: Trust
) -> None:
    """Few certificates name addresses, but many admins enter one."""
    shown = authority.issue("names-only", hosts=[DC])

    assert await code_of(shown, own_ca) == "secure.wrong_address"
    assert await is_accepted(shown, own_ca, name=DC)


@pytest.mark.proves("secure.wrong_purpose")
async def test_a_certificate_for_clients(authority: Authority, own_ca: Trust) -> None:
    """It is not meant for servers."""
    shown = authority.issue("for-clients", usage="clientAuth")

    assert await code_of(shown, own_ca) == "secure.wrong_purpose"


# --- how strong --------------------------------------------------------------


@pytest.mark.proves("secure.weak_key")
async def test_a_key_of_the_last_century(authority: Authority, own_ca: Trust) -> None:
    """RSA with 1024 bits."""
    assert await code_of(authority.issue("short", key=SHORT_KEY), own_ca) == "secure.weak_key"


@pytest.mark.proves("secure.weak_key")
async def test_an_authority_s_key_of_the_last_century(tmp_path: Path) -> None:
    """The server's own is strong, and proves no more than what vouches for it."""
    old = Authority.create(tmp_path / "old", key=SHORT_KEY)
    shown = chain(old.issue("strong"), old)

    assert await code_of(shown, trust_in(old)) == "secure.weak_key"


@pytest.mark.proves("secure.weak_key")
async def test_a_digest_of_the_last_century(authority: Authority, own_ca: Trust) -> None:
    """SHA-1, which old authorities still sign with."""
    assert await code_of(authority.issue("sha1", digest="sha1"), own_ca) == "secure.weak_key"


# --- odd, and good enough ----------------------------------------------------

LAX_ROOT = ("basicConstraints=CA:TRUE",)
SERVER = ("extendedKeyUsage=serverAuth", "subjectAltName=IP:127.0.0.1")


@pytest.mark.parametrize("extensions", [MAY_ISSUE, LAX_ROOT, (*LAX_ROOT, "keyUsage=keyCertSign")])
@pytest.mark.proves("ok")
async def test_what_only_a_strict_check_minds_is_accepted(
    tmp_path: Path, extensions: tuple[str, ...]
) -> None:
    """No authority key identifier (OpenSSL 85), constraints not critical (89), an authority without key usage (92).

    Private authorities of many years are like that, and Python from 3.13 on refuses them by default.
    """
    root = Authority.create(tmp_path / "lax", extensions=extensions)

    assert await is_accepted(root.issue("plain", extensions=SERVER), trust_in(root))


@pytest.mark.proves("ok")
async def test_a_certificate_with_a_common_name_only_is_accepted(
    authority: Authority, own_ca: Trust
) -> None:
    """As domain controllers of long ago show it: OpenSSL then reads the name there."""
    assert await is_accepted(authority.issue(DC, hosts=[]), own_ca, name=DC)


# --- what no server can be brought to under our settings ----------------------


@pytest.mark.proves("secure.revoked")
async def test_a_certificate_that_was_taken_back(authority: Authority, own_ca: Trust) -> None:
    """Lists are not fetched today, so it takes one put into our context; what OpenSSL then says is understood."""
    shown = authority.issue("revoked")
    async with showing(shown).running() as server:
        plan = plan_at(server, own_ca, None)
        context = tls_context(plan.settings, Credentials(None))
        context.load_verify_locations(cafile=authority.revoke(shown))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        sock = await TcpConnector().connect("127.0.0.1", server.port)
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await attach(sock, asyncio.Protocol(), context, "127.0.0.1")

    assert told(handshake_failure(caught.value), ()).code == "secure.revoked"


@pytest.mark.parametrize(
    "verify_code",
    [
        pytest.param(number, marks=pytest.mark.proves(code), id=f"{number}")
        for number, code in CERTIFICATE_CODES.items()
    ],
)
def test_a_verify_code_is_told_whatever_brought_it_about(verify_code: int) -> None:
    """Other builds of OpenSSL number the same faults otherwise."""
    fault = ssl.SSLCertVerificationError(1, "certificate verify failed")
    fault.verify_code, fault.verify_message = verify_code, "as OpenSSL words it"

    failure = handshake_failure(fault)

    assert isinstance(failure, Untrusted)
    assert told(failure, ()).code == CERTIFICATE_CODES[verify_code]
