"""The way out of the list takes days; the worker's clock is set ahead, run by run."""

import sys

import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.worker import Worker


@pytest.mark.timeout(60)
async def test_who_left_is_missed_then_in_grace_then_removed(
    customer: Customer, hire: Hire
) -> None:
    """Three days in which a mistake can be noticed before a single mail is refused for good."""
    gone = customer.branch.address("gone")
    customer.branch.add("ada", "bob", "gone")
    with hire("first") as first:
        await customer.join()
        await customer.save()
        first.terminate()
    customer.branch.remove("gone")

    steps = [await _sync_at(hours, customer, hire) for hours in (0.1, 0.2, 1, 72, 74, 80)]

    assert steps == [
        ("missing", "valid"),
        ("", "valid"),  # not yet half an hour apart
        ("grace", "grace"),
        ("", "grace"),  # the 72 hours count from the second absence
        ("removed", "unknown"),
        ("", "unknown"),
    ]
    changes = [each for each in customer.platform.changes(customer.tenant) if each[0] == gone]
    assert changes == [(gone, change) for change in ("added", "missing", "grace", "removed")]
    assert await customer.recipients() == customer.branch.addresses("ada", "bob")


@pytest.mark.timeout(60)
async def test_the_clock_alone_removes_nobody(customer: Customer, hire: Hire) -> None:
    """A directory that cannot be read freezes its list, however long that lasts."""
    customer.branch.add("ada", "bob", "gone")
    with hire("first") as first:
        await customer.join()
        await customer.save()
        first.terminate()
    customer.branch.remove("gone")
    for hours in (0.1, 1):
        await _sync_at(hours, customer, hire)

    with _worker_at(500, hire) as worker:
        failed = await customer.save(search_bases=["ou=nowhere,dc=lab,dc=example"], force=True)
        worker.terminate()

    assert failed.name == "sync.failed"
    assert await customer.store.lookup(customer.branch.address("gone")) == "grace"


async def _sync_at(hours: float, customer: Customer, hire: Hire) -> tuple[str, str]:
    """Sync with a clock so many hours ahead; give the step somebody took, and what SMTP is told."""
    with _worker_at(hours, hire) as worker:
        counts = (await customer.sync()).data["counts"]
        worker.terminate()
    steps = [step for step in ("missing", "grace", "removed") if counts[step]]
    return " ".join(steps), await customer.store.lookup(customer.branch.address("gone"))


def _worker_at(hours: float, hire: Hire) -> Worker:
    launcher = (sys.executable, "-m", "tests.chaos.launcher", "--ahead-h", str(hours))
    return hire(f"ahead-{hours:g}", command=launcher)
