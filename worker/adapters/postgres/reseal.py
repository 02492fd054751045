"""Seals stored secrets again with the newest key, in bounded bites, while workers go on.

A row that a worker erased or replaced meanwhile is left as it is; one that a worker still wrote under an older
key is found by the next pass. Sealed commands and tests are not looked at: they live for minutes at most.
"""

from dataclasses import dataclass
from typing import Protocol

import asyncpg

from worker.adapters.postgres import pool as db
from worker.domain.commands import Sealed
from worker.domain.failures import RequestFailure
from worker.domain.model import Secret


BITE_ROWS = 200
"""Opening and sealing takes a fifth of a millisecond a secret; a bite keeps its rows locked for that long."""

PASSES_MAX_COUNT = 5


class Sealer(Protocol):
    """What is needed of the vault."""

    def seal(self, secret: Secret) -> Sealed:
        """Seal for the newest key."""
        ...

    def unseal(self, sealed: Sealed) -> Secret:
        """Open with whichever key fits. Raises RequestFailure."""
        ...

    def is_current(self, sealed: Sealed) -> bool:
        """Tell whether the newest key opens it."""
        ...


@dataclass(slots=True)
class Resealed:
    """What was done, in revisions of directories."""

    looked_at: int = 0
    sealed: int = 0
    unreadable: int = 0
    """No key opens them: the password has to be entered again."""


async def reseal(pool: db.Pool, vault: Sealer) -> Resealed:
    """Seal again until a pass finds nothing to do, five passes at most. Raises StoreFailure."""
    total = 0
    told = Resealed()
    for _ in range(PASSES_MAX_COUNT):
        told = await _pass(pool, vault)
        total += told.sealed
        if told.sealed == 0:
            break
    return Resealed(told.looked_at, total, told.unreadable)


async def _pass(pool: db.Pool, vault: Sealer) -> Resealed:
    told = Resealed()
    after = (0, 0)
    while True:
        async with db.transaction(pool) as connection:
            bite = await db.rows(
                connection,
                "sealed_secrets",
                directory_id=after[0],
                revision=after[1],
                most=BITE_ROWS,
            )
            for row in bite:
                await _again(connection, vault, row, told)
        if len(bite) < BITE_ROWS:
            return told
        after = (bite[-1]["directory_id"], bite[-1]["revision"])


async def _again(
    connection: db.Connection, vault: Sealer, row: asyncpg.Record, told: Resealed
) -> None:
    told.looked_at += 1
    old = (row["password_sealed"], row["client_key_sealed"])
    try:
        new = tuple(_newest(vault, sealed) for sealed in old)
    except RequestFailure:
        told.unreadable += 1
        return
    if new == old:
        return
    told.sealed += await db.run(
        connection,
        "seal_again",
        directory_id=row["directory_id"],
        revision=row["revision"],
        password_sealed=new[0],
        client_key_sealed=new[1],
        old_password=old[0],
        old_client_key=old[1],
    )


def _newest(vault: Sealer, sealed: Sealed | None) -> Sealed | None:
    if sealed is None or vault.is_current(sealed):
        return sealed
    return vault.seal(vault.unseal(sealed))
