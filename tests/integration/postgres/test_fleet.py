"""Many directories in trouble at once: ours is the likelier fault, so removals of all wait for the operator."""

import asyncio
from datetime import timedelta

from tests.integration.postgres.house import House, people, removals
from worker.domain.commands import ApproveHold
from worker.domain.events import FleetFigures
from worker.domain.findings import finding
from worker.domain.model import HoldId, Mode
from worker.domain.outcomes import Applied, Failed, Held, Outcome


CUSTOMERS = [f"t{number}" for number in range(10)]


def domain(tenant: str) -> str:
    """Each has one of its own."""
    return f"{tenant}.example"


def staff(tenant: str, number: int = 40) -> list[str]:
    """The addresses of one."""
    return people(number, domain(tenant))


async def fleet(house: House, *tenants: str) -> None:
    """Customers that are all well."""
    for tenant in tenants:
        await house.save_tenant(domain(tenant), tenant=tenant)
        await house.save_directory(tenant=tenant)
        await house.sync(*staff(tenant), tenant=tenant)
    house.clock.forward(hours=2)


async def fails(house: House, tenant: str, code: str = "name.timed_out") -> None:
    """One run of a customer that fails."""
    await house.request(tenant=tenant)
    await house.runs.end(await house.claim(), Failed(finding(code)))


async def loses(house: House, tenant: str, number: int = 2) -> Outcome:
    """One run of a customer that shows fewer."""
    return await house.sync(*staff(tenant)[number:], tenant=tenant)


def codes(outcome: Outcome) -> list[str]:
    """Why it is held."""
    assert isinstance(outcome, Held), outcome
    return [reason.code for reason in outcome.ruling.reasons]


async def test_many_that_shrink_at_once_hold_the_removals_of_all(house: House) -> None:
    """Five customers lose a few people within the hour: none of them would be noticed alone."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:5]:
        assert isinstance(await loses(house, tenant), Applied)

    held = await house.fleet.watch()

    assert held is not None
    assert held.figures == FleetFigures(3600, 5, 0, 5, 5)
    (told,) = await house.events("fleet.held")
    assert "subject" not in told
    assert told["data"]["customers"] == 5
    house.clock.forward(minutes=31)
    assert codes(await loses(house, CUSTOMERS[0])) == ["fleet"]
    assert codes(await loses(house, CUSTOMERS[9], 1)) == ["fleet"]
    assert set((await house.states(CUSTOMERS[0])).values()) == {"valid"}


async def test_many_that_fail_at_once_hold_the_removals_of_the_others(house: House) -> None:
    """If we cannot resolve names, what we do read may be wrong as well."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:5]:
        await fails(house, tenant)

    held = await house.fleet.watch()

    assert held is not None
    assert held.figures == FleetFigures(3600, 5, 5, 0, 5, (("name.timed_out", 5),))
    assert codes(await loses(house, CUSTOMERS[9], 1)) == ["fleet"]


async def test_four_customers_are_not_many(house: House) -> None:
    """However many directories they have between them, it may be their own doing."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:4]:
        await loses(house, tenant)

    assert await house.fleet.watch() is None


async def test_few_among_many_are_not_alarming(house: House) -> None:
    """Five of twenty-five are a fifth, and not more."""
    tenants = [f"t{number}" for number in range(25)]
    await fleet(house, *tenants)
    for tenant in tenants[5:]:
        await house.sync(*staff(tenant), tenant=tenant)
    for tenant in tenants[:5]:
        await loses(house, tenant)

    assert await house.fleet.watch() is None
    await loses(house, tenants[5])
    assert await house.fleet.watch() is not None


async def test_ordinary_leavers_do_not_count(house: House) -> None:
    """One person a customer is every day's life."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS:
        await loses(house, tenant, 1)

    assert await house.fleet.watch() is None


