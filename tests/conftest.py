"""What every test may ask for: where the servers are, a database of its own, a broker prefix of its own."""

import asyncio
import os
import secrets
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import asyncpg
import hypothesis
import pytest

from tests.servers.certs import Authority
from tests.servers.daemon import PROJECT
from tests.stack.plan import HOME
from tests.stack.stack import Stack
from worker.adapters.rabbitmq.topology import Topology


# how fast a busy machine makes up an example, or plays it, says nothing about the code
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

pytest_plugins = ["tests.proofs.plugin"]

PROGRAM = PROJECT / ".venv" / "bin" / "rollcall"
CONNECT_S = 10
DROP_S = 30
PREFIX = "t-"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers of this run are: what ``make stack`` wrote, or the caller's own."""

    environment: Mapping[str, str]

    @property
    def amqp_url(self) -> str:
        """The broker."""
        return self["ROLLCALL_AMQP_URL"]

    @property
    def database_url(self) -> str:
        """A database whose role may create others."""
        return self["ROLLCALL_DATABASE_URL"]

    def __getitem__(self, name: str) -> str:
        """A setting such as STACK_LDAPS_URI; a test that needs what this run has not is skipped."""
        if name not in self.environment:
            pytest.skip(f"{name} is not set: this run has no such server")
        return self.environment[name]


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The environment decides; without it, a running private stack is used."""
    written = HOME / "env"
    named = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("ROLLCALL_", "STACK_"))
    }
    if "ROLLCALL_AMQP_URL" not in named and written.exists():
        named |= _exports(written.read_text(encoding="utf-8"))
    if "ROLLCALL_AMQP_URL" not in named:
        pytest.fail("no servers: run make test, or make stack before pytest", pytrace=False)
    return Servers(named)


@pytest.fixture(scope="session")
def stack(servers: Servers) -> Stack:
    """The private stack itself, for tests that stop, kill and restart its servers.

    Whoever takes one down brings it up again before the test ends.
    """
    found = Stack.load()
    if found is None or found.environment()["ROLLCALL_AMQP_URL"] != servers.amqp_url:
        pytest.skip("these servers are not ours to stop")
    return found


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for the servers that tests start themselves."""
    return Authority.create(tmp_path_factory.mktemp("authority"))


def migrate(dsn: str) -> None:
    """Bring an empty database to the schema of this checkout, as an operator would."""
    environment = {**os.environ, "ROLLCALL_DATABASE_URL": dsn}
    done = subprocess.run(
        [PROGRAM, "migrate"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def database_template(servers: Servers) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to."""
    name = f"rollcall_template_{secrets.token_hex(4)}"
    asyncio.run(_execute(servers.database_url, f"CREATE DATABASE {name}"))
    try:
        migrate(in_database(servers.database_url, name))
        yield name
    finally:
        asyncio.run(drop_database(servers.database_url, name))


@pytest.fixture
async def database(servers: Servers, database_template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database; 30 ms to 60 ms, gone after the test."""
    name = f"rollcall_test_{secrets.token_hex(6)}"
    async with _connection(servers.database_url) as connection:
        # copying files beats copying through the log as long as the template is small
        await connection.execute(
            f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy"
        )
        yield in_database(servers.database_url, name)
    await drop_database(servers.database_url, name)


@pytest.fixture
async def amqp_prefix(servers: Servers) -> AsyncIterator[str]:
    """Stands for ``rollcall`` in all names at the broker: set it as ROLLCALL_AMQP_PREFIX.

    What the worker declares under it is deleted after the test. Name what else a test declares
    after it too, and make it exclusive.
    """
    prefix = f"{PREFIX}{secrets.token_hex(6)}"
    yield prefix
    async with asyncio.timeout(CONNECT_S), await aio_pika.connect(servers.amqp_url) as connection:
        channel = await connection.channel()
        for queue in Topology(prefix).queues:
            await channel.queue_delete(queue.name)
        for exchange in Topology(prefix).exchanges:
            await channel.exchange_delete(exchange)


def in_database(url: str, name: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def drop_database(url: str, name: str) -> None:
    """Drop a database of a test, whoever is still connected."""
    async with asyncio.timeout(DROP_S), _connection(url) as connection:
        while not await _is_dropped(connection, name):
            pass  # the server itself waits some seconds for others to go before it says no


async def _is_dropped(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> bool:
    try:
        # ends an autovacuum by itself, which FORCE may not: that is a superuser's process
        await connection.execute(f"DROP DATABASE {name}")
    except asyncpg.ObjectInUseError:
        try:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        except asyncpg.InsufficientPrivilegeError:
            return False
    return True


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url, timeout=CONNECT_S)
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_S)


async def _execute(url: str, statement: str) -> None:
    async with _connection(url) as connection:
        await connection.execute(statement)


def _exports(text: str) -> dict[str, str]:
    """What a file of ``export NAME=value`` lines says."""
    words = [word for word in shlex.split(text) if word != "export"]
    return dict(word.split("=", 1) for word in words)
