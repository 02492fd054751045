"""A list told whole: in parts that follow one another, each within bounds, true for one moment."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from tests.consumer.core import checksum, replayed, states
from tests.integration.postgres.house import MESSAGE_MAX_BYTES, House, people, removals, row
from worker.adapters.postgres.decisions import CHANGES_PER_PART
from worker.domain.addresses import ADDRESS_MAX_BYTES
from worker.domain.commands import RepublishRecipients


ADA, BOB = "ada@example.com", "bob@example.com"
MANY = 20_000
IN_TIME_S = 10.0
"""For what takes half a second here."""
LEAVING = 500


@pytest.mark.timeout(60)
async def test_a_large_list_is_told_in_parts_that_follow_one_another(house: House) -> None:
    """A receiver puts them together as they come, and knows whether it has them all."""
    await house.founded(removals(min_count=MANY, max_share=1.0, max_count=MANY))
    many = people(MANY)
    await house.sync(*many)
    await house.sync_later(*many[:-LEAVING])
    await house.sync_later(*many[:-LEAVING])
    last = (await house.last("recipients.changed"))["sequence"]
    await house.forget_events()

    async with asyncio.timeout(IN_TIME_S):
        command = await house.send(RepublishRecipients())

    told = [event["data"] for event in await house.events()]
    bodies = await house.fetch("SELECT body FROM rollcall.outbox")
    number = -(-MANY // CHANGES_PER_PART)
    assert [part["part"] for part in told] == list(range(1, number + 1))
    assert [part["sequence"] for part in told] == list(range(last + 1, last + number + 1))
    assert {(part["true_for"], part["count"], *part["causes"]) for part in told} == {
        (last, MANY, command)
    }
    assert max(len(each["body"].encode()) for each in bodies) <= MESSAGE_MAX_BYTES
    listed = [(each["address"], each["state"]) for part in told for each in part["recipients"]]
    assert [address for address, _ in listed] == many
    assert dict(listed) == await house.states()
    lines = "".join(f"{address} {state}\n" for address, state in listed)
    summed = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    assert {part["checksum"] for part in told} == {summed}


async def test_a_part_of_the_longest_addresses_in_grace_is_within_the_bound(house: House) -> None:
    """A message that is too large is never delivered, and everything behind it waits."""
    domain = ".".join(["d" * 61] * 3)[:189]
    await house.save_tenant(domain)
    await house.save_directory()
    local_bytes = ADDRESS_MAX_BYTES - len(domain) - 1
    await house.sync(
        *[
            row(f"{'é' * ((local_bytes - 4) // 2)}{number:04}@{domain}", kind=3, is_primary=False)
            for number in range(CHANGES_PER_PART)
        ]
    )
    await house.save_tenant("example.net")

    await house.send(RepublishRecipients())

    (told,) = await house.fetch(
        "SELECT body FROM rollcall.outbox WHERE type LIKE '%recipients.snapshot%'"
    )
    assert MESSAGE_MAX_BYTES * 0.7 < len(told["body"].encode()) <= MESSAGE_MAX_BYTES


async def test_who_is_in_grace_is_told_with_its_end(house: House) -> None:
    """A filter that puts mail off for them wants to know how long."""
    await house.founded(removals(grace=timedelta(hours=72)))
    await house.add(ADA, BOB)
    await house.remove(ADA)
    left_at = house.clock.at

    await house.send(RepublishRecipients())

    ada, bob = (await house.last("recipients.snapshot"))["recipients"]
    until = f"{left_at + timedelta(hours=72):%Y-%m-%dT%H:%M:%SZ}"
    assert (ada["address"], ada["state"], ada["grace_until"]) == (ADA, "grace", until)
    assert (bob["address"], bob["state"], bob["grace_until"]) == (BOB, "valid", None)


async def test_addresses_are_summed_in_the_order_of_their_bytes(house: House) -> None:
    """Every receiver comes to the same sum, whatever its language makes of letters."""
    await house.founded()
    await house.sync(
        "zoe@example.com", "jörg@example.com", "日本@example.com", "o'neil@example.com"
    )

    await house.send(RepublishRecipients())

    told = await house.last("recipients.snapshot")
    addresses = [each["address"] for each in told["recipients"]]
    assert addresses == sorted(addresses, key=str.encode)
    state = replayed(await house.events("recipients.snapshot"))
    assert states(state.recipients) == await house.states()
    assert checksum(state.recipients) == told["checksum"]
