"""Warnings as they are told: looked for over all directories by one housekeeper, each told with its tenant's row locked.

Isolation: READ COMMITTED. All directories are read without a lock; one whose warnings are not what was told is looked at
again under its tenant's lock, so that what is told is true and in the tenant's order.
"""

from collections.abc import Mapping
from datetime import datetime

import asyncpg
import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import announce, take_places
from worker.domain import events
from worker.domain.model import DirectoryId, TenantId
from worker.domain.warnings import Cause, Watched, over, sentence, warnings


async def warn(pool: db.Pool, now: datetime, *, page: int) -> int:
    """Tell what has come and what is over, page by page of all directories; gives how many had news."""
    told, after = 0, 0
    while True:
        async with db.transaction(pool) as connection:
            found = await db.rows(connection, "watched_directories", after=after, most=page)
        for record in found:
            if _wanted(record, now) != _standing(record):
                await _settle(pool, record, now)
                told += 1
        if len(found) < page:
            return told
        after = found[-1]["directory_id"]


async def _settle(pool: db.Pool, seen: asyncpg.Record, now: datetime) -> None:
    async with db.transaction(pool) as connection:
        tenant = await db.only(connection, "lock_tenant", tenant_id=seen["tenant_id"])
        found = await db.rows(
            connection, "watched_directories", after=seen["directory_id"] - 1, most=1
        )
        if not found or found[0]["directory_id"] != seen["directory_id"]:
            return  # deleted meanwhile
        name = TenantId(tenant["tenant"])
        wanted, standing = _wanted(found[0], now), _standing(found[0])
        for cause in Cause:
            if cause in wanted and cause not in standing:
                await _warn(connection, name, found[0], (cause, wanted[cause]), now)
            if cause in standing and cause not in wanted:
                await _clear(connection, name, found[0], (cause, standing[cause]), now)
            if cause in wanted and cause in standing and wanted[cause] != standing[cause]:
                await _move(connection, found[0], cause, wanted[cause])


async def _warn(
    on: db.Connection,
    tenant: TenantId,
    record: asyncpg.Record,
    warning: tuple[Cause, datetime],
    now: datetime,
) -> None:
    cause, at = warning
    which = {"directory_id": record["directory_id"], "cause": cause}
    await db.run(on, "write_warning", now=now, at=at, **which)
    told = events.directory_warning(
        tenant,
        DirectoryId(record["directory"]),
        code=cause,
        text=sentence(cause, at),
        at=at,
        notify=orjson.loads(record["notify"]),
    )
    place = await take_places(on, tenant_id=record["tenant_id"], count=1)
    await announce(on, told, now=now, place=place)


async def _move(on: db.Connection, record: asyncpg.Record, cause: Cause, at: datetime) -> None:
    """Keep what is seen of it true; it was told once, and is not over."""
    which = {"directory_id": record["directory_id"], "cause": cause}
    await db.run(on, "move_warning", at=at, **which)


async def _clear(
    on: db.Connection,
    tenant: TenantId,
    record: asyncpg.Record,
    warning: tuple[Cause, datetime],
    now: datetime,
) -> None:
    cause, at = warning
    which = {"directory_id": record["directory_id"], "cause": cause}
    await db.run(on, "clear_warning", **which)
    told = events.directory_warning_cleared(
        tenant,
        DirectoryId(record["directory"]),
        code=cause,
        text=over(cause, _watched(record), at),
        notify=orjson.loads(record["notify"]),
    )
    place = await take_places(on, tenant_id=record["tenant_id"], count=1)
    await announce(on, told, now=now, place=place)


def _wanted(record: asyncpg.Record, now: datetime) -> Mapping[Cause, datetime]:
    return warnings(_watched(record), now, _standing(record))


def _watched(record: asyncpg.Record) -> Watched:
    return Watched(
        certificate_until=record["certificate_until"],
        password_until=record["password_until"],
        last_good_at=record["last_good_at"],
        is_automatic=record["is_automatic"],
        expected_since=record["expected_since"],
        every_hours=record["scheduled_hours"],
        failed_in_a_row=record["failed_in_a_row"],
    )


def _standing(record: asyncpg.Record) -> Mapping[str, datetime]:
    return dict(zip(record["standing"], record["standing_at"], strict=True))
