"""``make bench``: the whole worker, command in to outcome out, against a shell pipeline that does the same.

Prints tables (``--steps``: one by SQL statement too) and writes .results/bench.json (BENCH_SMALL=1: a smoke test on a small directory, .results/bench-small.json).
No figure makes it fail; a list or a history that differs from the reference's does.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import process
from tests.bench.directories import served
from tests.bench.figures import Figure, Spread, medians, table, write
from tests.bench.lab import Customer, opened
from tests.bench.platform import Outcome, Platform
from tests.bench.race import Pair, Race, Racer
from tests.bench.statements import log_durations, watched
from tests.bench.yardstick import Yardstick
from tests.servers.daemon import PROJECT
from tests.stack.stack import Stack


STATEMENTS_SHOWN = 15
STEPS = ("queue", "connect", "read", "compare", "record")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    command: str
    results: Path
    entries: int
    rounds: int
    """First syncs by each side."""
    repeats: int
    """Unchanged syncs by each side after each of them."""
    memory: tuple[int, int]
    """Entries of the small and of the large directory whose first sync's peak memory is compared."""


FULL = Scale(
    command="make bench",
    results=PROJECT / ".results" / "bench.json",
    entries=100_000,
    rounds=5,
    repeats=2,
    memory=(10_000, 300_000),
)
SMALL = Scale(
    command="BENCH_SMALL=1 make bench",
    results=PROJECT / ".results" / "bench-small.json",
    entries=10_000,
    rounds=1,
    repeats=1,
    memory=(1_000, 10_000),
)


@dataclass(frozen=True, slots=True)
class Peak:
    """A fresh worker's memory after one first sync."""

    entries: int
    idle_mib: float
    outcome_mib: float
    """The peak when the outcome was told."""
    told_mib: float
    """The peak when the last change had been told too."""


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# --- measuring ---------------------------------------------------------------


async def race(scale: Scale, folder: Path) -> tuple[Race, Outcome, Outcome]:
    """Measure both sides; then the worker alone over LDAPS, first and unchanged."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(served(scale.entries))
        lab = await stack.enter_async_context(opened(folder))
        yardstick = Yardstick(lab.database_url, folder)
        await yardstick.prepare()
        worker = stack.enter_context(lab.worker("race"))
        platform = await stack.enter_async_context(Platform(lab.amqp_url, lab.prefix))
        racer = Racer(lab, worker, platform, yardstick, directory)
        measured = await racer.race(rounds=scale.rounds, repeats=scale.repeats, say=say)
        customer = Customer(platform, scale.rounds + 1)
        await customer.join()
        encrypted = await customer.first_sync(directory, encrypted=True)
        await platform.all_changes(customer.tenant, encrypted.count("added"))
        return measured, encrypted, await customer.sync()


async def peak(entries: int, folder: Path) -> Peak:
    """Measure a fresh worker's memory over one first sync."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(served(entries))
        lab = await stack.enter_async_context(opened(folder))
        worker = stack.enter_context(lab.worker(f"peak-{entries}"))
        platform = await stack.enter_async_context(Platform(lab.amqp_url, lab.prefix))
        pid = worker.daemon.pid or 0
        customer = Customer(platform, 1)
        await customer.join()
        idle_mib = process.peak_mib(pid)
        outcome = await customer.first_sync(directory)
        outcome_mib = process.peak_mib(pid)
        await platform.all_changes(customer.tenant, outcome.count("added"))
        return Peak(entries, idle_mib, outcome_mib, process.peak_mib(pid))


async def statements(scale: Scale, folder: Path) -> str:
    """Return what one first sync costs by statement; it is slower than another, for the server writes it all down."""
    stack, admin_url = Stack.load(), os.environ.get("STACK_DATABASE_ADMIN_URL")
    if stack is None or admin_url is None:
        return "\nNo table by statement: that takes a private stack, whose log can be read."
    async with AsyncExitStack() as opening:
        directory = opening.enter_context(served(scale.entries))
        lab = await opening.enter_async_context(opened(folder))
        await log_durations(admin_url, lab.database)
        opening.enter_context(lab.worker("statements"))
        platform = await opening.enter_async_context(Platform(lab.amqp_url, lab.prefix))
        customer = Customer(platform, 1)
        await customer.join()
        with watched(stack, lab.database) as found:
            await customer.first_sync(directory)
    rows = [(name, f"{seconds:.3f}") for name, seconds in found.most(STATEMENTS_SHOWN)]
    return table("A first sync by statement, in seconds", ("statement", "sum"), rows)


# --- telling -----------------------------------------------------------------


def speed_table(race: Race, scale: Scale) -> str:
    """Return the race as a table."""
    rows = [
        row
        for name, pairs in (("first sync", race.first), ("unchanged", race.unchanged))
        for row in _speed_rows(name, pairs)
    ]
    title = (
        f"{scale.entries:,} entries, {race.first[0].outcome.count('addresses'):,} addresses;"
        " seconds: median (lowest to highest)"
    )
    return table(title, ("", "worker", "reference", "ratio"), rows)


