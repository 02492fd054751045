"""Where logins meet what else happens: holds, approvals, undo, other directories, other settings. Nobody is let in or locked out by it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.postgres.house import House, Row, settings
from tests.integration.postgres.logins import (
    ADA,
    BOB,
    CLEO,
    OTHERS,
    Login,
    active,
    asking,
    crowd,
    ended,
    id_of,
    logins,
    person,
)
from tests.integration.postgres.test_login_decisions import codes, states
from worker.domain.model import RemovalPolicy, Removals, Tier
from worker.domain.outcomes import Applied, Held


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


async def test_an_alias_let_go_hides_no_disabling(house: House) -> None:
    """A person approved that aliases leave; that half a company is disabled the day after is another matter."""
    await house.founded(asking(STRICT))
    await house.sync(*two_each(20))
    await house.sync_later(*crowd(20))
    await house.approve()

    outcome = await house.sync_later(*crowd(20, enabled=False))

    assert codes(outcome) >= {"domain_half"}
    assert await states(house) == {"active": 20}


async def test_an_alias_that_is_gone_hides_no_migration(house: House) -> None:
    """Old aliases are kept for 30 days, and explain no login's end: the same people under new ids are held."""
    await house.founded(asking(STRICT))
    await house.sync(*two_each(20))
    await house.sync_later(*crowd(20))
    await house.approve()
    await house.sync_later(*crowd(20), minutes=4 * DAY)
    assert await house.look("x1@example.com") == "unknown"
    await house.sync_later(*crowd(20), minutes=8 * DAY)

    moved = [each for n in range(20) for each in person(f"new{n}", f"p{n}@example.com")]
    outcome = await house.sync_later(*moved)

    assert codes(outcome) >= {"domain_half"}
    assert await states(house) == {"active": 20}


async def test_a_hold_keeps_logins_whose_aliases_are_in_grace(house: House) -> None:
    """New ids for everybody while aliases are on their way out: it is held, and held means that nobody is locked out."""
    everyone, others = two_each(20), crowd(200)[20:]
    await house.founded(asking(replace(STRICT, min_count=25)))
    await house.sync(*everyone, *others)
    for _ in range(2):
        assert not isinstance(await house.sync_later(*crowd(20), *others), Held)
    assert await house.look("x1@example.com") == "grace"

    moved = [
        each for n in range(200) for each in person(f"{'new' * (n < 30)}p{n}", f"p{n}@example.com")
    ]
    outcome = await house.sync_later(*moved)

    assert isinstance(outcome, Held)
    assert await states(house) == {"active": 200}


async def test_an_alias_in_grace_for_long_hides_no_disabling(house: House) -> None:
    """What left the list more than a week ago counts no more, so it stands for nobody."""
    others = crowd(200)[20:]
    await house.founded(asking(Removals(min_count=25, grace=timedelta(days=20))))
    await house.sync(*two_each(20), *others)
    for _ in range(2):
        assert not isinstance(await house.sync_later(*crowd(20), *others), Held)
    await house.sync_later(*crowd(20), *others, minutes=8 * DAY)

    few = [each._replace(enabled=place >= 10) for place, each in enumerate(others)]
    outcome = await house.sync_later(*crowd(20, enabled=False), *few)

    assert codes(outcome) == {"domain_share"}
    assert await states(house) == {"active": 200}


async def test_the_login_of_a_leaver_is_reviewed_although_another_directory_holds_the_address(
    house: House,
) -> None:
    """The list loses nothing; the person loses the quarantine, and each such end is to be seen by somebody."""
    await house.founded(asking(REVIEW))
    await house.save_directory(settings(), directory="lab")
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync(ADA, directory="lab")

    outcome = await house.sync_later(*OTHERS)
    assert codes(outcome) == {"review"}
    assert await waiting(house) == {(ADA, "deactivated")}
    await house.sync_later(*OTHERS)
    assert await logins(house) == {ADA: active(ADA)}
    await house.approve()

    assert (await logins(house))[ADA].state == "deactivated"
    for _ in range(2):
        assert not isinstance(await house.sync_later(*OTHERS), Held)
        assert (await logins(house))[ADA].state == "deactivated"
    assert await house.look(ADA) == "valid"


