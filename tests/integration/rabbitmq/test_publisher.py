"""Events out on a healthy broker, and one that raises an alarm."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from tests.integration.rabbitmq.neighbours import (
    NOW,
    Acceptance,
    Platform,
    consuming,
    publishing,
    until,
)
from tests.stack.rabbitmq import RabbitMQ
from worker.adapters.rabbitmq.connection import connected
from worker.adapters.rabbitmq.publisher import Publisher
from worker.adapters.rabbitmq.topology import Broker
from worker.domain.failures import BrokerFailure
from worker.ports.broker import Message


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

EVENT = Message(
    number=1,
    id="event-1",
    type="rollcall.sync.completed.v1",
    tenant="tenant-17",
    routing_key="sync.completed.tenant-17",
    body=b'{"id": "event-1"}',
    traceparent="00-ab-cd-01",
)


def event(number: int) -> Message:
    """Make the event with this number."""
    return replace(EVENT, number=number, id=f"event-{number}", body=str(number).encode())


@pytest.fixture
async def publisher(broker: Broker) -> AsyncIterator[Publisher]:
    """Give a publisher with a short deadline."""
    async with publishing(broker) as made:
        yield made


async def test_an_event_reaches_whoever_bound_with_all_it_says_about_itself(
    publisher: Publisher, platform: Platform
) -> None:
    """Receivers route, deduplicate and trace by these properties."""
    queue = await platform.bind("sync.*.tenant-17")

    assert await publisher.publish(EVENT)
    received = await platform.take(queue)

    assert received.body == EVENT.body
    assert received.routing_key == EVENT.routing_key
    assert (received.message_id, received.type) == ("event-1", "rollcall.sync.completed.v1")
    assert (received.timestamp, received.delivery_mode) == (NOW, 2)
    assert received.content_type == "application/cloudevents+json"
    assert received.headers == {"traceparent": "00-ab-cd-01"}
    assert received.reply_to is None


async def test_an_event_nobody_bound_to_blocks_nothing(
    publisher: Publisher, platform: Platform
) -> None:
    """A platform that does not listen to an event must not stop all others."""
    queue = await platform.bind("sync.completed.*")

    nobody = await publisher.publish(
        replace(EVENT, id="lost", routing_key="tenant.saved.tenant-17")
    )
    somebody = await publisher.publish(EVENT)

    assert (nobody, somebody) == (False, True)
    assert (await platform.take(queue)).message_id == EVENT.id
    assert (publisher.figures.confirmed, publisher.figures.unroutable) == (2, 1)


async def test_events_arrive_in_the_order_they_were_published(
    publisher: Publisher, platform: Platform
) -> None:
    """Receivers ignore a sequence older than the last: a swapped pair is a lost event."""
    queue = await platform.bind()

    for number in range(100):
        await publisher.publish(event(number))
    received = [int((await platform.take(queue)).body) for _ in range(100)]

    assert received == list(range(100))


async def test_an_answer_goes_to_the_queue_it_was_asked_for_and_nowhere_else(
    publisher: Publisher, platform: Platform
) -> None:
    """The page that waits for this one outcome finds it by its correlation id; others see the event itself."""
    events, replies = await platform.bind(), await platform.reply_queue()

    answered = await publisher.publish(
        replace(EVENT, routing_key=None, reply_to=replies, correlation_id="17")
    )
    await publisher.publish(event(2))
    answer, told = await platform.take(replies), await platform.take(events)

    assert answered
    assert (answer.body, answer.message_id, answer.correlation_id) == (EVENT.body, EVENT.id, "17")
    assert (told.message_id, told.correlation_id) == ("event-2", None)


async def test_a_missing_reply_queue_is_no_failure(
    publisher: Publisher, platform: Platform
) -> None:
    """Somebody closed the page; whatever else is to be told goes on."""
    reply = replace(EVENT, routing_key=None, reply_to="closed.page", correlation_id="17")

    assert not await publisher.publish(reply)

    assert (publisher.figures.missing_replies, publisher.figures.unroutable) == (1, 0)


async def test_a_deleted_exchange_costs_one_publish(
    broker: Broker, publisher: Publisher, platform: Platform
) -> None:
    """An operator's slip must heal by itself, and be said as a failure meanwhile, never as sent."""
    await publisher.publish(EVENT)
    async with connected(broker, name="test") as connection, connection.channel() as channel:
        await channel.exchange_delete(broker.topology.events)

    with pytest.raises(BrokerFailure) as caught:
        await publisher.publish(EVENT)
    assert not await publisher.publish(EVENT)
    queue = await platform.bind()
    assert await publisher.publish(EVENT)

    assert caught.value.code == "broker.not_found"
    assert (await platform.take(queue)).message_id == EVENT.id


