"""Runs that meet: two directories at one moment, settings that change under a run, who goes first, who tries again."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Lab
from tests.harness.platform import ENDINGS
from tests.servers import ldif
from tests.servers.ber import Kind
from tests.servers.daemon import free_port, wait_until
from tests.servers.proxy import Action, Fault, FaultProxy


PEOPLE = 25
FROZEN_AT = 15
QUEUE_ONLY = (sys.executable, "-m", "tests.chaos.launcher", "--halt", "before-claim")


@pytest.fixture
def proxies(lab: Lab) -> Iterator[list[FaultProxy]]:
    """Give two ways to the directory server, each of which can stand still."""
    with ExitStack() as stack:
        opened = [stack.enter_context(FaultProxy(lab.slapd.port)) for _ in range(2)]
        yield opened
        for proxy in opened:
            proxy.disarm()


def freeze(proxy: FaultProxy) -> None:
    """Let it stand still at the 15th entry."""
    proxy.arm(Fault(Action.FREEZE, Kind.ENTRY, nth=FROZEN_AT))


def stands_still(proxy: FaultProxy) -> bool:
    """Whether it does."""
    return wait_until(lambda: proxy.seen(Kind.ENTRY) >= FROZEN_AT, within_s=10)


async def test_two_directories_that_end_at_one_moment_add_a_shared_address_once(
    customer: Customer, proxies: list[FaultProxy]
) -> None:
    """Two forests of one company often know the same people."""
    branch, logins = customer.branch, [f"p{number:03d}" for number in range(PEOPLE)]
    forms = []
    for proxy, name in zip(proxies, ("east", "west"), strict=True):
        unit = branch.unit(name)
        branch.slapd.add(*(branch.person(login, under=unit) for login in (*logins, name)))
        freeze(proxy)
        forms.append(branch.form(directory=name, search_bases=[unit], port=proxy.port))
    await customer.join()

    causes = [await customer.send("directory.save", form) for form in forms]
    assert all(map(stands_still, proxies))
    for proxy in proxies:
        proxy.disarm()
    endings = [await customer.platform.ending(cause) for cause in causes]

    assert [ending.name for ending in endings] == ["sync.completed"] * 2
    assert sum(ending.data["counts"]["added"] for ending in endings) == PEOPLE + 2
    everyone = branch.addresses(*logins, "east", "west")
    assert await customer.recipients() == everyone
    assert await customer.store.history(customer.tenant) == {(a, "added"): 1 for a in everyone}
    await customer.platform.several(
        2, lambda seen: (seen.name, seen.tenant) == ("recipients.changed", customer.tenant)
    )
    assert sorted(customer.platform.changes(customer.tenant)) == sorted(
        (address, "added") for address in everyone
    )


@pytest.fixture
async def reading(
    customer: Customer, proxies: list[FaultProxy]
) -> AsyncIterator[tuple[Customer, FaultProxy, str]]:
    """Give a customer whose run stands still in the middle of its listing, and that run's command."""
    proxy = proxies[0]
    customer.branch.crowd(PEOPLE)
    await customer.join()
    await customer.save(port=proxy.port)
    freeze(proxy)
    cause = await customer.request()
    assert stands_still(proxy)
    yield customer, proxy, cause
    proxy.disarm()


async def test_a_domain_that_comes_during_a_run_is_read_with_it(
    reading: tuple[Customer, FaultProxy, str],
) -> None:
    """A run that began without the new domain must not end as if it had seen all."""
    customer, proxy, cause = reading
    branch = customer.branch
    new = f"new.{branch.domain}"
    branch.slapd.set(branch.dn("p000"), mail=[branch.address("p000"), f"boss@{new}"])

    await customer.join(domains=[{"name": branch.domain}, {"name": new}])
    proxy.disarm()
    ending = await customer.platform.ending(cause)

    assert ending.name == "sync.completed"
    assert (ending.data["counts"]["added"], ending.data["attempt"]) == (1, 1)
    assert (await customer.recipients())[f"boss@{new}"] == "valid"
    assert await customer.store.lookup(f"nobody@{new}") == "unknown"


