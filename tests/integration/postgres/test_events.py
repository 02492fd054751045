"""What other services are told: one order a tenant, within bounds, as the schemas say."""

import asyncio

import orjson

from tests.integration.postgres.house import MESSAGE_MAX_BYTES, House, people, removals, row
from worker.adapters.postgres.decisions import CHANGES_PER_PART
from worker.domain.addresses import ADDRESS_MAX_BYTES
from worker.domain.commands import SaveTenant
from worker.domain.model import Domain, Tier


async def test_the_outcome_comes_before_the_changes_it_tells_of(house: House) -> None:
    """A receiver knows what is coming, and from which run."""
    await house.founded()
    await house.forget_events()

    await house.sync("ada@example.com")

    names = [event["type"] for event in await house.events()]
    assert names == [
        "rollcall.sync.accepted.v1",
        "rollcall.sync.completed.v1",
        "rollcall.recipients.changed.v1",
    ]
    outcome, changed = (await house.events())[1:]
    assert changed["data"]["sequence"] == outcome["data"]["sequence"] + 1
    assert changed["data"]["run"] == outcome["data"]["run"]
    assert changed["data"]["causes"] == outcome["data"]["causes"]


async def test_the_sequence_has_no_gap_whoever_writes_at_once(house: House) -> None:
    """A receiver that sees a gap asks for everything again."""
    await house.save_tenant("example.com")
    for number in range(4):
        await house.save_directory(removals(), directory=f"d{number}")
        await house.request(f"d{number}")
    runs = await house.runs.claim(4)
    await house.store(*[house.received(SaveTenant(Tier.BASIC, None, None, None)) for _ in range(4)])

    async with asyncio.TaskGroup() as group:
        for number, run in enumerate(runs):
            listed = [row(each) for each in people(5 + number)]
            group.create_task(house.conclude(run, house.snapshot(run, listed)))
        group.create_task(house.carry())
    await house.carry()  # what found the tenant locked

    told = [
        event["data"]["sequence"] for event in await house.events() if "sequence" in event["data"]
    ]
    assert told == list(range(1, len(told) + 1))
    assert len(told) > 12


async def test_a_large_change_comes_in_parts(house: House) -> None:
    """Each part says which it is of how many; together they are all of it, once each."""
    await house.founded()
    many = people(2 * CHANGES_PER_PART + 1)

    await house.sync(*many)

    parts = [event["data"] for event in await house.events("recipients.changed")]
    assert [(part["part"], part["parts"]) for part in parts] == [(1, 3), (2, 3), (3, 3)]
    assert [len(part["changes"]) for part in parts] == [CHANGES_PER_PART, CHANGES_PER_PART, 1]
    assert [each["address"] for part in parts for each in part["changes"]] == many


async def test_a_part_of_the_longest_addresses_is_within_the_bound(house: House) -> None:
    """A message that is too large is never delivered, and everything behind it waits."""
    domain = ".".join(["d" * 61] * 3)[:189]
    await house.save_tenant(domain)
    await house.save_directory()
    local_bytes = ADDRESS_MAX_BYTES - len(domain) - 1
    listed = [
        row(f"{'é' * ((local_bytes - 4) // 2)}{number:04}@{domain}", kind=3, is_primary=False)
        for number in range(CHANGES_PER_PART)
    ]
    assert max(len(each.address.encode()) for each in listed) >= ADDRESS_MAX_BYTES - 1

    await house.sync(*listed)
    await house.save_tenant("example.net")

    added, left = await house.fetch(
        "SELECT body FROM rollcall.outbox WHERE type LIKE '%recipients.changed%' ORDER BY number"
    )
    assert orjson.loads(left["body"])["data"]["changes"][0]["change"] == "grace"
    assert MESSAGE_MAX_BYTES * 0.8 < len(left["body"].encode()) <= MESSAGE_MAX_BYTES
    assert len(added["body"].encode()) <= MESSAGE_MAX_BYTES


async def test_addresses_with_signs_that_json_escapes_arrive_as_they_are(house: House) -> None:
    """Local parts may hold nearly every sign."""
    await house.founded()
    listed = [
        "o'neil@example.com",
        "a{b}|c~`^@example.com",
        "josé&co@example.com",
        "日本@example.com",
    ]

    await house.sync(*listed)

    assert {change[0] for change in await house.changes()} == set(listed)


async def test_traceparent_goes_from_the_command_to_every_event(house: House) -> None:
    """A trace of a press of the button ends at what other services did with it."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await house.founded()
    await house.forget_events()
    await house.request()
    await house.pool.execute("UPDATE rollcall.run SET traceparent = $1", parent)
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, [row("ada@example.com")]))

    completed, changed = (await house.events())[-2:]

    assert completed["traceparent"] == parent
    assert changed["traceparent"] == parent


async def test_the_whole_list_can_be_kept_from_the_events_alone(house: House) -> None:
    """Who applies each change in turn holds what we hold."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory(removals(min_count=1000))
    here, there = people(20), people(20, "example.net")
    await house.sync(*here, *there)
    for listed in (
        [*here[3:], *there],
        [*here[3:], *there],
        [*here[1:], *there[1:]],
        [*here, *there],
    ):
        await house.sync_later(*listed)
    await house.save_tenant(Domain("example.com"))
    await house.sync_later(*here[2:], minutes=60 * 24 * 4)
    await house.sweeper.housekeep()

    kept = {address: state for address, _, state in await house.changes() if state}

    known = {address: state for address, state in kept.items() if state != "removed"}
    assert known == await house.states()