async def test_an_address_and_a_login_of_one_name_are_approved_together(house: House) -> None:
    """Ada lost the address that is her name, and is disabled: one word on both, since the hold shows one line."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA, CLEO), *OTHERS)
    await house.sync_later(*person("ada", CLEO, enabled=False), *OTHERS)
    assert await waiting(house) == {(ADA, "removed")}

    await house.approve()

    assert await logins(house) == {ADA: ended("disabled", ADA, CLEO)}
    assert (await house.last("hold.approved"))["approved"] == 1
    assert isinstance(await house.sync_later(*person("ada", CLEO, enabled=False), *OTHERS), Applied)


async def test_a_login_waits_beside_its_name_that_was_let_go_before(house: House) -> None:
    """The address was approved and is in grace; that Ada is disabled now is a question of its own, and can be answered."""
    cleo = person("cleo", CLEO)
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA, BOB), *cleo, *OTHERS)
    await house.sync_later(*person("ada", CLEO, BOB), *cleo, *OTHERS)
    await house.approve()
    assert (await logins(house))[ADA] == Login(ADA, "active", None, (BOB,))

    away = person("ada", CLEO, BOB, enabled=False)
    for _ in range(2):
        outcome = await house.sync_later(*away, *cleo, *OTHERS)
        assert codes(outcome) == {"review"}
        assert await waiting(house) == {(ADA, "deactivated")}
        assert (await house.hold()).version == 1
    await house.approve()

    assert (await logins(house))[ADA] == ended("disabled", ADA, BOB)


# --- approvals -----------------------------------------------------------------


async def test_an_approval_ends_no_login_where_the_form_says_so(house: House) -> None:
    """Some want to end logins themselves, also of those whose departure they approve."""
    await house.founded(asking(REVIEW, deactivate=False))
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("bob", BOB), *OTHERS)

    await house.approve()

    assert await house.look(ADA) == "grace"
    assert {each.state for each in (await logins(house)).values()} == {"active"}


@pytest.mark.parametrize("how", ["plan", "create", "deactivate", "never"])
async def test_an_approval_ends_no_login_that_nobody_looks_after_any_more(
    house: House, how: str
) -> None:
    """Between the hold and the word on it the plan was lost, or the form says otherwise now: they stay as they are."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)
    hold = await house.hold()
    if how == "plan":
        await house.save_tenant(tier=Tier.STANDARD)
    else:
        forms = {
            "create": settings(removals=REVIEW),
            "deactivate": asking(REVIEW, deactivate=False),
            "never": asking(NEVER),
        }
        await house.save_directory(forms[how])

    await house.approve(hold)

    assert (await house.last("hold.approved"))["approved"] == 0
    assert await logins(house) == {ADA: active(ADA)}


async def test_an_address_waits_as_one_where_a_login_of_its_name_waited_before(
    house: House,
) -> None:
    """Logins are looked after no more, and now Ada has left: what the set says of her name must not be what it said of her login."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)
    first = await house.hold()
    await house.save_tenant(tier=Tier.STANDARD)

    await house.sync_later(*OTHERS)

    assert await waiting(house) == {(ADA, "removed")}
    assert (await house.hold()).version == first.version + 1
    await house.approve()
    assert await house.look(ADA) == "grace"


async def test_an_approval_leaves_a_login_whose_owner_has_an_address_that_leads_to_nobody(
    house: House,
) -> None:
    """Ada's own address may go; she is there still, by one that she shares, and a run would leave her login alone."""
    info = "info@example.com"
    await house.founded(asking(REVIEW))
    bob = person("bob", BOB, info)
    await house.sync(*person("ada", ADA, info), *bob, *OTHERS)
    await house.sync_later(*person("ada", info), *bob, *OTHERS)

    await house.approve()

    assert await house.look(ADA) == "grace"
    assert (await logins(house))[ADA].state == "active"


async def test_a_domain_taken_off_leaves_a_login_whose_owner_has_an_address_left(
    house: House,
) -> None:
    """The same when it was a domain that went."""
    info = "info@example.com"
    await house.founded(asking())
    await house.save_tenant("example.com", "example.net")
    bob = person("bob", BOB, info)
    await house.sync(*person("ada", "ada@example.net", info), *bob, *OTHERS)

    await house.save_tenant("example.com")

    assert (await logins(house))["ada@example.net"] == Login("ada@example.net", "active", None, ())


# --- undo ----------------------------------------------------------------------


async def test_an_undone_stranger_is_let_in_by_no_run_that_does_not_show_them(house: House) -> None:
    """Their address is missing from the undo on; missing is not there."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA), *person("cleo", CLEO), *OTHERS)
    await house.undo()

    await house.sync_later(*person("ada", ADA), *OTHERS, minutes=10)

    assert (await logins(house))[CLEO].state == "deactivated"


@pytest.mark.parametrize("how", ["a later run", "an approval"])
async def test_an_undo_gives_the_login_back_with_the_address_whatever_took_it(
    house: House, how: str
) -> None:
    """The run that is undone saw Ada leave, and what followed ended her login: her address is valid again, and leads to her."""
    removals = REVIEW if how == "an approval" else STRICT
    await house.founded(asking(removals))
    await house.sync(*person("ada", ADA, "a@example.com"), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("bob", BOB), *OTHERS)
    absence = await house.last_run()
    if how == "an approval":
        await house.approve()
    else:
        await house.sync_later(*person("bob", BOB), *OTHERS)
    assert (await logins(house))[ADA] == ended("gone", ADA)

    await house.undo(absence)

    assert await logins(house) == {ADA: active(ADA, "a@example.com"), BOB: active(BOB)}
    assert (await house.last("run.undone"))["logins"]["reactivated"] == 1


async def test_an_undo_lets_nobody_in_who_was_out_before_the_run(house: House) -> None:
    """Ada's address comes back with the undo; that her login had ended long before is not the run's doing."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)
    await house.sync_later(*OTHERS)
    absence = await house.last_run()
    await house.sync_later(*OTHERS)

    await house.undo(absence)

    assert await house.look(ADA) == "valid"
    assert (await logins(house))[ADA].state == "deactivated"


