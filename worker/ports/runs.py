"""The store as runs see it: the queue, leases, the final transaction, the outbox, and what keeps all of it healthy."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.domain.events import FleetFigures
from worker.domain.guard import Evidence, Ruling
from worker.domain.model import (
    ClaimedRun,
)
from worker.domain.outcomes import Failed, Outcome, Skipped, Tally
from worker.domain.reasons import KeptRejects
from worker.domain.sign_in import SignIn
from worker.ports.broker import Message
from worker.ports.directory import Gate


class Spool(Protocol):
    """The snapshot on its way from the pages to the comparison: compact, in bounded memory."""

    def add(self, rows: bytes) -> None:
        """Append newline-terminated rows as the normaliser packs them."""
        ...

    def read(self, size: int) -> bytes:
        """Read on from where the last read ended; empty at the end."""
        ...

    def rewind(self) -> None:
        """Begin to read from the start."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one complete read said."""

    spool: Spool | None
    """The rows; None when the wire showed that they are those of the last applied run."""
    rows: int
    digest: bytes
    """16 bytes over rows, scope and the tenant's domains: equal digests are equal snapshots."""
    scope: str
    read_at: datetime
    """When the reading began."""
    tally: Tally
    connect_s: float
    read_s: float
    wire_digest: bytes = b""
    """16 bytes over what came from the wire, scope and domains: by it the next run knows its like. Empty: by nothing."""
    rejects: KeptRejects | None = None
    """What became no row; None when it is what the last complete run rejected."""
    certificate_until: datetime | None = None
    """When the server's certificate expires; None: it showed none, or only its fingerprint was checked."""
    password_until: datetime | None = None
    """When the password of the bind account expires; None: never, or the directory does not tell."""


class Final(Protocol):
    """The one transaction that ends a complete run."""

    async def compare(self) -> Evidence:
        """Compare the snapshot with what is known; gives what the guard may know of it."""
        ...

    async def record(self, ruling: Ruling) -> Outcome:
        """Write recipients, history, holds, the run's outcome and its events."""
        ...


class Runs(Protocol):
    """Runs in the queue, and the leases of those at work."""

    async def claim(self, most: int) -> list[ClaimedRun]:
        """Claim up to that many due runs: manual first, fair between resellers and tenants. Bounded."""
        ...

    async def keep(self, run: ClaimedRun, *, progress: tuple[int, int] | None) -> None:
        """Renew the lease; with progress (entries and addresses so far), also tell it.

        Raises LeaseLost, or RunStopped when the run is to end.
        """
        ...

    def final(self, run: ClaimedRun, snapshot: Snapshot) -> AbstractAsyncContextManager[Final]:
        """Open the final transaction under the tenant's lock.

        Raises LeaseLost, RunStopped, Superseded (revision or domains changed), StoreFailure.
        """
        ...

    async def end(self, run: ClaimedRun, outcome: Failed | Skipped) -> Outcome:
        """Record an outcome that changes no recipient; a scheduled run that may yet succeed is postponed."""
        ...

    async def give_back(self, run: ClaimedRun, *, superseded: bool = False) -> Outcome:
        """Back to the queue, the lease released; after two changes under it, the run fails."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and for how long (seconds)."""

    outbox_rows: int
    outbox_age_s: float
    manual_ready: int
    scheduled_ready: int
    run_age_s: float
    tests_ready: int = 0
    test_age_s: float = 0.0


class Sweeper(Protocol):
    """What keeps the store healthy while runs come and go."""

    async def sweep(self) -> int:
        """Queue again what dead workers left; gives how many."""
        ...

    async def backlog(self) -> Backlog:
        """Count what waits."""
        ...

    async def housekeep(self) -> None:
        """Make partitions ahead, end decided departures by the clock, purge what is past its time; bounded."""
        ...


@dataclass(frozen=True, slots=True)
class FleetHold:
    """Removals of all directories are held since then, because of these figures."""

    since: datetime
    figures: FleetFigures


class Fleet(Protocol):
    """All directories of all tenants, looked at as one."""

    async def watch(self) -> FleetHold | None:
        """Hold removals of all if too many directories are in trouble at once; gives a hold that is new."""
        ...

    async def standing(self) -> FleetHold | None:
        """Return the hold that stands."""
        ...

    async def release(self) -> bool:
        """Let removals go on; False if nothing was held."""
        ...


class SignIns(Protocol):
    """Account safety, counted per tenant and account over all hosts and workers."""

    def gate(self, sign_in: SignIn) -> Gate:
        """Return the gate of one sign-in."""
        ...


class Outbox(Protocol):
    """Events that are durable and not yet confirmed."""

    async def lead(self) -> bool:
        """Take or keep the relay's lease; False while another worker relays."""
        ...

    async def next(self, most: int) -> list[Message]:
        """The oldest messages, in order."""
        ...

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """Forget what the broker has confirmed."""
        ...
