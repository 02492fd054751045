"""What a person decides at the command line, carried out by a real worker whose broker is away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.lab import Branch
from tests.harness.worker import Worker
from tests.integration.cli.conftest import Desk, Program
from worker.cli.exits import Exit


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

PEOPLE = [f"p{number:02}" for number in range(30)]


@pytest.fixture
async def tenant(desk: Desk, branch: Branch, worker: Worker) -> AsyncIterator[str]:
    """Give a tenant with thirty people, and a worker whose broker is away."""
    branch.add(*PEOPLE)
    made = await desk.join(branch)
    worker.spawn()
    yield made
    worker.kill()


@pytest.fixture
def held(program: Program, branch: Branch, tenant: str) -> tuple[str, int]:
    """Two thirds of them vanish: a hold waits; gives its id and version."""
    assert program("sync", tenant, "hq").code == Exit.OK
    branch.remove(*PEOPLE[10:])
    assert program("sync", tenant, "hq").code == Exit.NO
    (hold,) = program("holds", tenant, "--json").json["holds"]
    return hold["hold"], hold["version"]


def test_a_hold_is_seen_and_approved(program: Program, tenant: str, held: tuple[str, int]) -> None:
    """Who looks is shown the line to copy; who copies it has decided."""
    hold, version = held
    shown = program("holds", tenant)
    line = f"rollcall approve {tenant} {hold} --version {version}"
    assert line in shown.out
    assert "half_size" in shown.out
    assert len(program("holds", tenant, hold, "--json").json["changes"]) == 20

    ran = program(*line.split()[1:])

    assert ran.code == Exit.OK, ran.err
    assert "20 approved; 20 of them are in grace" in ran.out
    assert "Nothing waits" in program("holds", tenant).out
    again = program(*line.split()[1:])
    assert again.code == Exit.USAGE
    assert "approved this hold already" in again.err


def test_a_held_run_tells_what_waits_and_later_that_nothing_does(
    program: Program, branch: Branch, tenant: str, held: tuple[str, int]
) -> None:
    """It changed nothing, and that is the point of it."""
    run = program("history", tenant, "--json").json["runs"][0]["run"]

    shown = program("history", tenant, "--run", run)
    part = program("history", tenant, "--run", run, "--limit", "19")
    told = program("history", tenant, "--run", run, "--json").json
    program("approve", tenant, held[0], "--version", str(held[1]))
    later = program("history", tenant, "--run", run)

    assert "No change is recorded." not in shown.out
    assert "[half_size]" in shown.out
    assert all(branch.address(each) in shown.out for each in PEOPLE[10:])
    assert "the address" in shown.out
    assert "--limit shows more" not in shown.out
    assert "The first 19 are shown; --limit shows more." in part.out
    assert {each["address"] for each in told["held"]} == set(branch.addresses(*PEOPLE[10:]))
    assert f"Nothing waits in hold {held[0]} any more." in later.out
    assert f"The first of them then: {branch.address('p10')}" in later.out


def test_a_hold_is_cut_only_where_there_is_more(
    program: Program, tenant: str, held: tuple[str, int]
) -> None:
    """Twenty of twenty are all."""
    assert "--limit" not in program("holds", tenant, held[0], "--limit", "20").out
    assert "The first 19 are shown" in program("holds", tenant, held[0], "--limit", "19").out
    part = program("holds", tenant, held[0], "--limit", "19", "--json").json
    assert len(part["changes"]) == 19


def test_a_directory_that_is_not_there_is_neither_paused_nor_resumed(
    program: Program, tenant: str
) -> None:
    """Told at once, not after a minute."""
    for command in ("pause", "resume"):
        ran = program(command, tenant, "branch")

        assert ran.code == Exit.USAGE
        assert "[directory.unknown]" in ran.err


def test_a_hold_is_discarded(program: Program, tenant: str, held: tuple[str, int]) -> None:
    """Nobody leaves, and the hold says that nobody is told any more."""
    hold, version = held

    ran = program("discard", tenant, hold, "--version", str(version), "--json")

    assert ran.code == Exit.OK, ran.err
    assert ran.json["kept"] == 20
    assert program("holds", tenant, "--json").json["holds"][0]["discarded"]


def test_another_version_than_the_one_of_now_is_refused(
    program: Program, tenant: str, held: tuple[str, int]
) -> None:
    """Nothing unseen leaves."""
    ran = program("approve", tenant, held[0], "--version", "7")

    assert ran.code == Exit.USAGE
    assert "version 1" in ran.err


def test_a_run_is_undone(program: Program, tenant: str, held: tuple[str, int]) -> None:
    """The whole of a wrong run is taken back with one command."""
    run = program("history", tenant, "--json").json["runs"][0]["run"]

    ran = program("undo", tenant, run)

    assert ran.code == Exit.OK, ran.err
    assert "given back" in ran.out
    assert "Nothing waits" in program("holds", tenant).out
    assert program("undo", tenant, run).code == Exit.USAGE
    assert "a run was undone" in program("status", tenant).out
    assert program("resume", tenant, "hq").code == Exit.OK
    assert "a run was undone" not in program("status", tenant).out


def test_a_list_is_imported_from_a_file(
    program: Program, branch: Branch, tenant: str, tmp_path: Path
) -> None:
    """Thousands at once, in messages that fit."""
    kept = tmp_path / "list.txt"
    kept.write_text("".join(f"x{number}@{branch.domain}\n" for number in range(6_000)))

    ran = program("add", tenant, "--file", str(kept), "--adopt")

    assert ran.code == Exit.OK, ran.err
    assert "6,000 addresses: 6,000 added." in ran.out
    removed = program("remove", tenant, f"x1@{branch.domain}", "--json")
    assert removed.json == {"addresses": 1, "changes": {"grace": 1}}


def test_a_wrong_line_of_a_file_is_named_and_nothing_is_added(
    program: Program, branch: Branch, tenant: str, tmp_path: Path
) -> None:
    """Whether it is no address or of somebody else's domain."""
    kept = tmp_path / "list.txt"
    kept.write_text(f"# ours\nx@{branch.domain}\nnobody\n")
    ran = program("add", tenant, "--file", str(kept))
    assert ran.code == Exit.USAGE
    assert "line 3" in ran.err

    kept.write_text(f"x@{branch.domain}\n\nx@elsewhere.example\n")
    ran = program("add", tenant, "--file", str(kept))

    assert ran.code == Exit.USAGE
    assert "line 3" in ran.err
    assert program("history", tenant, "--changes", "--json").json["changes"] == []


