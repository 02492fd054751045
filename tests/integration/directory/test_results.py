"""Every result code of LDAP, where it comes: at the sign-in and for the base from a real OpenLDAP, for the list from a scripted server.

OpenLDAP answers as told through its own overlay for tests (slapo-retcode(5)); for a list it cannot be brought to,
because the base, which is read first, would answer the same.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.integration.directory.conftest import BASE, LOOPBACK, TREE, Reading, people, plan_for
from tests.integration.directory.test_scripted import code_when, nobody, plan_at, two_people
from tests.proofs.faults import RESULTS, Result
from tests.servers import ldif
from tests.servers.certs import Authority
from tests.servers.scripted_ldap import (
    SEARCH,
    Client,
    Request,
    ScriptedLdap,
    done,
    person,
    result,
    tlv,
)
from tests.servers.slapd import Slapd
from worker.domain.model import Security, Server, Trust


pytestmark = pytest.mark.integration

WORDS = "call 555-EVIL at once"
"""What a server says of its own; no customer reads it."""
PLACE = f"ou=Results,{BASE}"
PARTIAL, REFERRAL = 9, 10
"""OpenLDAP cannot be told to answer 9, which LDAPv3 does not have: there the scripted server speaks."""
NOTICE = "1.3.6.1.4.1.1466.20036"
"""Notice of disconnection (RFC 4511 section 4.4.1)."""
COUNTED = {
    "sign_in.wrong_password",
    "sign_in.unknown_user",
    "sign_in.locked",
    "sign_in.not_allowed",
}
"""What may count towards a lockout."""


def answering(each: Result) -> str:
    """Return the overlay's line for one result."""
    where = "ref=ldap://other.example" if each.number == REFERRAL else ""
    return (
        f'retcode-item "cn=r{each.number}" {each.number:#x} op=bind,search text="{WORDS}" {where}'
    )


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Slapd]:
    """One OpenLDAP that answers with any result when asked for the entry of that number."""
    answers = [answering(each) for each in RESULTS if each.number != PARTIAL]
    lines = ["overlay retcode", f'retcode-parent "{PLACE}"', *answers]
    seed = people() + ldif.record(PLACE, {"objectClass": "organizationalUnit"})
    tree = replace(TREE, lines=lines, seed=seed)
    folder = tmp_path_factory.mktemp("moody")
    with Slapd(
        folder, [tree], certificate=authority.issue("moody"), lines=["moduleload retcode"]
    ) as server:
        yield server


@pytest.fixture
def configured(moody: Slapd) -> Iterator[Callable[..., Server]]:
    """Give a way to change it for one test; gives its plain port."""
    tree = moody.trees[0]

    def change(**attributes: ldif.Values) -> Server:
        moody.configure(moody.database(tree), **attributes)
        return Server("127.0.0.1", moody.port)

    yield change
    moody.restart()


def at(stage: str) -> list[object]:
    """Return every result with what it is told as at a stage."""
    told = [(each, getattr(each, stage)) for each in RESULTS]
    return [
        pytest.param(each, code, marks=pytest.mark.proves(code), id=f"{each.number}")
        for each, code in told
    ]


@asynccontextmanager
async def reading(moody: Slapd, answer: Result, *, is_base: bool) -> AsyncIterator[Reading]:
    """Give a reading that meets this result at its sign-in or at its base."""

    async def refuse(client: Client, request: Request) -> None:
        tag = 0x65 if request.operation == SEARCH else 0x61
        await client.send(result(request.id, tag, answer.number, WORDS))

    name, port = f"cn=r{answer.number},{PLACE}", moody.port
    script = ScriptedLdap(nobody, base=refuse) if is_base else ScriptedLdap(nobody, bind=refuse)
    async with script.running() as scripted:
        server = Server("127.0.0.1", scripted.port if answer.number == PARTIAL else port)
        yield Reading(
            plan_for(server, bases=(name,)) if is_base else plan_for(server, bind_name=name)
        )


@pytest.mark.parametrize(("answer", "code"), at("sign_in"))
async def test_a_result_is_told_by_its_number(moody: Slapd, answer: Result, code: str) -> None:
    """At the sign-in: only what may count towards a lockout is remembered against the password."""
    async with reading(moody, answer, is_base=False) as attempt:
        assert await attempt.code() == code

    assert attempt.gate.events == ["admit", f"settle {False if code in COUNTED else None}"]


@pytest.mark.parametrize(("answer", "code"), at("base"))
async def test_a_result_for_the_base_is_told_by_its_number(
    moody: Slapd, answer: Result, code: str
) -> None:
    """A base that was not read is none: everyone would have left."""
    async with reading(moody, answer, is_base=True) as attempt:
        assert await attempt.code() == code


@pytest.mark.parametrize(("answer", "code"), at("read"))
async def test_a_result_for_the_list_is_told_by_its_number(answer: Result, code: str) -> None:
    """What came before it is not the list; the library calls some of these success."""

    async def search(client: Client, request: Request) -> None:
        found = person(request.id, 1) if answer.number != 32 else b""
        await client.send(found, done(request.id, answer.number, WORDS))

    assert await code_when(search) == code


# --- what brings OpenLDAP to it by itself --------------------------------------


@pytest.mark.proves("sign_in.refused")
async def test_a_server_in_maintenance(configured: Callable[..., Server]) -> None:
    """Sign-ins are turned off for the moment; the password is not to blame."""
    reading = Reading(plan_for(configured(olcRestrict="bind")))

    assert await reading.code() == "sign_in.refused"
    assert reading.gate.events == ["admit", "settle None"]


@pytest.mark.proves("base.refused")
async def test_a_server_that_answers_no_searches(configured: Callable[..., Server]) -> None:
    """It lets us in, and is in maintenance all the same."""
    assert await Reading(plan_for(configured(olcRestrict="search"))).code() == "base.refused"


