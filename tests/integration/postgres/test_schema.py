"""The schema and the statements: applied once, used to the last, readable by whom it is meant for and nobody else."""

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

import worker.adapters.postgres.pool as db
from tests.conftest import Servers, in_database
from tests.integration.postgres.house import TENANT, House, row, rows
from tests.integration.postgres.logins import asking
from worker.adapters.postgres.logins import MAKE
from worker.adapters.postgres.migrations import all_migrations, migrate, pending
from worker.adapters.postgres.pool import Pool, open_pool, queries
from worker.adapters.postgres.reports import PostgresReports
from worker.domain.failures import StoreFailure
from worker.domain.reasons import KeptRejects
from worker.ports.vault import Vault


ADAPTER = Path(db.__file__).parent


async def test_a_second_migration_does_nothing(database: str) -> None:
    """Every start of every replica migrates; only the first has work."""
    assert await pending(database) == []

    assert await migrate(database) == []


async def test_an_edited_migration_is_refused(database: str, own_pool: Pool) -> None:
    """A database that was made by another text is not what the code believes it is."""
    await own_pool.execute("UPDATE public.rollcall_migration SET digest = 'another'")

    with pytest.raises(StoreFailure, match="migrated_otherwise"):
        await migrate(database)


async def test_what_is_not_applied_is_pending(
    servers: Servers, database: str, own_pool: Pool
) -> None:
    """Readiness waits for it."""
    await own_pool.execute("DELETE FROM public.rollcall_migration")

    assert await pending(database) == [each.name for each in all_migrations()]
    assert await pending(servers.database_url) == await pending(database)


async def test_a_migration_that_fails_leaves_nothing(database: str, own_pool: Pool) -> None:
    """Half a schema would have to be mended by hand."""
    await own_pool.execute("DELETE FROM public.rollcall_migration")

    with pytest.raises(asyncpg.DuplicateSchemaError):
        await migrate(database)

    assert await own_pool.fetchval("SELECT count(*) FROM public.rollcall_migration") == 0


def used_names() -> set[str]:
    """Every word in quotes in the adapter's code: the names of its queries are among them."""
    return {
        word
        for path in ADAPTER.glob("*.py")
        for word in re.findall(r'"([a-z_]+)"', path.read_text(encoding="utf-8"))
    }


def called_names() -> set[str]:
    """Names that are given to the functions that run a query."""
    called = re.compile(r'db\.(?:rows|row|only|run)\(\s*[\w.]+,\s*"([a-z_]+)"')
    return {
        name
        for path in ADAPTER.glob("*.py")
        for name in called.findall(path.read_text(encoding="utf-8"))
    }


def test_every_query_is_used_and_every_one_used_exists() -> None:
    """Dead SQL is believed to matter; a missing one fails at night."""
    assert called_names() <= queries().keys()
    assert queries().keys() <= used_names()


def test_every_query_says_what_it_does() -> None:
    """One sentence each, before the statement."""
    for name, query in queries().items():
        assert query.sql.startswith("-- "), name


async def test_every_query_is_understood_by_the_server(house: House) -> None:
    """Also those that no test reaches."""
    async with house.pool.acquire() as connection:
        for name in (
            "make_stage",
            "make_diff",
            "make_touched",
            "make_undone",
            "make_rejected",
            *MAKE,
        ):
            await connection.execute(queries()[name].sql)
        for name, query in queries().items():
            try:
                await connection.prepare(query.sql)
            except asyncpg.PostgresError as exc:
                pytest.fail(f"{name}: {exc}")


async def test_a_wrong_argument_is_a_bug_and_not_an_outage(house: House) -> None:
    """What no waiting mends must not be waited for."""
    with pytest.raises(asyncpg.DataError):
        async with db.transaction(house.pool) as connection:
            await db.rows(connection, "domains_of_tenant", tenant_id="seven")


async def test_wrong_parameters_are_named(house: House) -> None:
    """A query and its call drift apart only in tests."""
    async with db.transaction(house.pool) as connection:
        with pytest.raises(db.WrongParametersError, match="domains_of_tenant"):
            await db.rows(connection, "domains_of_tenant", tenant=1)


# --- roles -------------------------------------------------------------------


