"""Runs a worker that asks a name server of the test's, and logs each time its loop came round late.

``python -m tests.chaos.watched PORT``; no hosts file, no other name server. A line ``lag`` has the seconds.
"""

import asyncio
import sys
import time
from pathlib import Path

import dns.asyncresolver
import orjson

from worker.adapters.directory.dial import Names
from worker.adapters.directory.reader import LdapReader
from worker.app import Parts, run
from worker.settings import load


PERIOD_S = 0.005
WORTH_TELLING_S = 0.02


async def watch() -> None:
    """Tell of each time that came late."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(PERIOD_S)
        late = time.monotonic() - before - PERIOD_S
        if late > WORTH_TELLING_S:
            sys.stderr.write(orjson.dumps({"event": "lag", "seconds": late}).decode() + "\n")
            sys.stderr.flush()


def main(port: str) -> None:
    """Run the worker until SIGTERM or SIGKILL."""

    def resolver() -> dns.asyncresolver.Resolver:
        made = dns.asyncresolver.Resolver(configure=False)
        made.nameservers, made.port = ["127.0.0.1"], int(port)
        return made

    def rewire(parts: Parts) -> Parts:
        parts.directory = LdapReader(Names(Path("/nowhere"), resolver))
        return parts

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            await run(load(), rewire=rewire)
            watching.cancel()

    asyncio.run(both())


if __name__ == "__main__":
    main(*sys.argv[1:])
