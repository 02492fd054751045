"""Lives of people in real directories, and what becomes of their quarantine logins: OpenLDAP and Active Directory.

What is real: the servers, the reader, the spine and the store. What is not: the broker and the time.
"""

import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.directory.conftest import BASE, LOOPBACK
from tests.integration.postgres.house import HQ, House
from tests.integration.postgres.logins import WIDE, Login, active, ended
from tests.servers import ad_domain, ldif
from tests.servers.samba import Samba
from tests.servers.slapd import READER_PASSWORD, Slapd
from worker.adapters.directory.reader import LdapReader
from worker.adapters.postgres.spool import open_spool
from worker.domain.model import DirectorySettings, Logins, Security, Server, Trust
from worker.domain.outcomes import Applied, Outcome, Unchanged
from worker.flows.bell import Bell
from worker.flows.sync import SyncPorts, sync
from worker.ports.telemetry import NoTelemetry


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DOMAIN = "lives.example.com"
NUMBERS = itertools.count(1)
A_MONTH = 31 * 24 * 60
STAFF = 3
"""People to whom nothing happens, so that what happens to one is not half of the company."""


@dataclass
class Company:
    """A company's people in one unit of a directory; those who left lie in another that is not read."""

    server: Any
    form: DirectorySettings
    password: str
    base: str
    record: Callable[..., str]
    addresses: Callable[[Sequence[str]], dict[str, ldif.Values]]
    able: Callable[[bool], dict[str, ldif.Values]]

    def found(self) -> None:
        """Make both units, and the staff."""
        units = (f"OU=Here,{self.base}", f"OU=Left,{self.base}")
        staff = (f"staff{number}" for number in range(STAFF))
        self.server.add(
            *(ldif.record(unit, {"objectClass": "organizationalUnit"}) for unit in units),
            *(self.entry(name, name) for name in staff),
        )

    def dn(self, name: str, unit: str = "Here") -> str:
        """Where somebody's entry is."""
        return f"CN={name},OU={unit},{self.base}"

    def hire(self, name: str, *locals_: str, enabled: bool = True) -> None:
        """Somebody new."""
        self.server.add(self.entry(name, *locals_, enabled=enabled))

    def entry(self, name: str, *locals_: str, enabled: bool = True) -> str:
        """The entry of a person with these addresses; the first is the primary one."""
        told = {**self.addresses([address(each) for each in locals_]), **self.able(enabled)}
        return self.record(self.dn(name), name, **told)

    def is_known_as(self, name: str, *locals_: str) -> None:
        """These are somebody's addresses now."""
        self.server.set(self.dn(name), **self.addresses([address(each) for each in locals_]))

    def marries(self, name: str, other: str) -> None:
        """The entry is called otherwise."""
        self.server.rename(self.dn(name), f"CN={other}")

    def is_able(self, name: str, enabled: bool) -> None:  # noqa: FBT001 - one word says it
        """The account is enabled, or disabled."""
        self.server.set(self.dn(name), **self.able(enabled))

    def leaves(self, name: str) -> None:
        """The entry is moved to those who left."""
        self.server.rename(self.dn(name), f"CN={name}", under=f"OU=Left,{self.base}")

    def returns(self, name: str) -> None:
        """And back."""
        left = self.dn(name, "Left")
        self.server.rename(left, f"CN={name}", under=f"OU=Here,{self.base}")

    def deletes(self, name: str) -> None:
        """The entry is deleted."""
        self.server.delete(self.dn(name))


def address(local: str) -> str:
    """An address of the company."""
    return f"{local}@{DOMAIN}"


def account_name(dn: str) -> str:
    """A name that is the entry's alone in the whole domain."""
    return f"lives{zlib.crc32(dn.encode()):08x}"


def _ldap_person(dn: str, name: str, **told: ldif.Values) -> str:
    classes = ["inetOrgPerson", "shadowAccount"]
    return ldif.record(dn, {"objectClass": classes, "sn": name, "uid": name, **told})


def _ad_person(dn: str, name: str, **told: ldif.Values) -> str:
    return ldif.record(
        dn,
        {
            "objectClass": "user",
            "sAMAccountName": account_name(dn),
            "displayName": name,
            "msExchRecipientTypeDetails": str(ad_domain.MAILBOX),
            **told,
        },
    )


