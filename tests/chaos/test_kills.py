"""``kill -9`` at every step between a command and its outcome."""

import sys

import pytest

from tests.chaos.launcher import STEPS, TRIGGER_STEPS
from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.platform import ENDINGS, Seen


PEOPLE = 25


@pytest.mark.timeout(60)
@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_worker_leaves_nothing_undone_and_nothing_twice(
    step: str, customer: Customer, hire: Hire
) -> None:
    """Machines die at any moment; the list must be right all the same, and told of once."""
    people = customer.branch.addresses(*customer.branch.crowd(PEOPLE))
    doomed = hire("doomed", command=(sys.executable, "-m", "tests.chaos.launcher", "--halt", step))
    doomed.start()
    await customer.send(
        "tenant.save", {"plan": "basic", "domains": [{"name": customer.branch.domain}]}
    )
    cause = await customer.send("directory.save", customer.branch.form())
    doomed.wait_for(lambda: doomed.logged("halted") != [])

    doomed.kill()
    hire("heir").start()
    ending = await customer.platform.ending(cause, within_s=30)
    await customer.platform.event("recipients.changed", within_s=30)

    assert ending.name == "sync.completed"
    assert ending.data["counts"]["added"] == PEOPLE
    assert await customer.recipients() == people
    assert await customer.store.history(customer.tenant) == {(a, "added"): 1 for a in people}
    assert sorted(customer.platform.changes(customer.tenant)) == [(a, "added") for a in people]
    assert len({seen.id for seen in customer.platform.events if seen.name in ENDINGS}) == 1
    assert [run["state"] for run in await customer.store.runs(customer.tenant)] == ["completed"]


@pytest.mark.timeout(60)
async def test_an_event_that_may_have_been_sent_is_sent_again_as_it_was(
    customer: Customer, hire: Hire
) -> None:
    """Receivers know a repeat by its id and sequence; twice is well, never is not."""
    customer.branch.add("ada")
    doomed = hire(
        "doomed",
        command=(sys.executable, "-m", "tests.chaos.launcher", "--halt", "before-confirm"),
    )
    doomed.start()
    await customer.join()
    cause = await customer.send("directory.save", customer.branch.form())
    first = await customer.platform.ending(cause)
    doomed.wait_for(lambda: doomed.logged("halted") != [])

    doomed.kill()
    hire("heir").start()
    repeated = await customer.platform.several(2, lambda seen: seen.id == first.id)

    assert repeated[0].body == repeated[1].body


@pytest.mark.timeout(60)
@pytest.mark.parametrize("step", TRIGGER_STEPS)
async def test_a_killed_scheduler_loses_no_trigger_and_doubles_none(
    step: str, customer: Customer, hire: Hire
) -> None:
    """Its time has gone by when it dies: what it had decided must reach the broker all the same, and count once."""
    customer.branch.add("ada")
    doomed = hire("doomed", command=(sys.executable, "-m", "tests.chaos.launcher", "--halt", step))
    doomed.start()
    await customer.join()
    await customer.save(schedule={"automatic": True, "every_hours": 24})
    await customer.store.let_its_time_come(customer.tenant)
    doomed.wait_for(lambda: doomed.logged("halted") != [])

    doomed.kill()
    hire("heir").start()
    ending = await customer.event("sync.completed", where=scheduled, within_s=30)
    await customer.store.wait_for_no_trigger()
    await customer.sync(trigger="scheduled")  # taken in after whatever was published twice

    runs = await customer.store.runs(customer.tenant)
    assert [run["trigger"] for run in runs] == ["manual", "scheduled", "scheduled"]
    assert len(ending.data["causes"]) == 1


def scheduled(seen: Seen) -> bool:
    """Whether nobody pressed for it."""
    return bool(seen.data.get("trigger") == "scheduled")
