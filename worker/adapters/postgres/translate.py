"""asyncpg's errors become ours here and nowhere else. Branches on type and SQLSTATE class, never on text."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from worker.domain.failures import StoreFailure


AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # "connection is closed", "pool is closing"
    asyncpg.OperatorInterventionError,  # class 57: it stops, or is not up yet
    asyncpg.InsufficientResourcesError,  # class 53: connections, disk, memory
    asyncpg.PostgresSystemError,  # class 58: a disk of its own
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that has just become one
    OSError,  # TimeoutError is one: no answer within the pool's or a command's time
)

CONFLICT: tuple[type[BaseException], ...] = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,  # class 57 too, hence looked at before AWAY
    asyncpg.IdleInTransactionSessionTimeoutError,
)

REFUSED: tuple[type[BaseException], ...] = (
    asyncpg.InvalidAuthorizationSpecificationError,  # class 28: role or password
    asyncpg.InvalidCatalogNameError,  # there is no such database
    asyncpg.InsufficientPrivilegeError,
)
"""What an operator has to mend."""

PASSING: tuple[type[BaseException], ...] = (StoreFailure, *AWAY, *CONFLICT)
"""What waiting can mend, translated or not yet."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreFailure ``store.unavailable`` or ``store.conflict`` for what waiting can mend.

    What the server refuses us is ``store.refused``: the address of the database or its rights are wrong. Anything
    else asyncpg raises (a constraint, a syntax error) is a bug of ours and passes as it is.
    """
    try:
        yield
    except CONFLICT as exc:
        raise StoreFailure(code="store.conflict", detail=type(exc).__name__) from exc
    except REFUSED as exc:
        raise StoreFailure(code="store.refused", detail=type(exc).__name__) from exc
    except AWAY as exc:
        raise StoreFailure(code="store.unavailable", detail=type(exc).__name__) from exc