def open_ldap(slapd: Slapd) -> Company:
    """A company on OpenLDAP."""
    base = f"ou=lives{next(NUMBERS)},{BASE}"
    slapd.add(ldif.record(base, {"objectClass": "organizationalUnit"}))
    form = DirectorySettings(
        "Head office",
        "openldap",
        (Server("127.0.0.1", slapd.port),),
        slapd.trees[0].reader,
        security=Security.NONE,
        search_bases=(f"OU=Here,{base}",),
        removals=WIDE,
        logins=Logins(create=True),
    )
    return Company(
        slapd,
        form,
        READER_PASSWORD,
        base,
        _ldap_person,
        lambda all_: {"mail": list(all_)},
        lambda enabled: {"shadowExpire": "99999" if enabled else "1"},
    )


def active_directory(samba: Samba, trust: Trust) -> Company:
    """A company on Active Directory with Exchange's attributes."""
    base = f"OU=Lives{next(NUMBERS)},{ad_domain.BASE}"
    samba.add(ldif.record(base, {"objectClass": "organizationalUnit"}))
    form = DirectorySettings(
        "Head office",
        "active_directory",
        (Server("127.0.0.1", samba.ldaps_port),),
        ad_domain.upn("svc-sync"),
        trust=trust,
        search_bases=(f"OU=Here,{base}",),
        removals=WIDE,
        logins=Logins(create=True),
    )

    def addresses(all_: Sequence[str]) -> dict[str, ldif.Values]:
        return {
            "proxyAddresses": [
                f"{'smtp' if place else 'SMTP'}:{each}" for place, each in enumerate(all_)
            ]
        }

    def able(enabled: bool) -> dict[str, ldif.Values]:  # noqa: FBT001 - one word says it
        control = ad_domain.ENABLED + ad_domain.NO_PASSWORD
        return {"userAccountControl": str(control + (0 if enabled else ad_domain.DISABLED))}

    return Company(samba, form, ad_domain.PASSWORD, base, _ad_person, addresses, able)


@dataclass
class Life:
    """A company, and the worker that reads its directory."""

    company: Company
    house: House

    async def begin(self) -> "Life":
        """Save & Sync."""
        self.company.found()
        await self.house.save_tenant(DOMAIN)
        await self.house.save_directory(self.company.form, password=self.company.password)
        await self.sync(later=0)
        return self

    async def sync(self, *, later: float = 31) -> Outcome:
        """Read the directory, some minutes later."""
        self.house.clock.forward(minutes=later)
        await self.house.request()
        run = await self.house.claim()
        ports = SyncPorts(
            runs=self.house.runs,
            directory=LdapReader(),
            sign_ins=self.house.sign_ins,
            clock=self.house.clock,
            telemetry=NoTelemetry(),
            spool=open_spool,
            relay_bell=Bell(),
            limits=LOOPBACK,
        )
        outcome = await sync(run, ports=ports)
        assert isinstance(outcome, Applied | Unchanged), outcome
        return outcome

    async def logins(self) -> dict[str, Login]:
        """The logins of all but the staff."""
        found = await self.house.fetch(
            "SELECT * FROM api.login WHERE directory = $1 AND username NOT LIKE 'staff%' ORDER BY since",
            HQ,
        )
        return {
            each["username"].partition("@")[0]: Login(
                each["username"], each["state"], each["reason"], tuple(each["addresses"])
            )
            for each in found
        }

    async def id_of(self, local: str) -> Any:
        """The login of that name."""
        return await self.house.value(
            "SELECT login FROM api.login WHERE username = $1",
            address(local),
        )


@pytest.fixture(params=["openldap", "active_directory"])
def company(request: pytest.FixtureRequest, own_ca: Trust) -> Iterator[Company]:
    """One company on each server; it leaves nothing behind."""
    if request.param == "openldap":
        made = open_ldap(request.getfixturevalue("slapd"))
    else:
        made = active_directory(request.getfixturevalue("samba"), own_ca)
    yield made
    names = [each.dn for each in made.server.search(made.base)]
    made.server.delete(*sorted(names, key=lambda dn: -dn.count(",")))


@pytest.fixture
async def life(company: Company, house: House) -> Life:
    """Known to the filter."""
    return await Life(company, house).begin()


