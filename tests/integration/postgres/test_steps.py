"""The way of an address into the list and out of it, through the real statements, with time in the test's hand."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.postgres.house import HQ, House, people, removals, row, rows
from worker.domain.failures import Superseded
from worker.domain.model import RemovalPolicy
from worker.domain.outcomes import Applied, Unchanged


ADA, BOB, CLEO = "ada@example.com", "bob@example.com", "cleo@example.com"
LOOSE = removals(min_count=1000)
"""Few people may leave a small list without a hold, as long as it is less than half."""
MANY = people(10)


async def test_the_first_sync_makes_recipients(house: House) -> None:
    """What the directory shows is what the filter accepts, told once."""
    await house.founded()

    outcome = await house.sync(ADA, row(BOB, kind=1, is_primary=False, name="Bob"))

    assert isinstance(outcome, Applied)
    assert (outcome.counts.addresses, outcome.counts.added, outcome.counts.unchanged) == (2, 2, 0)
    assert await house.states() == {ADA: "valid", BOB: "valid"}
    assert await house.history() == [(ADA, "added"), (BOB, "added")]
    assert await house.changes() == [(ADA, "added", "valid"), (BOB, "added", "valid")]
    found = await house.fetch(
        "SELECT kind, display_name FROM api.recipient WHERE address = $1", BOB
    )
    assert [tuple(each) for each in found] == [("group", "Bob")]


async def test_an_equal_snapshot_writes_no_recipient_row(house: House) -> None:
    """Thousands of customers sync all day; a night without news must not cost a write an address."""
    await house.founded()
    await house.sync(*MANY)
    before = await house.fetch("SELECT ctid, xmin::text, * FROM rollcall.holding ORDER BY address")

    outcome = await house.sync_later(*MANY)

    assert isinstance(outcome, Unchanged)
    assert outcome.counts.unchanged == 10
    after = await house.fetch("SELECT ctid, xmin::text, * FROM rollcall.holding ORDER BY address")
    assert after == before
    assert await house.value("SELECT count(*) FROM rollcall.departure") == 0


async def test_a_snapshot_with_another_digest_and_equal_rows_writes_none_either(
    house: House,
) -> None:
    """After a forgotten digest all is compared, and nothing is written for what is equal."""
    await house.founded()
    await house.sync(*MANY)
    await house.pool.execute("UPDATE rollcall.directory SET digest = NULL")
    before = await house.fetch("SELECT ctid, xmin::text, * FROM rollcall.holding ORDER BY address")

    outcome = await house.sync_later(*MANY)

    assert isinstance(outcome, Applied)
    assert outcome.counts.unchanged == 10
    after = await house.fetch("SELECT ctid, xmin::text, * FROM rollcall.holding ORDER BY address")
    assert after == before


async def test_an_address_leaves_by_missing_grace_and_removed(house: House) -> None:
    """Nobody's mail is refused because one read was short: it takes two runs, three days and one more run."""
    await house.founded(LOOSE)
    await house.sync(*MANY, ADA)

    await house.sync_later(*MANY)
    assert (await house.steps())[ADA] == "missing"
    assert await house.look(ADA) == "valid"
    await house.sync_later(*MANY)
    assert (await house.steps())[ADA] == "grace"
    assert await house.look(ADA) == "grace"
    await house.sync_later(*MANY, minutes=72 * 60 - 1)
    assert (await house.steps())[ADA] == "grace"
    await house.sync_later(*MANY, minutes=1)

    assert (await house.steps())[ADA] == "removed"
    assert await house.look(ADA) == "unknown"
    assert [change for address, change in await house.history() if address == ADA] == [
        "added",
        "missing",
        "grace",
        "removed",
    ]
    assert (await house.changes())[-3:] == [
        (ADA, "missing", "valid"),
        (ADA, "grace", "grace"),
        (ADA, "removed", "removed"),
    ]


async def test_the_clock_alone_removes_nobody(house: House) -> None:
    """A directory that cannot be read freezes its list as it is."""
    await house.founded(LOOSE)
    await house.sync(*MANY, ADA)
    await house.sync_later(*MANY)
    await house.sync_later(*MANY)
    house.clock.forward(days=10)

    await house.sweeper.housekeep()

    assert await house.look(ADA) == "grace"


async def test_two_runs_less_than_thirty_minutes_apart_count_as_one(house: House) -> None:
    """Pressing the button twice during a hiccup of the directory must not start the grace."""
    await house.founded(LOOSE)
    await house.sync(*MANY, ADA)
    await house.sync_later(*MANY)

    await house.sync_later(*MANY, minutes=29.9)
    assert (await house.steps())[ADA] == "missing"
    await house.sync_later(*MANY, minutes=0.1)

    assert (await house.steps())[ADA] == "grace"


