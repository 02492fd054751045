"""The intake on a healthy broker: batches, acks, order, and what becomes of what cannot be stored."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import aio_pika
import pytest
from pamqp.commands import Basic
from typing_extensions import override

from tests.integration.rabbitmq.neighbours import QUICK, Acceptance, Platform, consuming, until
from worker.adapters.rabbitmq.connection import Backoff
from worker.adapters.rabbitmq.consumer import Consumer, IntakeLimits
from worker.adapters.rabbitmq.topology import Broker
from worker.ports.broker import Delivery


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

MANY = tuple(f"command {number}" for number in range(500))


async def test_a_command_is_acked_once_it_is_durable(broker: Broker, platform: Platform) -> None:
    """Nothing is acked that a crash could still lose, and nothing stored is handed over again."""
    acceptance = Acceptance()
    acceptance.open.clear()

    async with consuming(broker, acceptance) as consumer:
        await platform.send("a command")
        await until(lambda: acceptance.attempts == 1)
        assert consumer.figures.accepted == 0
        acceptance.open.set()
        await until(lambda: consumer.figures.accepted == 1)

    assert acceptance.bodies == ["a command"]
    assert await platform.depth(broker.topology.commands) == 0


async def test_many_commands_become_few_batches_in_order(
    broker: Broker, platform: Platform
) -> None:
    """One commit per command would cost the platform its night; another order, a tenant's newest settings."""
    await platform.send(*MANY)
    acceptance = Acceptance()
    # a batch waits longer for more than in earnest, so that a busy machine's pauses do not end it
    patient = IntakeLimits(backoff=QUICK, linger_s=0.5)

    async with consuming(broker, acceptance, patient):
        await until(lambda: len(acceptance.bodies) >= len(MANY))

    assert acceptance.bodies == list(MANY)
    assert len(acceptance.batches) < 20


async def test_a_delivery_carries_what_the_sender_wished(
    broker: Broker, platform: Platform
) -> None:
    """The answer must find its way back, and the trace must not break at our door."""
    acceptance = Acceptance()
    sent = aio_pika.Message(
        b"{}",
        reply_to="ui.replies",
        correlation_id="17",
        headers={"traceparent": bytearray(b"00-ab-cd-01")},
    )

    async with consuming(broker, acceptance):
        await platform.send("", message=sent)
        await until(lambda: len(acceptance.bodies) == 1)

    assert acceptance.deliveries == [
        Delivery(b"{}", reply_to="ui.replies", correlation_id="17", traceparent="00-ab-cd-01")
    ]


async def test_odd_properties_do_not_hide_a_command(broker: Broker, platform: Platform) -> None:
    """A careless sender's command is judged by its body, like any other."""
    acceptance = Acceptance()
    odd = Basic.Properties(headers={"traceparent": 7}, correlation_id="17")

    async with consuming(broker, acceptance):
        await platform.send_odd("a command", odd)
        await until(lambda: len(acceptance.bodies) == 1)

    assert acceptance.deliveries == [Delivery(b"a command", correlation_id="17")]


async def test_a_command_that_cannot_be_read_takes_no_other_with_it(
    broker: Broker, platform: Platform
) -> None:
    """The library drops the connection over a timestamp in nanoseconds; only that message may pay for it."""
    acceptance = Acceptance()
    poison = Basic.Properties(timestamp=Nanoseconds(2030, 1, 1, tzinfo=UTC))
    await platform.send(*MANY[:5])
    await platform.send_odd("unreadable", poison)
    await platform.send(*MANY[5:20])
    limits = IntakeLimits(backoff=Backoff(first_s=0.02, most_s=0.1))

    async with consuming(broker, acceptance, limits) as consumer:
        await platform.filled(broker.topology.undeliverable, 1)
        await until(lambda: set(acceptance.bodies) == set(MANY[:20]))
        await until(lambda: consumer.figures.is_ready)

    assert await platform.depth(broker.topology.undeliverable) == 1


