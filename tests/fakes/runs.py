"""Runs, a directory and a final transaction in memory, each failing as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from worker.domain.events import Counts, Seconds
from worker.domain.failures import StageResult
from worker.domain.guard import Evidence, Ruling
from worker.domain.model import (
    ClaimedRun,
    Credentials,
    DirectoryId,
    DirectorySettings,
    Lease,
    Mode,
    RunId,
    Secret,
    Server,
    TenantId,
    Tier,
    Trigger,
)
from worker.domain.outcomes import Applied, Failed, Held, Outcome, Postponed, Skipped
from worker.domain.plan import ReadPlan
from worker.domain.server import Profile, RootDse
from worker.domain.sign_in import SignIn
from worker.ports.directory import Gate, Listing, Page, Proof
from worker.ports.runs import Snapshot


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
NUMBERS = count(1)
EVIDENCE = Evidence(1, None, (), scope_changed=False, canaries_missing=())


def claimed_run(
    tenant: str = "acme", *, skip: str | None = None, fault: str | None = None
) -> ClaimedRun:
    """A run that a worker holds."""
    return ClaimedRun(
        lease=Lease(TenantId(tenant), DirectoryId("hq"), RunId(UUID(int=next(NUMBERS))), 1),
        revision=1,
        domain_revision=1,
        trigger=Trigger.MANUAL,
        mode=Mode.APPLY,
        attempt=1,
        restarts=0,
        causes=("c-1",),
        settings=DirectorySettings("HQ", "openldap", (Server("ldap.example.com"),), "cn=reader"),
        credentials=Credentials(Secret("correct-horse")),
        domains=("example.com",),
        tier=Tier.ENTERPRISE,
        saved_at=NOW,
        queued_at=NOW,
        queue_s=0.5,
        skip=skip,
        fault=fault,
    )


def person(name: str) -> tuple[str, dict[str, list[bytes]]]:
    """One entry as OpenLDAP gives it."""
    return (
        f"uid={name},dc=example,dc=com",
        {
            "mail": [f"{name}@example.com".encode()],
            "objectClass": [b"inetOrgPerson"],
            "entryUUID": [b"00112233-4455-6677-8899-aabbccddeeff"],
        },
    )


@dataclass(slots=True)
class Pages:
    """A listing: pages, then its end, a fault, or nothing for ever."""

    pages: list[Page]
    fault: BaseException | None
    hangs: bool

    async def __aiter__(self) -> AsyncIterator[Page]:
        """Give the pages."""
        for page in self.pages:
            yield page
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault

    @property
    def proof(self) -> Proof:
        """The figures of what was given."""
        return Proof(
            "ldap.example.com:636", ("dc=example,dc=com",), sum(map(len, self.pages)), 0, 0.1, 0.2
        )

    @property
    def profile(self) -> Profile:
        """A server that says nothing."""
        return Profile(RootDse())

    async def learn(self) -> None:
        """There is no more to it."""

    async def groups(self) -> tuple[str, ...]:
        """Nobody in particular."""
        return ()


@dataclass(slots=True)
class Directory:
    """The DirectoryReader port."""

    pages: list[Page] = field(default_factory=lambda: [[person("ada")]])
    fault: BaseException | None = None
    hangs: bool = False
    opened: int = 0
    closed: int = 0

    @asynccontextmanager
    async def listing(
        self, plan: ReadPlan, *, gate: Gate, stages: list[StageResult]
    ) -> AsyncIterator[Listing]:
        """Open a listing after the gate has let it in."""
        await gate.admit()
        self.opened += 1
        try:
            yield Pages(self.pages, self.fault, self.hangs)
        finally:
            self.closed += 1


@dataclass(slots=True)
class OpenGate:
    """Lets everything pass."""

    fault: BaseException | None = None

    async def admit(self) -> None:
        """Let it pass, or not."""
        if self.fault is not None:
            raise self.fault

    async def settle(self, *, accepted: bool | None) -> None:
        """Remember nothing."""

    def gate(self, sign_in: SignIn) -> Gate:
        """Be the gate of every sign-in: the SignIns port."""
        return self


@dataclass(slots=True)
class MemorySpool:
    """The Spool port."""

    held: bytes = b""
    at: int = 0

    def add(self, rows: bytes) -> None:
        """Append."""
        self.held += rows

    def read(self, size: int) -> bytes:
        """Read on."""
        taken = self.held[self.at : self.at + size]
        self.at += len(taken)
        return taken

    def rewind(self) -> None:
        """Read from the start."""
        self.at = 0


@contextmanager
def memory_spool() -> Iterator[MemorySpool]:
    """An empty spool."""
    yield MemorySpool()


@dataclass(slots=True)
class MemoryRuns:
    """The Runs port: gives what is queued, remembers what is written, raises what is put into its lists first."""

    queued: list[ClaimedRun] = field(default_factory=list)
    claim_faults: list[Exception] = field(default_factory=list)
    keep_faults: list[Exception] = field(default_factory=list)
    final_faults: list[Exception] = field(default_factory=list)
    end_faults: list[Exception] = field(default_factory=list)
    give_back_hangs: bool = False
    evidence: Evidence = EVIDENCE
    progress: list[tuple[int, int] | None] = field(default_factory=list)
    applied: list[bytes] = field(default_factory=list)
    ended: list[Failed | Skipped] = field(default_factory=list)
    given_back: list[RunId] = field(default_factory=list)
    superseded: int = 0
    claims: list[int] = field(default_factory=list)

    async def claim(self, most: int) -> list[ClaimedRun]:
        """Give the first."""
        self.claims.append(most)
        _raise_next(self.claim_faults)
        taken, self.queued = self.queued[:most], self.queued[most:]
        return taken

    async def keep(self, run: ClaimedRun, *, progress: tuple[int, int] | None) -> None:
        """Remember the progress."""
        _raise_next(self.keep_faults)
        self.progress.append(progress)

    @asynccontextmanager
    async def final(self, run: ClaimedRun, snapshot: Snapshot) -> AsyncIterator["MemoryFinal"]:
        """Open it, or fail."""
        _raise_next(self.final_faults)
        yield MemoryFinal(self, snapshot)

    async def end(self, run: ClaimedRun, outcome: Failed | Skipped) -> Outcome:
        """Record it."""
        _raise_next(self.end_faults)
        self.ended.append(outcome)
        return outcome

    async def give_back(self, run: ClaimedRun, *, superseded: bool = False) -> Outcome:
        """Back to the queue."""
        if self.give_back_hangs:
            await asyncio.Event().wait()
        _raise_next(self.end_faults)
        self.given_back.append(run.lease.run)
        self.superseded += superseded
        return Postponed("superseded" if superseded else "given back")


@dataclass(slots=True)
class MemoryFinal:
    """The Final port."""

    runs: MemoryRuns
    snapshot: Snapshot

    async def compare(self) -> Evidence:
        """What the test says."""
        return self.runs.evidence

    async def record(self, ruling: Ruling) -> Outcome:
        """Keep the rows."""
        if (spool := self.snapshot.spool) is not None:
            spool.rewind()
            self.runs.applied.append(spool.read(1_000_000))
        counts = Counts(entries=self.snapshot.tally.entries, addresses=self.snapshot.rows)
        return Held(counts, Seconds(), ruling) if ruling.is_hold else Applied(counts, Seconds())


def _raise_next(faults: list[Exception]) -> None:
    if faults:
        raise faults.pop(0)