async def test_who_has_been_failing_for_long_does_not_count(house: House) -> None:
    """A hundred expired passwords are a hundred customers, not an outage of ours."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS:
        await fails(house, tenant)
    house.clock.forward(hours=2)
    for tenant in CUSTOMERS:
        await fails(house, tenant)

    assert await house.fleet.watch() is None


async def test_newcomers_that_never_worked_do_not_count(house: House) -> None:
    """First tries with a form fail all the time."""
    await fleet(house, *CUSTOMERS[5:])
    for tenant in CUSTOMERS[:5]:
        await house.save_tenant(domain(tenant), tenant=tenant)
        await house.save_directory(tenant=tenant)
        await fails(house, tenant, "sign_in.refused")

    assert await house.fleet.watch() is None


async def test_trouble_spread_over_hours_is_not_at_once(house: House) -> None:
    """Each of them has a reason of its own."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:6]:
        await loses(house, tenant)
        house.clock.forward(minutes=20)

    assert await house.fleet.watch() is None


async def test_the_operator_is_told_once_however_many_workers_look(house: House) -> None:
    """Ten replicas are one alarm."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:6]:
        await loses(house, tenant)

    found = await asyncio.gather(*(house.fleet.watch() for _ in range(4)))  # noqa: TID251 - all at once is the point
    await house.fleet.watch()

    assert len([each for each in found if each is not None]) == 1
    assert len(await house.events("fleet.held")) == 1


async def test_after_the_release_removals_go_on_and_the_holds_end(house: House) -> None:
    """The operator has looked: what was counted before does not alarm again."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:5]:
        await loses(house, tenant)
    await house.fleet.watch()
    house.clock.forward(minutes=31)
    assert codes(await loses(house, CUSTOMERS[0])) == ["fleet"]

    assert await house.fleet.release()

    assert await house.fleet.watch() is None
    assert await house.fleet.standing() is None
    assert not await house.fleet.release()
    assert len(await house.events("fleet.released")) == 1
    house.clock.forward(minutes=1)
    assert isinstance(await loses(house, CUSTOMERS[0]), Applied)
    assert (await house.states(CUSTOMERS[0]))[staff(CUSTOMERS[0])[0]] == "grace"
    assert await house.seen("hold") == 0


async def test_a_second_wave_after_the_release_alarms_again(house: House) -> None:
    """A release is no licence."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:5]:
        await loses(house, tenant)
    await house.fleet.watch()
    await house.fleet.release()
    house.clock.forward(minutes=5)
    for tenant in CUSTOMERS[5:]:
        await loses(house, tenant)

    assert await house.fleet.watch() is not None
    assert len(await house.events("fleet.held")) == 2


async def test_what_a_person_approves_goes_on_while_the_fleet_is_held(house: House) -> None:
    """One customer's own decision needs no operator."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:5]:
        await loses(house, tenant)
    await house.fleet.watch()
    house.clock.forward(minutes=31)
    tenant = CUSTOMERS[0]
    await loses(house, tenant)
    (hold,) = {
        (each["hold"], each["version"]) for each in await house.fetch("SELECT * FROM api.hold")
    }
    await house.send(ApproveHold(HoldId(hold[0]), hold[1]), tenant=tenant)

    assert (await house.states(tenant))[staff(tenant)[0]] == "grace"


async def test_who_has_been_in_grace_for_long_waits_for_the_operator_as_well(house: House) -> None:
    """With a grace of two weeks a leaver counts for no share any more when the time comes; it is a removal all the same."""
    await fleet(house, *CUSTOMERS[1:])
    tenant = CUSTOMERS[0]
    await house.save_tenant(domain(tenant), tenant=tenant)
    await house.save_directory(removals(grace=timedelta(days=14)), tenant=tenant)
    await house.sync(*staff(tenant), tenant=tenant)
    for _ in range(2):
        house.clock.forward(minutes=31)
        await loses(house, tenant, 1)
    house.clock.forward(days=15)
    for other in CUSTOMERS[1:6]:
        await loses(house, other)
    await house.fleet.watch()

    outcome = await loses(house, tenant, 1)

    assert codes(outcome) == ["fleet"]
    assert (await house.states(tenant))[staff(tenant)[0]] == "grace"
    assert [each["address"] for each in await house.fetch("SELECT address FROM api.hold")] == [
        staff(tenant)[0]
    ]


async def test_a_preview_counts_for_nothing(house: House) -> None:
    """Looking at a wrong filter six times alarms nobody."""
    await fleet(house, *CUSTOMERS)
    for tenant in CUSTOMERS[:6]:
        await house.sync(*staff(tenant)[5:], tenant=tenant, mode=Mode.PREVIEW)

    assert await house.fleet.watch() is None