def test_the_whole_list_is_published_again(program: Program, tenant: str) -> None:
    """For a service that starts."""
    ran = program("republish", tenant)

    assert ran.code == Exit.OK, ran.err


def test_a_tenant_that_is_not_there_is_refused(program: Program, tenant: str) -> None:
    """At once, not after a minute."""
    for command in (
        ("add", "nobody", "x@example.com"),
        ("holds", "nobody"),
        ("republish", "nobody"),
    ):
        assert program(*command).code == Exit.USAGE


def test_nothing_is_held_over_all_directories(program: Program, tenant: str) -> None:
    """On an ordinary day the operator is told so."""
    assert program("fleet", "show").out.strip() == "Removals are not held."
    assert program("fleet", "release", "--json").json == {"released": False}


async def test_a_hold_over_all_directories_is_shown_and_released(
    program: Program, desk: Desk, tenant: str
) -> None:
    """The operator sees why, looks, and lets removals go on."""
    figures = '{"window_s": 3600, "directories": 9, "failing": 5, "shrinking": 1, "customers": 6, "codes": [["name.timed_out", 5]]}'
    await desk.rows(
        "INSERT INTO rollcall.fleet_hold (fleet_hold_id, since, figures) VALUES (gen_random_uuid(), now(), $1)",
        figures,
    )

    shown = program("fleet", "show").out

    assert "5 of 9 directories failed and 1 shrank, of 6 customers" in shown
    assert "name.timed_out (5)" in shown
    assert "ALL directories" in program("status").out
    assert program("fleet", "release").out.strip() == "Removals go on."
    assert program("fleet", "show", "--json").json == {"held": None}


def test_without_a_worker_a_decision_is_stored_and_said_to_wait(
    program: Program, worker: Worker, branch: Branch, tenant: str
) -> None:
    """Nothing is lost; the person knows that nothing has happened yet."""
    worker.kill()

    ran = program("add", tenant, f"x@{branch.domain}", "--patience", "0.5")

    assert ran.code == Exit.AWAY
    assert "rollcall run" in ran.err
