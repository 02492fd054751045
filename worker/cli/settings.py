"""``settings``: what can be set."""

from dataclasses import asdict

from worker.cli import screen
from worker.cli.options import AsJson
from worker.settings import settings_table


def show_settings(*, as_json: AsJson = False) -> None:
    """Show every setting with its default and what it means; never a value that is set."""
    rows = settings_table()
    if as_json:
        screen.as_json([asdict(row) for row in rows])
        return
    screen.table(
        ("setting", "default", "meaning"),
        [(row.name, row.default, row.description) for row in rows],
    )
