"""One private broker a session, for restarts, freezes and alarms harm whoever shares it; names of its own for every test."""

import secrets
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from tests.integration.rabbitmq.neighbours import Platform
from tests.servers.daemon import free_port
from tests.stack import leftovers
from tests.stack.plan import Plan, ports_are_free
from tests.stack.rabbitmq import RabbitMQ
from worker.adapters.rabbitmq.topology import Broker, Topology


PREFIXES = count(1)
PORT_TRIES = 50


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Give a running broker; 4 s to 10 s to start."""
    home = tmp_path_factory.mktemp("rabbitmq")
    plan = Plan(
        home=home,
        base_port=next(filter(ports_are_free, (free_port() for _ in range(PORT_TRIES)))),
        postgres_home=home,
        durable=False,
        broker_password=secrets.token_hex(12),
        database_password="",
        admin_password="",
        directory_password="",
    )
    server = RabbitMQ(plan)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        leftovers.end("STACK_OWNER", str(home))


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Broker:
    """Give the private broker with a fresh name prefix."""
    plan = rabbitmq.plan
    url = f"amqp://{plan.broker_user}:{plan.broker_password}@127.0.0.1:{plan.amqp_port}/"
    return Broker(url, Topology(f"t{next(PREFIXES)}"))


@pytest.fixture
def misled(broker: Broker, rabbitmq: RabbitMQ) -> Broker:
    """Give the private broker with a wrong password."""
    return Broker(broker.url.replace(rabbitmq.plan.broker_password, "s3cr3t"), broker.topology)


@pytest.fixture
async def platform(broker: Broker) -> AsyncIterator[Platform]:
    """Give the other side: whoever sends commands and binds to events."""
    async with Platform(broker) as other_side:
        yield other_side