async def test_a_full_queue_that_refuses_is_no_success(
    publisher: Publisher, platform: Platform
) -> None:
    """A receiver's bounded queue said no: the event must be published again, not forgotten."""
    queue = await platform.bind_bounded(1)
    await publisher.publish(EVENT)

    with pytest.raises(BrokerFailure) as caught:
        await publisher.publish(event(2))

    assert caught.value.code == "broker.refused"
    assert (await platform.take(queue)).message_id == EVENT.id


async def test_cancelling_a_publish_leaves_the_publisher_usable(
    publisher: Publisher, platform: Platform
) -> None:
    """A relay that loses its lease is cancelled mid-publish; its next turn must not find a wreck."""
    queue = await platform.bind()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await publisher.publish(event(1))
    await publisher.publish(event(2))

    assert (await platform.take(queue)).message_id == "event-2"


async def test_an_alarm_of_the_broker_ends_in_a_failure_within_the_deadline_and_then_passes(
    broker: Broker, rabbitmq: RabbitMQ, publisher: Publisher, platform: Platform
) -> None:
    """A broker short of memory holds publishers back: events wait in the outbox, and commands still come in."""
    queue = await platform.bind()
    await publisher.publish(event(1))
    await platform.send("sent before the alarm")
    acceptance = Acceptance()
    failures = []

    await asyncio.to_thread(rabbitmq.rabbitmqctl, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        for number in (2, 2, 2):
            with pytest.raises(BrokerFailure) as caught:
                await publisher.publish(event(number))
            failures.append(caught.value.code)
        was_blocked = publisher.figures.is_blocked
        async with consuming(broker, acceptance):
            await until(lambda: acceptance.bodies == ["sent before the alarm"])
    finally:
        await asyncio.to_thread(rabbitmq.rabbitmqctl, "set_vm_memory_high_watermark", "0.4")
    await published_at_last(publisher, event(2))
    await publisher.publish(event(3))

    received = await platform.ids(queue, last="event-3")
    assert failures == ["broker.timed_out"] * 3
    assert was_blocked
    assert not publisher.figures.is_blocked
    assert publisher.figures.connects == 1
    assert received in (
        ["event-1", "event-2", "event-3"],
        ["event-1", "event-2", "event-2", "event-3"],  # the one that was under way at the alarm
    )


async def published_at_last(publisher: Publisher, message: Message) -> None:
    """Publish as the relay does: the same message again until the broker confirms it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await publisher.publish(message)
            except BrokerFailure:
                await asyncio.sleep(0.05)
            else:
                return


async def test_throughput_of_the_publisher(
    publisher: Publisher, platform: Platform, record_property: Callable[[str, object], None]
) -> None:
    """Shown, not judged: one event after the other, and a hundred at once."""
    await platform.bind()
    clock = asyncio.get_running_loop()
    await publisher.publish(EVENT)

    started_at = clock.time()
    for number in range(300):
        await publisher.publish(event(number))
    alone = round(300 / (clock.time() - started_at))

    started_at = clock.time()
    for first in range(0, 3_000, 100):
        async with asyncio.TaskGroup() as together:
            for number in range(first, first + 100):
                together.create_task(publisher.publish(event(number)))
    together_rate = round(3_000 / (clock.time() - started_at))

    record_property("events_per_second", together_rate)
    print(f"\npublisher: {alone} events/s one by one, {together_rate} a hundred at once")  # noqa: T201 - the figure is the point


async def test_a_trigger_goes_to_the_queue_of_triggers_once_there_is_one(broker: Broker) -> None:
    """A scheduler may be there before the first worker: what no queue took is told as not sent."""
    trigger = replace(EVENT, type="rollcall.sync.request.v1", routing_key="sync.request.scheduled")
    commander = Publisher(broker, now=lambda: NOW, exchange=broker.topology.commands)
    try:
        early = await commander.publish(trigger)
        async with Platform(broker) as platform:
            routed = await commander.publish(trigger)
            received = await platform.take(broker.topology.scheduled)
    finally:
        await commander.close()

    assert (early, routed) == (False, True)
    assert received.body == trigger.body
