"""Each preset on an OpenLDAP that carries the product's schema: who is found, as what, and who is not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest

from tests.integration.directory.conftest import LOOPBACK, Reading
from tests.servers.ldif import entry_uuid, guid
from tests.servers.preset_records import unid
from tests.servers.preset_trees import SCHEMAS, TREES
from tests.servers.slapd import READER_PASSWORD, Slapd
from tests.unit.domain.makers import Row, rows_of
from worker.domain.detect import detect
from worker.domain.model import Credentials, DirectorySettings, Kind, Secret, Security, Server
from worker.domain.normalise import Normaliser
from worker.domain.plan import make_plan
from worker.domain.presets import PRESETS
from worker.domain.server import ServerType


pytestmark = pytest.mark.integration

MAILBOX, GROUP, CONTACT, FOLDER = Kind.MAILBOX, Kind.GROUP, Kind.CONTACT, Kind.PUBLIC_FOLDER


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One OpenLDAP with all schemas and all trees."""
    trees = list(dict.fromkeys(TREES.values()))
    everything = [f'defaultsearchbase "{TREES["zimbra"].base}"']
    folder = tmp_path_factory.mktemp("presets")
    with Slapd(folder, trees, schemas=SCHEMAS, lines=everything) as server:
        yield server


@dataclass(frozen=True)
class Read:
    """What one preset made of its tree."""

    rows: list[Row]
    ignored: dict[str, int]

    @property
    def primary(self) -> dict[str, Kind]:
        """What each entry is, by its own address."""
        return {row.address: row.kind for row in self.rows if row.is_primary}

    @property
    def others(self) -> set[str]:
        """Further addresses."""
        return {row.address for row in self.rows if not row.is_primary}

    @property
    def disabled(self) -> set[str]:
        """Addresses of those who may not sign in."""
        return {row.address for row in self.rows if not row.is_enabled}

    def entry(self, address: str) -> str:
        """The id of the entry that holds an address."""
        (found,) = {row.entry_id for row in self.rows if row.address == address}
        return found


async def read(carrier: Slapd, name: str, *bases: str) -> Read:
    """Read a tree by its preset; without a base, the server is asked, everything else is as the form has it by default."""
    tree = TREES[name]
    settings = DirectorySettings(
        "HQ",
        name,
        (Server("127.0.0.1", carrier.port),),
        tree.reader,
        security=Security.NONE,
        search_bases=bases,
    )
    plan = make_plan(settings, Credentials(Secret(READER_PASSWORD)), LOOPBACK)
    normaliser = Normaliser(plan, (f"{name}.test", "local.test"))
    rows = rows_of(normaliser.page(await Reading(plan).entries()))
    return Read(rows, normaliser.ignored)


async def read_own(carrier: Slapd, name: str) -> Read:
    """Read one of several naming contexts: the server cannot say which is meant."""
    return await read(carrier, name, *PRESETS[name].bases_in((TREES[name].base,)))


async def test_openldap(carrier: Slapd) -> None:
    """All values of mail count; what is no single address is counted, not guessed at."""
    found = await read_own(carrier, "openldap")

    assert found.primary == {
        "ada@openldap.test": MAILBOX,
        "expired@openldap.test": MAILBOX,
        "later@openldap.test": MAILBOX,
        "staff@openldap.test": GROUP,
    }
    assert found.others == {"lovelace@openldap.test"}
    assert found.disabled == {"expired@openldap.test"}
    assert found.ignored == {"malformed": 2}
    assert found.entry("ada@openldap.test") == entry_uuid("uid=ada,dc=openldap")


async def test_openldap_with_local_addresses(carrier: Slapd) -> None:
    """The routing address is where mail goes on to; an alias without a domain is nobody's address."""
    found = await read_own(carrier, "openldap_local_recipient")

    assert found.primary == {
        "ada@local.test": MAILBOX,
        "b@local.test": MAILBOX,
        "staff@local.test": GROUP,
    }
    assert found.others == {"a.lovelace@local.test", "bob@local.test"}
    assert found.ignored == {}


async def test_freeipa(carrier: Slapd) -> None:
    """Staged and deleted people keep their mail attribute, and get no mail; locked ones do."""
    found = await read_own(carrier, "freeipa")

    assert set(found.primary) == {f"{name}@freeipa.test" for name in ("ada", "locked", "fresh")}
    assert found.others == {"lovelace@freeipa.test"}
    assert found.disabled == {"locked@freeipa.test"}
    assert found.entry("ada@freeipa.test") == entry_uuid("ipa ada")
    assert found.entry("fresh@freeipa.test") == entry_uuid(
        "uid=fresh,cn=users,cn=accounts,dc=freeipa"
    )


@pytest.mark.parametrize(
    "base", ["dc=freeipa", "DC=FreeIPA", "cn=deleted users,cn=accounts,cn=provisioning,dc=freeipa"]
)
async def test_freeipa_s_deleted_people_are_none_whatever_the_base(
    carrier: Slapd, base: str
) -> None:
    """An admin enters the suffix, and mail to those who left must not be taken again."""
    found = await read(carrier, "freeipa", base)

    assert not {"staged@freeipa.test", "deleted@freeipa.test"} & set(found.primary)
    assert found.ignored["no_mail"] == (1 if base.startswith("cn=") else 2)


@pytest.mark.parametrize("name", ["freeipa", "iredmail"])
async def test_the_place_below_the_server_s_own_base_is_found_without_being_told(
    tmp_path: Path, carrier: Slapd, name: str
) -> None:
    """An admin leaves the base blank, and people who left must not come back by that."""
    with Slapd(tmp_path, [TREES[name]], schemas=SCHEMAS) as alone:
        found = await read(alone, name)

    assert found.rows == (await read_own(carrier, name)).rows


