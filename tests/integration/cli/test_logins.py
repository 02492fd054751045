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
    both = [f"{name} ({branch.address(name)})" for name in ("bob", "cleo")]
    assert [sorted(each["mailboxes"]) for each in data["claims"]] == [both, both]


async def test_status_tells_warnings_that_stand_and_that_the_plan_has_no_logins(
    desk: Desk, program: Program, tenant: str
) -> None:
    """What is told once, in a result or a mail, is forgotten."""

    def warnings() -> list[str]:
        [directory] = program("status", tenant, "--json").json["directories"]
        return [*directory["warnings"]]

    assert warnings() == []
    await desk.send("tenant.save", tenant, {"plan": "standard"}, which="-downgrade")

    assert warnings() == ["logins_paused"]
    await desk.rows(
        """INSERT INTO rollcall.warning (directory_id, cause, at, told_at)
           SELECT directory_id, 'certificate_expiring', now(), now() FROM rollcall.directory"""
    )
    assert warnings() == ["certificate_expiring", "logins_paused"]
    assert "certificate_expiring, logins_paused" in program("status", tenant, COLUMNS="300").out


def test_another_directory_and_another_tenant_are_unknown(program: Program, tenant: str) -> None:
    """A slip in a name is told apart from nothing being there."""
    elsewhere = program("logins", tenant, "--directory", "branch")

    assert elsewhere.code == Exit.USAGE
    assert "[directory.unknown]" in elsewhere.err
    assert program("logins", tenant, "--directory", "").code == Exit.USAGE
    assert program("logins", "nobody").code == Exit.USAGE


def test_more_is_announced_only_where_there_is_more(program: Program, tenant: str) -> None:
    """Three logins are all of three, and not all where two are asked for."""
    whole = program("logins", tenant, "--limit", "3")
    part = program("logins", tenant, "--limit", "2")

    assert "--limit shows more" not in whole.out
    assert "The first 2 are shown; --limit shows more." in part.out
    assert len(program("logins", tenant, "--limit", "2", "--json").json["logins"]) == 2


@pytest.fixture
async def staff(desk: Desk, branch: Branch, program: Program, worker: Worker) -> AsyncIterator[str]:
    """Give a tenant that reviews removals, with Ada, Bob and Dora in its directory; each can be disabled."""
    for name in ("ada", "bob", "dora"):
        branch.slapd.add(ldif.record(branch.dn(name), _account(branch, name)))
    removals = {"policy": "review"}
    made = await desk.join(branch, logins={"create": True}, removals=removals)
    worker.spawn()
    assert program("sync", made, "hq").code == Exit.OK
    yield made
    worker.kill()


def _account(branch: Branch, name: str) -> dict[str, ldif.Values]:
    classes = ["inetOrgPerson", "shadowAccount"]
    told = {"sn": name, "uid": name, "mail": branch.address(name), "shadowExpire": "99999"}
    return {"objectClass": classes, **told}


def test_what_a_run_did_to_logins_is_told_and_undone(
    program: Program, branch: Branch, staff: str
) -> None:
    """Who was let in and who was renamed; and what an undo of it did."""
    branch.slapd.set(branch.dn("ada"), mail=branch.address("ada.byron"))
    branch.slapd.add(ldif.record(branch.dn("eve"), _account(branch, "eve")))
    program("sync", staff, "hq")
    run = program("history", staff, "--json").json["runs"][0]["run"]

    shown = program("history", staff, "--run", run)
    told = program("history", staff, "--run", run, "--json").json["logins"]
    of_ada = program("history", staff, "--address", branch.address("ada"), "--json").json["logins"]
    why = program("why", branch.address("ada.byron"))
    undone = program("undo", staff, run)

    assert "quarantine logins" in shown.out
    assert {(each["change"], each["username"], each["was"]) for each in told} == {
        ("created", branch.address("eve"), None),
        ("renamed", branch.address("ada.byron"), branch.address("ada")),
    }
    assert [each["change"] for each in of_ada] == ["renamed", "created"]
    assert f"Its quarantine login {branch.address('ada.byron')} is active since" in why.out
    assert undone.code == Exit.OK, undone.err
    assert "Quarantine logins: 1 deactivated, 1 renamed." in undone.out


def test_a_hold_about_a_login_says_that_only_the_login_ends(
    program: Program, branch: Branch, staff: str
) -> None:
    """Nobody who approves it believes that mail stops."""
    branch.slapd.set(branch.dn("ada"), shadowExpire="1")
    assert program("sync", staff, "hq").code == Exit.NO
    (hold,) = program("holds", staff, "--json").json["holds"]

    all_holds, one_hold = program("holds", staff), program("holds", staff, hold["hold"])
    approved = program("approve", staff, hold["hold"], "--version", str(hold["version"]))

    assert "1 quarantine login would end, and removals are set to be reviewed." in all_holds.out
    assert "would leave" not in all_holds.out
    assert (hold["waiting"], hold["logins"]) == (1, 1)
    assert "the login only" in one_hold.out
    assert approved.code == Exit.OK, approved.err
    assert approved.out == (
        "1 quarantine login is deactivated; its address stays, and its mail goes on.\n"
    )
