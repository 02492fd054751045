"""The roles of the deployment: one that works, one that reads; both are less than the owner."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.conftest import Servers, drop_database, in_database, migrate
from tests.harness.backup import restored
from tests.harness.customer import Customer
from tests.harness.lab import Lab
from tests.harness.platform import Platform
from tests.harness.store import Store
from tests.harness.worker import Worker, settings


WITHIN_S = 10
GROUPS = ("rollcall_run", "rollcall_read")


@dataclass(frozen=True, slots=True)
class Roles:
    """A migrated database, as each of its users reaches it."""

    worker_url: str
    reader_url: str


@pytest.fixture
async def roles(servers: Servers) -> AsyncIterator[Roles]:
    """Give a database whose owner migrated it, and a login in each of the two groups."""
    admin, word = servers["STACK_DATABASE_ADMIN_URL"], secrets.token_hex(4)
    database, password = f"rollcall_test_{word}", secrets.token_hex(12)
    logins = [f"{group}_{word}" for group in GROUPS]
    async with connected(admin) as connection:
        for group, login in zip(GROUPS, logins, strict=True):
            if not await connection.fetch("SELECT FROM pg_roles WHERE rolname = $1", group):
                await connection.execute(f"CREATE ROLE {group} NOLOGIN")
            await connection.execute(
                f"CREATE ROLE {login} LOGIN PASSWORD '{password}' IN ROLE {group}"
            )
        await connection.execute(f"CREATE DATABASE {database} OWNER rollcall")
    try:
        migrate(in_database(servers.database_url, database))
        yield Roles(*(as_role(servers.database_url, database, login, password) for login in logins))
    finally:
        await drop_database(admin, database)
        async with connected(admin) as connection:
            for login in logins:
                await connection.execute(f"DROP ROLE {login}")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection for as long as the block lasts."""
    connection = await asyncpg.connect(url, timeout=WITHIN_S)
    try:
        yield connection
    finally:
        await connection.close(timeout=WITHIN_S)


def as_role(url: str, database: str, login: str, password: str) -> str:
    """The same server, as another login."""
    parts = urlsplit(in_database(url, database))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login}:{password}@{host}"))


@pytest.mark.timeout(60)
async def test_a_worker_needs_no_more_than_the_rights_of_its_role(
    roles: Roles, servers: Servers, amqp_prefix: str, lab: Lab, tmp_path: Path
) -> None:
    """A worker that is taken over can change no table and read nobody's database but its own."""
    environment = settings(
        amqp_url=servers.amqp_url, database_url=roles.worker_url, prefix=amqp_prefix
    )
    branch, reader = lab.branch(), Store(roles.reader_url)
    branch.add("ada", "bob")
    with Worker("worker", tmp_path, environment) as worker:
        async with Platform(servers.amqp_url, amqp_prefix) as platform:
            customer = Customer(platform, reader, branch)
            await customer.join()
            await customer.save()
            branch.remove("bob")
            await customer.sync()
            await customer.send("directory.delete", {"directory": "hq"})
            await platform.event("directory.deleted")
        worker.terminate()
    restored(environment)

    assert (await customer.recipients()).keys() == branch.addresses("ada", "bob").keys()
    assert not [line for line in worker.lines() if line.get("level") in {"warning", "error"}]


async def test_the_mail_filter_s_role_reads_the_api_and_nothing_else(roles: Roles) -> None:
    """A look-up service that is taken over learns no secret, not even a sealed one."""
    async with connected(roles.reader_url) as connection:
        state = await connection.fetchval("SELECT state FROM api.lookup('nobody@example.org')")

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT password_sealed FROM rollcall.directory_revision")

    assert state == "not_authoritative"