async def test_who_comes_back_is_told_as_returned_at_every_step(house: House) -> None:
    """A mailbox that was only moved is valid again with the next run, and its history says so."""
    await house.founded(LOOSE)
    await house.sync(*MANY, ADA)
    for absent_runs, minutes in ((1, 31), (2, 31), (3, 73 * 60)):
        for _ in range(absent_runs):
            await house.sync_later(*MANY, minutes=minutes)

        await house.sync_later(*MANY, ADA)

        assert (await house.steps())[ADA] == "present"
        assert await house.look(ADA) == "valid"
        assert (await house.history())[-1] == (ADA, "returned")


async def test_never_stops_at_missing(house: House) -> None:
    """Who asked for no removals gets none, however long someone is gone."""
    await house.founded(removals(policy=RemovalPolicy.NEVER, min_count=1000))
    await house.sync(*MANY, ADA)

    for _ in range(3):
        await house.sync_later(*MANY, minutes=60 * 24)

    assert (await house.steps())[ADA] == "missing"
    assert await house.look(ADA) == "valid"


async def test_new_entries_under_the_same_addresses_change_nothing(house: House) -> None:
    """A directory that was migrated has new ids for the same people; nobody left and nobody came."""
    await house.founded()
    await house.sync(*MANY)
    since = house.clock.at

    outcome = await house.sync_later(*[row(each, entry=f"new {each}") for each in MANY])

    assert (outcome.counts.added, outcome.counts.missing, outcome.counts.unchanged) == (0, 0, 10)  # type: ignore[union-attr]
    assert len(await house.history()) == 10
    assert await house.value("SELECT count(*) FROM rollcall.holding") == 10
    valid_since = await house.fetch("SELECT DISTINCT since FROM api.recipient")
    assert [each["since"] for each in valid_since] == [since]


async def test_an_address_that_passes_to_another_entry_stays_valid(house: House) -> None:
    """info@ is handed from one mailbox to another: no gap, no news."""
    await house.founded()
    await house.sync(ADA, row("info@example.com", entry=ADA, is_primary=False), BOB)

    await house.sync_later(ADA, BOB, row("info@example.com", entry=BOB, is_primary=False))

    assert (await house.steps())["info@example.com"] == "present"
    assert [each for each in await house.history() if each[1] != "added"] == []


async def test_an_entry_that_a_server_gives_twice_is_one(house: House) -> None:
    """A directory that changes between two pages may show an entry on both."""
    await house.founded()

    first = await house.sync(ADA, ADA, BOB)
    again = await house.sync_later(ADA, BOB, BOB)

    assert (first.counts.addresses, first.counts.added) == (2, 2)  # type: ignore[union-attr]
    assert (again.counts.addresses, again.counts.unchanged) == (2, 2)  # type: ignore[union-attr]
    assert await house.value("SELECT count(*) FROM rollcall.holding") == 2


async def test_an_entry_given_twice_with_two_names_is_one(house: House) -> None:
    """It may have been renamed between the two pages."""
    await house.founded()

    await house.sync(row(ADA, name="Ada"), row(ADA, name="Ada L."), BOB)
    await house.sync_later(row(ADA, name="Ada"), row(ADA, name="Ada Lovelace"))

    assert await house.value("SELECT count(*) FROM rollcall.holding WHERE address = $1", ADA) == 1


async def test_a_new_name_is_kept_and_not_told(house: House) -> None:
    """Details change all day; other services are told of addresses only."""
    await house.founded()
    await house.sync(row(ADA, name="Ada"), BOB)
    await house.forget_events()

    await house.sync_later(row(ADA, name="Ada L.", kind=2, is_primary=False, enabled=False), BOB)

    assert await house.events("recipients.changed") == []
    found = await house.fetch(
        "SELECT name, kind, is_primary, enabled FROM rollcall.holding WHERE address = $1", ADA
    )
    assert [tuple(each) for each in found] == [("Ada L.", 2, False, False)]
    assert len(await house.history()) == 2


async def test_two_entries_may_hold_one_address(house: House) -> None:
    """While one of them does, it is valid; it counts once."""
    await house.founded()
    outcome = await house.sync(row(ADA, "one"), row(ADA, "two"), BOB)
    assert outcome.counts.addresses == 2  # type: ignore[union-attr]

    await house.sync_later(row(ADA, "two"), BOB)

    assert (await house.steps())[ADA] == "present"
    assert await house.value("SELECT recipients FROM rollcall.domain") == 2


async def test_an_address_that_another_directory_holds_stays_valid_without_news(
    house: House,
) -> None:
    """A customer with two directories loses nobody who is in one of them."""
    await house.founded(LOOSE)
    await house.save_directory(LOOSE, directory="branch")
    await house.sync(*MANY, ADA)
    await house.sync(*MANY, ADA, directory="branch")
    await house.forget_events()

    for _ in range(2):
        await house.sync_later(*MANY)

    assert (await house.steps(HQ))[ADA] == "grace"
    assert await house.look(ADA) == "valid"
    assert await house.changes() == []


