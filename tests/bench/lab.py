"""Where the benchmark happens: a fresh database, names of its own at the broker, worker processes, and a judge."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import asyncpg

from tests.bench import people
from tests.bench.directories import Directory
from tests.bench.platform import Outcome, Platform, UnexpectedError
from tests.conftest import drop_database, in_database, migrate
from tests.harness.worker import Worker, settings
from worker.adapters.rabbitmq.topology import Topology
from worker.domain.model import Limits


WITHIN_S = 60.0
LISTS_DIFFER = """
SELECT (SELECT count(*) FROM reference.address WHERE tenant_id = $2) AS wanted,
    (SELECT count(*) FROM api.recipient WHERE tenant = $1 AND state = 'valid') AS found,
    (SELECT count(*) FROM (SELECT address FROM reference.address WHERE tenant_id = $2
        EXCEPT SELECT address FROM api.recipient WHERE tenant = $1 AND state = 'valid') AS missing) AS missing,
    (SELECT count(*) FROM reference.history WHERE tenant_id = $2) AS history_wanted,
    (SELECT count(*) FROM api.history WHERE tenant = $1) AS history_found
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """The servers as this run of the benchmark uses them."""

    amqp_url: str
    database_url: str
    prefix: str
    folder: Path

    @property
    def database(self) -> str:
        """Its name."""
        return urlsplit(self.database_url).path.removeprefix("/")

    @contextmanager
    def worker(self, name: str) -> Iterator[Worker]:
        """Run a worker with the settings that an operator gets without asking, but for loopback."""
        environment = settings(
            amqp_url=self.amqp_url,
            database_url=self.database_url,
            prefix=self.prefix,
            lease_s=60,
            renew_s=20,
            page_size=Limits().page_size,
            log_level="info",
        )
        with Worker(name, self.folder, environment) as running:
            yield running

    async def check(self, tenant: str, number: int) -> None:
        """Compare the worker's list with the reference's. Raises UnexpectedError when they differ."""
        connection = await asyncpg.connect(self.database_url, timeout=WITHIN_S)
        try:
            found = await connection.fetchrow(LISTS_DIFFER, tenant, number)
        finally:
            await connection.close()
        if found is None or found["wanted"] == 0:
            raise UnexpectedError("the reference found nothing")
        is_equal = found["wanted"] == found["found"] and found["missing"] == 0
        if not is_equal or found["history_wanted"] != found["history_found"]:
            raise UnexpectedError(f"worker and reference differ: {dict(found)}")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Lab]:
    """Make a migrated database and names at the broker; both are gone afterwards."""
    amqp_url, server_url = os.environ["ROLLCALL_AMQP_URL"], os.environ["ROLLCALL_DATABASE_URL"]
    name, prefix = f"rollcall_bench_{secrets.token_hex(4)}", f"t-{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server_url, timeout=WITHIN_S)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    lab = Lab(amqp_url, in_database(server_url, name), prefix, folder)
    try:
        await asyncio.to_thread(migrate, lab.database_url)
        yield lab
    finally:
        await drop_database(server_url, name)
        await sweep_broker(amqp_url, prefix)


async def sweep_broker(url: str, prefix: str) -> None:
    """Delete what workers declared under a prefix."""
    async with asyncio.timeout(WITHIN_S), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        topology = Topology(prefix)
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange)


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant with one directory, under the same number in the reference."""

    platform: Platform
    number: int

    @property
    def tenant(self) -> str:
        """Its name."""
        return f"bench-{self.number}"

    async def join(self) -> None:
        """Become a customer."""
        domains = [{"name": name} for name in people.DOMAINS]
        told = {"plan": "standard", "domains": domains}
        await self.platform.ask("tenant.save", self.tenant, told, want="tenant.saved")

    async def first_sync(self, directory: Directory, *, encrypted: bool = False) -> Outcome:
        """Save the form and sync."""
        form = directory.form(encrypted=encrypted)
        return await self.platform.ask("directory.save", self.tenant, form, want="sync.completed")

    async def sync(self) -> Outcome:
        """Ask for a sync."""
        told = {"directory": "hq"}
        return await self.platform.ask("sync.request", self.tenant, told, want="sync.completed")

    async def leave(self) -> None:
        """Stop being a customer, which frees the domains for the next one; the rows stay for 30 days."""
        await self.platform.ask("tenant.delete", self.tenant, {}, want="tenant.deleted")
