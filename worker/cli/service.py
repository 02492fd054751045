"""``run``, ``scheduler``, ``migrate``: the service itself, and the database that it needs."""

import asyncio

from worker import app as service
from worker.cli import screen
from worker.cli.exits import Exit, refusals, refuse
from worker.cli.options import AsJson
from worker.settings import SCHEDULER_NEEDS, SERVICE_NEEDS, load


def run() -> None:
    """Run the worker until SIGTERM: it takes commands, reads directories, publishes events."""
    with refusals():
        settings = load(needs=SERVICE_NEEDS)
        try:
            asyncio.run(service.run(settings))
        except (
            OSError
        ) as taken:  # of all that a start opens, only the health port is not translated
            refuse(f"ROLLCALL_HEALTH_HOST, ROLLCALL_HEALTH_PORT: {taken.strerror}", Exit.USAGE)


def scheduler() -> None:
    """Run the scheduler alone until SIGTERM: it asks for syncs that are due, as every worker also does by itself."""
    with refusals():
        settings = load(needs=SCHEDULER_NEEDS)
        try:
            asyncio.run(service.run_scheduler(settings))
        except OSError as taken:  # as above
            refuse(f"ROLLCALL_HEALTH_HOST, ROLLCALL_HEALTH_PORT: {taken.strerror}", Exit.USAGE)


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database to this release's schema."""
    with refusals():
        applied = asyncio.run(service.migrate(load(needs=("database_url",))))
    if as_json:
        screen.as_json({"applied": applied})
        return
    screen.say(*(f"applied {name}" for name in applied) if applied else ("nothing to apply",))
