import asyncio

import pytest

from tests.fakes.jumping import jumping
from tests.fakes.notebook import Notebook
from tests.fakes.relay import Broker, MemoryOutbox, message
from worker.domain.failures import BrokerFailure, StoreFailure
from worker.flows.bell import Bell
from worker.flows.relay import AWAY_S, BATCH_COUNT, IDLE_S, RelayPorts, relay, relay_batch


def ports(outbox: MemoryOutbox, broker: Broker) -> RelayPorts:
    """All a relay needs."""
    return RelayPorts(outbox, broker, Notebook(), Bell())


@jumping
async def test_what_is_confirmed_is_forgotten() -> None:
    """And nothing is published twice without need."""
    outbox, broker = MemoryOutbox([message(1), message(2)]), Broker()

    assert await relay_batch(ports(outbox, broker)) == 2

    assert (outbox.left, broker.published) == ([], [1, 2])


@jumping
async def test_an_empty_outbox_publishes_nothing() -> None:
    """The loop may rest."""
    assert await relay_batch(ports(MemoryOutbox(), Broker())) == 0


@jumping
async def test_another_worker_that_relays_is_left_alone() -> None:
    """Two relays would mix up a tenant's order."""
    outbox, broker = MemoryOutbox([message(1)], leads=False), Broker()

    assert await relay_batch(ports(outbox, broker)) is None

    assert broker.published == []


@jumping
async def test_a_tenant_stops_at_its_first_failure_and_others_go_on() -> None:
    """Order is kept where it matters, and one customer's bad luck is nobody else's."""
    outbox = MemoryOutbox(
        [message(1, "a"), message(2, "b"), message(3, "a"), message(4, "b"), message(5, "a")]
    )
    broker = Broker(refuses={3})

    with pytest.raises(BrokerFailure, match="3"):
        await relay_batch(ports(outbox, broker))

    assert outbox.left == [3, 5]
    assert sorted(broker.published) == [1, 2, 4]


@jumping
async def test_each_tenants_events_go_out_in_order() -> None:
    """Tenants side by side, a tenant's events one after another."""
    numbers = range(30)
    outbox = MemoryOutbox([message(number, f"t{number % 3}") for number in numbers])
    broker = Broker()

    await relay_batch(ports(outbox, broker))

    assert broker.most_at_once == 3
    for tenant in range(3):
        sent = [number for number in broker.published if number % 3 == tenant]
        assert sent == sorted(sent)


@jumping
async def test_an_event_that_nobody_is_bound_to_counts_as_sent() -> None:
    """It never blocks the outbox; a metric tells of it."""
    outbox, broker = MemoryOutbox([message(1)]), Broker(unbound={1})
    needed = ports(outbox, broker)

    assert await relay_batch(needed) == 1

    assert outbox.left == []
    assert isinstance(needed.telemetry, Notebook)
    assert needed.telemetry.counts == {"published": 1, "publish_returned": 1}


@jumping
async def test_a_broker_that_never_answers_is_given_up_in_time() -> None:
    """What was confirmed by then is forgotten, the rest comes again; the lease outlasts it."""
    outbox, broker = MemoryOutbox([message(1, "a"), message(2, "b")]), Broker(hangs_at={2})

    with pytest.raises(BrokerFailure) as failure:
        await relay_batch(ports(outbox, broker))

    assert failure.value.code == "broker.slow"
    assert outbox.left == [2]


@jumping
async def test_a_relay_that_is_stopped_forgets_what_was_confirmed() -> None:
    """A stop is no reason to send everything again."""
    outbox, broker = MemoryOutbox([message(1, "a"), message(2, "b")]), Broker(hangs_at={2})

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await relay_batch(ports(outbox, broker))

    assert outbox.left == [2]


@jumping
async def test_a_batch_is_bounded() -> None:
    """The rest comes with the next."""
    outbox = MemoryOutbox([message(number) for number in range(BATCH_COUNT + 1)])

    assert await relay_batch(ports(outbox, Broker())) == BATCH_COUNT

    assert outbox.left == [BATCH_COUNT]


@jumping
async def test_the_loop_outlives_store_and_broker() -> None:
    """Neither being away is a reason to exit; both are waited for."""
    outbox = MemoryOutbox([message(1)], faults=[StoreFailure("store.unavailable")])
    broker = Broker(refuses={1})
    needed = ports(outbox, broker)

    async with asyncio.timeout(60):
        await _until_empty(needed, outbox, broker)

    assert isinstance(needed.telemetry, Notebook)
    codes = [keys["code"] for keys in needed.telemetry.said("relay_waits")]
    assert codes[0] == "store.unavailable"
    assert set(codes[1:]) == {"broker.unconfirmed"}


async def _until_empty(needed: RelayPorts, outbox: MemoryOutbox, broker: Broker) -> None:
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(relay(needed))
        await asyncio.sleep(3 * AWAY_S)
        broker.refuses.clear()
        await outbox.emptied.wait()
        loop.cancel()


@jumping
async def test_the_loop_looks_again_when_the_other_worker_is_gone() -> None:
    """Its lease lapses; nobody rings for that."""
    outbox = MemoryOutbox([message(1)], leads=False)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        loop = group.create_task(relay(ports(outbox, Broker())))
        await asyncio.sleep(AWAY_S / 2)
        outbox.leads = True
        await outbox.emptied.wait()
        loop.cancel()


@jumping
async def test_a_bell_wakes_the_loop() -> None:
    """Nobody waits a second for an event that is there."""
    outbox = MemoryOutbox()
    needed = ports(outbox, Broker())
    loop = asyncio.get_running_loop()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(relay(needed))
        await asyncio.sleep(IDLE_S / 10)
        outbox.rows.append(message(1))
        began = loop.time()
        needed.bell.ring()
        await outbox.emptied.wait()
        assert loop.time() - began < IDLE_S / 2
        task.cancel()
