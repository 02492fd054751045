"""asyncpg's errors become ours here and nowhere else. Branches on type and SQLSTATE class, never on text."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from worker.domain.failures import StoreFailure


AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # "connection is closed", "pool is closing"
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
)

CONFLICT: tuple[type[BaseException], ...] = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)


def is_passing(exc: BaseException) -> bool:
    """Tell what waiting can mend from a bug."""
    return isinstance(exc, (StoreFailure, *CONFLICT, *AWAY, TimeoutError))


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreFailure ``store.unavailable`` or ``store.conflict`` for what waiting can mend.

    Anything else asyncpg raises (a constraint, a syntax error) is a bug of ours and passes as it is.
    """
    try:
        yield
    except CONFLICT as exc:
        raise StoreFailure(code="store.conflict", detail=type(exc).__name__) from exc
    except AWAY as exc:
        raise StoreFailure(code="store.unavailable", detail=type(exc).__name__) from exc
    except TimeoutError as exc:
        if _is_outer_deadline():
            raise
        raise StoreFailure(code="store.unavailable", detail="no answer in time") from exc


def _is_outer_deadline() -> bool:
    """A caller's own asyncio.timeout that ran out cancels the task; asyncpg's command time-out does not."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
