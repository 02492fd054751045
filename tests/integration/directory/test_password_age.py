"""Until when our own password is valid, where an OpenLDAP or a 389 Directory Server tells it. Active Directory has its own tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.directory.conftest import BASE, Reading, plan_for
from tests.servers import ds389, ldaptools, ldif
from tests.servers.ds389 import ADMIN, ADMIN_PASSWORD, Ds389
from tests.servers.slapd import READER_PASSWORD, Slapd, Tree
from worker.adapters.directory.account import generalized
from worker.domain.model import Server


pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

POLICY = f"cn=ninety days,{BASE}"
PERSON = ldif.record(
    f"uid=ada,{BASE}",
    {"objectClass": "inetOrgPerson", "cn": "Ada", "sn": "L", "mail": "ada@example.com"},
)
NINETY = ldif.record(
    POLICY,
    {
        "objectClass": ["device", "pwdPolicy"],
        "pwdAttribute": "userPassword",
        "pwdMaxAge": "7776000",
    },
)
SELF = ["to * by self read by users read by anonymous auth"]


async def password_until(
    server: Server, bind_name: str, password: str, base: str
) -> datetime | None:
    """What a whole reading proves."""
    reading = Reading(plan_for(server, bind_name=bind_name, password=password, bases=(base,)))
    assert await reading.names()
    assert reading.proof is not None
    return reading.proof.password_until


async def of_openldap(slapd: Slapd) -> datetime | None:
    """As the account of the tree sees it."""
    reader = slapd.trees[0].reader
    return await password_until(Server("127.0.0.1", slapd.port), reader, READER_PASSWORD, BASE)


async def test_openldap_tells_it_by_the_policy_of_the_account(tmp_path: Path) -> None:
    """By the day the password was set, and the policy that its entry names; nothing without one, or with one that knows no age."""
    tree = Tree(base=BASE, seed=PERSON + NINETY, access=SELF, lines=["overlay ppolicy"])
    with Slapd(tmp_path, [tree], lines=["moduleload ppolicy"]) as slapd:
        slapd.set(tree.reader, userPassword=READER_PASSWORD)
        (entry,) = slapd.search(tree.reader, attributes=("pwdChangedTime",))
        changed = generalized(entry.texts("pwdChangedTime")[0].encode())
        without = await of_openldap(slapd)

        slapd.set(tree.reader, pwdPolicySubentry=POLICY)
        told = await of_openldap(slapd)

        slapd.set(POLICY, pwdMaxAge="0")
        ageless = await of_openldap(slapd)

    assert changed is not None
    assert told == changed + timedelta(days=90)
    assert without is None
    assert ageless is None


async def test_an_account_that_may_not_see_itself_reads_as_ever(tmp_path: Path) -> None:
    """Most service accounts may not; nobody is warned, and nothing fails."""
    tree = Tree(base=BASE, seed=PERSON + NINETY, lines=["overlay ppolicy"])
    with Slapd(tmp_path, [tree], lines=["moduleload ppolicy"]) as slapd:
        slapd.set(tree.reader, userPassword=READER_PASSWORD, pwdPolicySubentry=POLICY)

        assert await of_openldap(slapd) is None


async def test_389_directory_server_tells_it_of_accounts_whose_password_expires(
    tmp_path: Path,
) -> None:
    """It keeps the day in their entries, as soon as passwords expire there at all."""
    lacks = ds389.missing()
    if lacks:
        pytest.skip(lacks)
    person = ldif.record(
        f"uid=ada,{ds389.BASE}",
        {"objectClass": "inetOrgPerson", "cn": "Ada", "sn": "L", "mail": "ada@example.com"},
    )
    with Ds389(tmp_path, person) as server:
        before = await of_389ds(server)
        change(server, "cn=config", passwordExp="on", passwordMaxAge="864000")
        change(server, ds389.READER, userPassword=ds389.READER_PASSWORD)
        started = datetime.now(UTC)  # noqa: TID251 -- the server's clock is this one
        after = await of_389ds(server)

    assert before is None
    assert after is not None
    assert abs(after - started - timedelta(days=10)) < timedelta(minutes=1)


async def of_389ds(server: Ds389) -> datetime | None:
    """As its account sees it."""
    where = Server("127.0.0.1", server.port)
    return await password_until(where, ds389.READER, ds389.READER_PASSWORD, ds389.BASE)


def change(server: Ds389, name: str, **values: str) -> None:
    """Replace attributes."""
    lines = [f"dn: {name}", "changetype: modify"]
    for attribute, value in values.items():
        lines += [f"replace: {attribute}", f"{attribute}: {value}", "-"]
    who = (ADMIN, ADMIN_PASSWORD)
    ldaptools.checked("ldapmodify", [], url=server.uri, as_=who, text="\n".join(lines) + "\n")
