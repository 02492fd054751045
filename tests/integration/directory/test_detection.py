"""What real servers say of themselves, and what that is taken for."""

from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from tests.integration.directory.conftest import BASE, LOOPBACK, TREE, Reading, plan_for
from tests.servers import ad_domain
from tests.servers.ad_domain import PASSWORD, upn
from tests.servers.samba import Samba
from tests.servers.scripted_ldap import (
    PAGED,
    Answer,
    Client,
    Request,
    ScriptedLdap,
    done,
    entry,
    person,
)
from tests.servers.slapd import READER_PASSWORD, Slapd
from worker.adapters.directory.reader import LdapReader
from worker.domain.detect import detect
from worker.domain.model import Credentials, DirectorySettings, Secret, Security, Server, Trust
from worker.domain.plan import ReadPlan
from worker.domain.server import Detected, Profile, ServerType
from worker.flows.diagnose import Asked, DiagnosePorts, Diagnosis, diagnose


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def profile_of(plan: ReadPlan, *, asks_schema: bool = True) -> Profile:
    """Read it all, and return what the server said."""
    reading = Reading(replace(plan, asks_schema=asks_schema))
    await reading.entries()
    assert reading.profile is not None
    return reading.profile


async def detected_at(plan: ReadPlan) -> Detected:
    """What the doctor takes it for."""
    profile = await profile_of(plan)
    return detect(profile.root, profile.known)


def ad_plan(samba: Samba, own_ca: Trust) -> ReadPlan:
    """People of the domain, over TLS."""
    return plan_for(
        Server("127.0.0.1", samba.ldaps_port),
        security=Security.LDAPS,
        trust=own_ca,
        bind_name=upn("svc-sync"),
        password=PASSWORD,
        bases=(f"OU=People,{ad_domain.BASE}",),
    )


async def diagnosed(form: DirectorySettings, password: str) -> Diagnosis:
    """Have the doctor look."""
    asked = Asked(form, Credentials(Secret(password)), None)
    return await diagnose(asked, ports=DiagnosePorts(LdapReader(), LOOPBACK))


async def test_openldap_is_known_by_its_class_and_tells_its_schema(plain: Server) -> None:
    """It has neither vendor nor version in its rootDSE; the subschema entry says what it holds."""
    profile = await profile_of(plan_for(plain))

    assert profile.known is not None
    assert {"mail", "inetorgperson", "maillocaladdress", "proxyaddresses"} <= profile.known
    assert "ipauniqueid" not in profile.known
    assert detect(profile.root, profile.known).server is ServerType.OPENLDAP
    assert detect(profile.root, profile.known).bases == (BASE,)


async def test_a_sync_does_not_pay_for_the_schema(tmp_path: Path) -> None:
    """It is some hundred kilobytes, and a sync has no use for it."""
    with Slapd(tmp_path, [TREE]) as server:
        plan = plan_for(Server("127.0.0.1", server.port))
        before = server.seen(TREE.reader).searches

        profile = await profile_of(plan, asks_schema=False)

        assert profile.known is None
        searches = server.seen(TREE.reader).searches - before
        await profile_of(plan, asks_schema=True)
        assert server.seen(TREE.reader).searches - before == 2 * searches + 1


async def test_a_schema_that_may_not_be_read_is_not_held_against_the_server(
    tmp_path: Path,
) -> None:
    """The list is whole all the same, and nothing is said not to exist."""
    hidden = ['access to dn.base="cn=Subschema" by * none', "access to * by * read"]
    with Slapd(tmp_path, [TREE], lines=hidden) as server:
        profile = await profile_of(plan_for(Server("127.0.0.1", server.port)))

    assert profile.known is None
    assert detect(profile.root, profile.known).types == ("openldap",)


class WithSchema(ScriptedLdap):
    """Names its schema, and who made it."""

    @override
    def _root(self, request: Request) -> bytes:
        said = {"subschemaSubentry": ["cn=schema"], "vendorName": ["389 Project"]}
        return entry(
            request.id, "", {"namingContexts": ["dc=x"], "supportedControl": [PAGED], **said}
        )


async def silent(client: Client, request: Request) -> None:
    """Say nothing."""


async def refusing(client: Client, request: Request) -> None:
    """Insufficient access rights."""
    await client.send(done(request.id, 50, cookie=None))


async def hanging_up(client: Client, request: Request) -> None:
    """As a server does that is too busy for this."""
    client.writer.transport.abort()


async def immense(client: Client, request: Request) -> None:
    """More than is taken in one message."""
    definitions = {"attributeTypes": ["x" * LOOPBACK.message_bytes]}
    await client.send(entry(request.id, request.base, definitions), done(request.id, cookie=None))