async def test_zimbra(carrier: Slapd) -> None:
    """Locked accounts and those under maintenance still receive; pending, closed and switched-off ones bounce."""
    found = await read(carrier, "zimbra")

    people = ("ada", "hidden", "locked", "lockout", "maintained", "anything", "room")
    assert found.primary == {
        **{f"{name}@zimbra.test": MAILBOX for name in people},
        "crew@zimbra.test": GROUP,
        "everyone@zimbra.test": GROUP,
    }
    assert found.others == {
        "lovelace@zimbra.test",
        "countess@zimbra.test",
        "byron@zimbra.test",
        "team@zimbra.test",
    }
    assert found.disabled == {f"{name}@zimbra.test" for name in ("locked", "lockout", "maintained")}
    assert found.ignored == {"no_mail": 3, "catch_all": 1}
    assert found.entry("ada@zimbra.test") == entry_uuid("ada")


async def test_domino(carrier: Slapd) -> None:
    """What Domino makes up for people without an Internet address is no address; flat names are found too."""
    found = await read(carrier, "domino")

    assert found.primary == {
        "ada.lovelace@domino.test": MAILBOX,
        "sales@domino.test": GROUP,
        "orders@domino.test": FOLDER,
    }
    assert found.ignored == {"malformed": 2, "other_domain": 1}
    assert found.entry("sales@domino.test") == str(UUID(unid("Sales")))


@pytest.mark.parametrize("brand", ["kopano", "zarafa"])
async def test_kopano_and_zarafa(carrier: Slapd, brand: str) -> None:
    """A shared store has no login and receives mail; hidden is hidden from the address book alone."""
    found = await read_own(carrier, brand)

    assert found.primary == {
        f"ada@{brand}.test": MAILBOX,
        f"room@{brand}.test": MAILBOX,
        f"expired@{brand}.test": MAILBOX,
        f"staff@{brand}.test": GROUP,
        f"oslo@{brand}.test": GROUP,
        f"partner@{brand}.test": CONTACT,
    }
    assert found.others == {f"a.lovelace@{brand}.test", f"all@{brand}.test"}
    assert found.disabled == {f"room@{brand}.test", f"expired@{brand}.test"}
    assert found.ignored == {"other_domain": 2}


async def test_iredmail(carrier: Slapd) -> None:
    """Who is not active, or has no delivery, bounces there; so does everybody of a domain that is switched off."""
    found = await read_own(carrier, "iredmail")

    assert found.primary == {
        "ada@iredmail.test": MAILBOX,
        "anything@iredmail.test": MAILBOX,
        "team@iredmail.test": GROUP,
        "info@iredmail.test": GROUP,
    }
    assert found.others == {"countess@iredmail.test"}
    assert found.ignored == {"no_mail": 1, "catch_all": 1}


async def test_ucs(carrier: Slapd) -> None:
    """The contact address in mail is nobody's mailbox; an alternative address may be two people's."""
    found = await read_own(carrier, "ucs")

    assert found.primary == {
        **{f"{name}@ucs.test": MAILBOX for name in ("ada", "bob", "disabled", "expired")},
        "staff@ucs.test": GROUP,
        "news@ucs.test": GROUP,
        "invoices@ucs.test": FOLDER,
    }
    assert found.others == {"lovelace@ucs.test", "info@ucs.test"}
    assert sum(row.address == "info@ucs.test" for row in found.rows) == 2
    assert found.disabled == {"disabled@ucs.test", "expired@ucs.test"}
    assert found.ignored == {}


async def test_edirectory(carrier: Slapd) -> None:
    """Its GUID is sixteen octets in their own order, unlike Active Directory's."""
    found = await read_own(carrier, "edirectory")

    assert found.primary == {
        "a.lovelace@edirectory.test": MAILBOX,
        "disabled@edirectory.test": MAILBOX,
        "staff@edirectory.test": GROUP,
    }
    assert found.others == {"ada@edirectory.test"}
    assert found.disabled == {"disabled@edirectory.test"}
    assert found.entry("ada@edirectory.test") == str(UUID(bytes=guid("ada")))


async def test_a_renamed_entry_stays_itself(carrier: Slapd) -> None:
    """In iRedMail the address is the name of the entry, so both change together."""
    base = "ou=Users,domainName=iredmail.test,o=domains,dc=iredmail"
    before = (await read_own(carrier, "iredmail")).entry("ada@iredmail.test")
    carrier.rename(f"mail=ada@iredmail.test,{base}", "mail=lovelace@iredmail.test")
    try:
        after = await read_own(carrier, "iredmail")
    finally:
        carrier.rename(f"mail=lovelace@iredmail.test,{base}", "mail=ada@iredmail.test")

    assert "ada@iredmail.test" not in after.primary
    assert after.entry("lovelace@iredmail.test") == before


async def test_the_schema_of_all_of_them_proposes_each(carrier: Slapd) -> None:
    """A server that could be any of them is claimed to be none, and all are named."""
    tree = TREES["openldap"]
    settings = DirectorySettings(
        "HQ",
        "openldap",
        (Server("127.0.0.1", carrier.port),),
        tree.reader,
        security=Security.NONE,
        search_bases=(tree.base,),
    )
    plan = make_plan(settings, Credentials(Secret(READER_PASSWORD)), LOOPBACK)
    reading = Reading(replace(plan, asks_schema=True))
    await reading.entries()

    assert reading.profile is not None
    found = detect(reading.profile.root, reading.profile.known)
    assert found.server is ServerType.OPENLDAP
    assert set(found.types) == {
        "zimbra",
        "ucs",
        "iredmail",
        "kopano",
        "zarafa",
        "openldap_local_recipient",
        "openldap",
    }
