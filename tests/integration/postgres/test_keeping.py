"""The outbox as the relay sees it, and what time alone brings about."""

from dataclasses import replace
from datetime import timedelta

from tests.integration.postgres.house import HQ, House, people, removals, rows
from worker.adapters.postgres.outbox import BATCH_BYTES, PostgresOutbox
from worker.adapters.postgres.pool import Pool
from worker.adapters.postgres.spool import MEMORY_BYTES, open_spool
from worker.adapters.postgres.sweeper import PURGES
from worker.domain.commands import DeleteDirectory, DeleteTenant
from worker.domain.guard import judge
from worker.domain.model import Mode, Trigger
from worker.domain.sign_in import sign_in_of_run
from worker.ports.vault import Vault


async def fill(house: House, bodies: list[tuple[str, int]]) -> None:
    """Events of tenants, each so many bytes long."""
    await house.pool.executemany(
        """INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, body, created_at)
           VALUES (gen_random_uuid(), $1, 't', 'k', repeat('x', $2), now())""",
        bodies,
    )


# --- the outbox --------------------------------------------------------------


async def test_events_come_oldest_first_until_they_are_confirmed(house: House) -> None:
    """Nothing is forgotten that the broker has not taken."""
    await house.founded()
    first = await house.outbox.next(10)
    assert [message.type for message in first] == [
        "rollcall.tenant.saved.v1",
        "rollcall.directory.saved.v1",
    ]

    await house.outbox.confirmed([first[0].number])

    assert [message.number for message in await house.outbox.next(10)] == [first[1].number]
    await house.outbox.confirmed([])
    assert len(await house.outbox.next(10)) == 1


async def test_a_batch_is_bounded_in_count_and_bytes(house: House) -> None:
    """A first sync of a large customer must not fill the worker's memory."""
    await fill(house, [("a", 900_000)] * 5)
    try:
        assert len(await house.outbox.next(2)) == 2
        taken = await house.outbox.next(200)
        assert sum(len(each.body) for each in taken) <= BATCH_BYTES + 900_000
        assert len(taken) == 3
    finally:
        await house.forget_events()


async def test_an_event_larger_than_a_batch_goes_alone(house: House) -> None:
    """Else it and all behind it would wait for ever."""
    await fill(house, [("a", BATCH_BYTES + 1), ("a", 10)])
    try:
        assert len(await house.outbox.next(200)) == 1
    finally:
        await house.forget_events()


async def test_one_worker_relays_at_a_time(house: House) -> None:
    """Two would mix up a tenant's order."""
    other = PostgresOutbox(house.pool, "worker-2")

    assert await house.outbox.lead()
    assert await house.outbox.lead()
    assert not await other.lead()
    await house.outbox.release()

    assert await other.lead()
    assert not await house.outbox.lead()


async def test_a_relay_that_died_is_followed(house: House) -> None:
    """Its lease lapses, and nobody need do anything."""
    await PostgresOutbox(house.pool, "dead", lead_for=timedelta(0)).lead()

    assert await house.outbox.lead()


async def test_who_does_not_lead_releases_nothing(house: House) -> None:
    """A worker that stops must not open the door to two."""
    await house.outbox.lead()
    await PostgresOutbox(house.pool, "worker-2").release()

    assert not await PostgresOutbox(house.pool, "worker-3").lead()


async def test_the_backlog_says_what_waits(house: House) -> None:
    """What an operator is woken for."""
    await house.founded()
    await house.save_directory(directory="branch")
    house.clock.forward(hours=-1)
    await house.request()
    await house.request("branch", trigger=Trigger.SCHEDULED)

    backlog = await house.sweeper.backlog()

    assert backlog.outbox_rows == 5
    assert (backlog.manual_ready, backlog.scheduled_ready) == (1, 1)
    assert backlog.run_age_s >= 3600
    assert backlog.outbox_age_s >= 3600


async def test_an_empty_backlog_is_all_zeros(house: House) -> None:
    """Nothing waits for no time."""
    backlog = await house.sweeper.backlog()

    assert (backlog.outbox_rows, backlog.outbox_age_s, backlog.run_age_s) == (0, 0, 0)


# --- time --------------------------------------------------------------------


async def test_partitions_of_history_are_made_ahead(own_pool: Pool, vault: Vault) -> None:
    """A run at midnight of the first must not fail for want of a table."""
    house = await House.open(own_pool, vault)
    await house.founded()
    for _ in range(8):
        await house.sweeper.housekeep()
        house.clock.forward(days=31)
    await house.sweeper.housekeep()

    with house.stack:
        await house.sync("ada@example.com")

    assert await house.history() == [("ada@example.com", "added")]
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'rollcall.history'::regclass"
    assert await house.value(partitions) in {12, 13}


async def test_history_lies_in_the_month_of_its_time_in_utc(house: House) -> None:
    """Months are detached whole; a row in the wrong one would go too early."""
    await house.founded()
    await house.sync("ada@example.com")

    partition = await house.value(
        "SELECT relname FROM rollcall.history h JOIN pg_class c ON c.oid = h.tableoid"
    )
    assert partition == f"history_{house.clock.at:%Y_%m}"


async def test_departures_by_decision_go_in_bounded_bites(house: House) -> None:
    """A customer with a million addresses who leaves must not lock a table for a minute."""
    sweeper = replace(house.sweeper, bite=4)
    await house.founded()
    await house.sync(*people(10))
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))
    house.clock.forward(hours=72)

    left = []
    for _ in range(4):
        await sweeper.housekeep()
        left.append(len(await house.states()))

    assert left == [6, 2, 0, 0]
    told = await house.events("recipients.changed")
    assert [len(event["data"]["changes"]) for event in told] == [10, 10, 4, 4, 2]


