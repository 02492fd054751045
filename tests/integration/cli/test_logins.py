"""``logins`` by the real program, about a real directory that a real worker read."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.lab import Branch
from tests.harness.worker import Worker
from tests.integration.cli.conftest import Desk, Program
from tests.servers import ldif
from worker.cli.exits import Exit


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture
async def tenant(
    desk: Desk, branch: Branch, program: Program, worker: Worker
) -> AsyncIterator[str]:
    """Give a tenant whose directory was read once: Ada, and two people who share an address."""
    branch.add("ada")
    team = branch.address("team")
    for name in ("bob", "cleo"):
        told = {"objectClass": "inetOrgPerson", "sn": name, "mail": [branch.address(name), team]}
        branch.slapd.add(ldif.record(branch.dn(name), told))
    made = await desk.join(branch, logins={"create": True, "role": "normal"})
    worker.spawn()
    assert program("sync", made, "hq").code == Exit.OK
    yield made
    worker.kill()


def test_logins_and_what_is_in_their_way_are_shown(
    program: Program, branch: Branch, tenant: str
) -> None:
    """An admin sees who can sign in, by which name, and which address two people show."""
    told = program("logins", tenant)
    data = program("logins", tenant, "--directory", "hq", "--json").json

    assert told.code == Exit.OK
    assert "Two mailboxes show this address; it leads to neither's login." in told.out
    assert {each["username"] for each in data["logins"]} == set(
        branch.addresses("ada", "bob", "cleo")
    )
    assert {(each["state"], each["role"]) for each in data["logins"]} == {("active", "normal")}
    assert {(each["address"], each["code"]) for each in data["claims"]} == {
        (branch.address("team"), "address_shared")
    }


def test_another_directory_has_none_and_another_tenant_is_unknown(
    program: Program, tenant: str
) -> None:
    """A slip in a name is told apart from nothing being there."""
    elsewhere = program("logins", tenant, "--directory", "branch")

    assert elsewhere.code == Exit.OK
    assert "There are no logins." in elsewhere.out
    assert program("logins", "nobody").code == Exit.USAGE
