"""What of the database's errors is waited for, and what is a bug."""

import asyncpg
import pytest

from worker.adapters.postgres.translate import translated
from worker.domain.failures import StoreFailure


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncpg.ReadOnlySQLTransactionError, "store.unavailable"),
        (asyncpg.DiskFullError, "store.unavailable"),
        (asyncpg.OutOfMemoryError, "store.unavailable"),
        (asyncpg.PostgresIOError, "store.unavailable"),
        (asyncpg.AdminShutdownError, "store.unavailable"),
        (asyncpg.CannotConnectNowError, "store.unavailable"),
        (asyncpg.TooManyConnectionsError, "store.unavailable"),
        (ConnectionResetError, "store.unavailable"),
        (asyncpg.QueryCanceledError, "store.conflict"),
        (asyncpg.DeadlockDetectedError, "store.conflict"),
        (asyncpg.InsufficientPrivilegeError, "store.refused"),
    ],
)
def test_what_waiting_can_mend_ends_no_worker(error: type[Exception], code: str) -> None:
    """A full disk or a fail-over must not refuse a good command, nor end workers one after another."""
    with pytest.raises(StoreFailure) as failure, translated():
        raise error

    assert failure.value.code == code


def test_a_bug_stays_a_bug() -> None:
    """A wrong statement is not mended by trying it for ever."""
    with pytest.raises(asyncpg.UniqueViolationError), translated():
        raise asyncpg.UniqueViolationError
