"""The commands, and the few that need no file of their own."""

import asyncio
from dataclasses import asdict

import typer

from worker import app as service
from worker.cli import screen
from worker.cli.by_hand import add, remove, republish
from worker.cli.decide import approve, discard, holds, pause, resume, undo
from worker.cli.directory import check, preview
from worker.cli.exits import EPILOG, Exit, refusals, refuse
from worker.cli.fleet import fleet
from worker.cli.keys import keys
from worker.cli.logins import logins
from worker.cli.options import AsJson
from worker.cli.reports import history, status
from worker.cli.restored import restored
from worker.cli.sync import sync
from worker.cli.why import why
from worker.settings import SCHEDULER_NEEDS, SERVICE_NEEDS, load, settings_table


app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=EPILOG
)


@app.callback()
def about() -> None:
    """Keep a mail filter's list of valid recipients true to the customer's own directory."""


@app.command(epilog=EPILOG)
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


@app.command(epilog=EPILOG)
def scheduler() -> None:
    """Run the scheduler alone until SIGTERM: it asks for syncs that are due, as every worker also does by itself."""
    with refusals():
        settings = load(needs=SCHEDULER_NEEDS)
        try:
            asyncio.run(service.run_scheduler(settings))
        except OSError as taken:  # as above
            refuse(f"ROLLCALL_HEALTH_HOST, ROLLCALL_HEALTH_PORT: {taken.strerror}", Exit.USAGE)


@app.command(epilog=EPILOG)
def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database to this release's schema."""
    with refusals():
        applied = asyncio.run(service.migrate(load(needs=("database_url",))))
    if as_json:
        screen.as_json({"applied": applied})
        return
    screen.say(*(f"applied {name}" for name in applied) if applied else ("nothing to apply",))


@app.command("settings", epilog=EPILOG)
def show_settings(*, as_json: AsJson = False) -> None:
    """Show every setting with its default and what it means; never a value that is set."""
    rows = settings_table()
    if as_json:
        screen.as_json([asdict(row) for row in rows])
        return
    screen.table(
        ("setting", "default", "meaning"),
        [(row.name, row.default, row.description) for row in rows],
    )


for command in (preview, check, sync, history, status, why, logins, holds, approve, discard, undo):
    app.command(epilog=EPILOG)(command)
for command in (pause, resume, add, remove, republish):
    app.command(epilog=EPILOG)(command)
app.add_typer(fleet, name="fleet", epilog=EPILOG)
app.command(epilog=EPILOG)(restored)
app.add_typer(keys, name="keys", epilog=EPILOG)
