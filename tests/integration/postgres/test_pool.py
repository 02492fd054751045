"""What a connection of the pool is like for whoever gets it next."""

import re

import asyncpg

from worker.adapters.postgres.pool import Pool, queries, transaction


COMMENTS = re.compile(r"^--.*\n", re.MULTILINE)
OUTLASTS = re.compile(
    r"\A\s*(SET(?!\s+LOCAL)|LISTEN|DISCARD|LOAD)\b|pg_(try_)?advisory_lock|WITH HOLD|set_config\([^)]*false\)",
    re.IGNORECASE,
)
"""What a session would keep beyond its transaction (temporary tables are meant to stay)."""


def outlasts(sql: str) -> bool:
    """Whether a statement leaves something in its session."""
    return OUTLASTS.search(COMMENTS.sub("", sql)) is not None


def test_no_statement_leaves_anything_in_a_session() -> None:
    """Connections go back to the pool as they are, without a statement that would clean them."""
    assert [name for name, query in queries().items() if outlasts(query.sql)] == []
    assert outlasts("-- A plan.\nSET work_mem = '1GB'")
    assert outlasts("SELECT set_config('jit', 'off', false)")


async def test_a_connection_is_as_new_after_a_transaction_that_failed(own_pool: Pool) -> None:
    """Whatever a transaction set, and however it ended."""
    await own_pool.execute("CREATE TABLE kept (number int)")
    wished = []
    for _ in range(own_pool.get_max_size() + 1):
        try:
            async with transaction(own_pool) as connection:
                await connection.execute("SET LOCAL work_mem = '1MB'")
                await connection.execute("INSERT INTO kept VALUES (1)")
                await connection.execute("SELECT 1 / 0")
        except asyncpg.DivisionByZeroError:
            pass
        async with own_pool.acquire() as connection:
            assert not connection.is_in_transaction()
            wished.append(await connection.fetchval("SHOW work_mem"))

    assert set(wished) == {"4MB"}
    assert await own_pool.fetchval("SELECT count(*) FROM kept") == 0