async def endless(client: Client, request: Request) -> None:
    """More definitions than any schema has: going through them all would hold up everybody else."""
    two = entry(request.id, request.base, {"attributeTypes": ["( 1.2 NAME 'a' )"] * 15_000}) * 2
    await client.send(two, done(request.id, cookie=None))


async def empty(client: Client, request: Request) -> None:
    """The entry, but not what is in it."""
    await client.send(entry(request.id, request.base, {}), done(request.id, cookie=None))


async def gibberish(client: Client, request: Request) -> None:
    """Values that define nothing."""
    definitions: dict[str, list[str | bytes]] = {
        "attributeTypes": [b"\xff\xfe", "NAME", "( 1.2 DESC 'mail' )", ""]
    }
    await client.send(entry(request.id, request.base, definitions), done(request.id, cookie=None))


@pytest.mark.parametrize(
    "schema",
    [silent, refusing, hanging_up, immense, endless, empty, gibberish],
    ids=lambda it: it.__name__,
)
async def test_whatever_becomes_of_the_schema_the_list_is_whole_and_nothing_is_held_lacking(
    schema: Answer,
) -> None:
    """It is asked for last, and what a server does not tell is neither its fault nor a proof."""

    async def search(client: Client, request: Request) -> None:
        if request.base == "cn=schema":
            await schema(client, request)
        else:
            await client.send(person(request.id, 1), done(request.id))

    async with WithSchema(search).running() as server:
        limits = replace(LOOPBACK, page_s=1)
        plan = plan_for(Server("127.0.0.1", server.port), bases=("dc=x",), limits=limits)
        reading = Reading(replace(plan, asks_schema=True))

        assert len(await reading.entries()) == 1

    assert reading.proof is not None
    assert reading.profile is not None
    assert reading.profile.known is None
    assert detect(reading.profile.root, reading.profile.known).server is ServerType.DS389


async def test_definitions_are_read_with_one_name_and_with_several() -> None:
    """RFC 4512 writes a single name without brackets."""

    async def search(client: Client, request: Request) -> None:
        if request.base == "cn=schema":
            definitions = {
                "attributeTypes": [
                    "( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) DESC 'x' )",
                    "( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' )",
                ],
                "objectClasses": ["( 2.16.840.1.113730.3.2.2 NAME 'inetOrgPerson' SUP person )"],
            }
            found = entry(request.id, request.base, definitions)
            await client.send(found, done(request.id, cookie=None))
        else:
            await client.send(person(request.id, 1), done(request.id))

    async with WithSchema(search).running() as server:
        profile = await profile_of(plan_for(Server("127.0.0.1", server.port), bases=("dc=x",)))

    assert profile.known == frozenset({"mail", "proxyaddresses", "inetorgperson"})


async def test_samba_is_told_from_microsoft_s_own_and_asked_for_the_few_names(
    samba: Samba, own_ca: Trust
) -> None:
    """Its schema is megabytes as one entry, so each name is asked for where it has an entry of its own."""
    found = await detected_at(ad_plan(samba, own_ca))

    assert found.known is not None
    assert {"proxyaddresses", "msexchrecipienttypedetails", "inetorgperson"} <= found.known
    assert "maillocaladdress" not in found.known
    assert found.server is ServerType.SAMBA_AD
    assert found.version.startswith("Samba Active Directory 4.")
    assert found.types == ("active_directory", "samba_ad")
    assert found.bases == (ad_domain.BASE,)


async def test_openldap_chosen_for_active_directory_is_said_to_be_the_wrong_type(
    samba: Samba, own_ca: Trust
) -> None:
    """It finds people by luck and misses what Exchange has: groups, folders, second addresses."""
    form = DirectorySettings(
        "HQ",
        "openldap",
        (Server("127.0.0.1", samba.ldaps_port),),
        upn("svc-sync"),
        trust=own_ca,
    )

    found = await diagnosed(form, PASSWORD)

    assert found.finding.code == "read.nothing_found"
    assert found.finding.checks[0] == (
        "This server is Samba Active Directory, which the type openldap is not for; "
        "choose active_directory (Active Directory with Exchange); test samba_ad (Samba Active Directory) as well, "
        "and compare both by their number of addresses."
    )


async def test_zimbra_chosen_for_a_plain_openldap_is_said_to_be_the_wrong_type(
    plain: Server,
) -> None:
    """The first check names what the server lacks and what to choose."""
    form = DirectorySettings(
        "HQ", "zimbra", (plain,), TREE.reader, security=Security.NONE, search_bases=(BASE,)
    )

    found = await diagnosed(form, READER_PASSWORD)

    assert found.finding.code == "read.nothing_found"
    assert found.finding.checks[0].startswith("This server has no zimbraMailDeliveryAddress")
    assert found.detected is not None
