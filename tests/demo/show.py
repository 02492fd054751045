"""What a person sees: plain lines and tables; live where there is a terminal. Knows events, decides nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tests.demo.claims import Claim
from tests.harness.platform import ENDINGS, Seen


WIDTH = 100
"""Where there is no terminal, so that a captured session looks the same everywhere."""

FIGURES = ("read", "addresses", "added", "returned", "missing", "held", "took")
COUNTS = ("entries", "addresses", "added", "returned", "missing", "held")
STATES = {"directory.saved": "saved", "sync.accepted": "queued", "sync.progress": "reading"}
STEPS = ("connect", "read", "compare", "record")
CHECKS_SHOWN = 3
LOG_LINES = 25
FRAMES_A_SECOND = 12
OUTCOME_STYLE = {"completed": "green", "held": "yellow", "failed": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """How far one directory's run has come, as the events tell it."""

    directory: str
    name: str
    state: str = "sent"
    figures: tuple[str, ...] = ()


def figures(ending: Mapping[str, Any]) -> tuple[str, ...]:
    """What a run read and did; nothing of a failed one, which did neither."""
    if ending["finding"] is not None:
        return ()
    took = sum(ending["seconds"][name] for name in STEPS)
    return (*(str(ending["counts"][name]) for name in COUNTS), f"{took:.2f}")


def row(directory: str, name: str, told: Sequence[Seen]) -> Row:
    """The state of one directory after these events; progress may come late, an outcome is the last word."""
    latest = Row(directory, name)
    for seen in told:
        if seen.name in ENDINGS:
            return Row(directory, name, seen.name.removeprefix("sync."), figures(seen.data))
        state = STATES.get(seen.name, latest.state)
        read = tuple(str(seen.data[figure]) for figure in COUNTS[:2] if figure in seen.data)
        latest = Row(directory, name, state, read)
    return latest


class Show:
    """The screen."""

    def __init__(self) -> None:
        probe = Console()
        width = min(WIDTH, probe.width) if probe.is_terminal else WIDTH
        self.console = Console(width=width, highlight=False, emoji=False)

    def act(self, title: str) -> None:
        """Begin a part."""
        self.console.print()
        self.console.rule(f"[bold]{title}", align="left", style="dim")

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, markup=False, soft_wrap=True)

    def bullet(self, line: str) -> None:
        """Print one of several lines."""
        self.console.print(f"  • {line}", markup=False, soft_wrap=True)

    @contextmanager
    def board(self, rows: Callable[[], Sequence[Row]]) -> Iterator[None]:
        """Show the runs while they go on; where there is no terminal, once at the end."""

        def table() -> Table:
            return self._runs(rows())

        live = Live(get_renderable=table, console=self.console, refresh_per_second=FRAMES_A_SECOND)
        self.console.print()
        with live:
            yield
        if not self.console.is_terminal:
            self.console.print()  # the one frame that was printed has no end of line

    def _runs(self, rows: Sequence[Row]) -> Table:
        table = _table()
        table.add_column("directory", no_wrap=True, min_width=11)
        is_wide = self.console.width >= WIDTH
        if is_wide:
            table.add_column("", no_wrap=True, style="dim", min_width=19)
        table.add_column("run", no_wrap=True, min_width=9)
        for name in FIGURES:
            table.add_column(name, justify="right", no_wrap=True)
        for one in rows:
            style = OUTCOME_STYLE.get(one.state, "cyan")
            names = [one.directory, one.name] if is_wide else [one.directory]
            table.add_row(*names, f"[{style}]{one.state}[/]", *one.figures)
        return table

    def why(self, ending: Seen) -> None:
        """Say why a run failed or is held."""
        finding = ending.data["finding"]
        if finding is not None or ending.data["reasons"]:
            self.console.print()
        if finding is not None:
            self.say(f"{ending.data['directory']}: {finding['headline']}  ({finding['code']})")
            for check in finding["checks"][:CHECKS_SHOWN]:
                self.bullet(check)
        for reason in ending.data["reasons"]:
            self.bullet(f"{reason['code']}: {reason['text']}")

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show rows under heads; numbers to the right."""
        table = _table()
        for place, head in enumerate(heads):
            is_number = all(isinstance(one[place], int) for one in rows)
            justify: JustifyMethod = "right" if is_number else "left"
            table.add_column(head, justify=justify, overflow="fold")
        for one in rows:
            table.add_row(*("" if value is None else str(value) for value in one))
        self.console.print()
        self.console.print(table)

    def claim(self, claim: Claim) -> None:
        """Show one thing that was compared."""
        mark, text = ("[red]✗[/]", f"{claim.text}: {claim.difference}")
        if not claim.difference:
            mark, text = ("[green]✓[/]", claim.text)
        self.console.print(f"  {mark} {escape(text)}", soft_wrap=True)

    def log(self, text: str) -> None:
        """Show the end of the worker's log."""
        self.act("The end of the worker's log")
        for line in text.splitlines()[-LOG_LINES:]:
            self.say(line)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
