"""What people and programs see: tables, JSON and CSV on standard output; progress and refusals on standard error.

Names and addresses come from strangers' directories: nothing of theirs may steer a terminal or a spreadsheet.
"""

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


T = TypeVar("T")

PIPE_WIDTH = 1_000
"""Where nobody looks, lines are as long as they are: cutting and wrapping are for screens."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes what begins so for a formula (OWASP, CSV Injection; the last four are the same in full width)."""


class UnwritableError(Exception):
    """What is printed cannot be taken: the reader has gone, or the disk is full."""

    def __init__(self, broken: OSError) -> None:
        super().__init__(broken.strerror)
        self.is_reader_gone = isinstance(broken, BrokenPipeError)


def say(*lines: str) -> None:
    """Print lines of text, each wrapped to the screen."""
    console = _console()
    for line in lines:
        console.print(plain(line), soft_wrap=not console.is_terminal)


def paste(line: str) -> None:
    """Print a line that is to be copied: never wrapped."""
    _console().print(plain(line), soft_wrap=True)


def complain(words: str) -> None:
    """Print on standard error."""
    console = _console(stderr=True)
    for line in words.splitlines():
        console.print(plain(line), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table; numbers stand to the right."""
    listed = [[cell(value) for value in row] for row in rows]
    numbers = [
        bool(listed) and all(row[place].isdigit() for row in listed if row[place])
        for place in range(len(columns))
    ]
    drawn = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name, is_number in zip(columns, numbers, strict=True):
        drawn.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        drawn.add_row(*row)
    _console().print(drawn)


def cut(found: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """Return so many at most, and whether there were more: ask for one more than are shown."""
    return found[:limit], len(found) > limit


def say_cut(limit: int, which: str = "first") -> None:
    """Say that not all is shown."""
    verb = "is" if limit == 1 else "are"
    say(f"The {which} {limit:,} {verb} shown; --limit shows more.")


def as_json(value: object) -> None:
    """Print one JSON document."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    sys.stdout.write(orjson.dumps(value, default=_named, option=options).decode() + "\n")


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows that a spreadsheet shows as they are (RFC 4180, lines end with CRLF)."""
    tell = csv_rows(columns)
    tell(rows)


def csv_rows(columns: Sequence[str]) -> Callable[[Iterable[Sequence[object]]], None]:
    """Return what prints rows, none of which is kept; the head comes before the first, if only an empty page.

    It raises UnwritableError.
    """
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    head = [columns]

    def tell(rows: Iterable[Sequence[object]]) -> None:
        try:
            if head:
                writer.writerow(head.pop())
            writer.writerows([harmless(cell(value)) for value in row] for row in rows)
            sys.stdout.flush()
        except OSError as broken:
            _let_go_of_output()
            raise UnwritableError(broken) from broken

    return tell


def _let_go_of_output() -> None:
    """Have Python's own flush at the end not stumble over the same."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def cell(value: object) -> str:
    """Return a value as a cell shows it: times in UTC to the second, nothing for None."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else plain(str(value))


def plain(text: str) -> str:
    """Return a text without anything a terminal would obey: what cannot be printed becomes U+FFFD."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


@contextmanager
def progress(words: str) -> Iterator[Callable[[str], None]]:
    """Show what is going on, on a terminal; gives what changes the words."""
    console = _console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(words) as status:
        yield lambda said: status.update(plain(said))


def _console(*, stderr: bool = False) -> Console:
    """Make one for each answer: standard output may be another one by then."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if is_terminal else PIPE_WIDTH,
    )


def _named(value: object) -> object:
    """Return a named tuple as an object; orjson takes none by itself."""
    as_dict = getattr(value, "_asdict", None)
    if as_dict is None:
        raise TypeError(type(value).__name__)
    return as_dict()
