"""Work under a lease, be it a run or a test: watched while it goes on, recorded in the end, or handed back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

from worker.domain.failures import LeaseLost, StoreFailure
from worker.ports.telemetry import Telemetry


RECORD_PAUSES_S = (0.5, 2.0, 5.0)
"""Between tries of recording while Postgres is away; later the lease lapses and another worker begins again."""

T = TypeVar("T")


async def alongside(work: Coroutine[None, None, T], watch: Coroutine[None, None, None]) -> T:
    """Do the work while the watch goes on; what the watch raises ends the work."""
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watch)
            try:
                return await work
            finally:
                watcher.cancel()
    except ExceptionGroup as group_of_one:
        raise group_of_one.exceptions[0] from None


async def recorded(
    record: Callable[[], Coroutine[None, None, T]], telemetry: Telemetry
) -> T | None:
    """Record, again while the store is away; None if it stays so. Raises LeaseLost."""
    for pause_s in RECORD_PAUSES_S:
        try:
            return await record()
        except LeaseLost:
            raise
        except StoreFailure as away:
            telemetry.event("store_away", code=away.code, detail=away.detail)
            await asyncio.sleep(pause_s)
    return None


async def given_back(
    give_back: Callable[[], Coroutine[None, None, object]], telemetry: Telemetry, *, within_s: float
) -> None:
    """Hand it back within a bounded time; if that fails its lease lapses."""
    try:
        async with asyncio.timeout(within_s):
            await give_back()
    except (StoreFailure, TimeoutError) as away:
        telemetry.event("give_back_failed", detail=str(away))
