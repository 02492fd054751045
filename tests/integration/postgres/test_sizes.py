"""Statements meet sizes that the planner cannot know: statistics lag behind a tenant that has just become large."""

import asyncio

import orjson

from tests.integration.postgres.house import HQ, House, people, removals, row
from tests.integration.postgres.logins import asking
from worker.domain.commands import DeleteDirectory
from worker.domain.outcomes import Applied, Unchanged


MANY = people(15_000)
IN_TIME_S = 5.0
"""For what takes 0.3 s here, and 13 s or more where rows are joined each with each."""
ANYBODY_MAY_LEAVE = removals(min_count=100_000, max_count=100_000, max_share=1.0)


async def mislead(house: House) -> None:
    """Let statistics be taken amid a large transaction: many pages, no row in them. Autovacuum does that where it will."""
    async with house.pool.acquire() as amid:
        transaction = amid.transaction()
        await transaction.start()
        await amid.execute(
            """
            INSERT INTO rollcall.departure (tenant_id, address, directory_id, step, left_at)
            SELECT 0, address, 0, 'missing', now() FROM unnest($1::text[]) AS address
            """,
            MANY,
        )
        await house.pool.execute("ANALYZE rollcall.departure")
        await transaction.rollback()


async def large(house: House) -> House:
    """Give the house a customer who has become large since the statistics were taken."""
    await house.save_tenant("example.net", tenant="other")
    await house.save_directory(tenant="other", directory="theirs")
    await house.sync("ada@example.net", tenant="other", directory="theirs")
    await house.pool.execute("ANALYZE rollcall.holding")
    await mislead(house)
    await house.founded(ANYBODY_MAY_LEAVE)
    await house.sync(*MANY)
    return house


async def test_replacing_every_entry_at_once_is_in_time(house: House) -> None:
    """A directory is moved to a new server: every address is there, under another entry."""
    await large(house)

    async with asyncio.timeout(IN_TIME_S):
        moved = await house.sync_later(*(row(address, f"new {address}") for address in MANY))

    assert isinstance(moved, Applied)
    assert (moved.counts.added, moved.counts.unchanged) == (0, len(MANY))
    assert await house.value("SELECT count(*) FROM rollcall.holding") == len(MANY) + 1


async def test_thousands_on_their_way_out_are_in_time(house: House) -> None:
    """A branch is sold: a third leaves, waits, and enters grace with a run that finds nothing else changed."""
    await large(house)
    stay, left = MANY[:10_000], len(MANY) - 10_000

    async with asyncio.timeout(3 * IN_TIME_S):
        missing = await house.sync_later(*stay)
        grace = await house.sync_later(*stay)
        back = await house.sync_later(*MANY)

    assert isinstance(missing, Applied)
    assert missing.counts.missing == left
    assert isinstance(grace, Unchanged)
    assert grace.counts.grace == left
    assert isinstance(back, Applied)
    assert back.counts.returned == left


async def test_deleting_a_large_directory_is_in_time(house: House) -> None:
    """One command makes thousands depart at once, while its customer's list is locked."""
    await large(house)

    async with asyncio.timeout(IN_TIME_S):
        await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    in_grace = "SELECT count(*) FROM rollcall.departure WHERE step = 'grace' AND decided"
    assert await house.value(in_grace) == len(MANY)


async def test_of_a_large_directory_only_those_leave_whom_nobody_else_holds(house: House) -> None:
    """And whoever reads the list meanwhile, before any statistics know of thousands on their way out, has it in time, too."""
    await large(house)
    await house.save_directory(ANYBODY_MAY_LEAVE, directory="lab")
    await house.sync(*MANY[:10_000], directory="lab")

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    async with asyncio.timeout(IN_TIME_S):
        states = await house.fetch(
            "SELECT state, count(*) FROM api.recipient WHERE tenant = 'acme' GROUP BY 1"
        )
    assert {each["state"]: each["count"] for each in states} == {"valid": 10_000, "grace": 5_000}
    told = await house.fetch(
        "SELECT change, count(*) FROM api.history WHERE tenant = 'acme' AND change <> 'added' GROUP BY 1"
    )
    assert {each["change"]: each["count"] for each in told} == {"grace": 5_000}