async def test_removed_addresses_are_kept_thirty_days(house: House) -> None:
    """Who comes back within them comes back with their history; later they are new."""
    await house.founded(removals(min_count=1000))
    others = people(10)
    await house.sync(*others, "ada@example.com")
    for minutes in (31, 31, 73 * 60):
        await house.sync_later(*others, minutes=minutes)

    house.clock.forward(days=30, seconds=-1)
    await house.sweeper.housekeep()
    assert (await house.steps())["ada@example.com"] == "removed"
    house.clock.forward(seconds=2)
    await house.sweeper.housekeep()

    assert "ada@example.com" not in await house.steps()
    await house.sync_later(*others, "ada@example.com")
    assert (await house.history())[-1] == ("ada@example.com", "added")


async def test_idempotency_keys_are_kept_thirty_days(house: House) -> None:
    """As the contract promises; a command that still waits stays."""
    await house.save_tenant("example.com")
    house.clock.forward(days=30, seconds=-1)
    await house.sweeper.housekeep()
    assert await house.value("SELECT count(*) FROM rollcall.command") == 1
    house.clock.forward(seconds=2)

    await house.sweeper.housekeep()

    assert await house.value("SELECT count(*) FROM rollcall.command") == 0
    assert await house.value("SELECT count(*) FROM rollcall.command_outcome") == 0


async def test_previews_are_kept_a_day(house: House) -> None:
    """Long enough to look at."""
    await house.founded()
    await house.sync("ada@example.com", mode=Mode.PREVIEW)
    house.clock.forward(hours=23)
    await house.sweeper.housekeep()
    assert await house.value("SELECT count(*) FROM rollcall.change_set") == 1
    house.clock.forward(hours=2)

    await house.sweeper.housekeep()

    assert await house.value("SELECT count(*) FROM rollcall.change_set") == 0


async def test_a_large_preview_goes_in_bites(house: House) -> None:
    """One statement over a hundred thousand rows would hold its locks for seconds."""
    await house.founded()
    await house.sync(*people(10), mode=Mode.PREVIEW)
    sweeper = replace(house.sweeper, bite=4)
    house.clock.forward(hours=25)

    left = []
    for _ in range(3):
        await sweeper.housekeep()
        left.append(await house.value("SELECT count(*) FROM rollcall.change_set"))

    assert left == [6, 2, 0]


async def test_the_last_sign_in_of_each_password_is_kept(house: House) -> None:
    """It says whether that password was refused, however long ago."""
    await house.founded()
    await house.pool.execute(
        """INSERT INTO rollcall.sign_in (tenant_id, bind_name, fingerprint, at, outcome)
           SELECT tenant_id, 'cn=x', 'f', $1::timestamptz + n * interval '1 hour', 'refused'
           FROM rollcall.tenant, generate_series(1, 3) n""",
        house.clock.at,
    )
    house.clock.forward(days=40)

    await house.sweeper.housekeep()

    assert await house.value("SELECT count(*) FROM rollcall.sign_in") == 1


async def test_nothing_of_a_deleted_tenant_is_left_after_thirty_days(house: House) -> None:
    """Addresses are personal data; only the name and its epoch stay."""
    await house.founded()
    await house.sync(*people(10))
    await house.sync_later(people(1)[0])
    await house.request()
    await house.sign_ins.gate(sign_in_of_run(await house.claim())).admit()
    await house.send(DeleteTenant())
    house.clock.forward(days=29)
    await house.sweeper.housekeep()
    assert await house.value("SELECT count(*) FROM rollcall.holding") == 10
    house.clock.forward(days=2)

    for _ in range(len(PURGES) + 1):
        await house.sweeper.housekeep()

    for table in (
        "holding",
        "departure",
        "history",
        "hold",
        "change_set",
        "run",
        "run_cause",
        "sign_in",
        "lease",
        "directory_revision",
        "directory",
        "domain",
        "command",
    ):
        assert await house.whole(table) == [], table
    assert await house.value("SELECT purged_at FROM rollcall.tenant") is not None


async def test_the_clock_tells_nothing_of_a_deleted_tenant(house: House) -> None:
    """Its name may be somebody else's by now."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync("ada@example.net", "bob@example.com")
    await house.save_tenant("example.com")
    await house.send(DeleteTenant())
    told = len(await house.events())
    house.clock.forward(hours=80)

    await house.sweeper.housekeep()

    assert len(await house.events()) == told


async def test_who_returns_while_the_house_is_kept_stays(house: House) -> None:
    """The 30 days are over just as a run finds the address again: what the run gives back must not be swept away under it."""
    everyone = people(20)
    await house.founded()
    await house.sync(*everyone)
    for minutes in (31, 31, 73 * 60):
        await house.sync_later(*everyone[1:], minutes=minutes)
    assert await house.look(everyone[0]) == "unknown"
    house.clock.forward(days=30, minutes=1)
    await house.request()
    run = await house.claim()

    async with house.runs.final(run, house.snapshot(run, rows(*everyone))) as final:
        evidence = await final.compare()
        await house.sweeper.housekeep()
        await final.record(judge(evidence, run.settings.removals))

    await house.sweeper.housekeep()
    assert await house.look(everyone[0]) == "valid"
    assert (await house.states()).keys() == set(everyone)


# --- the spool ---------------------------------------------------------------


def test_a_spool_gives_back_what_was_put_in_small_or_large() -> None:
    """In memory or in a file that no other process can name, twice if need be."""
    for size in (10, MEMORY_BYTES + 10):
        with open_spool() as spool:
            spool.add(b"x" * size)
            spool.add(b"end\n")
            for _ in range(2):
                spool.rewind()
                assert len(spool.read(size)) == size
                assert spool.read(100) == b"end\n"
                assert spool.read(100) == b""
