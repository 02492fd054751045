"""Servers that go away in the middle of a run, and workers that are asked to go."""

import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Lab
from tests.harness.platform import ENDINGS, Seen
from tests.servers.ber import Kind
from tests.servers.daemon import wait_until
from tests.servers.proxy import Action, Fault, FaultProxy
from tests.stack.stack import Stack


PEOPLE = 25
FROZEN_AT = 15


@pytest.fixture
def proxy(lab: Lab) -> Iterator[FaultProxy]:
    """Give a way to the directory that can stand still."""
    with FaultProxy(lab.slapd.port) as proxy:
        yield proxy
        proxy.disarm()


async def begin(customer: Customer, proxy: FaultProxy) -> str:
    """Have a first run stand still between two pages; gives its command."""
    customer.branch.crowd(PEOPLE)
    await customer.join()
    proxy.arm(Fault(Action.FREEZE, Kind.ENTRY, nth=FROZEN_AT))
    cause = await customer.send("directory.save", customer.branch.form(port=proxy.port))
    assert wait_until(lambda: proxy.seen(Kind.ENTRY) >= FROZEN_AT, within_s=10)
    return cause


async def assert_done_once(customer: Customer, ending: Seen) -> None:
    """All are in the list, each was told of once, and there was one run with one outcome."""
    people = customer.branch.addresses(*(f"p{number:03d}" for number in range(PEOPLE)))
    assert ending.name == "sync.completed"
    assert await customer.recipients() == people
    assert await customer.store.history(customer.tenant) == {(a, "added"): 1 for a in people}
    await customer.event("recipients.changed")
    assert sorted(customer.platform.changes(customer.tenant)) == [(a, "added") for a in people]
    assert len({seen.id for seen in customer.platform.events if seen.name in ENDINGS}) == 1
    assert [run["state"] for run in await customer.store.runs(customer.tenant)] == ["completed"]


async def test_a_worker_that_is_asked_to_stop_lets_its_run_end(
    customer: Customer, proxy: FaultProxy, hire: Hire
) -> None:
    """A new release must not cost a night's work."""
    worker = hire(drain_s=20)
    worker.start()
    cause = await begin(customer, proxy)

    worker.ask_to_stop()
    worker.wait_for(lambda: worker.logged("stopping") != [])
    proxy.disarm()
    ending = await customer.platform.ending(cause)
    worker.wait_gone()

    await assert_done_once(customer, ending)
    assert worker.logged("stopped")


async def test_a_run_that_outlasts_the_drain_time_is_handed_on(
    customer: Customer, proxy: FaultProxy, hire: Hire
) -> None:
    """A directory that hangs must not keep a worker from stopping, nor lose its run."""
    first = hire("first", drain_s=1, lease_s=60)
    first.start()
    cause = await begin(customer, proxy)

    first.terminate(within_s=8)
    (run,) = await customer.store.runs(customer.tenant)
    proxy.disarm()
    hire("second").start()
    ending = await customer.platform.ending(cause)

    assert run["state"] == "queued"
    assert first.logged("stopped")
    assert ending.data["attempt"] == 1
    await assert_done_once(customer, ending)


@pytest.mark.timeout(60)
async def test_two_workers_share_the_work_and_do_nothing_twice(
    customer: Customer, lab: Lab, proxy: FaultProxy, hire: Hire
) -> None:
    """More replicas are more throughput, not more syncs."""
    workers = [hire(f"worker-{number}", concurrent_runs=6) for number in range(2)]
    for worker in workers:
        worker.start()
    customers = [Customer(customer.platform, customer.store, lab.branch()) for _ in range(12)]
    proxy.arm(Fault(Action.FREEZE, Kind.ENTRY, times=0))
    for each in customers:
        each.branch.add("ada", "bob")
        await each.join()
        await each.send("directory.save", each.branch.form(port=proxy.port))
    # all hands of both are full
    assert wait_until(lambda: proxy.open_connections() == 12, within_s=8)
    proxy.disarm()

    endings = [await each.event(*ENDINGS) for each in customers]

    assert Counter(seen.name for seen in endings) == {"sync.completed": 12}
    for each in customers:
        assert await each.store.history(each.tenant) == {
            (address, "added"): 1 for address in each.branch.addresses("ada", "bob")
        }
        (run,) = await each.store.runs(each.tenant)
        assert run["attempt"] == 1
        await each.event("recipients.changed")
        assert each.platform.of(each.tenant)
    assert [len(worker.logged("run_ended")) for worker in workers] == [6, 6]


@pytest.mark.timeout(90)
async def test_a_broker_that_restarts_during_a_run_loses_nothing(
    customer: Customer, proxy: FaultProxy, hire: Hire, stack: Stack
) -> None:
    """The run goes on without it, and its outcome is told when it is back."""
    worker = hire()
    worker.start()
    cause = await begin(customer, proxy)

    stack.rabbitmq.stop()
    proxy.disarm()
    try:
        worker.wait_for(lambda: worker.logged("run_ended") != [])
    finally:
        stack.rabbitmq.start()
    await customer.platform.reconnect()
    ending = await customer.platform.ending(cause, within_s=40)

    await assert_done_once(customer, ending)
    again = await customer.platform.ending(await customer.request(), within_s=40)
    assert again.name == "sync.completed"


@pytest.mark.timeout(90)
async def test_a_database_that_restarts_during_a_run_loses_nothing(
    customer: Customer, proxy: FaultProxy, hire: Hire, stack: Stack
) -> None:
    """What was read is kept until it can be written, and is written once."""
    worker = hire(lease_s=60)
    worker.start()
    cause = await begin(customer, proxy)

    stack.postgres.stop()
    proxy.disarm()
    try:
        worker.wait_for(lambda: worker.logged("store_away") != [])
    finally:
        stack.postgres.start()
    ending = await customer.platform.ending(cause, within_s=40)

    assert ending.data["attempt"] == 1
    await assert_done_once(customer, ending)
    again = await customer.platform.ending(await customer.request(), within_s=40)
    assert again.name == "sync.completed"


@pytest.mark.timeout(60)
async def test_a_worker_that_slept_through_its_lease_writes_nothing(
    customer: Customer, proxy: FaultProxy, hire: Hire
) -> None:
    """A machine that stood still for a minute wakes with an old list in its hands."""
    sleeper, other = hire("sleeper"), hire("other")
    sleeper.start()
    cause = await begin(customer, proxy)

    sleeper.daemon.send(signal.SIGSTOP)
    other.start()
    proxy.disarm()
    ending = await customer.platform.ending(cause, within_s=40)
    sleeper.daemon.send(signal.SIGCONT)
    sleeper.wait_for(lambda: sleeper.logged("lease_lost") != [])

    await assert_done_once(customer, ending)


@pytest.mark.timeout(60)
async def test_a_connection_cut_in_the_last_transaction_is_no_reason_to_read_again(
    customer: Customer, proxy: FaultProxy, hire: Hire
) -> None:
    """A failover of the database costs a second, not the whole listing."""
    worker = hire(lease_s=60)
    worker.start()
    cause = await begin(customer, proxy)
    async with customer.store.locked(customer.tenant):
        proxy.disarm()
        cut = await customer.store.cut_whoever_waits()
    ending = await customer.platform.ending(cause)

    assert cut == 1
    assert worker.logged("store_away")
    assert len(worker.logged("directory.search")) == 1
    assert ending.data["attempt"] == 1
    await assert_done_once(customer, ending)
