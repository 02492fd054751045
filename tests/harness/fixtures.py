"""Fixtures that acceptance and chaos share; each conftest names those it wants."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from tests.conftest import PREFIX, Servers, drop_database, in_database
from tests.harness.customer import Customer
from tests.harness.lab import Lab, open_lab
from tests.harness.platform import Platform
from tests.harness.store import Store
from tests.harness.worker import RUN, Worker, settings
from tests.servers.certs import Authority
from worker.adapters.rabbitmq.topology import Topology


WITHIN_S = 20


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Lab]:
    """Give a directory server on which every test has a branch of its own."""
    with open_lab(tmp_path_factory.mktemp("lab"), authority) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_environment(servers: Servers, database_template: str) -> Iterator[dict[str, str]]:
    """Give the settings of workers on a database and names at the broker that last for the session."""
    name, prefix = f"rollcall_shared_{secrets.token_hex(4)}", f"{PREFIX}{secrets.token_hex(6)}"
    make = f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy"
    asyncio.run(_execute(servers.database_url, make))
    yield settings(
        amqp_url=servers.amqp_url,
        database_url=in_database(servers.database_url, name),
        prefix=prefix,
    )
    asyncio.run(_sweep(servers.amqp_url, prefix))
    asyncio.run(drop_database(servers.database_url, name))


@pytest.fixture(scope="session")
def house(
    shared_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """Give a worker that runs for the whole session; each test has a tenant of its own there."""
    with Worker("house", tmp_path_factory.mktemp("house"), shared_environment) as running:
        yield running


@pytest.fixture
def environment(servers: Servers, database: str, amqp_prefix: str) -> dict[str, str]:
    """Give the settings of a test's own workers, on its own database and names at the broker."""
    return settings(amqp_url=servers.amqp_url, database_url=database, prefix=amqp_prefix)


class Hire:
    """Makes workers of a test's own, on one database and one set of names at the broker."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.hired: list[Worker] = []
        self._directory = directory
        self._environment = environment

    def __call__(
        self, name: str = "worker", *, command: Sequence[str] = RUN, **settings: object
    ) -> Worker:
        """Make one, not started; ``settings`` change what the environment says."""
        more = {f"ROLLCALL_{key.upper()}": str(value) for key, value in settings.items()}
        self.hired.append(Worker(name, self._directory, self._environment | more, command))
        return self.hired[-1]


@pytest.fixture
def hire(environment: dict[str, str], tmp_path: Path) -> Iterator[Hire]:
    """Give a way to make workers; those still running are killed after the test."""
    hire = Hire(tmp_path, environment)
    yield hire
    for worker in hire.hired:
        worker.kill()


@pytest.fixture
async def platform(environment: dict[str, str]) -> AsyncIterator[Platform]:
    """Give the other side of a test's own workers."""
    url, prefix = environment["ROLLCALL_AMQP_URL"], environment["ROLLCALL_AMQP_PREFIX"]
    async with Platform(url, prefix) as other_side:
        yield other_side


@pytest.fixture
def customer(platform: Platform, environment: dict[str, str], lab: Lab) -> Customer:
    """Give a customer of the test's own workers."""
    return Customer(platform, Store(environment["ROLLCALL_DATABASE_URL"]), lab.branch())


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=WITHIN_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=WITHIN_S)


async def _sweep(url: str, prefix: str) -> None:
    async with asyncio.timeout(WITHIN_S), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        topology = Topology(prefix)
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange)
