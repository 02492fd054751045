"""What is declared, and where each command goes."""

from dataclasses import replace

import pytest
from aio_pika.exceptions import PublishError

from tests.integration.rabbitmq.neighbours import Platform
from worker.adapters.rabbitmq.connection import connected
from worker.adapters.rabbitmq.topology import DELIVERY_LIMIT, Broker, declare
from worker.domain.failures import BrokerFailure


pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

COMMANDS = (
    "tenant.save",
    "tenant.delete",
    "directory.save",
    "directory.test",
    "sync.request",
    "sync.cancel",
    "hold.approve",
    "run.undo",
    "recipient.add",
    "recipients.republish",
)


async def refused(broker: Broker) -> BrokerFailure:
    """Declare, and give the refusal."""
    async with connected(broker, name="test") as connection:
        with pytest.raises(BrokerFailure) as caught:
            await declare(connection, broker)
    return caught.value


async def test_each_command_reaches_the_queue_of_commands(platform: Platform) -> None:
    """A command that finds no queue is a customer's click without any effect."""
    for key in COMMANDS:
        await platform.send(key, key=key)

    taken = [(await platform.take(platform.topology.commands)).body.decode() for _ in COMMANDS]

    assert tuple(taken) == COMMANDS
    assert await platform.depth(platform.topology.scheduled) == 0


async def test_scheduled_requests_have_a_queue_of_their_own(platform: Platform) -> None:
    """A person who presses Sync must not wait behind a night's triggers."""
    await platform.send("nightly", key="sync.request.scheduled")

    assert (await platform.take(platform.topology.scheduled)).body == b"nightly"
    assert await platform.depth(platform.topology.commands) == 0


async def test_a_key_that_is_no_command_is_given_back_to_its_sender(platform: Platform) -> None:
    """A misspelt key must be noticed by who sent it, not vanish."""
    with pytest.raises(PublishError):
        await platform.send("?", key="sync.request.shceduled")


async def test_declaring_twice_changes_nothing(broker: Broker, platform: Platform) -> None:
    """Every worker declares at every start, beside workers that are busy."""
    await platform.send("kept")

    async with connected(broker, name="test") as connection:
        await declare(connection, broker)

    assert (await platform.take(platform.topology.commands)).body == b"kept"


async def test_a_queue_with_other_arguments_is_refused_by_name(broker: Broker) -> None:
    """Whoever upgrades must be told which queue is in the way and what to do, not "406"."""
    async with connected(broker, name="test") as connection, connection.channel() as channel:
        await channel.declare_queue(broker.topology.scheduled, durable=True)

    failure = await refused(broker)

    assert failure.code == "broker.differs"
    assert failure.detail.startswith(
        f"queue {broker.topology.scheduled} exists with other arguments"
    )
    assert "delete it" in failure.detail


async def test_an_exchange_of_another_type_is_refused_by_name(broker: Broker) -> None:
    """The same for an exchange somebody made by hand."""
    async with connected(broker, name="test") as connection, connection.channel() as channel:
        await channel.declare_exchange(broker.topology.events, "fanout", durable=True)

    failure = await refused(broker)

    assert failure.code == "broker.differs"
    assert failure.detail.startswith(f"exchange {broker.topology.events} exists")


async def test_a_passive_worker_creates_nothing(broker: Broker) -> None:
    """Where operators own the topology, a missing queue is their news, not ours to make."""
    passive = replace(broker, passive=True)

    failure = await refused(passive)
    async with connected(broker, name="test") as connection:
        await declare(connection, broker)
        await declare(connection, passive)

    assert failure.code == "broker.not_found"
    assert f"exchange {broker.topology.commands} does not exist" in failure.detail


async def test_a_message_nobody_can_store_ends_among_the_undeliverable(platform: Platform) -> None:
    """One message that breaks acceptance must neither loop for ever nor be lost."""
    await platform.send("poison")
    source = platform.topology.commands

    for _ in range(DELIVERY_LIMIT + 1):
        await platform.hand_back(source)
    dead = await platform.take(platform.topology.undeliverable)

    assert dead.body == b"poison"
    assert dead.headers["x-first-death-reason"] == "delivery_limit"
    assert await platform.depth(source) == 0


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:s3cr3t/x@127.0.0.1:notaport/",
        "amqp://guest:s3cr3t@127.0.0.1:1/",
        "redis://guest:s3cr3t@127.0.0.1/",
    ],
)
async def test_no_error_repeats_the_password_of_the_url(url: str) -> None:
    """Errors are logged, shown and mailed."""
    with pytest.raises(BrokerFailure) as caught:
        async with connected(Broker(url), name="test"):
            pass

    told: BaseException | None = caught.value
    while told is not None:
        assert "s3cr3t" not in repr(told) + str(told)
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    assert "s3cr3t" not in repr(Broker(url))


async def test_a_wrong_password_is_told_apart(misled: Broker) -> None:
    """Waiting does not mend a wrong password, so its code is not that of an outage."""
    with pytest.raises(BrokerFailure) as caught:
        async with connected(misled, name="test"):
            pass

    assert caught.value.code == "broker.sign_in_refused"
