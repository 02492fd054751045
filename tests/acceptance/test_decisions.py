"""What people decide, by messages to a running worker: each is answered, told to all, and done once."""

import asyncio

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Lab
from tests.harness.platform import Seen


CROWD = 30


async def held(customer: Customer) -> tuple[list[str], Seen]:
    """Thirty people, of whom twenty vanish; gives their logins and the outcome that is held."""
    logins = customer.branch.crowd(CROWD)
    await customer.join()
    await customer.save(notify=["it@example.com"])
    customer.branch.remove(*logins[10:])
    return logins, await customer.sync()


def decision(ending: Seen) -> dict[str, object]:
    """What names the hold as it was seen."""
    hold = ending.data["hold"]
    return {"hold": hold["id"], "version": hold["version"]}


async def test_an_approved_hold_is_told_and_its_people_leave_by_grace(customer: Customer) -> None:
    """Message in, list changed, everyone told, the answer at the reply queue as well."""
    logins, ending = await held(customer)
    assert ending.name == "sync.held"

    cause = await customer.send("hold.approve", decision(ending), reply="approval")

    told = await customer.platform.event("hold.approved", cause=cause)
    assert (told.data["approved"], told.data["grace"]) == (20, 20)
    assert (await customer.platform.replied("approval")).id == told.id
    changed = await customer.platform.event("recipients.changed", cause=cause)
    assert {each["state"] for each in changed.data["changes"]} == {"grace"}
    assert await customer.store.lookup(customer.branch.address(logins[20])) == "grace"
    assert await customer.store.lookup(customer.branch.address(logins[0])) == "valid"
    assert (await customer.sync()).name == "sync.completed"


async def test_two_people_who_approve_at_once_both_get_the_right_answer(
    customer: Customer,
) -> None:
    """One changes the list; the other hears that it is done."""
    _, ending = await held(customer)

    causes = [await customer.send("hold.approve", decision(ending)) for _ in range(2)]

    first = await customer.platform.event("hold.approved", cause=causes[0])
    second = await customer.platform.event("command.rejected", cause=causes[1])
    assert first.data["grace"] == 20
    assert [error["code"] for error in second.data["errors"]] == ["hold.ended"]


async def test_a_discarded_hold_mails_nobody_again(customer: Customer) -> None:
    """The schedule goes on; the admin's inbox does not fill."""
    _, ending = await held(customer)
    assert ending.data["notify"] == ["it@example.com"]

    cause = await customer.send("hold.discard", decision(ending))

    told = await customer.platform.event("hold.discarded", cause=cause)
    assert told.data["kept"] == 20
    again = await customer.sync()
    assert (again.name, again.data["notify"]) == ("sync.held", [])
    assert set((await customer.recipients()).values()) == {"valid"}


async def test_a_run_is_undone_and_automatic_syncs_pause(customer: Customer) -> None:
    """The list is as it was, and the next scheduled run does not do the same again."""
    logins = customer.branch.crowd(CROWD)
    await customer.join()
    await customer.save()
    customer.branch.remove(logins[0])
    customer.branch.add("newcomer")
    run = (await customer.sync()).data["run"]

    cause = await customer.send("run.undo", {"run": run})

    undone = await customer.platform.event("run.undone", cause=cause)
    assert undone.data["given_back"]["addresses"] == [customer.branch.address(logins[0])]
    assert undone.data["leaving"]["addresses"] == [customer.branch.address("newcomer")]
    await customer.platform.event("directory.paused", cause=cause)
    skipped = await customer.sync(trigger="scheduled")
    assert (skipped.name, skipped.data["reasons"][0]["code"]) == ("sync.cancelled", "paused")
    assert set((await customer.recipients()).values()) == {"valid"}
    again = await customer.send("run.undo", {"run": run})
    refused = await customer.platform.event("command.rejected", cause=again)
    assert [error["code"] for error in refused.data["errors"]] == ["run.undone"]


