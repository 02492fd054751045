"""The exit codes, and what is said when a command cannot do what was asked. No expected failure shows a traceback."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from worker.cli import screen
from worker.domain.failures import BrokerFailure, Failure, StoreFailure
from worker.errands import UnknownDirectoryError, UnknownTenantError
from worker.settings import SettingsError


class Exit(enum.IntEnum):
    """What a command comes to."""

    OK = 0
    NO = 1
    """The answer is no: a finding, a held or failed run, an address that is not valid."""
    USAGE = 2
    """Wrong usage or settings; what is wrong is named."""
    AWAY = 3
    """A server of ours is away: database, broker or worker."""


WORDS = {
    "store.unavailable": "The database cannot be reached. Is it running, and is ROLLCALL_DATABASE_URL right?",
    "store.conflict": "The database is busy: another program holds what was asked for. Try again.",
    "store.refused": "The database refuses us. Are role, password, database and rights in ROLLCALL_DATABASE_URL right?",
    "store.not_migrated": "The database has not this release's schema. Run `rollcall migrate` first.",
    "store.migrated_otherwise": "The database was migrated from files that differ from this release's.",
}
MENDED_BY_SETTINGS = frozenset({"store.refused", "store.not_migrated", "store.migrated_otherwise"})


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what may go wrong into words on standard error and an exit code."""
    try:
        yield
    except SettingsError as wrong:
        refuse(str(wrong), Exit.USAGE)
    except UnknownTenantError:
        refuse("There is no such tenant.", Exit.USAGE)
    except UnknownDirectoryError:
        refuse("directory: This tenant has no such directory. [directory.unknown]", Exit.USAGE)
    except screen.UnwritableError as stopped:
        if stopped.is_reader_gone:  # "| head" has what it wanted
            raise typer.Exit(Exit.OK) from stopped
        refuse(f"The answer cannot be written: {stopped}.", Exit.USAGE)
    except Failure as failure:
        refuse(told(failure), code_of(failure))


def refuse(words: str, code: Exit) -> NoReturn:
    """Say why, and end."""
    screen.complain(words)
    raise typer.Exit(code)


def told(failure: Failure) -> str:
    """Return the words for a failure; its code and detail in brackets, for whoever looks further."""
    words = WORDS.get(failure.code, "It did not work.")
    return f"{words} [{failure}]"


def code_of(failure: Failure) -> Exit:
    """Say what a failure that ends a command comes to."""
    if failure.code in MENDED_BY_SETTINGS:
        return Exit.USAGE
    return Exit.AWAY if isinstance(failure, StoreFailure | BrokerFailure) else Exit.NO