def uses(*locals_: str) -> Login:
    """A login in use."""
    return active(*map(address, locals_))


def has_ended(reason: str, *locals_: str) -> Login:
    """One that is not; the first is its name, the others lead to it."""
    return ended(reason, *map(address, locals_))


async def test_hired_and_given_a_second_address(life: Life) -> None:
    """The login is there with the mailbox, and every address leads to it."""
    life.company.hire("jo", "jo")
    await life.sync()
    assert await life.logins() == {"jo": uses("jo")}

    life.company.is_known_as("jo", "jo", "sales")
    await life.sync()

    assert await life.logins() == {"jo": uses("jo", "sales")}


async def test_married(life: Life) -> None:
    """Another name, another DN, another address: the same person, and the same login."""
    life.company.hire("jo single", "jo.single")
    await life.sync()
    before = await life.id_of("jo.single")

    life.company.marries("jo single", "jo wed")
    life.company.is_known_as("jo wed", "jo.wed")
    await life.sync()

    assert (await life.logins())["jo.wed"].state == "active"
    assert set(await life.logins()) == {"jo.wed"}
    assert await life.id_of("jo.wed") == before


async def test_away_and_back(life: Life) -> None:
    """The account is disabled for a year: mail goes on, the login waits."""
    life.company.hire("jo", "jo")
    await life.sync()
    before = await life.id_of("jo")

    life.company.is_able("jo", False)  # noqa: FBT003 - one word says it
    await life.sync()
    assert await life.logins() == {"jo": has_ended("disabled", "jo", "jo")}
    assert await life.house.look(address("jo")) == "valid"
    life.company.is_able("jo", True)  # noqa: FBT003 - as above
    await life.sync()

    assert await life.logins() == {"jo": uses("jo")}
    assert await life.id_of("jo") == before


async def test_left_and_returned(life: Life) -> None:
    """The login goes with the grace of the address, and comes back with the person."""
    life.company.hire("jo", "jo")
    await life.sync()
    before = await life.id_of("jo")

    life.company.leaves("jo")
    await life.sync()
    assert await life.logins() == {"jo": uses("jo")}
    await life.sync()
    assert await life.logins() == {"jo": has_ended("gone", "jo")}
    await life.sync(later=73 * 60)
    life.company.returns("jo")
    await life.sync()

    assert await life.logins() == {"jo": uses("jo")}
    assert await life.id_of("jo") == before


async def test_succeeded_by_somebody_of_the_same_name(life: Life) -> None:
    """The new person gets the address at once, a login of their own after 30 days, and never the old one."""
    life.company.hire("jo", "jo")
    await life.sync()
    before = await life.id_of("jo")

    life.company.deletes("jo")
    life.company.hire("jo", "jo")
    await life.sync()
    assert await life.logins() == {"jo": has_ended("gone", "jo")}
    assert await life.house.value("SELECT code FROM api.login_conflict") == "name_kept"
    assert await life.house.look(address("jo")) == "valid"
    await life.sync(later=A_MONTH)

    assert (await life.logins())["jo"] == uses("jo")
    assert await life.id_of("jo") != before


async def test_a_shared_mailbox(life: Life) -> None:
    """Its account is disabled by design: it receives mail, and nobody signs in as it."""
    life.company.hire("info", "info", enabled=False)

    await life.sync()

    assert await life.logins() == {}
    assert await life.house.look(address("info")) == "valid"


async def test_merged_mailboxes(life: Life) -> None:
    """One mailbox takes over the addresses of another that is deleted."""
    life.company.hire("al", "al")
    life.company.hire("bo", "bo")
    await life.sync()

    life.company.deletes("bo")
    life.company.is_known_as("al", "al", "bo")
    await life.sync()

    assert await life.logins() == {"al": uses("al", "bo"), "bo": has_ended("gone", "bo")}


async def test_two_mailboxes_that_claim_one_address(life: Life) -> None:
    """Neither steals it from the other."""
    life.company.hire("al", "al", "team")
    await life.sync()

    life.company.hire("bo", "bo")
    life.company.is_known_as("bo", "bo", "team")
    await life.sync()

    assert await life.logins() == {"al": uses("al", "team"), "bo": uses("bo")}
    assert await life.house.value("SELECT code FROM api.login_conflict") == "address_in_use"
