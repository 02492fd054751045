"""The table of commands. A command's module is imported when the command is called, so that help costs little."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command
from typing_extensions import override

from worker.cli.options import EPILOG


class Entry(NamedTuple):
    """One command, or one group of commands."""

    module: str
    """The module of this package that carries it out."""
    name: str
    """The name of the function or group in that module."""
    summary: str
    """The first paragraph of its own help; a test compares the two."""


COMMANDS: Mapping[str, Entry] = {
    "run": Entry(
        "service",
        "run",
        "Run the worker until SIGTERM: it takes commands, reads directories, publishes events.",
    ),
    "scheduler": Entry(
        "service",
        "scheduler",
        "Run the scheduler alone until SIGTERM: it asks for syncs that are due, as every worker also does by itself.",
    ),
    "migrate": Entry("service", "migrate", "Bring the database to this release's schema."),
    "settings": Entry(
        "settings",
        "show_settings",
        "Show every setting with its default and what it means; never a value that is set.",
    ),
    "preview": Entry(
        "directory",
        "preview",
        "Read a directory and show which addresses would be valid. Needs no broker and no database; changes nothing.",
    ),
    "check": Entry(
        "directory",
        "check",
        "Go through a directory stage by stage and say what to mend. Needs no broker and no database; changes nothing.",
    ),
    "sync": Entry("sync", "sync", "Ask for a sync of a stored directory and show what it came to."),
    "history": Entry(
        "reports",
        "history",
        "Show the runs of a tenant, the newest first; with --changes, --address or --run what became of addresses and logins.",
    ),
    "status": Entry(
        "reports",
        "status",
        "Show how directories stand, those in trouble first, and what waits in the queues.",
    ),
    "why": Entry(
        "why",
        "why",
        "Show why an address is valid or not: its sources, what the last runs said of it, what happens next.",
    ),
    "logins": Entry(
        "logins",
        "logins",
        "Show quarantine logins, and the addresses that mailboxes claim for theirs and do not get.",
    ),
    "holds": Entry("decide", "holds", "Show the removals that wait for a person, and why."),
    "approve": Entry(
        "decide",
        "approve",
        "Let the removals of a hold happen: those still absent enter grace, and leave with a later complete run.",
    ),
    "discard": Entry(
        "decide",
        "discard",
        "Keep everyone a hold is about, and tell nobody again until its set of addresses changes.",
    ),
    "undo": Entry(
        "decide",
        "undo",
        "Give back what a run took; what it gave leaves through guard and grace. Automatic syncs pause.",
    ),
    "pause": Entry(
        "decide",
        "pause",
        "Stop the automatic syncs of a directory; a person may still ask for one.",
    ),
    "resume": Entry(
        "decide",
        "resume",
        "Let the automatic syncs of a directory go on, for example after an undo.",
    ),
    "add": Entry(
        "by_hand",
        "add",
        "Hold addresses by hand, valid whatever the directories say. A file may hold thousands.",
    ),
    "remove": Entry(
        "by_hand",
        "remove",
        "End the source by hand of addresses; what a directory holds it goes on holding.",
    ),
    "republish": Entry(
        "by_hand",
        "republish",
        "Publish the whole list of a tenant again, for services that start or have lost count.",
    ),
    "restored": Entry(
        "restored",
        "restored",
        "After restoring the database from an older backup: begin every tenant's events again and tell its list whole.",
    ),
    "fleet": Entry(
        "fleet",
        "fleet",
        "See whether removals of all directories are held because many are in trouble at once, and release them.",
    ),
    "keys": Entry("keys", "keys", "Make, show and rotate the keys that seal secrets."),
}


class LateCommand(TyperCommand):
    """A command as the list of commands shows it. When it is called, the imported command takes its place."""

    @override
    def make_context(self, *arguments: Any, **options: Any) -> Any:
        return load(str(self.name)).make_context(*arguments, **options)


def load(command: str) -> Any:
    """Import a command of the table, and return it as typer builds it."""
    entry = COMMANDS[command]
    found = getattr(import_module(f"worker.cli.{entry.module}"), entry.name)
    if isinstance(found, typer.Typer):
        return get_command(found)
    single = typer.Typer(add_completion=False)
    single.command(command, epilog=EPILOG)(found)
    return get_command(single)


def _not_imported() -> None:
    """Stand for the function of a command, which typer wants to see before the command is called."""


app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, epilog=EPILOG
)


@app.callback()
def about() -> None:
    """Keep a mail filter's list of valid recipients true to the customer's own directory."""


for command, entry in COMMANDS.items():
    app.command(command, cls=LateCommand, help=entry.summary)(_not_imported)
