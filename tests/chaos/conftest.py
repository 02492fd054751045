"""Workers, servers and connections that end at the worst moment; each test has its own worker and database."""

from pathlib import Path

import pytest

from tests.harness.fixtures import customer, environment, hire, lab, platform


__all__ = ["customer", "environment", "hire", "lab", "platform"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.chaos)
