"""The loops that keep the spines busy: carrying out commands, executing runs and tests, sweeping. Each has one owner."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Generic, Protocol, TypeVar

from worker.domain.failures import StoreFailure
from worker.domain.model import ClaimedRun
from worker.flows.bell import Bell
from worker.flows.carry import carry
from worker.ports.desk import Orders
from worker.ports.runs import Fleet, Sweeper
from worker.ports.telemetry import Telemetry


IDLE_S = 1.0
"""How long a loop waits for its bell: other workers' commands and runs are found this late at most."""

AWAY_S = 2.0
SWEEP_S = 5.0
HOUSEKEEP_S = 60.0
FIGURES_S = 10.0


async def carry_out(
    orders: Orders, *, bell: Bell, done: Sequence[Bell], telemetry: Telemetry
) -> None:
    """Carry out stored commands until cancelled; ``done`` wakes those who wait for what commands bring."""
    while True:
        try:
            carried = await orders.carry_next(carry)
        except StoreFailure as away:
            telemetry.event("carrying_waits", code=away.code, detail=away.detail)
            await asyncio.sleep(AWAY_S)
            continue
        if carried:
            for waiting in done:
                waiting.ring()
        else:
            await bell.wait(IDLE_S)


Claimed = TypeVar("Claimed")
Given_co = TypeVar("Given_co", covariant=True)


class Queue(Protocol[Given_co]):
    """What an executor needs of a queue: runs, or tests."""

    async def claim(self, most: int) -> Sequence[Given_co]:
        """Claim up to so many that are due, each under a lease."""
        ...


@dataclass(slots=True)
class Executor(Generic[Claimed]):
    """Claims as long as it has hands free, and owns the tasks that carry out what it claimed."""

    queue: Queue[Claimed]
    work: Callable[[Claimed], Awaitable[object]]
    bell: Bell
    telemetry: Telemetry
    capacity: int
    drain_s: float
    gauge: str = "runs_running"
    """What says how many are at work."""
    _busy: set["asyncio.Task[object]"] = field(default_factory=set, init=False)
    _stopping: bool = field(default=False, init=False)

    def stop(self) -> None:
        """Claim no more; what is at work may end within the drain time."""
        self._stopping = True
        self.bell.ring()

    async def execute(self) -> None:
        """Claim and work until stopped, then drain; what outlasts the drain time goes back to the queue."""
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                if not await self._claim(group):
                    await self.bell.wait(IDLE_S)
            await self._drain()

    async def _claim(self, group: asyncio.TaskGroup) -> bool:
        free = self.capacity - len(self._busy)
        if free <= 0:
            return False
        try:
            claimed = await self.queue.claim(free)
        except StoreFailure as away:
            self.telemetry.event("claiming_waits", code=away.code, detail=away.detail)
            await asyncio.sleep(AWAY_S)
            return True
        for each in claimed:
            task = group.create_task(self._carry_out(each))
            self._busy.add(task)
            task.add_done_callback(self._done)
        return bool(claimed)

    async def _carry_out(self, claimed: Claimed) -> object:
        return await self.work(claimed)

    def _done(self, task: "asyncio.Task[object]") -> None:
        self._busy.discard(task)
        self.telemetry.gauge(self.gauge, len(self._busy))
        self.bell.ring()

    async def _drain(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy, timeout=self.drain_s)
        for task in self._busy:
            task.cancel()


async def timed(
    run: ClaimedRun,
    *,
    sync: Callable[[ClaimedRun], Awaitable[object]],
    telemetry: Telemetry,
) -> object:
    """Carry out a run, and tell how long it had waited."""
    telemetry.observe("run_queue_seconds", run.queue_s, trigger=run.trigger)
    return await sync(run)


async def sweep(sweeper: Sweeper, *, found: Bell, telemetry: Telemetry) -> None:
    """Find what dead workers left, and let time do its work, until cancelled."""
    housekept_at = float("-inf")
    while True:
        try:
            if await sweeper.sweep():
                found.ring()
            if time.monotonic() - housekept_at >= HOUSEKEEP_S:
                await sweeper.housekeep()
                housekept_at = time.monotonic()
        except StoreFailure as away:
            telemetry.event("sweeping_waits", code=away.code, detail=away.detail)
        await asyncio.sleep(SWEEP_S)


async def watch_fleet(fleet: Fleet, *, telemetry: Telemetry) -> None:
    """Notice that many directories are in trouble at once, and tell whether removals are held, until cancelled."""
    while True:
        try:
            held = await fleet.watch()
            if held is not None:
                telemetry.event("fleet_held", level="error", **asdict(held.figures))
            telemetry.gauge("fleet_held", int(await fleet.standing() is not None))
        except StoreFailure as away:
            telemetry.event("fleet_watch_waits", code=away.code, detail=away.detail)
        await asyncio.sleep(SWEEP_S)


async def figures(sweeper: Sweeper, *, telemetry: Telemetry) -> None:
    """Keep the gauges of what waits up to date, until cancelled."""
    while True:
        try:
            backlog = await sweeper.backlog()
        except StoreFailure:
            await asyncio.sleep(AWAY_S)
            continue
        telemetry.gauge("outbox_rows", backlog.outbox_rows)
        telemetry.gauge("outbox_oldest_age_seconds", backlog.outbox_age_s)
        telemetry.gauge("runs_ready", backlog.manual_ready, trigger="manual")
        telemetry.gauge("runs_ready", backlog.scheduled_ready, trigger="scheduled")
        telemetry.gauge("oldest_ready_run_age_seconds", backlog.run_age_s)
        telemetry.gauge("tests_ready", backlog.tests_ready)
        telemetry.gauge("oldest_ready_test_age_seconds", backlog.test_age_s)
        await asyncio.sleep(FIGURES_S)