async def test_addresses_by_hand_come_and_go_by_message(customer: Customer) -> None:
    """A list that a customer brings along, and one address of it that a person takes away again."""
    customer.branch.add("ada")
    await customer.join()
    by_hand = [customer.branch.address(login) for login in ("ada", "boss", "shop")]

    cause = await customer.send("recipient.add", {"addresses": by_hand, "adopt": True})
    added = await customer.platform.event("recipients.changed", cause=cause)
    assert [each["address"] for each in added.data["changes"]] == by_hand
    ending = await customer.save()
    assert (ending.data["counts"]["added"], ending.data["counts"]["unchanged"]) == (0, 1)
    cause = await customer.send("recipient.remove", {"addresses": by_hand[1:2]})
    removed = await customer.platform.event("recipients.changed", cause=cause)

    assert [each["change"] for each in removed.data["changes"]] == ["grace"]
    assert await customer.recipients() == dict(
        zip(by_hand, ("valid", "grace", "valid"), strict=True)
    )
    cause = await customer.send("recipient.remove", {"addresses": by_hand[:1]})
    refused = await customer.platform.event("command.rejected", cause=cause)
    assert [error["code"] for error in refused.data["errors"]] == ["recipient.not_by_hand"]


async def test_a_preview_goes_the_same_way_and_changes_nothing(customer: Customer) -> None:
    """What it shows is what the next run does."""
    logins = customer.branch.crowd(CROWD)
    await customer.join()
    await customer.save()
    customer.branch.remove(*logins[:3])
    customer.branch.add("newcomer")

    shown = await customer.sync(mode="preview")
    changes = await customer.store.rows(
        "SELECT address, change, expires_at FROM api.change WHERE run = $1", shown.data["run"]
    )
    assert set((await customer.recipients()).values()) == {"valid"}
    assert len(await customer.recipients()) == CROWD
    done = await customer.sync()

    assert (shown.name, shown.data["verdict"]) == ("sync.previewed", "apply")
    assert shown.data["counts"] == done.data["counts"]
    told = await customer.platform.event(
        "recipients.changed", where=lambda seen: seen.data["run"] == done.data["run"]
    )
    assert {(each["address"], each["change"]) for each in changes} == {
        (each["address"], each["change"]) for each in told.data["changes"]
    }
    assert all(each["expires_at"] is not None for each in changes)


async def test_an_approval_while_a_run_is_reading_keeps_to_it(customer: Customer) -> None:
    """Whatever the order in which the two arrive, those approved leave and nobody else does."""
    logins, ending = await held(customer)

    async with asyncio.TaskGroup() as both:
        run = both.create_task(customer.sync())
        cause = both.create_task(customer.send("hold.approve", decision(ending)))

    await customer.platform.event("hold.approved", cause=cause.result())
    assert run.result().name in {"sync.held", "sync.completed"}
    states = await customer.recipients()
    assert {states[customer.branch.address(each)] for each in logins[10:]} == {"grace"}
    assert {states[customer.branch.address(each)] for each in logins[:10]} == {"valid"}


async def test_many_customers_in_trouble_at_once_are_told_to_the_operator(
    unhoused: Customer, hire: Hire, lab: Lab
) -> None:
    """Two replicas, one alarm, and the removals of all wait."""
    platform, store = unhoused.platform, unhoused.store
    workers = [hire(name, fleet_customers=3, fleet_share=0.5) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    customers = [unhoused, *(Customer(platform, store, lab.branch()) for _ in range(2))]
    for customer in customers:
        customer.branch.crowd(10)
        await customer.join()
        await customer.save()
    for customer in customers:
        customer.branch.remove("p000", "p001")
        assert (await customer.sync()).name == "sync.completed"

    held = await platform.event("fleet.held")

    assert (held.key, held.tenant) == ("fleet.held", None)
    assert (held.data["customers"], held.data["shrinking"]) == (3, 3)
    ending = await customers[0].sync()
    assert (ending.name, ending.data["reasons"][0]["code"]) == ("sync.held", "fleet")
    assert sum(len(worker.logged("fleet_held")) for worker in workers) == 1
    assert len([seen for seen in platform.events if seen.name == "fleet.held"]) == 1
