"""How long what happened is kept, that nobody waits for its going, and how much of it can be given away at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from tests.integration.postgres.house import HQ, TENANT, House, check, people
from worker.adapters.postgres.pool import Pool
from worker.adapters.postgres.reports import PAGE, PostgresReports
from worker.adapters.postgres.sweeper import HISTORY_MONTHS, PostgresSweeper
from worker.domain.commands import FieldError, Refused
from worker.domain.findings import finding
from worker.domain.model import Address, Mode
from worker.domain.outcomes import Failed
from worker.ports.reports import ChangeLine, Look, RunLine
from worker.ports.vault import Vault


A_MONTH_HOURS = 31 * 24
WITHIN_S = 5.0


@pytest.fixture
async def house(own_pool: Pool, vault: Vault) -> AsyncIterator[House]:
    """A house of its own: months are dropped that the other tests live in."""
    opened = await House.open(own_pool, vault)
    with opened.stack:
        yield opened
        await check(opened)


def keeping(house: House, months: int = HISTORY_MONTHS) -> PostgresSweeper:
    """The housekeeper with so long a memory."""
    return replace(house.sweeper, history_months=months)


async def later(house: House, months: int) -> None:
    """Let months pass, the house kept each day that counts, so that there are partitions for what comes."""
    for _ in range(months):
        house.clock.forward(hours=A_MONTH_HOURS)
        await keeping(house, 120).housekeep()


async def kept(house: House) -> dict[str, int]:
    """How much of each kind there is."""
    tables = ("history", "run", "run_cause", "hold", "parked", "command")
    return {each: await house.value(f"SELECT count(*) FROM rollcall.{each}") for each in tables}  # noqa: S608 - names from above


# --- what goes ------------------------------------------------------------------


async def test_what_happened_goes_after_the_months_that_are_kept(house: House) -> None:
    """The old is gone from every table, the new is there, and the list itself is as it was."""
    await house.founded()
    await house.sync("ada@example.com", "bob@example.com")
    await house.sync_later("ada@example.com", "bob@example.com", "old@example.com")
    await house.sync("ada@example.com", mode=Mode.PREVIEW)
    await house.request()
    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))
    await later(house, 14)
    everyone = ("ada@example.com", "bob@example.com", "old@example.com")
    await house.sync(*everyone, "new@example.com")
    await house.sync_later(*everyone, "new@example.com", "newer@example.com")
    states, before = await house.states(), await kept(house)

    for _ in range(3):
        await keeping(house).housekeep()

    after = await kept(house)
    assert (before["history"], before["run"]) == (5, 6)
    assert await house.history() == [
        ("new@example.com", "added"),
        ("newer@example.com", "added"),
    ]
    assert (after["run"], after["run_cause"]) == (2, 2)
    assert await house.states() == states


async def test_two_months_are_kept_whole(house: House) -> None:
    """What an undo and a return may need, 30 days, is never touched by the shortest setting."""
    await house.founded()
    await house.sync("ada@example.com")
    await house.sync_later("ada@example.com", "bob@example.com")
    house.clock.forward(days=29)

    for _ in range(3):
        await keeping(house, 2).housekeep()
    await house.undo()

    assert (await house.last("run.undone"))["leaving"]["count"] == 1


async def test_the_last_complete_runs_stay_however_old(house: House) -> None:
    """A directory that was not read for years is still measured by what it last showed."""
    await house.founded()
    for place in range(4):
        await house.sync_later("ada@example.com", *people(place + 1))
    last = await house.last_run()
    await later(house, 15)

    for _ in range(3):
        await keeping(house).housekeep()

    assert await house.value("SELECT count(*) FROM rollcall.run") == 2
    assert await house.last_run() == last


async def test_the_run_behind_an_open_hold_stays(house: House) -> None:
    """Who decides after more than a year still sees what it was about."""
    listed = people(40)
    await house.founded()
    await house.sync(*listed)
    await house.sync_later(*listed[:5])
    held = await house.last_run()
    await later(house, 15)

    for _ in range(3):
        await keeping(house).housekeep()

    assert await house.value("SELECT count(*) FROM rollcall.run WHERE run_id = $1", held) == 1
    await house.approve()
    assert await house.events("hold.approved") != []


async def test_holds_that_ended_go_with_their_time(house: House) -> None:
    """One that is open does not."""
    listed = people(40)
    await house.founded()
    await house.sync(*listed)
    await house.sync_later(*listed[:5])
    await house.sync_later(*listed)
    assert (await kept(house))["hold"] == 1
    await later(house, 14)

    await keeping(house).housekeep()

    assert (await kept(house))["hold"] == 0


async def test_what_was_parked_goes_after_thirty_days(house: House) -> None:
    """Whoever sends garbage for years fills no disk."""
    await house.store(
        *[
            Refused((FieldError("", "message.not_json", "…"),), 1, bytes([place]))
            for place in range(3)
        ]
    )
    assert (await kept(house))["parked"] == 3
    house.clock.forward(days=29)
    await house.sweeper.housekeep()
    young = (await kept(house))["parked"]
    house.clock.forward(days=2)

    await house.sweeper.housekeep()

    assert (young, (await kept(house))["parked"]) == (3, 0)


async def test_a_small_bite_takes_a_few_turns(house: House) -> None:
    """No statement deletes without end."""
    await house.founded()
    for _ in range(5):
        await house.sync("ada@example.com", mode=Mode.PREVIEW)
    await later(house, 14)
    left = []

    for _ in range(3):
        await replace(keeping(house), bite=2).housekeep()
        left.append((await kept(house))["run"])

    assert left == [3, 1, 0]


# --- nobody waits ------------------------------------------------------------------


async def test_a_reader_puts_the_drop_off_and_no_writer_waits(house: House, own_pool: Pool) -> None:
    """A report over a year of history must stop neither syncs nor housekeeping; the month goes when it ends."""
    await house.founded()
    await house.sync("ada@example.com")
    await later(house, 14)
    months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rollcall.history'::regclass"
    before = await house.value(months)

    async with own_pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM rollcall.history")
        async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
            group.create_task(keeping(house).housekeep())
            group.create_task(house.sync("ada@example.com", "bob@example.com"))
        meanwhile = await house.value(months)
    await keeping(house).housekeep()

    assert meanwhile == before
    assert await house.value(months) == before - 1
    assert await house.history() == [("bob@example.com", "added")]


async def test_months_are_made_while_history_is_read_and_written(
    house: House, own_pool: Pool
) -> None:
    """Made late, behind a long report, they would stop every sync of the next month."""
    await house.founded()

    async with own_pool.acquire() as busy, busy.transaction():
        await busy.execute(
            "INSERT INTO rollcall.history (at, tenant_id, address, change) SELECT $1, tenant_id, 'ada@example.com', 'added' FROM rollcall.tenant",
            house.clock.at,
        )
        await busy.fetch("SELECT * FROM rollcall.history")
        house.clock.forward(hours=5 * A_MONTH_HOURS)
        async with asyncio.timeout(WITHIN_S):
            await house.sweeper.housekeep()
            await house.sync("bob@example.com")

    assert ("bob@example.com", "added") in await house.history()


# --- what is told ------------------------------------------------------------------


async def test_all_that_happened_to_one_address_says_who_did_it(house: House) -> None:
    """A run, a person, or the clock."""
    await house.founded()
    await house.add("ada@example.com")
    house.clock.forward(minutes=1)
    await house.remove("ada@example.com")
    house.clock.forward(hours=80)
    await house.sweeper.housekeep()
    await house.sync_later("ada@example.com")

    look = Look(TENANT, address=Address("ada@example.com"))
    found = await PostgresReports(house.pool).changes(look)

    assert [(each.change, each.by) for each in reversed(found)] == [
        ("added", "person"),
        ("grace", "person"),
        ("removed", "clock"),
        ("returned", "run"),
    ]


async def test_all_of_it_is_given_page_by_page(house: House) -> None:
    """However much there is, a page is in memory; nothing is left out and nothing twice."""
    listed = people(2 * PAGE + 1)
    await house.founded()
    await house.sync(*listed)
    pages: list[Sequence[ChangeLine]] = []
    runs: list[RunLine] = []
    reports = PostgresReports(house.pool)

    await reports.every_change(Look(TENANT, most=None), pages.append)
    await reports.every_run(Look(TENANT, directory=HQ, most=None), runs.extend)
    few: list[ChangeLine] = []
    await reports.every_change(Look(TENANT, most=3), few.extend)

    assert [len(page) for page in pages] == [PAGE, PAGE, 1]
    assert sorted(each.address for page in pages for each in page) == listed
    assert (len(runs), len(few)) == (1, 3)