@pytest.fixture
async def owned(servers: Servers) -> AsyncIterator[str]:
    """A database migrated by an owner who may make roles, as an operator would have it; its URL as administrator."""
    admin = servers["STACK_DATABASE_ADMIN_URL"]
    name = f"rollcall_roles_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(admin)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        url = in_database(admin, name)
        await migrate(url)
        yield url
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        # the server is shared by tests at the same time: who still needs the roles keeps them
        for role in ("rollcall_read", "rollcall_run"):
            try:
                await connection.execute(f"DROP ROLE {role}")
            except asyncpg.DependentObjectsStillExistError:
                continue
    finally:
        await connection.close()


async def test_the_reader_sees_the_api_and_nothing_else(owned: str) -> None:
    """The filter's own account must not be able to read a customer's settings."""
    connection = await asyncpg.connect(owned, server_settings={"role": "rollcall_read"})
    try:
        views = [
            each[0]
            for each in await connection.fetch(
                "SELECT viewname FROM pg_views WHERE schemaname = 'api'"
            )
        ]
        assert set(views) == {
            "recipient",
            "domain",
            "directory",
            "fleet",
            "readiness",
            "warning",
            "run",
            "history",
            "hold",
            "login",
            "login_address",
            "login_conflict",
            "login_history",
            "change",
            "parked",
        }
        for view in views:
            assert await connection.fetch(f"SELECT * FROM api.{view}") == []  # noqa: S608 - the server's own names
        assert (
            await connection.fetchval("SELECT state FROM api.lookup('jo@example.com')")
            == "not_authoritative"
        )
        tables = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'rollcall'::regnamespace AND relkind IN ('r', 'p')"
        )
        assert len(tables) > 20
        for each in tables:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {each['name']}")  # noqa: S608 - the server's own names
        for forbidden in (
            "SELECT rollcall.make_history_partitions(now())",
            "SELECT rollcall.resolve('jo@example.com')",
            "SELECT rollcall.ignored_of(NULL, ARRAY['jo@example.com'])",
            "SELECT * FROM public.rollcall_migration",
            "DELETE FROM api.recipient",
            "CREATE TABLE api.mine (x int)",
            "CREATE TABLE public.mine (x int)",
        ):
            with pytest.raises(asyncpg.PostgresError, match=r"permission denied|cannot delete"):
                await connection.execute(forbidden)
    finally:
        await connection.close()


async def test_the_reader_sees_authority_and_addresses(owned: str, vault: Vault) -> None:
    """Views that call functions need no more rights than the views."""
    pool = await open_pool(owned, size=4)
    try:
        house = await House.open(pool, vault)
        with house.stack:
            await house.founded(asking())
            team = (row("team@example.com", each, name=each) for each in ("ada", "bob"))
            await house.sync("jo@example.com", *team)
        connection = await asyncpg.connect(owned, server_settings={"role": "rollcall_read"})
        try:
            assert await connection.fetchval("SELECT count(*) FROM api.domain") == 1
            assert await connection.fetchval("SELECT kinds FROM api.readiness") == '{"mailbox": 2}'
            meeting = await connection.fetch("SELECT mailboxes FROM api.login_conflict")
            assert [each["mailboxes"] for each in meeting] == [["ada", "bob"]] * 2
            assert (
                await connection.fetchval("SELECT state FROM api.lookup('jo@example.com')")
                == "valid"
            )
            assert (
                await connection.fetchval("SELECT via FROM api.why('jo@example.com')") == "itself"
            )
        finally:
            await connection.close()
    finally:
        await pool.close()


async def test_the_worker_needs_no_more_than_its_role(owned: str, vault: Vault) -> None:
    """It does all its work without owning anything."""
    pool = await open_pool(f"{owned}?role=rollcall_run", size=4)
    try:
        house = await House.open(pool, vault)
        with house.stack:
            await house.founded(asking())
            await house.sync("jo@example.com", "al@example.com")
            await house.sync_later("jo@example.com")
            await house.request()
            run = await house.claim()
            rejects = KeptRejects(b"x@example.org\tother_domain\tcn=x\n", 0, b"d" * 16)
            snapshot = replace(house.snapshot(run, rows("jo@example.com")), rejects=rejects)
            await house.conclude(run, snapshot)
            assert (await PostgresReports(pool).why("x@example.org", TENANT)).ignored
            await house.undo()
            await house.sweeper.housekeep()
            await house.sweeper.sweep()
            assert (await house.seen("login"), await house.outbox.lead()) == (2, True)
            assert await house.outbox.next(10)
            assert await pool.fetchval("SELECT count(*) FROM public.rollcall_migration") == len(
                all_migrations()
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute("DROP TABLE rollcall.parked")
    finally:
        await pool.close()
