"""The whole program as a black box: one worker for the session, a tenant of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import environment, hire, house, lab, shared_environment
from tests.harness.lab import Lab
from tests.harness.platform import Platform
from tests.harness.store import Store
from tests.harness.worker import Worker


__all__ = ["environment", "hire", "house", "lab", "shared_environment"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture
async def platform(shared_environment: dict[str, str]) -> AsyncIterator[Platform]:
    """Give the other side of the session's worker."""
    url, prefix = (
        shared_environment["ROLLCALL_AMQP_URL"],
        shared_environment["ROLLCALL_AMQP_PREFIX"],
    )
    async with Platform(url, prefix) as other_side:
        yield other_side


@pytest.fixture
def store(shared_environment: dict[str, str]) -> Store:
    """Give the session's database as others may read it."""
    return Store(shared_environment["ROLLCALL_DATABASE_URL"])


@pytest.fixture
def customer(platform: Platform, store: Store, lab: Lab, house: Worker) -> Customer:
    """Give a customer whose directory is empty."""
    return Customer(platform, store, lab.branch())


@pytest.fixture
async def unhoused(environment: dict[str, str], lab: Lab) -> AsyncIterator[Customer]:
    """Give a customer on a database and at a broker's names of the test's own, without a worker yet."""
    url, prefix = environment["ROLLCALL_AMQP_URL"], environment["ROLLCALL_AMQP_PREFIX"]
    async with Platform(url, prefix) as other_side:
        yield Customer(other_side, Store(environment["ROLLCALL_DATABASE_URL"]), lab.branch())
