"""What needs the database: ``migrate``, ``sync``, ``history``, ``status``, ``keys``, and how ``run`` refuses."""

import csv
import io
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.harness.lab import Branch
from tests.harness.worker import Worker
from tests.integration.cli.conftest import Desk, Program
from tests.servers.daemon import free_port
from worker.adapters.secrets import SealedVault, generate_key
from worker.cli.exits import Exit
from worker.domain.commands import Sealed
from worker.domain.model import Secret


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

NOWHERE = "postgresql://rollcall:correct-horse@127.0.0.1:{}/rollcall"
STORED_COMMANDS = (
    ("migrate",),
    ("sync", "t1", "hq"),
    ("history", "t1"),
    ("status",),
    ("why", "jo@example.com"),
    ("restored",),
    ("keys", "rotate"),
)


@pytest.fixture
async def tenant(desk: Desk, branch: Branch, worker: Worker) -> AsyncIterator[str]:
    """Give a tenant with two people in its directory, and a worker whose broker is away."""
    branch.add("ada", "bob")
    made = await desk.join(branch)
    worker.spawn()
    yield made
    worker.kill()


def test_a_sync_works_without_a_broker(program: Program, branch: Branch, tenant: str) -> None:
    """An operator can act while the broker is away: the outcome is in the database."""
    ran = program("sync", tenant, "hq")

    assert ran.code == Exit.OK, ran.err
    assert "completed" in ran.out
    assert program("history", tenant, "--json").json["runs"][0]["counts"]["added"] == 2


def test_a_preview_changes_nothing(program: Program, tenant: str) -> None:
    """What would happen can be seen before it does."""
    ran = program("sync", tenant, "hq", "--preview", "--json")

    assert ran.code == Exit.OK
    assert (ran.json["run"]["state"], ran.json["run"]["counts"]["added"]) == ("previewed", 2)
    assert program("history", tenant, "--changes", "--json").json["changes"] == []
    shown = program("history", tenant, "--run", ran.json["run"]["run"], "--json").json["changes"]
    assert [each["change"] for each in shown] == ["added", "added"]


def test_one_need_not_wait(program: Program, tenant: str) -> None:
    """A script may ask and go on."""
    ran = program("sync", tenant, "hq", "--no-wait", "--json")

    assert ran.code == Exit.OK
    assert ran.json.keys() == {"command"}


async def test_a_failed_run_is_told_with_what_to_do(
    program: Program, desk: Desk, branch: Branch, worker: Worker
) -> None:
    """The same finding as everywhere, and an exit code that a script notices."""
    tenant = await desk.join(branch, password="wrong-password")
    worker.spawn()

    ran = program("sync", tenant, "hq")

    assert ran.code == Exit.NO
    assert "[sign_in.wrong_password]" in ran.out
    assert "What to do:" in ran.out
    status = program("status", tenant, "--json").json["directories"][0]
    assert status["failing"] == "sign_in.wrong_password"
    assert status["failing_since"] is not None
    assert status["last_good_at"] is None


async def test_a_worker_that_is_not_there_is_missed(
    program: Program, desk: Desk, branch: Branch, worker: Worker
) -> None:
    """A forgotten worker is the usual reason why nothing happens; the request is kept for it."""
    branch.add("ada")
    tenant = await desk.join(branch)

    ran = program("sync", tenant, "hq", "--patience", "0.5")

    assert ran.code == Exit.AWAY
    assert "No worker has begun" in ran.err
    worker.spawn()
    worker.wait_for(lambda: _states(program, tenant) == ["completed"])


def _states(program: Program, tenant: str) -> list[str]:
    return [each["state"] for each in program("history", tenant, "--json").json["runs"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "t2", "hq"),
        ("history", "t2"),
        ("status", "t2"),
        ("sync", "t 2", "hq"),
        ("why", "jo@example.com", "--tenant", "t2"),
    ],
)
def test_a_tenant_that_is_not_there_is_wrong_usage(
    program: Program, arguments: tuple[str, ...]
) -> None:
    """A slip in a name is told at once."""
    ran = program(*arguments)

    assert ran.code == Exit.USAGE
    assert ran.err


def test_a_directory_that_is_not_there_is_wrong_usage(program: Program, tenant: str) -> None:
    """The same for its directory, and nothing is stored that would wait for it."""
    program("sync", tenant, "hq")

    ran = program("sync", tenant, "lab")

    assert ran.code == Exit.USAGE
    assert "[directory.unknown]" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "lab"),
        ("history", "lab", "--csv"),
        ("history", ""),
        ("history", "lab", "--json"),
    ],
)
def test_the_history_of_a_directory_that_is_not_there_is_wrong_usage(
    program: Program, tenant: str, arguments: tuple[str, ...]
) -> None:
    """An empty answer would say that nothing ever happened there."""
    ran = program(arguments[0], tenant, *arguments[1:])

    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "[directory.unknown]" in ran.err


