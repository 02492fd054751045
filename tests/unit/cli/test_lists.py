"""Lists of addresses as people keep them, cut into messages that fit."""

import io
from pathlib import Path

import pytest

from worker.cli.lists import PART_MAX_BYTES, PART_MAX_COUNT, Line, chunks, read_lines


def test_a_file_has_one_address_a_line(tmp_path: Path) -> None:
    """Blank lines, remarks and what an editor puts in front are forgiven; each line keeps its number."""
    kept = tmp_path / "list.txt"
    kept.write_text("\ufeffjo@example.com\n\n# sales\n  al@example.com \r\n", encoding="utf-8")

    assert read_lines(kept) == [Line("line 1", "jo@example.com"), Line("line 4", "al@example.com")]


def test_standard_input_is_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list may come from another program."""
    monkeypatch.setattr("sys.stdin", io.StringIO("jo@example.com\n"))

    assert read_lines(None) == [Line("line 1", "jo@example.com")]


def test_a_long_list_is_cut_by_count_and_by_size() -> None:
    """No part is larger than a message may be, and none is lost between two."""
    short = [Line("", f"p{number}@example.com") for number in range(2 * PART_MAX_COUNT + 1)]
    wide = [Line("", f"{'x' * 60}@{'y' * 180}.example") for _ in range(2_000)]

    for lines in (short, wide):
        parts = list(chunks(lines))
        assert [line for part in parts for line in part] == lines
        assert all(len(part) <= PART_MAX_COUNT for part in parts)
        assert all(sum(len(line.text) + 3 for line in part) <= PART_MAX_BYTES for part in parts)


def test_an_empty_list_has_no_part() -> None:
    """Nothing is asked for nothing."""
    assert list(chunks([])) == []
