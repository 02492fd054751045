"""The fixtures that other tests stand on, against the servers of this run."""

import aio_pika
import asyncpg
import pytest

from tests.conftest import Servers


pytestmark = pytest.mark.integration


async def test_every_database_is_new_and_migrated(database: str) -> None:
    """Rows that one test left would decide what the next one sees."""
    connection = await asyncpg.connect(database)
    try:
        schemas = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname = 'api'")
        tenants = await connection.fetchval("SELECT count(*) FROM rollcall.tenant")
    finally:
        await connection.close()

    assert len(schemas) == 1
    assert tenants == 0


async def test_a_prefix_is_free_to_declare_under(servers: Servers, amqp_prefix: str) -> None:
    """Two tests that share a queue take each other's messages."""
    async with await aio_pika.connect(servers.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{amqp_prefix}.commands", exclusive=True)

        assert queue.declaration_result.message_count == 0
