import csv
import io
from datetime import UTC, datetime

import orjson
import pytest

from worker.cli import screen
from worker.domain.model import Kind
from worker.domain.preview import Recipient


def test_a_name_from_a_directory_cannot_steer_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Display names are written by strangers."""
    screen.table(("name",), [("\x1b[2J\x1b]0;owned\x07[bold]Ada[/bold] :smile:",)])

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]Ada[/bold] :smile:" in shown


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_a_cell_cannot_become_a_formula(sign: str) -> None:
    """History opened in a spreadsheet must not run what an attacker put into an address."""
    assert screen.harmless(f"{sign}cmd|' /C calc'!A0").startswith("'")


def test_csv_is_read_back_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Commas and quotes in names are legal."""
    screen.as_csv(("name", "count"), [('Ada "the first", Countess', 2), ("=1+1", None)])

    read = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert read == [["name", "count"], ['Ada "the first", Countess', "2"], ["'=1+1", ""]]


def test_lines_of_csv_end_as_rfc_4180_says(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """And the head comes once, also when there is nothing below it."""
    tell = screen.csv_rows(("address",))
    for page in ((), (("ada@example.org",),), (("bob@example.org",),)):
        tell(page)

    assert capsysbinary.readouterr().out == b"address\r\nada@example.org\r\nbob@example.org\r\n"


def test_json_is_one_document_with_times_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read times as the contract writes them."""
    row = Recipient("ada@example.org", Kind.MAILBOX, primary=True, enabled=True, name="Ada")
    screen.as_json({"at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "rows": [row]})

    told = orjson.loads(capsys.readouterr().out)
    assert told["at"] == "2026-01-02T03:04:05Z"
    assert told["rows"][0] == {
        "address": "ada@example.org",
        "kind": "mailbox",
        "primary": True,
        "enabled": True,
        "name": "Ada",
    }


def test_nothing_is_cut_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A table that goes into a pipe is searched, not read."""
    long = "x" * 400
    screen.table(("name", "other"), [(long, "end")])

    assert f"{long}   end" in capsys.readouterr().out


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs of scheduled jobs are not filled with spinners."""
    with screen.progress("reading") as tell:
        tell("reading: 10 entries")

    assert capsys.readouterr() == ("", "")
