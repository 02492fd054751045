"""The door stays open while the list behind it is written."""

import asyncio
from itertools import cycle

import pytest

from tests.integration.postfix.door import Answer, Door
from tests.integration.postfix.test_answers import ACCEPTED, founded
from tests.integration.postgres.house import House, people, rows


pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
KNOWN, LISTED = 1_000, 10_000
A_SESSION = 25


async def test_existing_addresses_are_accepted_while_a_sync_is_applied(
    house: House, door: Door
) -> None:
    """The final transaction of 10,000 recipients must not cost one of them a mail, nor the newest."""
    listed = people(LISTED)
    known, newest = listed[:KNOWN], listed[-1]
    await founded(house, listed=tuple(known))
    assert (await door.ask(newest)).code == 550
    await house.request()
    run = await house.claim()
    snapshot = house.snapshot(run, rows(*listed))

    heard: list[Answer] = []
    async with asyncio.TaskGroup() as both:
        applied = both.create_task(house.conclude(run, snapshot))
        for place in cycle(range(0, KNOWN, A_SESSION)):
            if applied.done():
                break
            heard += await door.ask_all(known[place : place + A_SESSION])

    assert len(heard) >= A_SESSION
    assert {each.code for each in heard} == {ACCEPTED}
    assert len(await house.states()) == LISTED
    assert (await door.ask(newest)).code == ACCEPTED
    await house.forget_events()  # thousands, judged where syncs are tested
