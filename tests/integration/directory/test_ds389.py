"""A real 389 Directory Server: what its preset finds, what it says of itself, and its limits."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from tests.integration.directory.conftest import LOOPBACK, Reading
from tests.servers import ds389
from tests.servers.ds389 import BASE, READER, READER_PASSWORD, Ds389
from tests.servers.ldif import record
from tests.unit.domain.makers import Row, rows_of
from worker.domain.detect import detect
from worker.domain.model import Credentials, DirectorySettings, Kind, Secret, Security, Server
from worker.domain.normalise import Normaliser
from worker.domain.plan import ReadPlan, make_plan
from worker.domain.server import ServerType


pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MAIL = "389ds.test"


def person(local: str, *classes: str, **more: str | list[str]) -> str:
    """Somebody."""
    told = {"objectClass": ["inetOrgPerson", *classes], "cn": local, "sn": local, **more}
    return record(f"uid={local},{BASE}", told)


SEED = "".join(
    [
        person(
            "ada",
            "mailRecipient",
            mail=f"ada@{MAIL}",
            mailAlternateAddress=[f"Lovelace@{MAIL}", "ada@elsewhere.example"],
        ),
        person("plain", mail=f"plain@{MAIL}", displayName="Plain Person"),
        person("locked", mail=f"locked@{MAIL}", nsAccountLock="TRUE"),
        person("nomail"),
        record(
            f"cn=staff,{BASE}",
            {
                "objectClass": ["groupOfUniqueNames", "mailGroup"],
                "uniqueMember": f"uid=ada,{BASE}",
                "mail": f"staff@{MAIL}",
            },
        ),
        record(f"cn=silent,{BASE}", {"objectClass": "groupOfUniqueNames"}),
    ]
)


SEED += record(
    f"ou=hidden,{BASE}",
    {
        "objectClass": "organizationalUnit",
        "aci": '(targetattr="*")(version 3.0; acl "hidden"; deny (all) userdn="ldap:///anyone";)',
    },
)

LIMITS = ("nsSizeLimit", "nsLookThroughLimit")
SEED += "".join(
    record(
        f"cn={limit},{BASE}",
        {"objectClass": "person", "sn": "limited", "userPassword": READER_PASSWORD, limit: "3"},
    )
    for limit in LIMITS
)
"""Accounts that may see three entries, by the limit that stops them."""


@pytest.fixture(scope="module")
def ds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ds389]:
    """One server for all tests here."""
    lacks = ds389.missing()
    if lacks:
        pytest.skip(lacks)
    with Ds389(tmp_path_factory.mktemp("ds389"), SEED) as server:
        yield server


@pytest.fixture
def plan(ds: Ds389) -> ReadPlan:
    """The form as it is by default: the server is asked where its entries are."""
    settings = DirectorySettings(
        "HQ", "389ds", (Server("127.0.0.1", ds.port),), READER, security=Security.NONE
    )
    return make_plan(settings, Credentials(Secret(READER_PASSWORD)), LOOPBACK)


async def rows(plan: ReadPlan) -> dict[str, Row]:
    """What becomes of it, by address."""
    normaliser = Normaliser(plan, (MAIL,))
    found = rows_of(normaliser.page(await Reading(plan).entries()))
    assert normaliser.ignored == {"other_domain": 1}
    return {row.address: row for row in found}


async def test_people_groups_and_second_addresses_are_found(plan: ReadPlan) -> None:
    """Locked accounts receive mail all the same."""
    found = await rows(plan)

    assert {address: (row.kind, row.is_primary) for address, row in found.items()} == {
        f"ada@{MAIL}": (Kind.MAILBOX, True),
        f"lovelace@{MAIL}": (Kind.MAILBOX, False),
        f"plain@{MAIL}": (Kind.MAILBOX, True),
        f"locked@{MAIL}": (Kind.MAILBOX, True),
        f"staff@{MAIL}": (Kind.GROUP, True),
    }
    assert [address for address, row in found.items() if not row.is_enabled] == [f"locked@{MAIL}"]
    assert found[f"plain@{MAIL}"].name == "Plain Person"


async def test_an_entry_is_known_by_its_own_unique_id(plan: ReadPlan) -> None:
    """Written in four groups of eight digits, which are a UUID all the same; entryUUID may be missing."""
    found = await rows(plan)
    asked = replace(plan, attributes=("mail", "nsUniqueId"))
    entries = await Reading(asked).entries()

    (unique_id,) = [a["nsUniqueId"][0] for dn, a in entries if dn.startswith("uid=ada,")]
    assert found[f"ada@{MAIL}"].entry_id == str(UUID(unique_id.decode().replace("-", "")))


def limited(plan: ReadPlan, limit: str, *, page_size: int) -> ReadPlan:
    """Read as an account that is stopped."""
    settings = replace(plan.settings, bind_name=f"cn={limit},{BASE}")
    return replace(plan, settings=settings, limits=replace(LOOPBACK, page_size=page_size))


@pytest.mark.parametrize("limit", LIMITS)
async def test_an_account_whose_limits_stand_gives_no_list_at_all(
    plan: ReadPlan, limit: str
) -> None:
    """Its first entries are not the list, and whoever comes after them must not lose their mail."""
    code = await Reading(limited(plan, limit, page_size=500)).code()

    assert code in {"read.size_limit", "read.admin_limit"}


async def test_the_size_limit_is_one_of_each_page(plan: ReadPlan) -> None:
    """Measured on 2.3: the default of 2,000 stops nobody who asks for 500 at a time."""
    whole = await Reading(plan).entries()

    assert len(await Reading(limited(plan, "nsSizeLimit", page_size=2)).entries()) == len(whole)


async def test_the_look_through_limit_is_one_of_the_whole_search(plan: ReadPlan) -> None:
    """Its default of 5,000 stops a large directory in the middle, whatever the size of a page."""
    code = await Reading(limited(plan, "nsLookThroughLimit", page_size=2)).code()

    assert code in {"read.size_limit", "read.admin_limit"}


async def test_what_one_may_not_see_is_no_missing_base(plan: ReadPlan) -> None:
    """So a base that it says is missing is wrong, whatever the rights."""
    hidden, gone = (replace(plan, bases=(f"ou={name},{BASE}",)) for name in ("hidden", "gone"))

    assert await Reading(hidden).code() == "base.not_allowed"
    assert await Reading(gone).code() == "base.not_found"


async def test_it_says_what_it_is(plan: ReadPlan) -> None:
    """Vendor, version and schema are in the answer of a real one."""
    reading = Reading(replace(plan, asks_schema=True))
    await reading.entries()

    assert reading.profile is not None
    found = detect(reading.profile.root, reading.profile.known)
    assert found.server is ServerType.DS389
    assert found.version.startswith("389 Directory Server ")
    assert (found.types, found.bases) == (("389ds",), (BASE,))
    # the third that the preset knows, mailEquivalentAddress, is in a schema that has to be added
    assert found.attributes == ("mail", "mailAlternateAddress")
    assert found.known is not None
    assert "mailrecipient" in found.known
