"""A search base that is not there, and a type that does not fit: what is told, by a test and by a failed run alike."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.integration.directory.conftest import BASE, LOOPBACK
from tests.integration.directory.test_account_safety import run
from tests.integration.postgres.house import House
from tests.servers import ad_domain
from tests.servers.ad_domain import PASSWORD, upn
from tests.servers.samba import Samba
from tests.servers.slapd import READER_PASSWORD
from worker.adapters.directory.reader import LdapReader
from worker.domain.events import finding_payload
from worker.domain.failures import Finding, StageState
from worker.domain.model import Credentials, DirectorySettings, Secret, Server, Trust
from worker.flows.diagnose import Asked, DiagnosePorts, diagnose


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DOMAINS = ("hq.test",)


@pytest.fixture
def ad_form(samba: Samba, own_ca: Trust) -> DirectorySettings:
    """The form of a Samba Active Directory, its search base left blank."""
    server = Server("127.0.0.1", samba.ldaps_port)
    return DirectorySettings("HQ", "samba_ad", (server,), upn("svc-sync"), trust=own_ca)


async def asked_of(form: DirectorySettings, password: str) -> Finding:
    """What a test of these settings tells."""
    asked = Asked(form, Credentials(Secret(password)), DOMAINS)
    return (await diagnose(asked, ports=DiagnosePorts(LdapReader(), LOOPBACK))).finding


async def told_of_the_run(house: House, form: DirectorySettings, password: str) -> dict[str, Any]:
    """What a run with the same settings tells."""
    await house.save_tenant(*DOMAINS)
    await house.save_directory(form, password=password)
    await house.request()
    await run(house)
    return untimed((await house.last("sync.failed"))["finding"])


def untimed(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The same as a message carries it, without what a clock says."""
    carried = orjson.loads(orjson.dumps(finding))
    return {**carried, "stages": [{**each, "milliseconds": 0} for each in carried["stages"]]}


def failed_stages(found: Finding) -> list[str]:
    """Where it ended."""
    return [each.stage for each in found.stages if each.state is StageState.FAILED]


async def test_of_several_bases_the_one_that_is_not_there_is_named(form: DirectorySettings) -> None:
    """Neither what was seen nor a line to copy may be about the base that works."""
    good, bad = f"ou=People,{BASE}", f"ou=Nobody,{BASE}"

    found = await asked_of(replace(form, search_bases=(good, bad)), READER_PASSWORD)

    assert found.code == "base.not_found"
    assert bad in found.seen
    assert f" -b {bad} " in found.ldapsearch
    assert good not in repr(found.commands)


async def test_a_base_elsewhere_is_named_beside_what_the_server_holds(
    form: DirectorySettings,
) -> None:
    """The rootDSE was read: what it says is the cure."""
    found = await asked_of(replace(form, search_bases=("dc=elsewhere,dc=test",)), READER_PASSWORD)

    assert found.seen == (
        f"the server shows no dc=elsewhere,dc=test; the server's entries are in {BASE}"
    )


async def test_lines_of_other_products_are_left_out_once_the_server_is_known(
    form: DirectorySettings,
) -> None:
    """The type openldap is used for others too; this server said what it is."""
    found = await asked_of(replace(form, search_bases=(f"ou=Nobody,{BASE}",)), READER_PASSWORD)

    assert found.code == "base.not_found"
    assert not [each.label for each in found.commands if "389" in each.label]


@pytest.mark.parametrize("type_name", ["zimbra", "freeipa"])
async def test_a_wrong_type_with_a_blank_base_is_not_told_as_a_typing_mistake(
    form: DirectorySettings, type_name: str
) -> None:
    """Nobody typed a base; the type is what is wrong, and the first thing to look at."""
    found = await asked_of(replace(form, type=type_name, search_bases=()), READER_PASSWORD)

    assert found.code == "base.not_found"
    assert found.checks[0].startswith("This server ")
    assert f"the type {type_name}" in found.checks[0]
    assert not [each for each in found.checks if "typed correctly" in each or "blank?" in each]
    assert BASE in found.seen
    assert "Correct the search base" not in found.fix


async def test_a_tree_without_a_root_fails_at_the_base(form: DirectorySettings) -> None:
    """The stage that the code names is the one that failed."""
    found = await asked_of(replace(form, type="zimbra", search_bases=()), READER_PASSWORD)

    assert failed_stages(found) == [found.stage] == ["base"]


@pytest.mark.parametrize("type_name", ["zarafa", "zimbra"])
@pytest.mark.parametrize("bases", [(BASE,), ()])
async def test_a_test_and_a_failed_run_know_the_same_of_an_openldap(
    house: House, form: DirectorySettings, type_name: str, bases: tuple[str, ...]
) -> None:
    """A failed run asks for the schema on its way out."""
    wrong = replace(form, type=type_name, search_bases=bases)

    of_the_run = await told_of_the_run(house, wrong, READER_PASSWORD)

    assert of_the_run == untimed(finding_payload(await asked_of(wrong, READER_PASSWORD)))
    assert of_the_run["checks"][0].startswith("This server has no ")


async def test_addresses_nobody_has_are_told_alike(house: House, form: DirectorySettings) -> None:
    """Also after a whole reading."""
    wrong = replace(form, address_attributes=("sn",), filter="(mail=*)")

    of_the_run = await told_of_the_run(house, wrong, READER_PASSWORD)
    of_the_test = untimed(finding_payload(await asked_of(wrong, READER_PASSWORD)))

    assert of_the_run["code"] == "addresses.none_valid"
    assert of_the_run["detected"] == of_the_test["detected"]
    assert of_the_run["checks"] == of_the_test["checks"]


async def test_a_test_and_a_failed_run_know_the_same_of_active_directory(
    house: House, ad_form: DirectorySettings
) -> None:
    """Which of the two Active Directories to choose is in the schema."""
    wrong = replace(ad_form, type="openldap")

    of_the_run = await told_of_the_run(house, wrong, PASSWORD)

    assert of_the_run == untimed(finding_payload(await asked_of(wrong, PASSWORD)))
    assert "choose active_directory " in of_the_run["checks"][0]


@pytest.mark.parametrize("type_name", ["zimbra", "domino", "freeipa", "iredmail"])
async def test_a_wrong_type_at_active_directory_is_the_first_check(
    ad_form: DirectorySettings, type_name: str
) -> None:
    """With a blank base none of these types finds where it begins."""
    found = await asked_of(replace(ad_form, type=type_name), PASSWORD)

    assert found.code == "base.not_found"
    assert failed_stages(found) == ["base"]
    assert found.checks[0].startswith("This server ")
    assert ad_domain.BASE in found.seen
    assert not [each for each in found.checks if "typed correctly" in each or "blank?" in each]


async def test_a_refusal_as_active_directory_words_it_brings_no_lines_of_others(
    ad_form: DirectorySettings,
) -> None:
    """Nobody was let in to ask what the server is; but how it refuses says so."""
    found = await asked_of(replace(ad_form, type="openldap"), "wrong")

    assert found.code == "sign_in.wrong_password"
    labels = {each.label.split(",")[0].split(":")[0] for each in found.commands}
    assert labels == {"Active Directory", "Samba Active Directory"}


async def test_a_refusal_brings_no_lines_of_what_the_type_is_not_for(
    form: DirectorySettings,
) -> None:
    """Another product's administration is of no use to anybody."""
    found = await asked_of(form, "wrong")

    assert found.code == "sign_in.wrong_password"
    assert found.commands
    assert not [each.label for each in found.commands if "Active Directory" in each.label]
