"""Runs a worker that stops dead at a named step, or whose clock is ahead: ``python -m tests.chaos.launcher --halt mid-page``.

A step is reached by wrapping the port behind which it lies. The worker says so in its log and goes no
further there, while the rest of it goes on; whoever started it may then kill it at exactly this point.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import orjson

from worker.adapters.postgres.desk import PostgresOrders
from worker.adapters.postgres.directory_tests import PostgresTests
from worker.adapters.postgres.intake import PostgresIntake
from worker.adapters.postgres.outbox import PostgresOutbox
from worker.adapters.postgres.runs import PostgresRuns
from worker.adapters.postgres.schedule import PostgresSchedule
from worker.adapters.postgres.sign_ins import PostgresSignIns
from worker.adapters.postgres.sweeper import PostgresSweeper
from worker.app import Parts, run
from worker.domain.commands import Received, Refused
from worker.domain.failures import StageResult
from worker.domain.guard import Evidence, Ruling
from worker.domain.model import ClaimedRun
from worker.domain.outcomes import Failed, Outcome, Skipped
from worker.domain.plan import ReadPlan
from worker.domain.server import Profile
from worker.ports.broker import Message
from worker.ports.desk import Intake
from worker.ports.directory import DirectoryReader, Gate, Listing, Page, Proof
from worker.ports.runs import Final, Outbox, Runs, Snapshot
from worker.ports.schedule import Bite, Schedule
from worker.ports.vault import Clock
from worker.settings import load


STEPS = (
    "before-ack",
    "before-claim",
    "after-claim",
    "mid-page",
    "after-spooling",
    "before-commit",
    "before-publish",
    "before-confirm",
)
TRIGGER_STEPS = ("before-trigger", "before-trigger-confirm")
OUTCOME = "rollcall.sync.completed.v1"
LEAD = timedelta(seconds=1)
"""The relay's lease of such a worker, so that a test does not wait the usual 15 s for the next relay."""


async def halt(step: str) -> None:
    """Say where, and go no further."""
    sys.stderr.write(orjson.dumps({"event": "halted", "step": step}).decode() + "\n")
    sys.stderr.flush()
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class HaltingIntake:
    """Stops when commands are durable and not yet acked."""

    intake: Intake

    async def store(self, batch: Sequence[Received | Refused]) -> None:
        """Store, then stop."""
        await self.intake.store(batch)
        await halt("before-ack")


@dataclass(frozen=True, slots=True)
class HaltingRuns:
    """Stops before or after a claim, before or at the end of the final transaction."""

    runs: Runs
    step: str

    async def claim(self, most: int) -> list[ClaimedRun]:
        """Claim, with a stop before or after."""
        if self.step == "before-claim":
            await halt(self.step)
        claimed = await self.runs.claim(most)
        if claimed and self.step == "after-claim":
            await halt(self.step)
        return claimed

    async def keep(self, run: ClaimedRun, *, progress: tuple[int, int] | None) -> None:
        """Renew the lease as usual."""
        await self.runs.keep(run, progress=progress)

    @asynccontextmanager
    async def final(self, run: ClaimedRun, snapshot: Snapshot) -> AsyncIterator[Final]:
        """Open the transaction, with a stop before."""
        if self.step == "after-spooling":
            await halt(self.step)
        async with self.runs.final(run, snapshot) as final:
            yield HaltingFinal(final) if self.step == "before-commit" else final

    async def end(self, run: ClaimedRun, outcome: Failed | Skipped) -> Outcome:
        """End as usual."""
        return await self.runs.end(run, outcome)

    async def give_back(self, run: ClaimedRun, *, superseded: bool = False) -> Outcome:
        """Give back as usual."""
        return await self.runs.give_back(run, superseded=superseded)


@dataclass(frozen=True, slots=True)
class HaltingFinal:
    """Stops when all is written and nothing is committed."""

    inner: Final

    async def compare(self) -> Evidence:
        """Compare as usual."""
        return await self.inner.compare()

    async def record(self, ruling: Ruling) -> Outcome:
        """Record, then stop."""
        outcome = await self.inner.record(ruling)
        await halt("before-commit")
        return outcome


@dataclass(frozen=True, slots=True)
class HaltingReader:
    """Stops after the first page."""

    directory: DirectoryReader

    @asynccontextmanager
    async def listing(
        self, plan: ReadPlan, *, gate: Gate, stages: list[StageResult]
    ) -> AsyncIterator[Listing]:
        """Open a listing as usual."""
        async with self.directory.listing(plan, gate=gate, stages=stages) as listing:
            yield HaltingListing(listing)


@dataclass(frozen=True, slots=True)
class BrokenReader:
    """Has a bug, and tells of it as bugs do: with all that was in its hands."""

    directory: DirectoryReader

    @asynccontextmanager
    async def listing(
        self, plan: ReadPlan, *, gate: Gate, stages: list[StageResult]
    ) -> AsyncIterator[Listing]:
        """Open a listing as usual."""
        async with self.directory.listing(plan, gate=gate, stages=stages) as listing:
            yield BrokenListing(plan, listing)


