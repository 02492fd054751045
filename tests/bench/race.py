"""Worker and reference side by side in one run, on the same directory, server and database."""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.bench import process
from tests.bench.directories import Directory
from tests.bench.lab import Customer, Lab
from tests.bench.platform import Outcome, Platform
from tests.bench.yardstick import Lap, Yardstick
from tests.harness.worker import Worker


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """One sync by the worker and one by the reference, one right after the other."""

    outcome: Outcome
    lap: Lap
    worker_cpu_s: float
    """Of the worker's process alone."""
    reference_cpu_s: float
    """Of ldapsearch, awk and psql together. Neither has the servers' share."""
    load: float
    """Of the machine when the pair began: the average over the last minute."""


@dataclass(frozen=True, slots=True)
class Race:
    """All that was measured."""

    first: Sequence[Pair]
    unchanged: Sequence[Pair]
    told_s: Sequence[float]
    """From the first sync's outcome to the last of its recipients.changed."""


@dataclass(slots=True)
class Racer:
    """Runs the rounds; each is a customer of its own, and who begins alternates."""

    lab: Lab
    worker: Worker
    platform: Platform
    yardstick: Yardstick
    directory: Directory

    async def race(self, *, rounds: int, repeats: int, say: Callable[[str], None]) -> Race:
        """Measure ``rounds`` first syncs, and after each ``repeats`` unchanged ones."""
        first: list[Pair] = []
        unchanged: list[Pair] = []
        told_s: list[float] = []
        for number in range(1, rounds + 1):
            customer = Customer(self.platform, number)
            first.append(await self._first(customer, told_s))
            for _ in range(repeats):
                unchanged.append(await self._pair(customer.sync, customer, len(unchanged)))
            await self.lab.check(customer.tenant, number)
            await customer.leave()
            say(f"round {number}: {_told(first[-1])}; unchanged {_told(unchanged[-1])}")
        return Race(first, unchanged, told_s)

    async def _first(self, customer: Customer, told_s: list[float]) -> Pair:
        await customer.join()

        async def sync() -> Outcome:
            outcome = await customer.first_sync(self.directory)
            ended = time.perf_counter()
            # what follows must not be disturbed by events still being told
            await self.platform.all_changes(customer.tenant, outcome.count("added"))
            told_s.append(time.perf_counter() - ended)
            return outcome

        return await self._pair(sync, customer, customer.number)

    async def _pair(
        self, sync: Callable[[], Awaitable[Outcome]], customer: Customer, turn: int
    ) -> Pair:
        load = os.getloadavg()[0]
        pid = self.worker.daemon.pid or 0

        async def reference() -> tuple[Lap, float]:
            return await _metered(
                lambda: self.yardstick.sync(self.directory, customer.number),
                process.children_cpu_s,
            )

        async def worker() -> tuple[Outcome, float]:
            return await _metered(sync, lambda: process.cpu_s(pid))

        if turn % 2:
            lap, reference_cpu_s = await reference()
            outcome, worker_cpu_s = await worker()
        else:
            outcome, worker_cpu_s = await worker()
            lap, reference_cpu_s = await reference()
        return Pair(outcome, lap, worker_cpu_s, reference_cpu_s, load)


async def _metered(work: Callable[[], Awaitable[T]], meter: Callable[[], float]) -> tuple[T, float]:
    before = meter()
    result = await work()
    return result, meter() - before


def _told(pair: Pair) -> str:
    return f"{pair.outcome.total_s:.2f} s against {pair.lap.total_s:.2f} s at load {pair.load:.1f}"