async def test_an_address_leaves_when_the_last_directory_lets_it_go(house: House) -> None:
    """The list as a whole tells one departure, not one a directory."""
    await house.founded(LOOSE)
    await house.save_directory(LOOSE, directory="branch")
    await house.sync(*MANY, ADA)
    await house.sync(*MANY, ADA, directory="branch")
    await house.forget_events()

    for _ in range(2):
        await house.sync_later(*MANY)
        await house.sync(*MANY, directory="branch")

    assert await house.look(ADA) == "grace"
    assert await house.changes() == [(ADA, "grace", "grace")]
    house.clock.forward(hours=73)
    await house.sync(*MANY)
    await house.sync(*MANY, directory="branch")
    assert await house.look(ADA) == "unknown"
    assert (await house.changes())[1:] == [(ADA, "removed", "removed")]


async def test_an_address_that_a_second_directory_brings_back_is_returned(house: House) -> None:
    """It was in grace for the filter; now it is valid again, wherever it is found."""
    await house.founded(LOOSE)
    await house.save_directory(LOOSE, directory="branch")
    await house.sync(*MANY, ADA)
    for _ in range(2):
        await house.sync_later(*MANY)
    await house.forget_events()

    await house.sync(*MANY, ADA, directory="branch")

    assert await house.look(ADA) == "valid"
    assert await house.changes() == [(ADA, "returned", "valid")]


async def test_a_run_begun_before_the_grace_ended_removes_nobody(house: House) -> None:
    """Removed is only who is absent in a read that began after the grace."""
    await house.founded(LOOSE)
    await house.sync(*MANY, ADA)
    for _ in range(2):
        await house.sync_later(*MANY)
    await house.request()
    run = await house.claim()
    snapshot = house.snapshot(run, rows(*MANY))
    house.clock.forward(hours=73)

    await house.conclude(run, replace(snapshot, digest=b"another digest.."))

    assert (await house.steps())[ADA] == "grace"


async def test_the_grace_is_as_long_as_the_form_says(house: House) -> None:
    """A customer may want less than three days, or more."""
    await house.founded(removals(min_count=1000, grace=timedelta(hours=5)))
    await house.sync(*MANY, ADA)

    for _ in range(2):
        await house.sync_later(*MANY)

    until = await house.value("SELECT grace_until FROM rollcall.departure")
    assert until == house.clock.at + timedelta(hours=5)


async def test_a_large_list_goes_the_same_way(house: House) -> None:
    """Beyond ten thousand rows the planner is told what it joins; nothing else differs."""
    await house.founded(removals(max_count=20_000, min_count=20_000))
    many = people(10_001)
    await house.sync(*many)

    outcome = await house.sync_later(*many[:-1], ADA)

    assert isinstance(outcome, Applied)
    assert (outcome.counts.added, outcome.counts.missing, outcome.counts.unchanged) == (
        1,
        1,
        10_000,
    )
    assert await house.value("SELECT recipients FROM rollcall.domain") == 10_002


async def test_what_the_wire_shows_to_be_unchanged_needs_no_rows(house: House) -> None:
    """The same bytes are the same list: steps on the way out go on, nothing is compared."""
    await house.founded(LOOSE)
    await house.sync(*MANY, ADA)
    house.clock.forward(minutes=31)
    await house.request()
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, rows(*MANY), wire_digest=b"wire"))
    house.clock.forward(minutes=31)
    await house.request()
    run = await house.claim()

    assert run.last is not None
    assert (run.last.wire_digest, run.last.rows) == (b"wire", 10)
    same = replace(
        house.snapshot(run, []), spool=None, rows=10, digest=run.last.digest, wire_digest=b"wire"
    )
    outcome = await house.conclude(run, same)

    assert isinstance(outcome, Unchanged)
    assert outcome.counts.addresses == 10
    assert (await house.steps())[ADA] == "grace"


async def test_what_the_wire_shows_is_void_when_its_measure_was_set_aside(house: House) -> None:
    """A decision came between: the directory is read anew, row by row."""
    await house.founded()
    await house.request()
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, rows(*MANY), wire_digest=b"wire"))
    await house.request()
    run = await house.claim()
    assert run.last is not None
    same = replace(house.snapshot(run, []), spool=None, rows=10, digest=run.last.digest)
    await house.pool.execute("UPDATE rollcall.directory SET digest = NULL")

    with pytest.raises(Superseded):
        await house.conclude(run, same)

    await house.runs.give_back(run, superseded=True)
    assert (await house.claim()).last is None