class Nanoseconds(datetime):
    """A time that goes out in nanoseconds, as careless senders do; AMQP wants seconds."""

    @override
    def timestamp(self) -> float:
        return super().timestamp() * 1e9


async def test_an_oversized_command_reaches_acceptance(broker: Broker, platform: Platform) -> None:
    """Only acceptance can answer that it was too large; the broker would say nothing."""
    acceptance = Acceptance()
    oversized = "x" * (256 * 1024 + 1)

    async with consuming(broker, acceptance):
        await platform.send(oversized)
        await until(lambda: acceptance.bodies == [oversized])


async def test_no_more_than_the_prefetch_is_held(broker: Broker, platform: Platform) -> None:
    """What one worker holds, no other can take; and its memory is bounded by this number."""
    await platform.send(*MANY[:30])
    acceptance = Acceptance()
    acceptance.open.clear()
    limits = IntakeLimits(prefetch_commands=8, batch_count=4, backoff=QUICK)

    async with consuming(broker, acceptance, limits):
        await until(lambda: acceptance.attempts == 1)
        waiting = await platform.depth(broker.topology.commands)
        acceptance.open.set()
        await until(lambda: len(acceptance.bodies) == 30)

    assert waiting == 22
    assert all(len(batch) <= 4 for batch in acceptance.batches)


async def test_a_busy_schedule_does_not_hold_a_person_up(
    broker: Broker, platform: Platform
) -> None:
    """Each queue has its own channel and its own batches."""
    acceptance = Acceptance()
    limits = IntakeLimits(prefetch_scheduled=1, backoff=QUICK)
    acceptance.open.clear()

    async with consuming(broker, acceptance, limits):
        await platform.send(*MANY[:20], key="sync.request.scheduled")
        await until(lambda: acceptance.attempts == 1)
        await platform.send("a person")
        await until(lambda: acceptance.attempts == 2)
        acceptance.open.set()
        await until(lambda: len(acceptance.bodies) == 21)

    assert acceptance.bodies.index("a person") <= 1


async def test_while_the_store_is_away_deliveries_are_kept_and_tried_again(
    broker: Broker, platform: Platform
) -> None:
    """A database restart costs a customer seconds of waiting, and no command."""
    acceptance = Acceptance()

    async with consuming(broker, acceptance) as consumer:
        await until(lambda: consumer.figures.is_ready)
        acceptance.is_away = True
        await platform.send("a command")
        await until(lambda: acceptance.attempts >= 3)
        acceptance.is_away = False
        await until(lambda: acceptance.bodies == ["a command"])

    assert not acceptance.deliveries[0].redelivered


async def test_a_store_that_stays_away_gets_no_further_deliveries(
    broker: Broker, platform: Platform
) -> None:
    """A night without a database must not use up the delivery limit of whole queues."""
    acceptance = Acceptance()
    limits = IntakeLimits(hold_s=0.2, backoff=QUICK)

    async with consuming(broker, acceptance, limits) as consumer:
        await until(lambda: consumer.figures.is_ready)
        acceptance.is_away = True
        await platform.send("a command")
        await until(lambda: acceptance.attempts >= 1 and consumer.figures.consuming == 1)
        depth = await platform.depth(broker.topology.commands)
        attempts = acceptance.attempts
        acceptance.is_away = False
        await until(lambda: acceptance.bodies == ["a command"])

    assert depth == 1
    assert acceptance.attempts == attempts + 1
    assert acceptance.deliveries[0].redelivered


async def test_nothing_is_taken_before_the_store_answers(
    broker: Broker, platform: Platform
) -> None:
    """A worker that starts before its database waits, and leaves commands to those who can store them."""
    acceptance = Acceptance()
    acceptance.is_away = True
    await platform.send("a command")

    async with consuming(broker, acceptance) as consumer:
        await until(lambda: consumer.figures.connects == 1)
        waiting = await platform.depth(broker.topology.commands)
        acceptance.is_away = False
        await until(lambda: acceptance.bodies == ["a command"])

    assert waiting == 1
    assert not acceptance.deliveries[0].redelivered


