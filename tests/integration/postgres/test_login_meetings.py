"""Where logins meet what else happens: holds, approvals, undo, other directories, other settings. Nobody is let in or locked out by it."""

from tests.integration.postgres.house import House, Row
from tests.integration.postgres.logins import (
    ADA,
    BOB,
    CLEO,
    OTHERS,
    asking,
    logins,
    person,
)
from worker.domain.model import RemovalPolicy, Removals
from worker.domain.outcomes import Applied


STRICT = Removals()
REVIEW = Removals(policy=RemovalPolicy.REVIEW)
NEVER = Removals(policy=RemovalPolicy.NEVER)
DAY = 24 * 60
NEXT_MONTH = 31 * DAY


def two_each(count: int, *, of: str = "p", enabled: bool = True) -> list[Row]:
    """So many people with an alias each; ``of`` tells their ids apart from those of others with the same addresses."""
    return [
        each
        for n in range(count)
        for each in person(f"{of}{n}", f"p{n}@example.com", f"x{n}@example.com", enabled=enabled)
    ]


async def waiting(house: House) -> set[tuple[str, str]]:
    """Who waits in open holds for a word, as an address or as a login."""
    found = await house.fetch(
        """SELECT c.address, c.change FROM rollcall.hold o JOIN rollcall.change_set c ON c.set_id = o.hold_id
           WHERE o.state = 'open' AND NOT c.approved"""
    )
    return {(each["address"], each["change"]) for each in found}


# --- what hides behind an address ----------------------------------------------


# --- approvals -----------------------------------------------------------------


# --- undo ----------------------------------------------------------------------


async def test_an_undone_stranger_is_let_in_by_no_run_that_does_not_show_them(house: House) -> None:
    """Their address is missing from the undo on; missing is not there."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA), *person("cleo", CLEO), *OTHERS)
    await house.undo()

    await house.sync_later(*person("ada", ADA), *OTHERS, minutes=10)

    assert (await logins(house))[CLEO].state == "deactivated"


# --- what is told --------------------------------------------------------------


async def test_a_shared_address_is_told_once(house: House) -> None:
    """Three claim it, and there is one thing to mend."""
    info = "info@example.com"
    await house.founded(asking())

    outcome = await house.sync(
        *person("ada", ADA, info), *person("bob", BOB, info), *person("cleo", CLEO, info)
    )

    assert isinstance(outcome, Applied)
    assert [each["address"] for each in outcome.counts.logins.unmet] == [info]
    assert outcome.counts.logins.conflicts == 3
