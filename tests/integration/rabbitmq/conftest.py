"""One private broker a session; every test has a name prefix, and so queues, of its own."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from tests.integration.rabbitmq.broker import RabbitMQ
from tests.integration.rabbitmq.neighbours import Platform
from worker.adapters.rabbitmq.topology import Broker, Topology


PREFIXES = count(1)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Give a running broker; about 10 s to start."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.end()


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ) -> str:
    """Give the private broker's URL, for tests that choose their own names."""
    return rabbitmq.url


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Broker:
    """Give the private broker with a fresh name prefix."""
    return Broker(rabbitmq.url, Topology(f"t{next(PREFIXES)}"))


@pytest.fixture
async def platform(broker: Broker) -> AsyncIterator[Platform]:
    """Give the other side: whoever sends commands and binds to events."""
    async with Platform(broker) as other_side:
        yield other_side