@pytest.mark.parametrize("arguments", [("--reseller", ""), ("--reseller", " "), ("",)])
def test_a_blank_name_is_not_everybody(program: Program, arguments: tuple[str, ...]) -> None:
    """A variable of a script that is not set asks for no other customer's standing."""
    ran = program("status", *arguments)

    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert ran.err


def test_an_answer_is_csv_or_json(program: Program) -> None:
    """A script that asks for both is told, not given one of them."""
    ran = program("history", "t1", "--csv", "--json")

    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "--csv or --json" in ran.err


def test_history_shows_verdicts_and_says_when_there_is_more(program: Program, tenant: str) -> None:
    """Two runs are all of two, and not all where one is asked for."""
    program("sync", tenant, "hq")
    program("sync", tenant, "hq")

    whole = program("history", tenant, "--limit", "2")
    part = program("history", tenant, "--limit", "1")

    assert "verdict" in whole.out
    assert whole.out.count(" apply ") == 4  # mode and verdict of each
    assert "--limit shows more" not in whole.out
    assert "The newest 1 is shown; --limit shows more." in part.out
    assert len(program("history", tenant, "--limit", "1", "--json").json["runs"]) == 1


def test_status_says_that_there_is_more_only_where_there_is(program: Program, tenant: str) -> None:
    """One directory is all of one."""
    assert "--limit shows more" not in program("status", "--limit", "1").out


def test_history_tells_of_addresses(program: Program, branch: Branch, tenant: str) -> None:
    """Since when is this address valid, and which run made it so?"""
    run = program("sync", tenant, "hq", "--json").json["run"]["run"]

    of_ada = program("history", tenant, "--address", f"ADA@{branch.domain}", "--json").json
    of_run = program("history", tenant, "hq", "--run", run, "--json").json
    no_run = program("history", tenant, "--run", "00000000-0000-0000-0000-000000000000")

    assert [(each["address"], each["change"]) for each in of_ada["changes"]] == [
        (branch.address("ada"), "added")
    ]
    assert {each["address"] for each in of_run["changes"]} == set(branch.addresses("ada", "bob"))
    assert [each["run"] for each in of_run["runs"]] == [run]
    assert no_run.code == Exit.USAGE


def test_history_goes_into_a_spreadsheet(program: Program, branch: Branch, tenant: str) -> None:
    """An address that begins like a formula stays text."""
    branch.add("=hyperlink")
    program("sync", tenant, "hq")

    ran = program("history", tenant, "--changes", "--csv", "--limit", "10")

    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert ran.code == Exit.OK
    assert f"'=hyperlink@{branch.domain}" in {each["address"] for each in rows}


def test_runs_go_into_a_spreadsheet_with_what_an_admin_asks(program: Program, tenant: str) -> None:
    """Trigger, duration, counts and verdict of each."""
    program("sync", tenant, "hq")
    program("sync", tenant, "hq")

    ran = program("history", tenant, "--csv")
    none = program("history", "nobody", "--csv")

    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [(each["trigger"], each["verdict"], each["added"]) for each in rows] == [
        ("manual", "apply", "0"),
        ("manual", "apply", "2"),
    ]
    assert all(float(each["seconds"]) >= 0 for each in rows)
    assert (none.code, none.out) == (Exit.USAGE, "")


def test_an_export_whose_reader_has_gone_blames_no_database(program: Program, tenant: str) -> None:
    """``| head`` takes the first lines and goes; a full disk takes nothing, and that is said."""
    program("sync", tenant, "hq")
    reader, gone = os.pipe()
    os.close(reader)

    with os.fdopen(gone, "w") as pipe, Path("/dev/full").open("w", encoding="utf-8") as full:
        left = program.into(pipe, "history", tenant, "--csv")
        no_room = program.into(full, "history", tenant, "--csv")

    assert (left.code, left.err) == (Exit.OK, "")
    assert no_room.code == Exit.USAGE
    assert no_room.err == "The answer cannot be written: No space left on device.\n"


def test_a_reseller_sees_its_own(program: Program, tenant: str) -> None:
    """And a reseller that has nobody sees nothing."""
    told = program("status", "--reseller", "nobody", "--json").json

    assert told["directories"] == []
    assert program("status", "--json").json["directories"][0]["tenant"] == tenant


def test_status_tells_what_stands_and_what_waits(program: Program, tenant: str) -> None:
    """One look: which directories are well, and what the queues hold while the broker is away."""
    program("sync", tenant, "hq")

    told, shown = program("status", "--json"), program("status")

    [directory] = told.json["directories"]
    assert told.code == shown.code == Exit.OK
    assert (directory["tenant"], directory["state"]) == (tenant, "in_force")
    assert directory["last_good_at"] is not None
    assert directory["failing"] is None
    assert told.json["backlog"]["outbox_rows"] > 0
    assert "events for the broker" in shown.out


