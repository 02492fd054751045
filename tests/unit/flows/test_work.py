"""The loops: busy while there is work, quiet while there is none, and stopped in order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from tests.fakes.jumping import jumping
from tests.fakes.notebook import Notebook
from tests.fakes.runs import MemoryRuns, claimed_run
from worker.domain.events import Counts, Seconds
from worker.domain.failures import StoreFailure
from worker.domain.model import ClaimedRun
from worker.domain.outcomes import Applied, Outcome
from worker.flows.bell import Bell
from worker.flows.work import (
    AWAY_S,
    FIGURES_S,
    IDLE_S,
    SWEEP_S,
    Executor,
    carry_out,
    figures,
    sweep,
    timed,
)
from worker.ports.desk import Desk, Settled
from worker.ports.runs import Backlog


DONE = Applied(Counts(), Seconds())
AWAY = StoreFailure("store.unavailable")


@dataclass(slots=True)
class Work:
    """What runs do: take so long, and be counted."""

    seconds: float = 1.0
    at_once: int = 0
    most_at_once: int = 0
    ended: int = 0
    cancelled: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, run: ClaimedRun) -> Outcome:
        """Carry one out."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
            self.ended += 1
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1
            if not self.at_once:
                self.idle.set()
        return DONE


def executor(
    runs: MemoryRuns, work: Work, *, capacity: int = 2, drain_s: float = 10
) -> Executor[ClaimedRun]:
    """One with these hands."""
    notebook = Notebook()
    carry_out = partial(timed, sync=work, telemetry=notebook)
    return Executor(runs, carry_out, Bell(), notebook, capacity, drain_s)


@jumping
async def test_no_more_runs_than_hands_at_once() -> None:
    """Memory and connections are counted by hands."""
    runs, work = MemoryRuns([claimed_run() for _ in range(7)]), Work()
    busy = executor(runs, work, capacity=3)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(busy.execute())
        await asyncio.sleep(10)
        busy.stop()

    assert (work.ended, work.most_at_once) == (7, 3)
    assert max(runs.claims) == 3
    assert min(runs.claims) >= 1


@jumping
async def test_a_hand_that_comes_free_is_used_at_once() -> None:
    """Nobody waits out a pause while there is work."""
    runs, work = MemoryRuns([claimed_run() for _ in range(20)]), Work(seconds=0.01)
    busy = executor(runs, work, capacity=1)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(busy.execute())
        while work.ended < 20:
            await work.idle.wait()
            work.idle.clear()
        took_s = loop.time() - began
        busy.stop()

    assert took_s < IDLE_S


@jumping
async def test_a_stop_lets_runs_end_within_the_drain_time() -> None:
    """What is nearly done is done."""
    runs, work = MemoryRuns([claimed_run() for _ in range(3)]), Work(seconds=5)
    busy = executor(runs, work, drain_s=10)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(busy.execute())
        await asyncio.sleep(1)
        busy.stop()

    assert (work.ended, work.cancelled, len(runs.queued)) == (2, 0, 1)


@jumping
async def test_a_stop_cancels_what_outlasts_the_drain_time() -> None:
    """It goes back to the queue; the stop has an end."""
    runs, work = MemoryRuns([claimed_run()]), Work(seconds=1_000)
    busy = executor(runs, work, drain_s=10)
    loop = asyncio.get_running_loop()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(busy.execute())
        await asyncio.sleep(1)
        began = loop.time()
        busy.stop()

    assert (work.ended, work.cancelled) == (0, 1)
    assert 10 <= loop.time() - began < 11


@jumping
async def test_a_stop_without_work_is_at_once() -> None:
    """Nothing to drain, nothing to wait for."""
    busy = executor(MemoryRuns(), Work())
    loop = asyncio.get_running_loop()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(busy.execute())
        await asyncio.sleep(IDLE_S / 2)
        began = loop.time()
        busy.stop()

    assert loop.time() - began < IDLE_S / 4