@pytest.mark.proves("sign_in.needs_tls")
async def test_a_server_that_demands_encryption_for_all(configured: Callable[..., Server]) -> None:
    """The form's security has to change, not the password."""
    assert await Reading(plan_for(configured(olcSecurity="ssf=128"))).code() == "sign_in.needs_tls"


@pytest.mark.proves("sign_in.method")
async def test_a_server_that_demands_more_than_a_password(
    configured: Callable[..., Server], moody: Slapd, own_ca: Trust
) -> None:
    """The same result as for want of encryption; who has that already is not told to turn it on."""
    configured(olcRequires="SASL")
    server = Server("127.0.0.1", moody.ldaps_port)

    code = await Reading(plan_for(server, security=Security.LDAPS, trust=own_ca)).code()

    assert code == "sign_in.method"


@pytest.mark.proves("base.not_allowed")
async def test_a_base_that_is_known_and_not_shown(configured: Callable[..., Server]) -> None:
    """OpenLDAP says so if it may disclose that the entry is there (slapd.access(5))."""
    known = f'{{0}}to dn.base="{BASE}" by dn.exact="{TREE.reader}" disclose by anonymous auth'
    server = configured(olcAccess=[known, "{1}to * by anonymous auth by * none"])

    assert await Reading(plan_for(server)).code() == "base.not_allowed"


@pytest.mark.parametrize("limit", ["size.unchecked=5", "size.prtotal=disabled"])
@pytest.mark.proves("read.admin_limit")
async def test_a_limit_on_what_may_be_looked_through(
    configured: Callable[..., Server], limit: str
) -> None:
    """Too many candidates, or no pages for this account: OpenLDAP answers 11 to both."""
    server = configured(olcLimits=f'dn.exact="{TREE.reader}" {limit}')

    assert await Reading(plan_for(server)).code() == "read.admin_limit"


@pytest.mark.proves("base.referral")
async def test_a_branch_that_is_kept_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An entry that only refers to another server."""
    away = {"objectClass": ["referral", "extensibleObject"], "ou": "Away"}
    told = ldif.record(f"ou=Away,{BASE}", {**away, "ref": "ldap://other.example/ou=Away"})
    tree = replace(TREE, seed=people() + told)
    with Slapd(tmp_path_factory.mktemp("away"), [tree]) as server:
        plan = plan_for(Server("127.0.0.1", server.port), bases=(f"ou=Away,{BASE}",))
        assert await Reading(plan).code() == "base.referral"


# --- lines that break, and what no real server says ----------------------------


async def hang_up(client: Client, _: Request) -> None:
    """End the connection instead of an answer."""
    client.writer.close()


async def say_nothing(_: Client, __: Request) -> None:
    """Leave the question open."""
    await asyncio.Event().wait()


@pytest.mark.proves("sign_in.lost_connection")
async def test_a_connection_lost_at_the_sign_in() -> None:
    """On a plain line it is most often a TLS port, so nothing is held against the password."""
    async with ScriptedLdap(nobody, bind=hang_up).running() as server:
        reading = Reading(plan_at(server))
        assert await reading.code() == "sign_in.lost_connection"

    assert reading.gate.events == ["admit", "settle None"]


@pytest.mark.proves("base.lost_connection")
async def test_a_connection_lost_while_the_base_is_read() -> None:
    """Signed in, and then a restart."""
    async with ScriptedLdap(nobody, base=hang_up).running() as server:
        assert await Reading(plan_at(server)).code() == "base.lost_connection"


@pytest.mark.proves("base.timed_out")
async def test_a_base_that_is_never_answered() -> None:
    """The deadline, not the server, decides how long that takes."""
    limits = replace(LOOPBACK, page_s=0.3)
    async with ScriptedLdap(nobody, base=say_nothing).running() as server:
        assert await Reading(plan_at(server, limits=limits)).code() == "base.timed_out"


@pytest.mark.parametrize(
    ("contexts", "code"),
    [
        pytest.param((), "base.unknown", marks=pytest.mark.proves("base.unknown")),
        pytest.param(
            ("cn=config", "cn=monitor"), "base.unknown", marks=pytest.mark.proves("base.unknown")
        ),
        pytest.param(
            ("dc=a", "dc=b"), "base.ambiguous", marks=pytest.mark.proves("base.ambiguous")
        ),
    ],
)
async def test_a_blank_base_that_the_server_cannot_fill_in(
    contexts: tuple[str, ...], code: str
) -> None:
    """Some do not say where their entries begin, some have several trees: then the customer has to."""
    async with ScriptedLdap(nobody, contexts=contexts).running() as server:
        assert await Reading(replace(plan_at(server), bases=())).code() == code


@pytest.mark.proves("sign_in.unavailable")
async def test_a_notice_of_disconnection_is_told_where_it_comes() -> None:
    """A server that is going down says so instead of an answer."""

    async def going_down(client: Client, _: Request) -> None:
        notice = result(0, 0x78, 52, WORDS, tail=tlv(0x8A, NOTICE.encode()))
        await client.send(notice)
        client.writer.close()

    async with ScriptedLdap(nobody, bind=going_down).running() as server:
        assert await Reading(plan_at(server)).code() == "sign_in.unavailable"


async def test_a_server_that_says_nothing_of_itself_is_read_all_the_same() -> None:
    """Some refuse the rootDSE to everybody; a base that is entered does without."""

    async def refuse(client: Client, request: Request) -> None:
        await client.send(done(request.id, 53, WORDS, cookie=None))

    async with ScriptedLdap(two_people, root=refuse).running() as server:
        assert len(await Reading(plan_at(server)).names()) == 2
