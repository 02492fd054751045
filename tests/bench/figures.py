"""Figures: how they are condensed, shown to people and written for programs."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results' file."""

    name: str
    value: float
    unit: str
    reference: str
    """What it is compared with, and the aim where there is one."""
    command: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Take the values; at least one."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def over(self, other: "Spread") -> "Spread":
        """Divide pairwise: what was measured side by side is compared with its neighbour."""
        pairs = zip(self.values, other.values, strict=True)
        return Spread(tuple(mine / its for mine, its in pairs))

    @override
    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.values):.2f} to {max(self.values):.2f})"


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as text: the first column to the left, the others to the right."""
    lines = [tuple(map(str, row)) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = (
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    return "\n".join((f"\n{title}", *(f"  {line}".rstrip() for line in shown)))


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each key; every row has the same keys."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def write(path: Path, figures: Iterable[Figure]) -> None:
    """Write the results, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    half = path.with_suffix(".new")
    half.write_bytes(
        orjson.dumps([asdict(figure) for figure in figures], option=orjson.OPT_INDENT_2)
    )
    half.replace(path)