def _speed_rows(name: str, pairs: Sequence[Pair]) -> Iterator[Sequence[object]]:
    mine, its = worker_s(pairs), reference_s(pairs)
    yield name, mine, its, mine.over(its)
    cpu = Spread.of(pair.worker_cpu_s for pair in pairs)
    its_cpu = Spread.of(pair.reference_cpu_s for pair in pairs)
    yield "  processor, servers not counted", cpu, its_cpu, cpu.over(its_cpu)


def worker_s(pairs: Sequence[Pair]) -> Spread:
    """Return the worker's seconds."""
    return Spread.of(pair.outcome.total_s for pair in pairs)


def reference_s(pairs: Sequence[Pair]) -> Spread:
    """Return the reference's seconds."""
    return Spread.of(pair.lap.total_s for pair in pairs)


def steps_table(race: Race) -> str:
    """Return where the time goes, by the steps that the outcome itself tells; medians."""
    columns = [
        medians([_steps(pair.outcome) for pair in pairs]) for pairs in (race.first, race.unchanged)
    ]
    rows = [(name, *(f"{column[name]:.3f}" for column in columns)) for name in columns[0]]
    lap = [medians([_lap_steps(pair) for pair in pairs]) for pairs in (race.first, race.unchanged)]
    rows += [(f"reference: {name}", *(f"{column[name]:.3f}" for column in lap)) for name in lap[0]]
    return table("Where the time goes, in seconds", ("step", "first sync", "unchanged"), rows)


def _steps(outcome: Outcome) -> dict[str, float]:
    told = {name: outcome.seconds[name] for name in STEPS}
    return told | {"accept, commit, tell": outcome.total_s - sum(told.values())}


def _lap_steps(pair: Pair) -> dict[str, float]:
    return {"read and copy": pair.lap.read_s, "compare": pair.lap.total_s - pair.lap.read_s}


def memory_table(peaks: Sequence[Peak]) -> str:
    """Return the peaks as a table."""
    rows = [
        (f"{p.entries:,}", *(f"{mib:.1f}" for mib in (p.idle_mib, p.outcome_mib, p.told_mib)))
        for p in peaks
    ]
    head = ("entries", "before", "at the outcome", "all changes told")
    return table("Peak memory of a fresh worker over its first sync, in MiB", head, rows)


def figures(
    scale: Scale, race: Race, encrypted: Sequence[Outcome], peaks: Sequence[Peak]
) -> Iterator[Figure]:
    """Give what programs are told."""

    def figure(name: str, value: float, unit: str, reference: str) -> Figure:
        return Figure(name, round(value, 3), unit, reference, scale.command)

    small, large = peaks
    rivals = (
        "ldapsearch | awk | psql COPY + comparison with history, median of pairs run side by side"
    )
    first = worker_s(race.first).over(reference_s(race.first))
    unchanged = worker_s(race.unchanged).over(reference_s(race.unchanged))
    grown = f"a fresh worker at {small.entries} entries; aim at most 1.3"
    yield figure("first_sync_vs_reference", first.median, "ratio", f"{rivals}; aim at most 1.5")
    yield figure("unchanged_vs_reference", unchanged.median, "ratio", f"{rivals}; aim at most 0.9")
    yield figure("memory_300k_vs_10k", large.told_mib / small.told_mib, "ratio", grown)
    for name, pairs in (("first_sync", race.first), ("unchanged", race.unchanged)):
        size = f"{scale.entries} entries, LDAP without TLS"
        yield figure(f"{name}_s", worker_s(pairs).median, "s", f"worker, {size}")
        yield figure(f"{name}_reference_s", reference_s(pairs).median, "s", f"reference, {size}")
        for step, seconds in medians([_steps(pair.outcome) for pair in pairs]).items():
            yield figure(f"{name}_{step.split(',')[0]}_s", seconds, "s", f"worker, step {step}")
    for name, outcome in zip(("first_sync", "unchanged"), encrypted, strict=True):
        yield figure(f"{name}_ldaps_s", outcome.total_s, "s", "worker over LDAPS, one measurement")
    yield figure("changes_told_s", Spread.of(race.told_s).median, "s", "from outcome to last event")
    for found in peaks:
        yield figure(
            f"memory_{found.entries}_mib", found.told_mib, "MiB", f"{found.entries} entries"
        )


async def bench(scale: Scale, *, by_statement: bool) -> None:
    """Measure, show and write."""
    with TemporaryDirectory(prefix="rollcall-bench-") as folder:
        say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        raced, *encrypted = await race(scale, Path(folder))
        peaks = [await peak(entries, Path(folder)) for entries in scale.memory]
        finer = await statements(scale, Path(folder)) if by_statement else ""
    say(speed_table(raced, scale))
    say(steps_table(raced))
    if finer:
        say(finer)
    say(memory_table(peaks))
    found = list(figures(scale, raced, encrypted, peaks))
    rows = [(f.name, f"{f.value:g}", f.unit, f.reference) for f in found]
    say(table("Figures", ("name", "value", "unit", "reference"), rows))
    write(scale.results, found)
    say(f"\nwritten to {scale.results.relative_to(PROJECT)}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description="the worker against a pipeline")
    parser.add_argument("--steps", action="store_true", help="also one first sync by SQL statement")
    chosen = parser.parse_args()
    scale = SMALL if os.environ.get("BENCH_SMALL") else FULL
    asyncio.run(bench(scale, by_statement=chosen.steps))


if __name__ == "__main__":
    main()
