"""Arguments in, exit code out. Builds no adapter, holds no rule."""

import asyncio
import sys

import typer

from worker import app as rollcall
from worker.domain.failures import Failure
from worker.settings import SERVICE_NEEDS, SettingsError, load


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def about() -> None:
    """Keep a mail filter's list of valid recipients true to the customer's own directory."""


@app.command()
def run() -> None:
    """Run the worker until SIGTERM."""
    try:
        settings = load(needs=SERVICE_NEEDS)
        asyncio.run(rollcall.run(settings))
    except (SettingsError, Failure) as refusal:
        print(refusal, file=sys.stderr)
        raise typer.Exit(2) from refusal


@app.command()
def migrate() -> None:
    """Bring the database to this release's schema."""
    try:
        settings = load(needs=("database_url",))
        applied = asyncio.run(rollcall.migrate(settings))
    except (SettingsError, Failure) as refusal:
        print(refusal, file=sys.stderr)
        raise typer.Exit(2) from refusal
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("nothing to apply")
