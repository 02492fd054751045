"""``why`` by the real program, about a real directory that a real worker read."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import Servers
from tests.harness.lab import Branch
from tests.harness.readme import RUNBOOK, masked, sessions
from tests.harness.worker import Worker
from tests.integration.cli.conftest import Desk, Program
from tests.servers import ldif
from worker.cli.exits import Exit


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

ABROAD = "jo@elsewhere.example"


def odd(branch: Branch, name: str, mail: str, *, group: bool = False) -> str:
    """An entry that has an address and is no recipient."""
    classes = ["groupOfNames", "mailGroup"] if group else ["inetOrgPerson"]
    told = {"member": branch.dn("ada")} if group else {"sn": name, "displayName": name.title()}
    return ldif.record(branch.dn(name), {"objectClass": classes, "mail": mail, **told})


@pytest.fixture
async def tenant(
    desk: Desk, branch: Branch, program: Program, worker: Worker
) -> AsyncIterator[str]:
    """Give a tenant whose directory was read once: two people, and one entry for each reason to leave it out."""
    branch.add("ada", "bob")
    branch.slapd.add(
        odd(branch, "abroad", ABROAD),
        odd(branch, "crooked", f"Jo Smith@{branch.domain}"),
        odd(branch, "hidden", f"boss.secret@{branch.domain}"),
        odd(branch, "everyone", branch.address("everyone"), group=True),
    )
    made = await desk.join(
        branch,
        filter="(mail=*)",
        address_attributes=["mail"],
        kinds=["mailbox"],
        leave_out=[f"*.secret@{branch.domain}"],
    )
    worker.spawn()
    assert program("sync", made, "hq").code == Exit.OK
    yield made
    worker.kill()


def test_a_valid_address_is_explained(program: Program, branch: Branch, tenant: str) -> None:
    """Three sentences and the history, ready for a ticket; a script sees by the code that it is valid."""
    ran = program("why", f"Ada@{branch.domain.upper()}")

    assert ran.code == Exit.OK
    assert ran.out.startswith(f"{branch.address('ada')} is valid since ")
    assert "Directory hq holds it since" in ran.out
    assert "(mailbox, its primary address, Person ada)" in ran.out
    assert "showed it." in ran.out
    assert "added" in ran.out.splitlines()[-2]


def test_a_program_gets_facts_and_sentences(program: Program, branch: Branch, tenant: str) -> None:
    """What the sentences say, member by member, with the run that said it."""
    run = program("history", tenant, "--json").json["runs"][0]["run"]

    told = program("why", branch.address("ada"), "--json").json

    assert (told["state"], told["via"], told["tenant"]) == ("valid", "itself", tenant)
    assert [(each["directory"], each["step"], each["name"]) for each in told["sources"]] == [
        ("hq", "present", "Person ada")
    ]
    assert [(each["said"], each["run"]) for each in told["last_run"]] == [("shown", run)]
    assert [each["change"] for each in told["history"]] == ["added"]
    assert told["next"] == told["ignored"] == []
    assert told["sentences"][0].startswith(f"{branch.address('ada')} is valid since")


LEFT_OUT = {
    "jo smith@{domain}": ("crooked", "it is no mail address as it stands"),
    "Boss.Secret@{domain}": ("hidden", "leave_out in the directory's settings matches it"),
    "everyone@{domain}": ("everyone", "its entry is of a kind that"),
    ABROAD: ("abroad", "its domain was none of the tenant's"),
}


def test_what_was_left_out_is_found_with_its_entry(
    program: Program, branch: Branch, tenant: str
) -> None:
    """The admin's "but it is in our directory" is answered with the entry, the reason and the run."""
    for asked, (entry, words) in LEFT_OUT.items():
        ran = program("why", asked.format(domain=branch.domain), "--tenant", tenant)

        assert ran.code == Exit.NO
        assert f"in entry {branch.dn(entry)}; it is left out because {words}" in ran.out


