"""``fleet``: the hold over all directories, for the operator."""

import asyncio

import typer

from worker import errands
from worker.cli import screen
from worker.cli.exits import refusals
from worker.cli.options import EPILOG, AsJson
from worker.ports.runs import FleetHold
from worker.settings import load


fleet = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    epilog=EPILOG,
    help="See whether removals of all directories are held because many are in trouble at once, and release them.",
)


@fleet.command(epilog=EPILOG)
def show(*, as_json: AsJson = False) -> None:
    """Show whether removals of all are held, since when and why."""
    with refusals():
        held = asyncio.run(errands.fleet_hold(load(needs=("database_url",))))
    if as_json:
        screen.as_json({"held": held})
    elif held is None:
        screen.say("Removals are not held.")
    else:
        screen.say(*fleet_words(held))


@fleet.command(epilog=EPILOG)
def release(*, as_json: AsJson = False) -> None:
    """Let removals go on: each directory's hold for this reason ends with its next complete run."""
    with refusals():
        released = asyncio.run(errands.release_fleet(load(needs=("database_url",))))
    if as_json:
        screen.as_json({"released": released})
    else:
        screen.say("Removals go on." if released else "Nothing was held.")


def fleet_words(held: FleetHold) -> tuple[str, ...]:
    """Say what is held and why, for an operator."""
    figures = held.figures
    codes = ", ".join(f"{code} ({number})" for code, number in figures.codes)
    seen = (
        f"Within {figures.window_s // 60} minutes {figures.failing} of {figures.directories} directories failed and "
        f"{figures.shrinking} shrank, of {figures.customers} customers."
    )
    return (
        f"Removals of ALL directories are held since {held.since:%Y-%m-%d %H:%M} UTC.",
        seen,
        *((f"What failed: {codes}.",) if codes else ()),
        "Look for a fault of ours first (name servers, route, egress address, the last release); then `rollcall fleet release`.",
    )