@dataclass(frozen=True, slots=True)
class BrokenListing:
    """Breaks at its first page."""

    plan: ReadPlan
    listing: Listing

    @property
    def proof(self) -> Proof:
        """What the listing proved, which it never does."""
        return self.listing.proof

    @property
    def profile(self) -> Profile:
        """What the server says of itself."""
        return self.listing.profile

    async def learn(self) -> None:
        """Ask what the schema has."""
        await self.listing.learn()

    async def groups(self) -> tuple[str, ...]:
        """Nobody asks."""
        return await self.listing.groups()

    def __aiter__(self) -> AsyncIterator[Page]:
        raise LookupError(self.plan, self.listing)


@dataclass(frozen=True, slots=True)
class HaltingListing:
    """Gives one page."""

    listing: Listing

    @property
    def proof(self) -> Proof:
        """What the listing proved, which it never does."""
        return self.listing.proof

    @property
    def profile(self) -> Profile:
        """What the server says of itself."""
        return self.listing.profile

    async def learn(self) -> None:
        """Ask what the schema has."""
        await self.listing.learn()

    async def groups(self) -> tuple[str, ...]:
        """Nobody asks."""
        return await self.listing.groups()

    def __aiter__(self) -> AsyncIterator[Page]:
        return self._pages()

    async def _pages(self) -> AsyncIterator[Page]:
        async for page in self.listing:
            yield page
            await halt("mid-page")


@dataclass(slots=True)
class HaltingOutbox:
    """Stops before a run's outcome is published, or before its confirm is recorded."""

    outbox: Outbox
    step: str
    _outcomes: set[int] = field(default_factory=set)

    async def lead(self) -> bool:
        """Lead as usual."""
        return await self.outbox.lead()

    async def next(self, most: int) -> list[Message]:
        """Read, with a stop when an outcome is among them."""
        messages = await self.outbox.next(most)
        self._outcomes |= {message.number for message in messages if message.type == OUTCOME}
        if self._outcomes and self.step == "before-publish":
            await halt(self.step)
        return messages

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """Forget, with a stop when an outcome was published."""
        if self._outcomes.intersection(numbers):
            await halt(self.step)
        await self.outbox.confirmed(numbers)


@dataclass(frozen=True, slots=True)
class HaltingSchedule:
    """Stops with triggers in hand: before they are published, or before their confirm is recorded."""

    schedule: Schedule
    step: str

    async def decide(self, most: int) -> Bite:
        """Decide as usual."""
        return await self.schedule.decide(most)

    async def take(self, most: int) -> list[Message]:
        """Take, with a stop when there is one to publish."""
        messages = await self.schedule.take(most)
        if messages and self.step == "before-trigger":
            await halt(self.step)
        return messages

    async def confirmed(self, messages: Sequence[Message]) -> None:
        """Forget nothing."""
        await halt(self.step)

    async def arrange(self, most: int) -> int:
        """Arrange as usual."""
        return await self.schedule.arrange(most)

    async def recheck(self, most: int) -> int:
        """Look again as usual."""
        return await self.schedule.recheck(most)


@dataclass(frozen=True, slots=True)
class ClockAhead:
    """The database's clock, so much later."""

    clock: Clock
    by: timedelta

    async def now(self) -> datetime:
        """Return the later time."""
        return await self.clock.now() + self.by


def halting(parts: Parts, step: str | None) -> Parts:
    """Wrap the port behind which the step lies."""
    outbox: Outbox = replace(cast("PostgresOutbox", parts.outbox), lead_for=LEAD)
    schedule = replace(cast("PostgresSchedule", parts.schedule), taken_for=LEAD)
    match step:
        case "before-ack":
            parts.intake = HaltingIntake(parts.intake)
        case "mid-page":
            parts.directory = HaltingReader(parts.directory)
        case "before-publish" | "before-confirm":
            outbox = HaltingOutbox(outbox, step)
        case "before-trigger" | "before-trigger-confirm":
            parts.schedule = HaltingSchedule(schedule, step)
        case str():
            parts.runs = HaltingRuns(parts.runs, step)
        case None:
            pass
    parts.outbox = outbox
    return parts


def ahead(parts: Parts, by: timedelta) -> Parts:
    """Set the worker's clock ahead, in all that asks it; leases keep the database's time."""
    clock = ClockAhead(parts.clock, by)
    runs = replace(cast("PostgresRuns", parts.runs), clock=clock)
    return replace(
        parts,
        clock=clock,
        runs=runs,
        orders=replace(cast("PostgresOrders", parts.orders), clock=clock),
        intake=replace(cast("PostgresIntake", parts.intake), clock=clock),
        schedule=replace(cast("PostgresSchedule", parts.schedule), clock=clock),
        sweeper=replace(cast("PostgresSweeper", parts.sweeper), clock=clock, runs=runs),
        tests=replace(cast("PostgresTests", parts.tests), clock=clock),
        sign_ins=replace(cast("PostgresSignIns", parts.sign_ins), clock=clock),
    )


def main() -> None:
    """Run the worker until SIGTERM, SIGKILL or its step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--halt", choices=STEPS + TRIGGER_STEPS)
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--ahead-h", type=float, default=0.0)
    asked = parser.parse_args()
    by = timedelta(hours=asked.ahead_h)

    def rewire(parts: Parts) -> Parts:
        if asked.broken:
            parts.directory = BrokenReader(parts.directory)
        return halting(ahead(parts, by), asked.halt)

    asyncio.run(run(load(), rewire=rewire))


if __name__ == "__main__":
    main()
