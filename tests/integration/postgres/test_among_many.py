"""A run among many customers: what the others have piled up costs it nothing."""

import asyncpg

from tests.integration.postgres.house import House
from tests.integration.postgres.logins import ADA, BOB, CLEO, asking, person
from worker.domain.model import Mode, RemovalPolicy, Removals
from worker.domain.outcomes import Applied, Held, Previewed, Unchanged


MANY = 3_000
"""Rows of others in each table."""

OTHERS = """
INSERT INTO rollcall.command (source, id, tenant, name, digest, state, received_at, try_after, done_at)
SELECT 'others', i::text, 'other', 'sync.request', '\\x', 'done', now(), now(), now() FROM generate_series(1, $1::integer) i;
INSERT INTO rollcall.tenant OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(t, jsonb_build_object('tenant_id', 1000 + i, 'tenant', 'other-' || i))).*
FROM rollcall.tenant t, generate_series(1, $1::integer) i WHERE t.tenant = 'other';
INSERT INTO rollcall.directory OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(d, jsonb_build_object('tenant_id', 1000 + i, 'directory_id', 1000 + i))).*
FROM rollcall.directory d JOIN rollcall.tenant t USING (tenant_id), generate_series(1, $1::integer) i WHERE t.tenant = 'other';
INSERT INTO rollcall.directory_revision
SELECT (jsonb_populate_record(v, jsonb_build_object('directory_id', 1000 + i))).*
FROM rollcall.directory_revision v JOIN rollcall.directory USING (directory_id) JOIN rollcall.tenant t USING (tenant_id),
    generate_series(1, $1::integer) i WHERE t.tenant = 'other';
INSERT INTO rollcall.login (login_id, tenant_id, directory_id, entry_id, username, role, state, since)
SELECT gen_random_uuid(), 1000 + i, 1000 + i, gen_random_uuid(), i || '@elsewhere.example', 'silent', 'active', now()
FROM generate_series(1, $1::integer) i;
INSERT INTO rollcall.login_address (tenant_id, address, login_id) SELECT tenant_id, username, login_id FROM rollcall.login;
INSERT INTO rollcall.holding (tenant_id, address, directory_id, entry_id, since, kind, is_primary, enabled)
SELECT tenant_id, username, directory_id, entry_id, since, 0, true, true FROM rollcall.login;
INSERT INTO rollcall.departure (tenant_id, address, directory_id, step, left_at)
SELECT tenant_id, username, directory_id, 'missing', since FROM rollcall.login;
INSERT INTO rollcall.change_set (set_id, tenant_id, address, change, kind, is_primary, expires_at)
SELECT gen_random_uuid(), tenant_id, username, 'removed', 0, true, now() + interval '1 day' FROM rollcall.login
"""
"""Customers of one row each: to a planner that counts by customer a whole table is never the nearest way."""

READ = """
SELECT relname, seq_tup_read FROM pg_stat_user_tables
WHERE schemaname = 'rollcall' AND relname IN
    ('command', 'directory', 'directory_revision', 'login', 'login_address', 'holding', 'departure', 'change_set')
"""


async def scanned(house: House) -> dict[str, int]:
    """How many rows of these tables were read by going through them so far, by all connections of the house."""
    taken: list[asyncpg.pool.PoolConnectionProxy] = []
    try:
        for _ in range(house.pool.get_size()):
            connection = await house.pool.acquire()
            taken.append(connection)
            await connection.execute("SELECT pg_stat_force_next_flush()")
        return {each["relname"]: each["seq_tup_read"] for each in await taken[0].fetch(READ)}
    finally:
        for connection in taken:
            await house.pool.release(connection)


async def test_a_run_reads_none_of_what_other_customers_have(house: House) -> None:
    """With years of history of ten thousand customers each run would take seconds, under its customer's lock."""
    await house.save_tenant("example.net", tenant="other")
    await house.save_directory(tenant="other")
    await house.founded(asking(Removals(policy=RemovalPolicy.REVIEW)))
    for statement in OTHERS.split(";"):
        await house.pool.execute(statement, *([MANY] if "$1" in statement else []))
    await house.pool.execute("ANALYZE")
    await house.sync(*person("ada", ADA), *person("bob", BOB))
    before = await scanned(house)

    unchanged = await house.sync_later(*person("ada", ADA), *person("bob", BOB))
    seen = await house.sync_later(*person("ada", ADA), *person("cleo", CLEO), mode=Mode.PREVIEW)
    applied = await house.sync_later(
        *person("ada", ADA), *person("bob", BOB), *person("cleo", CLEO)
    )

    await house.sync_later(*person("ada", ADA), *person("cleo", CLEO))
    held = await house.sync_later(*person("ada", ADA), *person("cleo", CLEO))
    resolved = await house.sync_later(
        *person("ada", ADA), *person("bob", BOB), *person("cleo", CLEO)
    )

    came_to = [type(each) for each in (unchanged, seen, applied, held, resolved)]
    assert came_to == [Unchanged, Previewed, Applied, Held, Applied]
    after = await scanned(house)
    assert {table: read for table in after if (read := after[table] - before[table]) >= MANY} == {}