async def test_thousands_handed_over_to_by_hand_are_in_time(house: House) -> None:
    """Those on their way out go on by the clock, the others stay."""
    await large(house)
    stay = MANY[:10_000]
    await house.sync_later(*stay)
    await house.sync_later(*stay)

    async with asyncio.timeout(IN_TIME_S):
        await house.send(DeleteDirectory(HQ, keep_by_hand=True))

    by_hand = "SELECT count(*) FROM rollcall.holding WHERE directory_id = 0"
    assert await house.value(by_hand) == len(stay)


async def test_a_large_domain_is_taken_off_and_put_back_in_time(house: House) -> None:
    """What leaves with it is counted again when it comes back."""
    await large(house)

    async with asyncio.timeout(3 * IN_TIME_S):
        await house.save_tenant("example.org")
        await house.save_tenant("example.org", "example.com")

    in_grace = "SELECT count(*) FROM rollcall.departure WHERE step = 'grace' AND decided"
    assert await house.value(in_grace) == len(MANY)
    # all of it is on its way out: nobody in the domain counts until a run shows it
    counted = (
        "SELECT recipients FROM rollcall.domain WHERE domain = 'example.com' AND removed_at IS NULL"
    )
    assert await house.value(counted) == 0


async def test_a_large_domain_is_counted_by_kind_in_time(house: House) -> None:
    """Whoever looks at the readiness of the catch-all does not wait, whatever is on its way out."""
    await large(house)
    stay = MANY[:10_000]
    await house.sync_later(*stay)
    await house.sync_later(*stay)

    async with asyncio.timeout(IN_TIME_S):
        kinds = await house.value("SELECT kinds FROM api.readiness WHERE tenant = 'acme'")

    assert orjson.loads(kinds) == {"mailbox": len(stay)}


async def test_thousands_of_claims_are_told_in_time(house: House) -> None:
    """A second directory that shows the same people gives none of them a second login, and names whom each meets."""
    few = MANY[:3_000]
    await house.founded(asking())
    await house.sync(*few)
    await house.save_directory(asking(), directory="lab")

    async with asyncio.timeout(2 * IN_TIME_S):
        again = await house.sync(*(row(each, f"lab {each}") for each in few), directory="lab")
        found = await house.fetch("SELECT mailboxes FROM api.login_conflict WHERE tenant = 'acme'")

    assert isinstance(again, Applied)
    assert again.counts.logins.conflicts == len(found) == len(few)
    assert {len(each["mailboxes"]) for each in found} == {2}


async def test_a_first_snapshot_tells_each_address_once(house: House) -> None:
    """Nothing is known yet, so nothing is compared; what entries share or a server gives twice is still one."""
    await house.founded()
    shared, own = "team@example.com", "ada@example.com"

    first = await house.sync(
        row(shared, "a", is_primary=False),
        row(shared, "b", kind=1),
        row(own, "a"),
        row(own, "a"),
    )

    assert isinstance(first, Applied)
    assert (first.counts.added, first.counts.addresses) == (2, 2)
    assert await house.history() == [(own, "added"), (shared, "added")]
    assert await house.value("SELECT count(*) FROM rollcall.holding") == 3
    assert await house.changes() == [(own, "added", "valid"), (shared, "added", "valid")]
    kinds = await house.fetch("SELECT address, kind FROM api.recipient ORDER BY address")
    assert [tuple(each) for each in kinds] == [(own, "mailbox"), (shared, "group")]


async def test_a_second_directory_is_compared_with_what_the_first_holds(house: House) -> None:
    """The short way is for a tenant of whom nothing is known; what another source holds is not new."""
    await house.founded()
    await house.sync("ada@example.com")
    await house.save_directory(directory="branch")

    second = await house.sync("ada@example.com", "bob@example.com", directory="branch")

    assert isinstance(second, Applied)
    assert (second.counts.added, second.counts.addresses) == (1, 2)
    assert (await house.steps(HQ), await house.steps("branch")) == (
        {"ada@example.com": "present"},
        {"ada@example.com": "present", "bob@example.com": "present"},
    )
