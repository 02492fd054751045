"""``make model``: more random histories than the suite plays, under a seed that is printed; writes .results/model.json.

MODEL_STEPS (100,000) and MODEL_SECONDS (600) bound it, MODEL_SEED plays the same histories again. A history that shows
a fault is told as short as it can be, and fails the command.
"""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.bench.figures import Figure, table, write
from tests.conftest import drop_database, in_database, migrate
from tests.model.machine import Stage, play
from tests.servers.daemon import PROJECT
from worker.adapters.postgres.pool import open_pool
from worker.adapters.secrets import SealedVault, generate_key
from worker.domain.model import Secret


RESULTS = PROJECT / ".results" / "model.json"
BATCH = 20
"""Histories between two looks at the clock."""
WITHIN_S = 10.0
SHOWN_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is played, and which histories."""

    steps: int
    seconds: float
    seed: int

    @classmethod
    def of_environment(cls) -> "Bounds":
        """Take what the caller set."""
        return cls(
            steps=int(os.environ.get("MODEL_STEPS") or 100_000),
            seconds=float(os.environ.get("MODEL_SECONDS") or 600),
            seed=int(os.environ.get("MODEL_SEED") or secrets.randbelow(1_000_000)),
        )


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def create(server_url: str, name: str) -> None:
    """Make an empty database."""
    connection = await asyncpg.connect(server_url, timeout=WITHIN_S)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


@contextmanager
def opened() -> Iterator[Stage]:
    """A migrated database of its own, gone afterwards."""
    server_url, name = os.environ["ROLLCALL_DATABASE_URL"], f"rollcall_model_{secrets.token_hex(4)}"
    with asyncio.Runner() as runner:
        runner.run(create(server_url, name))
        try:
            migrate(in_database(server_url, name))
            pool = runner.run(open_pool(in_database(server_url, name), size=2))
            try:
                yield Stage(runner, pool, SealedVault([Secret(generate_key())]))
            finally:
                runner.run(pool.close())
        finally:
            runner.run(drop_database(server_url, name))


def search(stage: Stage, bounds: Bounds) -> float:
    """Play until a bound is met; gives the seconds it took."""
    begin = shown = time.monotonic()
    batch = 0
    while stage.steps < bounds.steps and time.monotonic() < begin + bounds.seconds:
        play(stage, histories=BATCH, seed=bounds.seed + batch)
        batch += 1
        if time.monotonic() > shown + SHOWN_EVERY_S:
            shown = time.monotonic()
            say(f"{shown - begin:4.0f} s  {stage.steps} steps in {stage.histories} histories")
    return time.monotonic() - begin


def figures(stage: Stage, bounds: Bounds, seconds: float, faults: int) -> list[Figure]:
    """What is written down."""
    command = f"make model MODEL_SEED={bounds.seed}"
    told = (
        ("faults found", faults, "faults", "0"),
        ("steps", stage.steps, "steps", f"{bounds.steps}, or {bounds.seconds:.0f} s"),
        ("histories", stage.histories, "histories", ""),
        ("a step", round(1000 * seconds / max(1, stage.steps), 1), "ms", ""),
        *((f"step: {name}", used, "times", "") for name, used in stage.acts.most_common()),
    )
    return [Figure(name, value, unit, aim, command) for name, value, unit, aim in told]


def main(results: Path = RESULTS) -> None:
    """The command."""
    bounds, begin, faults = Bounds.of_environment(), time.monotonic(), 1
    say(f"seed {bounds.seed}; at most {bounds.steps} steps or {bounds.seconds:.0f} s")
    with opened() as stage:
        try:
            search(stage, bounds)
            faults = 0
        finally:
            found = figures(stage, bounds, time.monotonic() - begin, faults)
            write(results, found)
            lines = [(each.name, each.value, each.unit) for each in found]
            say(table(f"Played under seed {bounds.seed}", ("what", "", ""), lines))


if __name__ == "__main__":
    main()