async def test_a_slow_store_counts_as_away(broker: Broker, platform: Platform) -> None:
    """A hanging commit must end in a retry, not in an intake that hangs with it."""
    acceptance = Acceptance()
    acceptance.open.clear()
    limits = IntakeLimits(accept_s=0.1, backoff=QUICK)

    async with consuming(broker, acceptance, limits):
        await platform.send("a command")
        await until(lambda: acceptance.attempts >= 2)
        acceptance.open.set()
        await until(lambda: acceptance.bodies == ["a command"])


async def test_the_one_command_acceptance_breaks_on_harms_no_other(
    broker: Broker, platform: Platform
) -> None:
    """A bug met by one tenant's message must not stop everybody's, nor lose that one."""
    acceptance = Acceptance()
    acceptance.poison = "command 7"
    await platform.send(*MANY[:20])

    async with consuming(broker, acceptance) as consumer:
        dead = await platform.take(broker.topology.undeliverable)
        await until(lambda: len(acceptance.bodies) == 19)

    assert dead.body == b"command 7"
    assert acceptance.bodies == [body for body in MANY[:20] if body != "command 7"]
    assert consumer.figures.returned == 21


async def test_cancelled_consumption_leaves_the_command_to_the_next_worker(
    broker: Broker, platform: Platform
) -> None:
    """A worker killed between delivery and commit has lost nothing."""
    first, second = Acceptance(), Acceptance()
    first.open.clear()
    await platform.send(*MANY[:10])
    consumer = Consumer(broker, first.ports)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await until(lambda: first.attempts == 1)
        running.cancel()
    async with consuming(broker, second):
        await until(lambda: len(second.bodies) == 10)

    assert first.bodies == []
    assert second.bodies == list(MANY[:10])
    assert all(delivery.redelivered for delivery in second.deliveries)
    assert await platform.depth(broker.topology.undeliverable) == 0


async def test_stopping_finishes_what_was_delivered(broker: Broker, platform: Platform) -> None:
    """A release must not make the next worker do again what this one held, nor leave anything out."""
    acceptance, next_worker = Acceptance(), Acceptance()
    acceptance.open.clear()
    await platform.send(*MANY)
    limits = IntakeLimits(prefetch_commands=20, batch_count=10, backoff=QUICK)
    consumer = Consumer(broker, acceptance.ports, limits=limits)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        await until(lambda: acceptance.attempts == 1)
        await platform.emptied(broker.topology.commands, but=len(MANY) - 20)
        stopping = tasks.create_task(consumer.stop())
        await asyncio.sleep(0)
        acceptance.open.set()
        await stopping
    async with consuming(broker, next_worker):
        await until(lambda: len(acceptance.bodies) + len(next_worker.bodies) >= len(MANY))

    # of a queue that was asked to send no more some may still come, with each batch that is acked meanwhile
    assert 20 <= len(acceptance.bodies) < len(MANY)
    assert acceptance.bodies + next_worker.bodies == list(MANY)


async def test_throughput_of_the_intake(
    broker: Broker, platform: Platform, record_property: Callable[[str, object], None]
) -> None:
    """Shown, not judged: what one worker takes off the broker when storing costs nothing."""
    total = 4_000
    await platform.fill(total)
    acceptance = Acceptance()
    clock = asyncio.get_running_loop()

    started_at = clock.time()
    async with consuming(broker, acceptance):
        await until(lambda: len(acceptance.bodies) >= total, within_s=60)
        seconds = clock.time() - started_at

    rate = round(total / seconds)
    record_property("commands_per_second", rate)
    print(f"\nintake: {rate} commands/s in {len(acceptance.batches)} batches")  # noqa: T201 - the figure is the point