async def test_an_undo_gives_a_released_name_back_to_nobody(house: House) -> None:
    """Two had the name one after the other, and the run gave both another: only who had it then gets it back."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ann", ADA), *OTHERS)
    await house.sync_later(*person("ann", ADA), *OTHERS, minutes=NEXT_MONTH)
    anns = await id_of(house, ADA)
    team = person("a group", ADA, kind=1)
    await house.sync_later(*person("ann", BOB), *person("ada", CLEO), *team, *OTHERS)
    assert set(await logins(house)) == {BOB, CLEO}

    await house.undo()

    assert await id_of(house, ADA) == anns
    assert (await logins(house))[ADA].state == "active"
    assert (await logins(house))[CLEO] == ended("undone", CLEO, CLEO)


async def test_an_undo_keeps_the_name_by_which_a_login_waits(house: House) -> None:
    """Else an approval would find nobody, or whoever has the name by then."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA, CLEO), *person("bob", BOB, "b@example.com"), *OTHERS)
    first = [*person("ada", CLEO, ADA), *person("bob", BOB, "b@example.com")]
    await house.sync_later(*first, *OTHERS)
    marriage = await house.last_run()
    away = [each._replace(enabled=False) for each in first[:2]]
    await house.sync_later(*away, *first[2:], *OTHERS)
    assert await waiting(house) == {(CLEO, "deactivated")}

    await house.undo(marriage)
    await house.approve()

    assert {name: each.state for name, each in (await logins(house)).items()} == {
        CLEO: "deactivated",
        BOB: "active",
    }


async def test_an_undo_takes_a_login_that_it_ends_out_of_the_hold(house: House) -> None:
    """There is nothing left to approve of somebody who is out already."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("bob", BOB), *OTHERS)
    await house.sync_later(*person("bob", BOB), *person("cleo", CLEO), *OTHERS)
    hire = await house.last_run()
    away = [*person("cleo", CLEO, enabled=False), *OTHERS]
    await house.sync_later(*person("bob", BOB), *away)
    seen = await house.hold()

    await house.undo(hire)

    assert await waiting(house) == set()
    assert await house.seen("hold") == 0
    await house.approve(seen)
    assert ("hold", "hold.ended") in await house.rejections()


async def test_an_undo_gives_back_an_address_and_no_word_on_the_login_of_its_name(
    house: House,
) -> None:
    """Ada kept the name although the address was gone; now it is back, and she is disabled still."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA, BOB), *person("cleo", CLEO), *OTHERS)
    await house.sync_later(*person("ada", CLEO, BOB), *person("cleo", CLEO), *OTHERS)
    await house.approve()
    assert ADA in await logins(house)
    await house.sync_later(
        *person("ada", CLEO, BOB), *person("cleo", CLEO), *OTHERS, minutes=4 * DAY
    )
    removal = await house.last_run()
    assert await house.look(ADA) == "unknown"
    away = person("ada", CLEO, BOB, enabled=False)
    await house.sync_later(*away, *person("cleo", CLEO), *OTHERS)
    assert await waiting(house) == {(ADA, "deactivated")}

    await house.undo(removal)

    assert await waiting(house) == {(ADA, "deactivated")}
    await house.approve()
    assert (await logins(house))[ADA].state == "deactivated"


# --- what is told --------------------------------------------------------------


async def test_a_shared_address_is_told_once(house: House) -> None:
    """Three claim it, and there is one thing to mend."""
    info = "info@example.com"
    await house.founded(asking())

    outcome = await house.sync(
        *person("ada", ADA, info), *person("bob", BOB, info), *person("cleo", CLEO, info)
    )

    assert isinstance(outcome, Applied)
    assert [each.address for each in outcome.counts.logins.unmet] == [info]
    assert outcome.counts.logins.conflicts == 3


async def test_a_no_keeps_a_login_whose_address_came_back_with_somebody_else(house: House) -> None:
    """A person wanted Bob kept; that his address is Cleo's now takes his login without a word only if nobody remembers."""
    await house.founded(asking(STRICT))
    few = crowd(9)
    await house.sync(*person("bob", BOB), *few)
    await house.sync_later(*few[:2])
    await house.discard()

    outcome = await house.sync_later(*person("cleo", CLEO, BOB), *few)

    assert codes(outcome) == {"discarded"}
    assert (await logins(house))[BOB].state == "active"


async def test_a_hold_keeps_a_login_that_waited_when_its_entry_is_deleted(house: House) -> None:
    """Disabled first and deleted then: nobody has said yes to either."""
    await house.founded(asking(REVIEW))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)

    for _ in range(2):
        await house.sync_later(*OTHERS)

    assert await logins(house) == {ADA: active(ADA)}
    assert await waiting(house) == {(ADA, "removed")}
    await house.approve()
    assert await logins(house) == {ADA: ended("gone", ADA)}