def test_where_the_domain_is_nobody_s_the_tenant_is_named(
    program: Program, branch: Branch, tenant: str
) -> None:
    """An operator who is asked about a strange domain sees whose directory has it."""
    ran = program("why", ABROAD)

    assert ran.code == Exit.NO
    assert "Its domain belongs to no tenant." in ran.out
    assert f"Directory hq of tenant {tenant} has {ABROAD} in entry {branch.dn('abroad')}" in ran.out


def test_who_left_is_told_what_comes_next(program: Program, branch: Branch, tenant: str) -> None:
    """There is half an hour at least to mend a mistake, and the admin sees it."""
    branch.remove("bob")
    assert program("sync", tenant, "hq").code == Exit.OK

    ran = program("why", branch.address("bob"))

    assert ran.code == Exit.OK
    assert "It is missing from hq since" in ran.out
    assert "It enters grace with the first complete run of hq that begins after" in ran.out


def test_who_is_mended_is_not_left_out_any_more(
    program: Program, branch: Branch, tenant: str
) -> None:
    """Put right in the directory, the next sync makes it valid and forgets the reason."""
    address = branch.address("jo.smith")
    branch.slapd.delete(branch.dn("crooked"))
    branch.slapd.add(odd(branch, "crooked", address))
    assert program("sync", tenant, "hq").code == Exit.OK

    assert program("why", address).code == Exit.OK
    assert program("why", f"jo smith@{branch.domain}").code == Exit.USAGE


def test_who_was_never_seen_is_told_where_to_look(
    program: Program, branch: Branch, tenant: str
) -> None:
    """Nothing is known of it: then base, filter and attributes are what is left to look at."""
    ran = program("why", branch.address("nobody"))

    assert ran.code == Exit.NO
    assert "did not show it." in ran.out
    assert "does its entry lie below the search bases" in ran.out


@pytest.mark.parametrize("asked", ["nobody", "", "jo@", "a b@example.com"])
def test_what_is_no_address_and_nobody_read_is_wrong_usage(program: Program, asked: str) -> None:
    """A slip is told as one."""
    ran = program("why", asked)

    assert ran.code == Exit.USAGE
    assert "Enter a mail address" in ran.err


# --- as the documents show it ---------------------------------------------------

VARYING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def steady(output: str) -> list[str]:
    """The lines without ids and times."""
    return masked(VARYING.sub("…", output))


def workshop(servers: Servers) -> dict[str, object]:
    """A form that reads the stack's plain tree, one person left out."""
    server = urlsplit(servers["STACK_LDAP_URI"])
    return {
        "directory": "workshop",
        "type": "openldap",
        "servers": [f"{server.hostname}:{server.port}"],
        "security": "starttls",
        "trust": {"ca_pem": Path(servers["STACK_LDAP_CA"]).read_text(encoding="ascii")},
        "bind_name": servers["STACK_LDAP_PLAIN_BIND_DN"],
        "password": servers["STACK_LDAP_PLAIN_PASSWORD"],
        "search_bases": [servers["STACK_LDAP_PLAIN_BASE"]],
        "leave_out": ["member004*@example.org"],
    }


async def test_it_reads_as_the_documents_show(
    program: Program, desk: Desk, worker: Worker, servers: Servers
) -> None:
    """What an operator learns from the documents is what they meet."""
    domains = [{"name": "example.org", "delimiter": "+"}]
    await desk.send("tenant.save", "acme", {"plan": "enterprise", "domains": domains})
    await desk.send("directory.save", "acme", workshop(servers))
    worker.spawn()
    assert program("sync", "acme", "workshop").code == Exit.OK

    left_out, valid = (
        program("why", f"{asked}@example.org") for asked in ("member004", "member000+news")
    )

    (shown,) = (each for each in sessions() if each.command[:2] == ("rollcall", "why"))
    assert shown.command == ("rollcall", "why", "member004@example.org")
    assert steady(left_out.out) == steady(shown.output)
    told = RUNBOOK.read_text(encoding="utf-8").partition(
        "$ rollcall why member000+news@example.org\n"
    )[2]
    assert set(steady("\n".join(told.splitlines()[:3]))) <= set(steady(valid.out))
