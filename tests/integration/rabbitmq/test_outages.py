"""The broker restarts, freezes, cuts connections: nothing is lost, nobody gives up, nothing ends in silence."""

import asyncio
from dataclasses import replace

import pytest

from tests.integration.rabbitmq.neighbours import (
    QUICK,
    Acceptance,
    Platform,
    consuming,
    frozen,
    publishing,
    until,
)
from tests.stack.rabbitmq import RabbitMQ
from worker.adapters.rabbitmq.connection import connected
from worker.adapters.rabbitmq.consumer import IntakeLimits
from worker.adapters.rabbitmq.topology import Broker
from worker.domain.failures import BrokerFailure
from worker.ports.broker import Message


pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(120)]


def event(number: int) -> Message:
    """Make the event with this number."""
    return Message(number, f"event-{number}", "t", "tenant-17", "sync.completed.tenant-17", b"{}")


async def test_an_ack_that_comes_too_late_harms_nobody(
    broker: Broker, rabbitmq: RabbitMQ, platform: Platform
) -> None:
    """A connection cut during a commit: the command is durable, comes once more, and intake goes on."""
    acceptance = Acceptance()
    acceptance.open.clear()

    async with consuming(broker, acceptance) as consumer:
        await platform.send("a command")
        await until(lambda: acceptance.attempts == 1)
        await asyncio.to_thread(rabbitmq.rabbitmqctl, "close_all_connections", "cut by a test")
        acceptance.open.set()
        await until(lambda: len(acceptance.bodies) == 2)
        await until(lambda: consumer.figures.is_ready)

    assert consumer.figures.stale_acks == 1
    assert consumer.figures.connects == 2
    assert [delivery.redelivered for delivery in acceptance.deliveries] == [False, True]


async def test_a_deleted_queue_is_declared_and_consumed_again(
    broker: Broker, platform: Platform
) -> None:
    """The broker ends the consumer and leaves the channel open: an intake that only waits would wait for ever."""
    acceptance = Acceptance()

    async with consuming(broker, acceptance) as consumer:
        await until(lambda: consumer.figures.is_ready)
        async with connected(broker, name="test") as connection, connection.channel() as channel:
            await channel.queue_delete(broker.topology.commands)
        await until(lambda: consumer.figures.connects == 2 and consumer.figures.is_ready)
        await platform.send("a command")
        await until(lambda: acceptance.bodies == ["a command"])


async def test_a_restart_of_the_broker_in_mid_stream_loses_nothing(
    broker: Broker, rabbitmq: RabbitMQ, platform: Platform
) -> None:
    """Brokers are upgraded by day: commands confirmed before are taken after, and events go on."""
    sent = [f"command {number}" for number in range(300)]
    acceptance = Acceptance()
    limits = IntakeLimits(prefetch_commands=20, batch_count=5, backoff=QUICK)

    async with publishing(broker) as publisher, consuming(broker, acceptance, limits) as consumer:
        await publisher.publish(event(1))
        acceptance.open.clear()
        await platform.send(*sent)
        await until(lambda: acceptance.attempts == 1)
        await asyncio.to_thread(rabbitmq.stop)
        acceptance.open.set()
        with pytest.raises(BrokerFailure):
            await publisher.publish(event(2))
        await asyncio.to_thread(rabbitmq.start)
        await until(lambda: set(acceptance.bodies) == set(sent), within_s=40)
        await platform.reconnect()
        queue = await platform.bind()
        assert await publisher.publish(event(2))
        await until(lambda: consumer.figures.is_ready)

    assert (await platform.take(queue)).message_id == "event-2"
    assert publisher.figures.connects == 2
    assert consumer.figures.stale_acks > 0  # it did happen in mid-stream


async def test_a_worker_that_starts_before_its_broker_waits_for_it(
    broker: Broker, rabbitmq: RabbitMQ
) -> None:
    """After a power cut everything starts at once; a worker that exits would be restarted in a loop."""
    acceptance = Acceptance()
    await asyncio.to_thread(rabbitmq.stop)

    async with consuming(broker, acceptance) as consumer:
        assert not consumer.figures.is_ready
        await asyncio.to_thread(rabbitmq.start)
        await until(lambda: consumer.figures.is_ready, within_s=40)
        async with Platform(broker) as platform:
            await platform.send("a command")
            await until(lambda: acceptance.bodies == ["a command"])


async def test_a_worker_can_be_stopped_while_the_broker_is_away(misled: Broker) -> None:
    """A release during an outage must not hang until it is killed."""
    async with consuming(misled, Acceptance()) as consumer:
        pass

    assert consumer.figures.connects == 0


async def test_a_frozen_broker_is_a_failure_and_never_a_silent_end(
    broker: Broker, rabbitmq: RabbitMQ, platform: Platform
) -> None:
    """The library ends waiters of a dead connection as if cancelled: a relay would stop without a word."""
    impatient = replace(broker, url=f"{broker.url}?heartbeat=1")  # given up after 6 s of silence

    async with publishing(impatient, publish_s=20.0) as publisher:
        await publisher.publish(event(1))
        async with frozen(rabbitmq):
            with pytest.raises(BrokerFailure) as caught:
                await publisher.publish(event(2))
        await publisher.publish(event(2))

    assert caught.value.code == "broker.lost"
    assert publisher.figures.connects == 2


async def test_a_publisher_leaves_a_connection_that_went_silent(
    broker: Broker, rabbitmq: RabbitMQ, platform: Platform
) -> None:
    """A cut cable shows only as silence: the next try takes a new way at once, not after the heartbeats."""
    async with publishing(broker) as publisher:
        await publisher.publish(event(1))
        async with frozen(rabbitmq):
            with pytest.raises(BrokerFailure) as caught:
                await publisher.publish(event(2))
        await publisher.publish(event(2))

    assert caught.value.code == "broker.timed_out"
    assert publisher.figures.connects == 2
