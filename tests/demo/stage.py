"""What the demo plays on: a database, names at the broker and a directory server of its own, and a worker process."""

import os
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aio_pika
import asyncpg

from tests.conftest import PROGRAM, drop_database, in_database
from tests.demo.directories import lab
from tests.harness.platform import Platform
from tests.harness.store import Store
from tests.harness.worker import Worker
from tests.servers.slapd import Slapd
from tests.stack import leftovers
from tests.stack.session import OWN_SERVERS
from worker.adapters.rabbitmq.topology import Topology
from worker.adapters.secrets import generate_key


WITHIN_S = 20
MARK = "DEMO_RUN"


@dataclass(frozen=True, slots=True)
class Stage:
    """All that is there once the worker is ready."""

    platform: Platform
    store: Store
    slapd: Slapd
    worker: Worker
    applied: str
    """What ``rollcall migrate`` said."""


@dataclass(frozen=True, slots=True)
class Names:
    """What this run calls its own, so that it can be found and cleared away."""

    home: Path
    database: str
    database_url: str
    server_url: str
    amqp_url: str
    prefix: str
    mark: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)
    """The worker's settings: this and nothing else."""

    @property
    def worker(self) -> Worker:
        """The worker, running or not."""
        return Worker("worker", self.home, self.environment)


@contextmanager
def named() -> Iterator[Names]:
    """Choose the names; the folder goes with the run."""
    word = f"demo_{secrets.token_hex(4)}"
    amqp_url, server_url = (os.environ[name] for name in OWN_SERVERS)
    database_url = in_database(server_url, f"rollcall_{word}")
    mark = {MARK: secrets.token_hex(16)}
    settings = {
        "ROLLCALL_AMQP_URL": amqp_url,
        "ROLLCALL_AMQP_PREFIX": word,
        "ROLLCALL_DATABASE_URL": database_url,
        "ROLLCALL_KEYS": generate_key(),
        "ROLLCALL_ALLOW_NETWORKS": "127.0.0.0/8,::1/128",
        "ROLLCALL_HEALTH_PORT": "0",
    }
    with tempfile.TemporaryDirectory(prefix="rollcall-demo-") as home:
        yield Names(
            home=Path(home),
            database=f"rollcall_{word}",
            database_url=database_url,
            server_url=server_url,
            amqp_url=amqp_url,
            prefix=word,
            mark=mark,
            environment=settings | mark,
        )


@asynccontextmanager
async def built(names: Names) -> AsyncIterator[Stage]:
    """Set everything up; clears it away again whatever happens."""
    async with AsyncExitStack() as stack:
        await execute(names.server_url, f"CREATE DATABASE {names.database}")
        stack.push_async_callback(drop_database, names.server_url, names.database)
        applied = migrated(names.environment)
        stack.push_async_callback(sweep, names)
        slapd = stack.enter_context(lab(names.home / "directory", mark=names.mark))
        worker = stack.enter_context(names.worker)
        platform = await stack.enter_async_context(Platform(names.amqp_url, names.prefix))
        yield Stage(platform, Store(names.database_url), slapd, worker, applied)


def migrated(environment: Mapping[str, str]) -> str:
    """Run ``rollcall migrate`` as an operator would; gives its last line."""
    done = subprocess.run(
        [PROGRAM, "migrate"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=WITHIN_S,
    )
    return done.stdout.strip().splitlines()[-1]


async def execute(url: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(url, timeout=WITHIN_S, command_timeout=WITHIN_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=WITHIN_S)


async def sweep(names: Names) -> None:
    """Delete what the worker declared at the broker."""
    async with at_broker(names) as channel:
        for queue in Topology(names.prefix).queues:
            await channel.queue_delete(queue.name)
        for exchange in Topology(names.prefix).exchanges:
            await channel.exchange_delete(exchange)


@asynccontextmanager
async def at_broker(names: Names) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel of its own."""
    async with await aio_pika.connect(names.amqp_url, timeout=WITHIN_S) as connection:
        yield await connection.channel()


async def left_behind(names: Names) -> list[str]:
    """What is still there of a run that is over: processes, the database, queues."""
    found = [leftovers.describe(pid) for pid in leftovers.marked(MARK, names.mark[MARK])]
    server = Store(names.server_url)
    if await server.rows("SELECT FROM pg_database WHERE datname = $1", names.database):
        found.append(f"database {names.database}")
    queues = [queue.name for queue in Topology(names.prefix).queues]
    return [*found, *[f"queue {queue}" for queue in queues if await has_queue(names, queue)]]


async def has_queue(names: Names, queue: str) -> bool:
    """Whether the broker knows a queue."""
    async with at_broker(names) as channel:
        try:
            await channel.declare_queue(queue, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
    return True
