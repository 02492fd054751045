"""Lists of addresses as people keep them: one a line, in as many messages as it takes."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


PART_MAX_COUNT = 5_000
PART_MAX_BYTES = 192 * 1024
"""Of the addresses in one message; with the rest of it 256 KiB are not reached."""

ADDRESS_COST_BYTES = 3
"""Quotes and comma around each."""


class Line(NamedTuple):
    """One address as entered, and how a person finds it."""

    where: str
    text: str


def read_lines(path: Path | None) -> list[Line]:
    """Read one address a line; blank lines and those that begin with # are passed over. None: standard input."""
    text = sys.stdin.read() if path is None else path.read_text(encoding="utf-8-sig")
    return [
        Line(f"line {number}", line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def chunks(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Cut a list into parts that fit into a message each."""
    part: list[Line] = []
    size_bytes = 0
    for line in lines:
        cost = len(line.text.encode()) + ADDRESS_COST_BYTES
        if part and (len(part) == PART_MAX_COUNT or size_bytes + cost > PART_MAX_BYTES):
            yield part
            part, size_bytes = [], 0
        part.append(line)
        size_bytes += cost
    if part:
        yield part
