"""``make load``: 10,000 directories over 48 hours on a test clock, real store and broker; writes .results/load.json.

LOAD_DIRECTORIES makes it another number; LOAD_SEED plays the same deaths of replicas again.
"""

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path

import aio_pika
import asyncpg

from tests.bench.figures import Figure, table, write
from tests.conftest import PREFIX, drop_database, in_database, migrate
from tests.integration.postgres.house import House
from tests.load.fleet import SPAN, TICK, fleet_of, found
from tests.load.punctuality import Punctuality, judged
from tests.servers.daemon import PROJECT
from worker.adapters.postgres.pool import open_pool
from worker.adapters.rabbitmq.topology import Broker, Topology
from worker.adapters.secrets import SealedVault, generate_key
from worker.domain.model import Secret


RESULTS = PROJECT / ".results" / "load.json"
CONNECTIONS = 6
WHOLE_S = 7200
WITHIN_S = 10.0


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def execute(url: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(url, timeout=WITHIN_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def sweep(broker: Broker) -> None:
    """Delete what was declared at the broker."""
    async with await aio_pika.connect(broker.url, timeout=WITHIN_S) as connection:
        channel = await connection.channel()
        for queue in broker.topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in broker.topology.exchanges:
            await channel.exchange_delete(exchange)


async def played(directories: int, seed: int) -> tuple[Punctuality, float, float]:
    """Found the fleet, let two days pass; gives what was seen, and the seconds both took."""
    server_url, name = os.environ["ROLLCALL_DATABASE_URL"], f"rollcall_load_{secrets.token_hex(4)}"
    broker = Broker(os.environ["ROLLCALL_AMQP_URL"], Topology(f"{PREFIX}{secrets.token_hex(6)}"))
    await execute(server_url, f"CREATE DATABASE {name}")
    try:
        migrate(in_database(server_url, name))
        pool = await open_pool(in_database(server_url, name), size=CONNECTIONS)
        try:
            house = await House.open(pool, SealedVault([Secret(generate_key())]))
            started = time.monotonic()
            await found(house, directories)
            say(f"{directories} directories saved in {time.monotonic() - started:.0f} s")
            playing = time.monotonic()
            async with fleet_of(house, broker, seed=seed) as fleet:
                await fleet.play(SPAN)
                ended = time.monotonic()
                told = await judged(fleet, directories)
            await sweep(broker)
            return told, playing - started, ended - playing
        finally:
            await pool.close()
    finally:
        await drop_database(server_url, name)


def figures(told: Punctuality, saved_s: float, played_s: float, command: str) -> list[Figure]:
    """What is written down."""
    worst = told.worst.total_seconds()
    rows = (
        ("directories", told.directories, "directories", ""),
        ("triggers", told.triggers, "triggers", f"in {SPAN}"),
        ("schedulers killed", told.killed, "schedulers", ""),
        ("workers killed", told.workers_killed, "workers", ""),
        *(
            (f"runs {state}", count, "runs", str(told.expected_runs[state]))
            for state, count in told.runs.items()
        ),
        ("told again under their id", told.repeats, "triggers", ""),
        ("directories with other times than their own", len(told.wrong), "directories", "0"),
        ("worst lateness", worst, "s", f"a look every {TICK.total_seconds():.0f} s"),
        (
            "fullest five minutes of the hour",
            round(told.fullest, 2),
            "of the mean",
            f"below {told.fullest_by_chance:.2f}",
        ),
        ("saving a directory", round(1000 * saved_s / told.directories, 1), "ms", ""),
        ("a run, from due to its last event", round(1000 * played_s / told.triggers, 1), "ms", ""),
    )
    return [Figure(name, value, unit, aim, command) for name, value, unit, aim in rows]


async def main(results: Path = RESULTS) -> int:
    """The command; gives the exit code."""
    directories = int(os.environ.get("LOAD_DIRECTORIES") or 10_000)
    seed = int(os.environ.get("LOAD_SEED") or secrets.randbelow(1_000_000))
    command = f"make load LOAD_DIRECTORIES={directories} LOAD_SEED={seed}"
    say(command)
    async with asyncio.timeout(WHOLE_S):
        told, saved_s, played_s = await played(directories, seed)
    found_figures = figures(told, saved_s, played_s, command)
    write(results, found_figures)
    say(str(told))
    lines = [(each.name, each.value, each.unit, each.reference) for each in found_figures]
    say(table("Two days of a fleet", ("what", "", "", "aim"), lines))
    for fault in told.faults():
        say(f"not as promised: {fault}")
    return 1 if told.faults() else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
