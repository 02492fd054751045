"""What looks unusual and is held by no rule: the second table of the guard, each row played on the store."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from tests.integration.postgres.house import House, people, removals, row
from worker.domain.guard import PASSES, RULES, Passage
from worker.domain.model import Domain, RemovalPolicy
from worker.domain.outcomes import Applied, Held, Unchanged


ALL = people(40)
FEW = ALL[:20]


async def first_run(house: House) -> None:
    """All that a first run shows is added, however much or little it is."""
    await house.founded()

    assert isinstance(await house.sync(*ALL), Applied)

    assert await house.states() == dict.fromkeys(ALL, "valid")


async def migrated(house: House) -> None:
    """A directory moved to another product gives every entry a new id; its people are the same."""
    await house.founded()
    await house.sync(*ALL)
    since = await house.fetch("SELECT address, since FROM api.recipient ORDER BY address")
    await house.forget_events()

    outcome = await house.sync_later(*(row(each, f"new {each}") for each in ALL))

    assert isinstance(outcome, Applied)
    assert (outcome.counts.unchanged, outcome.counts.added, outcome.counts.missing) == (40, 0, 0)
    assert await house.events("recipients.changed") == []
    assert await house.fetch("SELECT address, since FROM api.recipient ORDER BY address") == since
    assert await house.value("SELECT count(*) FROM rollcall.holding") == 40


async def domain_added(house: House) -> None:
    """Its addresses come with the next run, and until then nobody in it is called unknown."""
    await house.founded()
    await house.sync_later(*ALL)
    await house.save_tenant("example.com", "example.net")
    assert await house.look("jo@example.net") == "not_authoritative"

    assert isinstance(await house.sync_later(*ALL, "jo@example.net"), Applied)

    assert await house.look("jo@example.net") == "valid"
    assert await house.look("al@example.net") == "unknown"


async def domain_taken_off(house: House) -> None:
    """A decision: its addresses go by grace and the clock, and the guard does not count them."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    there = people(60, "example.net")
    await house.sync(*FEW, *there)

    await house.save_tenant("example.com")

    assert isinstance(await house.sync_later(*FEW), Applied)
    assert {(await house.states())[each] for each in there} == {"grace"}
    house.clock.forward(hours=73)
    await house.sweeper.housekeep()
    assert await house.states() == dict.fromkeys(FEW, "valid")


async def domain_made_alias(house: House) -> None:
    """Its own addresses stay, and those of its target are valid in it as well."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync(*FEW, "jo@example.net")

    await house.save_tenant("example.com", Domain("example.net", alias_of="example.com"))

    assert isinstance(await house.sync_later(*FEW, "jo@example.net"), Applied)
    assert await house.look("jo@example.net") == "valid"
    assert await house.look(FEW[0].replace("example.com", "example.net")) == "valid"


async def held_elsewhere(house: House) -> None:
    """A branch that moves from one directory to another leaves nothing."""
    await house.founded()
    await house.save_directory(directory="branch")
    await house.sync(*ALL)
    await house.sync(*ALL, directory="branch")

    outcome = await house.sync_later(*ALL[:21])

    assert isinstance(outcome, Applied)
    assert await house.states() == dict.fromkeys(ALL, "valid")


async def approved(house: House) -> None:
    """Who was approved does not count again when the next one leaves."""
    await house.founded(removals(min_count=3, max_share=0.01))
    await house.sync(*ALL)
    assert isinstance(await house.sync_later(*ALL[4:]), Held)
    await house.approve()

    assert isinstance(await house.sync_later(*ALL[7:]), Applied)

    assert (await house.states())[ALL[0]] == "grace"


async def never(house: House) -> None:
    """What is absent stays missing, and valid, for good."""
    await house.founded(removals(policy=RemovalPolicy.NEVER))
    await house.sync(*ALL)

    for _ in range(4):
        outcome = await house.sync_later(*ALL[:21], minutes=73 * 60)
        assert isinstance(outcome, Applied | Unchanged)

    assert await house.states() == dict.fromkeys(ALL, "valid")
    assert (await house.steps())[ALL[39]] == "missing"


PLAYED: Mapping[str, Callable[[House], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        first_run,
        migrated,
        domain_added,
        domain_taken_off,
        domain_made_alias,
        held_elsewhere,
        approved,
        never,
    )
}


@pytest.mark.parametrize("passage", PASSES, ids=lambda each: each.code)
async def test_what_only_looks_unusual_passes(house: House, passage: Passage) -> None:
    """A guard that cries wolf is soon switched off: each row of the table is played."""
    await PLAYED[passage.code](house)


def test_every_passage_is_played_and_every_rule_has_words() -> None:
    """The tables are documentation: nothing in them is left without proof or reason."""
    assert PLAYED.keys() == {each.code for each in PASSES}
    assert all(rule.holds_when.endswith(".") and rule.because.endswith(".") for rule in RULES)