async def test_a_domain_that_goes_takes_its_addresses_along(customer: Customer) -> None:
    """A domain sold is not ours to accept mail for, run or no run."""
    branch, sold = customer.branch, f"sold.{customer.branch.domain}"
    person = {"objectClass": "inetOrgPerson", "sn": "x", "mail": f"x@{sold}"}
    branch.slapd.add(ldif.record(branch.dn("x"), person))
    branch.add("ada")
    await customer.join(domains=[{"name": branch.domain}, {"name": sold}])
    await customer.save()
    before = await customer.recipients()

    await customer.join(domains=[{"name": branch.domain}])
    again = await customer.sync()

    assert before == {f"x@{sold}": "valid", **branch.addresses("ada")}
    assert await customer.store.lookup(f"x@{sold}") == "not_authoritative"
    assert await customer.store.lookup(branch.address("ada")) == "valid"
    assert again.data["counts"]["ignored"]["other_domain"] == 1
    assert (f"x@{sold}", "grace") in customer.platform.changes(customer.tenant)


async def test_a_form_saved_during_a_run_is_what_the_run_ends_with(
    reading: tuple[Customer, FaultProxy, str],
) -> None:
    """Old settings must not have the last word over new ones."""
    customer, proxy, cause = reading
    form = customer.branch.form(port=proxy.port, leave_out=["p00*@*"], sync=False, force=True)

    await customer.send("directory.save", form)
    await customer.platform.several(
        2, lambda seen: (seen.name, seen.tenant) == ("directory.saved", customer.tenant)
    )
    proxy.disarm()
    ending = await customer.platform.ending(cause)

    # under the new settings ten addresses would leave: the guard asks
    assert (ending.name, ending.data["counts"]["held"]) == ("sync.held", 10)
    assert ending.data["attempt"] == 1
    assert "scope_changed" in [reason["code"] for reason in ending.data["reasons"]]
    assert len(await customer.recipients()) == PEOPLE


async def test_a_scheduled_run_tries_three_times_and_is_told_of_once(
    unhoused: Customer, hire: Hire
) -> None:
    """A line that was down for a minute is no news at three in the morning."""
    hire(retry_s="0.2,0.2").start()
    unhoused.branch.add("ada")
    await unhoused.join()
    await unhoused.save()
    broken = unhoused.branch.form(port=free_port(), sync=False, force=True)
    await unhoused.send("directory.save", broken)

    scheduled = await unhoused.sync(trigger="scheduled")
    manual = await unhoused.sync()

    assert (scheduled.name, scheduled.data["attempt"]) == ("sync.failed", 3)
    assert (manual.name, manual.data["attempt"]) == ("sync.failed", 1)
    failed = [seen for seen in unhoused.platform.of(unhoused.tenant) if seen.name == "sync.failed"]
    assert len(failed) == 2


async def test_a_person_goes_before_the_schedule_and_a_small_customer_before_a_queue(
    unhoused: Customer, hire: Hire, lab: Lab
) -> None:
    """Nobody who presses a button waits for a night's work, least of all another customer's."""
    small = Customer(unhoused.platform, unhoused.store, lab.branch())
    with hire("setter") as setter:
        for each in (unhoused, small):
            each.branch.add("ada", "bob")
            await each.join()
        for name in ("hq", "d1", "d2", "d3", "d4", "d5"):
            await unhoused.save(directory=name)
        await small.save()
        setter.terminate()
    with hire("queue", command=QUEUE_ONLY):
        for name in ("d1", "d2", "d3", "d4", "d5"):
            await _queued(unhoused, directory=name, trigger="scheduled")
        await _queued(small, trigger="scheduled")
        await _queued(unhoused, directory="hq")

    with hire("one-by-one", concurrent_runs=1):
        await unhoused.platform.several(7 + 7, lambda seen: seen.name in ENDINGS)

    rows = await unhoused.store.rows("SELECT * FROM api.run ORDER BY started_at DESC LIMIT 7")
    order = [(row["tenant"] == small.tenant, row["directory"]) for row in reversed(rows)]
    assert order[0] == (False, "hq")
    assert (True, "hq") in order[1:3]


async def _queued(customer: Customer, **request: str) -> None:
    cause = await customer.request(**request)
    await customer.platform.event("sync.accepted", cause=cause)
