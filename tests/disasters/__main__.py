"""``make disasters``: the catalogue; what the guard held is played once more before a judge that never holds.

Prints a table and writes .results/disasters.json. Ends with 1 if a promise was broken.
"""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure, write
from tests.conftest import drop_database, in_database, migrate
from tests.disasters.catalogue import CATALOGUE, Disaster
from tests.disasters.play import Result, play
from tests.disasters.scene import Scale, opened
from tests.fakes.overruled import NEVER_HOLDS, OverruledRuns
from tests.servers.daemon import PROJECT
from worker.adapters.telemetry import configure_logs
from worker.domain.guard import RULES
from worker.ports import Runs


COMMAND = "make disasters"
RESULTS = PROJECT / ".results" / "disasters.json"
WITHIN_S = 60.0
INTERRUPTED = 130
WIDTH = 150
GUARDS = frozenset(rule.code for rule in RULES)
"""What the guard says when it holds; all other codes are of runs that failed."""
FULL = Scale(
    people=2_000,
    page_size=500,
    every=timedelta(hours=12),
    calm=timedelta(days=3),
    wrong=timedelta(days=7),
    mended=timedelta(days=6),
    bleeding=timedelta(weeks=3),
    weekly=15,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One disaster before the guard, and before a judge that never holds."""

    guarded: Result
    unguarded: Result


# --- playing -----------------------------------------------------------------


@asynccontextmanager
async def template(server_url: str) -> AsyncIterator[str]:
    """Make a migrated database to copy; gives its name."""
    name = f"rollcall_disasters_{secrets.token_hex(4)}"
    await execute(server_url, f"CREATE DATABASE {name}")
    try:
        await asyncio.to_thread(migrate, in_database(server_url, name))
        yield name
    finally:
        await drop_database(server_url, name)


@asynccontextmanager
async def copied(server_url: str, original: str) -> AsyncIterator[str]:
    """Make a database like the template; gives its URL."""
    name = f"rollcall_disaster_{secrets.token_hex(4)}"
    await execute(server_url, f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy")
    try:
        yield in_database(server_url, name)
    finally:
        await drop_database(server_url, name)


async def execute(url: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(url, timeout=WITHIN_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=WITHIN_S)


async def pair(disaster: Disaster, server_url: str, original: str) -> Pair:
    """Play a disaster, and once more without the guard unless the guard let everything pass anyway."""
    guarded = await played(disaster, server_url, original)
    if not guarded.told.keys() & GUARDS:
        return Pair(guarded, guarded)
    judged = partial(OverruledRuns, ruling=NEVER_HOLDS)
    return Pair(guarded, await played(disaster, server_url, original, judged=judged))


async def played(
    disaster: Disaster,
    server_url: str,
    original: str,
    *,
    judged: Callable[[Runs], Runs] | None = None,
) -> Result:
    """Play a disaster in a world of its own."""
    with TemporaryDirectory(prefix="rollcall-disaster-") as folder:
        async with (
            copied(server_url, original) as database,
            opened(FULL, database, Path(folder), judged=judged) as scene,
        ):
            return await play(disaster, scene)


# --- telling -----------------------------------------------------------------


def shown(pairs: Sequence[Pair]) -> Table:
    """Return the table for people."""
    table = Table(box=SIMPLE_HEAD, title=title(), title_justify="left")
    table.add_column("disaster", no_wrap=True)
    for name in ("runs", "lost", "without guard", "kept too long"):
        table.add_column(name, justify="right")
    table.add_column("what the admin is told")
    for each in pairs:
        result = each.guarded
        told = ", ".join(result.told), *list(result.told.values())[:1]
        table.add_row(
            result.disaster.name,
            str(result.runs),
            lost(result),
            str(each.unguarded.lost),
            str(len(result.measure.kept)),
            "\n".join(told) or "nothing",
        )
    return table


def title() -> str:
    """Return what was played, in numbers."""
    hours = FULL.every // timedelta(hours=1)
    days = ", ".join(
        f"{length.days} days {name}"
        for name, length in (("calm", FULL.calm), ("wrong", FULL.wrong), ("mended", FULL.mended))
    )
    return f"{FULL.people:,} recipients a directory, a run every {hours} hours; {days}"


def lost(result: Result) -> str:
    """Return who was lost, and what qualifies that."""
    if result.disaster.is_bounded:
        return f"{result.lost}, {result.measure.worst_week} a week (bound {result.bound})"
    if result.put_off:
        return f"{result.lost}, {result.put_off} put off"
    return str(result.lost)


def figures(pairs: Sequence[Pair]) -> Iterator[Figure]:
    """Give what programs are told."""
    for each in pairs:
        result, slug = each.guarded, each.guarded.disaster.slug
        told = "; ".join(f"{code}: {text}" for code, text in result.told.items()) or "nothing"
        must = "bounded" if result.disaster.is_bounded else "must be 0"

        def figure(name: str, value: float, reference: str, slug: str = slug) -> Figure:
            return Figure(f"{slug}_{name}", value, "recipients", reference, COMMAND)

        yield figure("lost", result.lost, f"{must}; told: {told}")
        yield figure("lost_without_guard", each.unguarded.lost, "before a judge that never holds")
        yield figure("kept_too_long", len(result.measure.kept), "leavers whose way out was held up")
        if result.put_off:
            yield figure("put_off", result.put_off, "450 while a person's own decision stood")
        if result.disaster.is_bounded:
            bound = f"at most {result.bound}: the limits of the form"
            yield figure("lost_in_worst_week", result.measure.worst_week, bound)
    everybody = sum(each.guarded.lost for each in pairs if not each.guarded.disaster.is_bounded)
    yield Figure(
        "living_lost", everybody, "recipients", "must be 0, over all but bleeding", COMMAND
    )


async def disasters(server_url: str, chosen: Sequence[Disaster], console: Console) -> int:
    """Play them, show and write; gives the exit code."""
    began, pairs = time.monotonic(), []
    async with template(server_url) as original:
        for disaster in chosen:
            console.print(f"playing: {disaster.name}", style="dim")
            pairs.append(await pair(disaster, server_url, original))
    console.print(shown(pairs))
    broken = [f"{p.guarded.disaster.name}: {what}" for p in pairs for what in p.guarded.broken()]
    for each in broken:
        console.print(f"broken: {each}", style="red")
    write(RESULTS, figures(pairs))
    console.print(f"written to {RESULTS.relative_to(PROJECT)}; {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


async def interruptible(server_url: str, chosen: Sequence[Disaster], console: Console) -> int:
    """Let SIGTERM end it as Ctrl-C does: servers and databases go first."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await disasters(server_url, chosen, console)


def main() -> None:
    """Play those whose names contain an argument; without any, all."""
    configure_logs(sys.stderr, level="error")
    wanted = [
        disaster
        for disaster in CATALOGUE
        if not sys.argv[1:] or any(word in disaster.name for word in sys.argv[1:])
    ]
    url, console = os.environ["ROLLCALL_DATABASE_URL"], Console(width=WIDTH)
    try:
        sys.exit(asyncio.run(interruptible(url, wanted, console)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