@jumping
async def test_claiming_outlives_a_store_that_is_away() -> None:
    """It is waited for, not exited over."""
    runs, work = MemoryRuns([claimed_run()], claim_faults=[AWAY, AWAY]), Work()
    busy = executor(runs, work)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(busy.execute())
        await work.idle.wait()
        busy.stop()

    assert work.ended == 1
    assert isinstance(busy.telemetry, Notebook)
    assert len(busy.telemetry.said("claiming_waits")) == 2
    assert busy.telemetry.gauges["runs_running"] == 0
    assert busy.telemetry.observed == ["run_queue_seconds"]


# --- carrying out ------------------------------------------------------------


@dataclass(slots=True)
class Orders:
    """The Orders port: so many commands, or a fault first."""

    waiting: int = 0
    faults: list[StoreFailure] = field(default_factory=list)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry_next(self, carry: Callable[[Desk], Awaitable[Settled]]) -> bool:
        """Take one."""
        if self.faults:
            raise self.faults.pop(0)
        if not self.waiting:
            return False
        self.waiting -= 1
        if not self.waiting:
            self.emptied.set()
        return True


@jumping
async def test_commands_are_carried_out_as_long_as_there_are_any() -> None:
    """And whoever waits for what they bring is woken."""
    orders, done, telemetry = Orders(5, [AWAY]), Bell(), Notebook()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        loop = group.create_task(carry_out(orders, bell=Bell(), done=[done], telemetry=telemetry))
        await orders.emptied.wait()
        await done.wait(60)
        loop.cancel()

    assert len(telemetry.said("carrying_waits")) == 1


@jumping
async def test_a_bell_wakes_the_carrier() -> None:
    """A person who pressed a button does not wait for the next look."""
    orders, bell = Orders(), Bell()
    clock = asyncio.get_running_loop()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        loop = group.create_task(carry_out(orders, bell=bell, done=[], telemetry=Notebook()))
        await asyncio.sleep(IDLE_S / 10)
        orders.waiting, began = 1, clock.time()
        bell.ring()
        await orders.emptied.wait()
        assert clock.time() - began < IDLE_S / 2
        loop.cancel()


# --- sweeping ----------------------------------------------------------------


@dataclass(slots=True)
class Sweeper:
    """The Sweeper port."""

    found: int = 0
    faults: list[StoreFailure] = field(default_factory=list)
    housekept: int = 0

    async def sweep(self) -> int:
        """Find what was left."""
        if self.faults:
            raise self.faults.pop(0)
        found, self.found = self.found, 0
        return found

    async def backlog(self) -> Backlog:
        """Count what waits."""
        if self.faults:
            raise self.faults.pop(0)
        return Backlog(3, 1.5, 2, 1, 0.5, 4, 0.25)

    async def housekeep(self) -> None:
        """Let time do its work."""
        self.housekept += 1


@jumping
async def test_what_dead_workers_left_wakes_those_who_claim() -> None:
    """It has waited long enough."""
    sweeper, found, telemetry = Sweeper(2, [AWAY]), Bell(), Notebook()
    clock = asyncio.get_running_loop()
    began = clock.time()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        loop = group.create_task(sweep(sweeper, found=found, telemetry=telemetry))
        await found.wait(60)
        loop.cancel()

    assert clock.time() - began < 2 * SWEEP_S
    assert len(telemetry.said("sweeping_waits")) == 1
    assert sweeper.housekept == 1


@jumping
async def test_gauges_follow_the_backlog() -> None:
    """Also after the store was away."""
    sweeper, telemetry = Sweeper(faults=[AWAY]), Notebook()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        loop = group.create_task(figures(sweeper, telemetry=telemetry))
        await asyncio.sleep(AWAY_S + FIGURES_S / 2)
        loop.cancel()

    assert telemetry.gauges == {
        "outbox_rows": 3,
        "outbox_oldest_age_seconds": 1.5,
        "runs_ready manual": 2,
        "runs_ready scheduled": 1,
        "oldest_ready_run_age_seconds": 0.5,
        "tests_ready": 4,
        "oldest_ready_test_age_seconds": 0.25,
    }
