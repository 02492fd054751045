"""Requests that meet: joined, pending, cancelled, paused, deleted."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.customer import Customer
from tests.harness.platform import Seen
from tests.servers.ber import Kind
from tests.servers.daemon import wait_until
from tests.servers.proxy import Action, Fault, FaultProxy


PEOPLE = 25
FROZEN_AT = 15


@pytest.fixture
def proxy(customer: Customer) -> Iterator[FaultProxy]:
    """Give a way to the directory that can be made to stand still in the middle of a listing."""
    with FaultProxy(customer.branch.slapd.port) as proxy:
        yield proxy


@pytest.fixture
async def synced(customer: Customer, proxy: FaultProxy) -> AsyncIterator[Customer]:
    """Give a customer with 25 people, synced once through the proxy."""
    customer.branch.crowd(PEOPLE)
    await customer.join()
    assert (await customer.save(port=proxy.port)).name == "sync.completed"
    yield customer
    proxy.disarm()


async def under_way(customer: Customer, proxy: FaultProxy) -> str:
    """Have a run stand still between two pages; gives the command that asked for it."""
    proxy.arm(Fault(Action.FREEZE, Kind.ENTRY, nth=FROZEN_AT))
    cause = await customer.request()
    assert wait_until(lambda: proxy.seen(Kind.ENTRY) >= FROZEN_AT, within_s=10)
    return cause


async def accepted(customer: Customer, cause: str) -> Seen:
    """Return the acceptance of a request."""
    return await customer.platform.event("sync.accepted", cause=cause)


async def test_requests_join_the_queued_run_and_each_is_answered(
    synced: Customer, proxy: FaultProxy
) -> None:
    """A person who presses three times waits for one sync, not for three."""
    running = await under_way(synced, proxy)
    scheduled = await synced.request(trigger="scheduled")
    await accepted(synced, scheduled)
    manual = await synced.request()
    runs = {(await accepted(synced, cause)).data["run"] for cause in (scheduled, manual)}
    proxy.disarm()

    first = await synced.platform.ending(running)
    joined = await synced.platform.ending(scheduled)

    assert first.data["causes"] == [running]
    assert runs == {joined.data["run"]}
    assert sorted(joined.data["causes"]) == sorted([scheduled, manual])
    assert joined.data["trigger"] == "manual"
    assert len(await synced.store.runs(synced.tenant)) == 3


async def test_a_repeat_that_asks_elsewhere_while_the_run_is_open_is_answered_there(
    synced: Customer, proxy: FaultProxy
) -> None:
    """Whoever asks again after a time-out waits for the answer to the second asking."""
    await under_way(synced, proxy)
    told = {"directory": "hq", "trigger": "manual", "mode": "apply"}
    asked, again = f"again-{synced.tenant}", ("first", "second", "second")

    for correlation_id in again:
        await synced.send("sync.request", told, id_=asked, reply=correlation_id)
    # commands of a tenant are carried out in order: when this is answered, those were taken in
    await synced.join()
    proxy.disarm()
    ending = await synced.platform.ending(asked)

    replies = [await synced.platform.replied(each) for each in ("first", "second")]
    assert {reply.id for reply in replies} == {ending.id}
    # two runs: this request's and the one that stood still
    assert len(await synced.store.runs(synced.tenant)) == 3


async def test_a_preview_does_not_join_a_sync(synced: Customer, proxy: FaultProxy) -> None:
    """Who only wanted to look must not be answered by a sync that changed the list."""
    await under_way(synced, proxy)
    causes = [await synced.request(mode=mode) for mode in ("apply", "preview")]
    accepting = [(await accepted(synced, cause)).data["run"] for cause in causes]
    proxy.disarm()

    endings = [await synced.platform.ending(cause) for cause in causes]

    assert len(set(accepting)) == 2
    assert [ending.name for ending in endings] == ["sync.completed", "sync.previewed"]


async def test_save_and_sync_comes_into_force_with_its_first_run(customer: Customer) -> None:
    """Settings that were never seen to work must not replace those that do."""
    customer.branch.add("ada")
    await customer.join()

    good = await customer.send("directory.save", customer.branch.form(revision=1))
    saved = await customer.platform.event("directory.saved", cause=good)
    await customer.platform.ending(good)
    in_force = await _state(customer)
    bad = await customer.save(revision=2, search_bases=[f"ou=nowhere,{customer.branch.base}"])
    scheduled = await customer.sync(trigger="scheduled")
    manual = await customer.sync()

    assert (saved.data["state"], in_force) == ("pending", "in_force")
    # scheduled runs go on with the old form, a person tries the new one
    assert (bad.name, scheduled.name, manual.name) == (
        "sync.failed",
        "sync.completed",
        "sync.failed",
    )
    assert await customer.recipients() == customer.branch.addresses("ada")


async def test_a_forced_save_is_in_force_at_once(customer: Customer) -> None:
    """Who knows that the old settings are dead need not wait for the new ones to work."""
    await customer.join()

    cause = await customer.send("directory.save", customer.branch.form(force=True))

    saved = await customer.platform.event("directory.saved", cause=cause)
    assert saved.data["state"] == "in_force"


async def test_the_password_may_be_left_out_only_for_the_same_servers(customer: Customer) -> None:
    """Whoever may edit the form must not be able to have the old password sent elsewhere."""
    customer.branch.add("ada")
    await customer.join()
    await customer.save()

    same = await customer.save(password=None, name="Renamed")
    elsewhere = await customer.save(password=None, servers=["127.0.0.2:389"])

    assert same.name == "sync.completed"
    assert [error["code"] for error in elsewhere.data["errors"]] == ["password.again"]


async def test_a_run_under_way_can_be_cancelled(synced: Customer, proxy: FaultProxy) -> None:
    """A sync started by mistake need not be waited for."""
    synced.branch.add("late")
    cause = await under_way(synced, proxy)
    run = (await accepted(synced, cause)).data["run"]

    cancel = await synced.send("sync.cancel", {"run": run})
    ending = await synced.platform.ending(cause)

    assert (ending.name, ending.data["run"]) == ("sync.cancelled", run)
    assert set(ending.data["causes"]) == {cause, cancel}
    assert [reason["code"] for reason in ending.data["reasons"]] == ["cancelled"]
    assert len(await synced.recipients()) == PEOPLE


async def test_a_queued_run_can_be_cancelled(synced: Customer, proxy: FaultProxy) -> None:
    """What has not begun ends at once."""
    running = await under_way(synced, proxy)
    cause = await synced.request()
    run = (await accepted(synced, cause)).data["run"]

    await synced.send("sync.cancel", {"run": run})
    ending = await synced.platform.ending(cause)
    proxy.disarm()

    assert (ending.name, ending.data["started_at"]) == ("sync.cancelled", None)
    assert (await synced.platform.ending(running)).name == "sync.completed"


async def test_cancelling_what_has_ended_is_refused(customer: Customer) -> None:
    """Too late is said, not swallowed."""
    customer.branch.add("ada")
    await customer.join()
    ended = await customer.save()

    cause = await customer.send("sync.cancel", {"run": ended.data["run"]})

    refused = await customer.platform.event("command.rejected", cause=cause)
    assert [error["code"] for error in refused.data["errors"]] == ["run.unknown"]


async def test_a_pause_stops_scheduled_runs_only(customer: Customer) -> None:
    """While a migration is on, only a person decides when the directory is read."""
    customer.branch.add("ada")
    await customer.join()
    await customer.save()
    await customer.send("directory.pause", {"directory": "hq"})
    await customer.event("directory.paused")

    scheduled = await customer.sync(trigger="scheduled")
    manual = await customer.sync()
    await customer.send("directory.resume", {"directory": "hq"})
    await customer.event("directory.resumed")
    resumed = await customer.sync(trigger="scheduled")

    assert [seen.name for seen in (scheduled, manual, resumed)] == [
        "sync.cancelled",
        "sync.completed",
        "sync.completed",
    ]
    assert [reason["code"] for reason in scheduled.data["reasons"]] == ["paused"]


async def test_a_right_that_was_lost_freezes_the_list(customer: Customer) -> None:
    """Who moves to a smaller plan keeps the recipients, and is told why nothing syncs by itself."""
    customer.branch.add("ada", "bob")
    await customer.join()
    await customer.save()
    customer.branch.remove("bob")
    await customer.send("tenant.save", {"plan": "basic"})
    await customer.platform.several(
        2, lambda seen: (seen.name, seen.tenant) == ("tenant.saved", customer.tenant)
    )

    trigger = await customer.sync(trigger="scheduled")

    assert [error["code"] for error in trigger.data["errors"]] == ["plan.automatic_sync"]
    assert await customer.recipients() == customer.branch.addresses("ada", "bob")


@pytest.mark.parametrize(("recipients", "state"), [("leave", "grace"), ("keep_by_hand", "valid")])
async def test_a_deleted_directory_leaves_its_addresses_as_asked(
    customer: Customer, recipients: str, state: str
) -> None:
    """Ending the sync is one decision, ending the mail is another."""
    customer.branch.add("ada", "bob")
    await customer.join()
    await customer.save()

    cause = await customer.send("directory.delete", {"directory": "hq", "recipients": recipients})
    deleted = await customer.platform.event("directory.deleted", cause=cause)
    again = await customer.send("directory.delete", {"directory": "hq", "recipients": recipients})

    assert deleted.data["recipients"] == recipients
    assert await customer.recipients() == dict.fromkeys(
        customer.branch.addresses("ada", "bob"), state
    )
    left = [change for change in customer.platform.changes(customer.tenant) if change[1] == "grace"]
    assert len(left) == (2 if state == "grace" else 0)
    assert (
        await customer.store.rows("SELECT FROM api.directory WHERE tenant = $1", customer.tenant)
        == []
    )
    assert again


async def test_deleting_a_directory_ends_its_run(synced: Customer, proxy: FaultProxy) -> None:
    """Nothing is read with a password that its owner took back."""
    cause = await under_way(synced, proxy)

    await synced.send("directory.delete", {"directory": "hq", "recipients": "keep_by_hand"})
    ending = await synced.platform.ending(cause)

    assert ending.name == "sync.cancelled"
    assert [reason["code"] for reason in ending.data["reasons"]] == ["deleted"]
    assert len(await synced.recipients()) == PEOPLE


async def test_a_deleted_tenant_is_gone_at_once_and_its_domain_free(
    synced: Customer, proxy: FaultProxy
) -> None:
    """A customer who leaves is forgotten; one who comes back begins a new epoch."""
    cause = await under_way(synced, proxy)
    address = next(iter(await synced.recipients()))

    await synced.send("tenant.delete")
    await synced.event("tenant.deleted")
    ending = await synced.platform.ending(cause)
    gone = (await synced.recipients(), await synced.store.lookup(address))
    proxy.disarm()
    again = await synced.join()
    fresh = await synced.save(port=proxy.port)

    assert ending.name == "sync.cancelled"
    assert gone == ({}, "not_authoritative")
    assert (again.data["epoch"], again.data["sequence"]) == (2, 1)
    assert fresh.data["counts"]["added"] == PEOPLE
    assert synced.platform.of(synced.tenant)


async def _state(customer: Customer) -> str:
    query = "SELECT state FROM api.directory WHERE tenant = $1"
    (row,) = await customer.store.rows(query, customer.tenant)
    state: str = row["state"]
    return state
