"""``keys``: the keys that seal stored secrets."""

import asyncio

import typer

from worker import errands
from worker.cli import screen
from worker.cli.exits import Exit, refusals
from worker.cli.options import EPILOG, AsJson
from worker.settings import load


keys = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    epilog=EPILOG,
    help="Make, show and rotate the keys that seal secrets.",
)

KEEP = "Keep the older keys in ROLLCALL_KEYS for 30 days: passwords refused before and repeated commands are known by them."


@keys.command(epilog=EPILOG)
def generate(*, as_json: AsJson = False) -> None:
    """Make a new private key, to be put in front of ROLLCALL_KEYS. It is shown this once."""
    key = errands.generate_key()
    if as_json:
        screen.as_json({"private_key": key})
    else:
        screen.paste(key)


@keys.command("show-public", epilog=EPILOG)
def show_public(*, as_json: AsJson = False) -> None:
    """Show the public half of the newest key: what a platform seals passwords with."""
    with refusals():
        public = errands.public_key(load(needs=("keys",)))
    if as_json:
        screen.as_json({"public_key": public})
    else:
        screen.paste(public)


@keys.command(epilog=EPILOG)
def rotate(*, as_json: AsJson = False) -> None:
    """Seal all stored secrets with the newest key, while workers run.

    First give every worker the new key behind the old one in ROLLCALL_KEYS, then in front of it; then rotate. Secrets
    that no key opens are counted, and the answer is no: their passwords have to be entered again.
    """
    with refusals(), screen.progress("sealing"):
        done = asyncio.run(errands.rotate(load(needs=("database_url", "keys"))))
    if as_json:
        screen.as_json(done)
    else:
        screen.say(
            f"{done.looked_at:,} looked at, {done.sealed:,} sealed anew, {done.unreadable:,} unreadable."
        )
        screen.say(KEEP)
    if done.unreadable:
        raise typer.Exit(Exit.NO)
