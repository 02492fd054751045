"""What became of quarantine logins, as others see it and as people ask for it."""

from typing import Any

from tests.integration.postgres.house import HQ, TENANT, House
from tests.integration.postgres.logins import ADA, BOB, CLEO, OTHERS, asking, id_of, person
from worker.adapters.postgres.reports import PostgresReports
from worker.domain.commands import DeleteDirectory, DeleteTenant
from worker.domain.model import Address, DirectoryId, RemovalPolicy, Removals, TenantId
from worker.ports.reports import Look


MARRIED = "ada.byron@example.com"
ACME = TenantId(TENANT)


async def changed(house: House) -> None:
    """One run that renames Ada's login, deactivates Bob's and creates Cleo's."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(
        *person("ada", MARRIED),
        *person("bob", BOB, enabled=False),
        *person("cleo", CLEO),
        *OTHERS,
    )


async def seen(house: House) -> list[tuple[Any, ...]]:
    """What others see of the last run's changes, by user name."""
    found = await house.fetch(
        "SELECT username, was, change, state, by, directory, run FROM api.login_history WHERE run = $1 ORDER BY username",
        await house.last_run(),
    )
    return [tuple(each) for each in found]


async def test_what_became_of_a_login_can_be_asked_for(house: House) -> None:
    """Who was renamed to what, who was let in, who was locked out, and by which run."""
    await changed(house)

    run = await house.last_run()

    assert await seen(house) == [
        (MARRIED, ADA, "renamed", "active", "run", HQ, run),
        (BOB, None, "deactivated", "deactivated", "run", HQ, run),
        (CLEO, None, "created", "active", "run", HQ, run),
    ]


async def test_the_commands_behind_a_change_are_named(house: House) -> None:
    """Of a run all that it answered; of a person's decision the one."""
    await changed(house)
    run = await house.last_run()
    asked = await house.value("SELECT command_id FROM rollcall.run_cause WHERE run_id = $1", run)

    await house.undo()

    causes = await house.fetch(
        "SELECT DISTINCT by, causes FROM api.login_history WHERE at >= (SELECT finished_at FROM api.run WHERE run = $1)",
        run,
    )
    undone = await house.value("SELECT id FROM rollcall.command ORDER BY number DESC LIMIT 1")
    assert {(each["by"], tuple(each["causes"])) for each in causes} == {
        ("run", (asked,)),
        ("person", (undone,)),
    }


async def test_a_change_outlives_the_command_behind_it(house: House) -> None:
    """Commands are kept for less long than what they did."""
    await changed(house)
    await house.undo()

    await house.pool.execute("DELETE FROM rollcall.command")

    causes = await house.fetch("SELECT causes FROM api.login_history WHERE by = 'person'")
    assert [each["causes"] for each in causes] == [[], [], []]


async def test_nothing_is_told_of_a_deleted_tenant_s_logins(house: House) -> None:
    """Its rows are hidden at once, as all others of it."""
    await changed(house)

    await house.send(DeleteTenant())

    assert await house.seen("login_history") == 0
    assert await house.whole("login_history") != []


async def test_a_person_asks_for_a_run_or_for_an_address(house: House) -> None:
    """By the address of now and by the name of old the same login is found, and no other."""
    await changed(house)
    reports, run = PostgresReports(house.pool), await house.last_run()
    ada = await id_of(house, MARRIED)

    of_run = await reports.login_changes(Look(ACME, run=run))
    of_old = await reports.login_changes(Look(ACME, address=ADA))
    of_new = await reports.login_changes(Look(ACME, address=MARRIED))

    assert {(each.change, each.username) for each in of_run} == {
        ("renamed", MARRIED),
        ("deactivated", BOB),
        ("created", CLEO),
    }
    assert of_old == of_new
    assert [(each.change, each.was, each.login) for each in of_new] == [
        ("renamed", ADA, ada),
        ("created", None, ada),
    ]


async def test_an_address_of_nobody_s_name_leads_to_the_login_it_belongs_to(house: House) -> None:
    """A second address is asked for as often as the first."""
    second = Address("a.lovelace@example.com")
    await house.founded(asking())
    await house.sync(*person("ada", ADA, second), *person("bob", BOB), *OTHERS)

    found = await PostgresReports(house.pool).login_changes(Look(ACME, address=second))

    assert [(each.change, each.username) for each in found] == [("created", ADA)]
    logins = await PostgresReports(house.pool).logins_of(ACME, second)
    assert [(each.username, each.state) for each in logins] == [(ADA, "active")]


async def test_a_hold_tells_of_how_many_only_the_login_would_end(house: House) -> None:
    """Whoever looks must not believe that mail stops."""
    await house.founded(asking(Removals(policy=RemovalPolicy.REVIEW)))
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)

    (hold,) = await PostgresReports(house.pool).holds(ACME)

    assert (hold.waiting, hold.logins) == (2, 1)
    assert [each["text"].partition(", and")[0] for each in hold.reasons] == [
        "1 address would leave and 1 quarantine login would end"
    ]


async def test_an_approval_tells_of_how_many_only_the_login_ended(house: House) -> None:
    """What receivers read as addresses must be told from logins."""
    await house.founded(asking(Removals(policy=RemovalPolicy.REVIEW)))
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)

    await house.approve()

    told = await house.last("hold.approved")
    assert (told["approved"], told["grace"], told["logins"]) == (2, 1, 1)


async def test_a_directory_is_known_by_its_name_also_when_it_was_deleted(house: House) -> None:
    """Its runs are kept, so whoever asks for them makes no slip."""
    await changed(house)
    reports = PostgresReports(house.pool)

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await reports.knows_directory(ACME, HQ)
    assert not await reports.knows_directory(ACME, DirectoryId("branch"))
    assert not await reports.knows_directory(TenantId("nobody"), HQ)