async def test_rotating_seals_all_with_the_newest_key(
    program: Program, desk: Desk, branch: Branch, tenant: str
) -> None:
    """A key that may be known can be taken out of use without asking any customer."""
    program("sync", tenant, "hq")
    old = program.environment["ROLLCALL_KEYS"]
    new = generate_key()

    ran = program("keys", "rotate", "--json", ROLLCALL_KEYS=f"{new},{old}")
    again = program("keys", "rotate", "--json", ROLLCALL_KEYS=f"{new},{old}")

    assert ran.code == Exit.OK
    assert ran.json == {"looked_at": 1, "sealed": 1, "unreadable": 0}
    assert again.json == {"looked_at": 1, "sealed": 0, "unreadable": 0}
    [row] = await desk.rows("SELECT password_sealed FROM rollcall.directory_revision")
    opened = SealedVault([Secret(new)]).unseal(Sealed(row["password_sealed"]))
    assert opened.reveal() == branch.form()["password"]


async def test_a_secret_that_no_key_opens_is_counted(
    program: Program, desk: Desk, tenant: str
) -> None:
    """Whose password has to be entered again must not stay unsaid."""
    program("sync", tenant, "hq")

    ran = program("keys", "rotate", ROLLCALL_KEYS=generate_key())

    assert ran.code == Exit.NO
    assert "1 unreadable" in ran.out


def test_migrating_twice_does_nothing_twice(program: Program) -> None:
    """It is run at every roll-out."""
    assert program("migrate").out == "nothing to apply\n"
    assert program("migrate", "--json").json == {"applied": []}


@pytest.mark.parametrize("arguments", [*STORED_COMMANDS, ("run",)])
def test_a_database_that_is_away_is_told(alone: Program, arguments: tuple[str, ...]) -> None:
    """No traceback, no password, and an exit code that says: try again later."""
    ran = alone(
        *arguments,
        ROLLCALL_DATABASE_URL=NOWHERE.format(free_port()),
        ROLLCALL_KEYS=generate_key(),
        ROLLCALL_AMQP_URL="amqp://a:b@127.0.0.1:1/",
    )

    assert ran.code == Exit.AWAY
    assert "ROLLCALL_DATABASE_URL" in ran.err
    assert "correct-horse" not in ran.err


@pytest.mark.parametrize("arguments", [*STORED_COMMANDS, ("run",)])
def test_a_database_that_refuses_us_is_told(
    alone: Program, servers: Servers, arguments: tuple[str, ...]
) -> None:
    """A wrong password or database is for an operator to mend: waiting does not help."""
    ran = alone(
        *arguments,
        ROLLCALL_DATABASE_URL=servers.database_url.rpartition("/")[0] + "/no_such_database",
        ROLLCALL_KEYS=generate_key(),
        ROLLCALL_AMQP_URL="amqp://a:b@127.0.0.1:1/",
    )

    assert ran.code == Exit.USAGE
    assert "refuses" in ran.err


@pytest.mark.parametrize("arguments", [*STORED_COMMANDS[1:], ("run",)])
def test_a_database_without_the_schema_is_told(
    alone: Program, servers: Servers, arguments: tuple[str, ...]
) -> None:
    """The first start of a fresh installation says what to do."""
    ran = alone(
        *arguments,
        ROLLCALL_DATABASE_URL=servers.database_url.rpartition("/")[0] + "/postgres",
        ROLLCALL_KEYS=generate_key(),
        ROLLCALL_AMQP_URL="amqp://a:b@127.0.0.1:1/",
    )

    assert ran.code == Exit.USAGE
    assert "rollcall migrate" in ran.err


def test_a_health_port_that_is_taken_is_told(program: Program, servers: Servers) -> None:
    """Two workers on one machine is the usual reason."""
    taken = servers.database_url.rpartition(":")[2].partition("/")[0]

    ran = program("run", ROLLCALL_AMQP_URL=servers.amqp_url, ROLLCALL_HEALTH_PORT=taken)

    assert ran.code == Exit.USAGE
    assert "ROLLCALL_HEALTH_PORT" in ran.err


async def test_after_a_restore_every_list_is_told_anew(
    program: Program, desk: Desk, tenant: str
) -> None:
    """The operator needs neither broker nor keys, and sees how much will go out."""
    assert program("sync", tenant, "hq").code == Exit.OK

    table = program("restored", ROLLCALL_KEYS="")
    again = program("restored", "--json")

    assert table.code == again.code == Exit.OK
    assert "recipient.add" not in table.out  # there is no domain by hand
    told = again.json
    assert (told["tenants"], told["recipients"], told["domains_by_hand"]) == (1, 2, 0)
    assert re.search(r"^ +1 +2 +\d+ +0 *$", table.out, re.MULTILINE), table.out
    [row] = await desk.rows("SELECT epoch, sequence FROM rollcall.tenant")
    assert (row["epoch"], row["sequence"]) == (told["epoch"], 1)


async def test_after_a_restore_domains_by_hand_are_pointed_out(
    program: Program, desk: Desk
) -> None:
    """Who was added there by hand since the backup is refused until people add them again."""
    told = {"plan": "enterprise", "domains": [{"name": "hand.example.com", "by_hand": True}]}
    await desk.send("tenant.save", "tenant-hand", told)

    ran = program("restored")

    assert ran.code == Exit.OK
    assert "recipient.add" in ran.out
