"""Logins under the guard, in holds, undone, and when people take things away: as careful as with addresses."""

from dataclasses import replace

import pytest

from tests.integration.postgres.house import HQ, House
from tests.integration.postgres.logins import (
    ADA,
    BOB,
    CLEO,
    OTHERS,
    Login,
    active,
    asking,
    conflicts,
    crowd,
    ended,
    id_of,
    logins,
    person,
    told,
)
from worker.domain.commands import DeleteDirectory, DeleteTenant, RemoveRecipients
from worker.domain.failures import LeaseLost
from worker.domain.guard import Ruling
from worker.domain.logins import ADDRESSES_MAX_COUNT
from worker.domain.model import (
    Address,
    ClaimedRun,
    DirectoryId,
    RemovalPolicy,
    Removals,
    Tier,
)
from worker.domain.outcomes import Applied, Held, Unchanged
from worker.ports.runs import Snapshot


STRICT = Removals()
AWAY = crowd(20, enabled=False)


def codes(outcome: object) -> set[str]:
    """Why a run is held."""
    assert isinstance(outcome, Held)
    return {reason.code for reason in outcome.ruling.reasons}


async def states(house: House) -> dict[str, int]:
    """How many logins are in which state."""
    found = await house.fetch("SELECT state, count(*) AS logins FROM api.login GROUP BY 1")
    return {each["state"]: each["logins"] for each in found}


# --- guard -------------------------------------------------------------------


async def test_disabling_everybody_is_held(house: House) -> None:
    """A script that disables a whole company locks nobody out of the quarantine before a person has looked."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *OTHERS)

    outcome = await house.sync_later(*person("ada", ADA), *AWAY)

    assert codes(outcome) == {"domain_half", "domain_share"}
    assert await states(house) == {"active": 21}
    assert outcome.counts.held == 20  # type: ignore[union-attr]
    held = await house.fetch("SELECT DISTINCT change FROM api.change")
    assert [each["change"] for each in held] == ["deactivated"]
    reasons = (await house.last("sync.held"))["reasons"]
    assert "20 who would only lose their quarantine login" in reasons[0]["text"]


async def test_the_same_entries_under_new_ids_are_held(house: House) -> None:
    """A migration gives every mailbox another id: all logins would end, so a person is asked."""
    await house.founded(asking(STRICT))
    await house.sync(*OTHERS)

    moved = [each._replace(entry=each.entry.__class__(int=each.entry.int ^ 1)) for each in OTHERS]
    outcome = await house.sync_later(*moved)

    assert codes(outcome) >= {"domain_half"}
    assert await states(house) == {"active": 20}


TEN_AT_MOST = Removals(min_count=10, max_share=0.0)


async def test_a_person_who_leaves_counts_by_the_address_alone(house: House) -> None:
    """Ten people are ten, not ten addresses and ten logins."""
    await house.founded(asking(TEN_AT_MOST))
    await house.sync(*crowd(60))

    assert isinstance(await house.sync_later(*crowd(60)[10:]), Applied)
    assert isinstance(await house.sync_later(*crowd(60)[10:]), Unchanged)

    assert await states(house) == {"active": 50, "deactivated": 10}


async def test_who_is_disabled_and_loses_an_address_counts_once(house: House) -> None:
    """Ten people, of whom two things are true."""
    ten = [
        each
        for n in range(10)
        for each in person(f"m{n}", f"m{n}@example.com", f"x{n}@example.com")
    ]
    disabled = [
        each for n in range(10) for each in person(f"m{n}", f"m{n}@example.com", enabled=False)
    ]
    await house.founded(asking(TEN_AT_MOST))
    await house.sync(*ten, *crowd(60))

    outcome = await house.sync_later(*disabled, *crowd(60))

    assert isinstance(outcome, Applied)
    assert await states(house) == {"active": 60, "deactivated": 10}


async def test_who_is_disabled_one_day_and_deleted_the_next_counts_once(house: House) -> None:
    """As most companies do it when somebody leaves."""
    everyone = crowd(60)
    first = [each._replace(enabled=place >= 10) for place, each in enumerate(everyone)]
    await house.founded(asking(TEN_AT_MOST))
    await house.sync(*everyone)
    assert isinstance(await house.sync_later(*first, minutes=24 * 60), Applied)

    outcome = await house.sync_later(*everyone[10:], minutes=24 * 60)

    assert isinstance(outcome, Applied)


async def test_slow_disabling_trips_the_same_limit(house: House) -> None:
    """Ten today and ten tomorrow are twenty in a week."""
    everyone = crowd(100)
    await house.founded(asking(STRICT))
    await house.sync(*everyone)
    ten, twenty = (
        [each._replace(enabled=place >= few) for place, each in enumerate(everyone)]
        for few in (10, 20)
    )
    assert isinstance(await house.sync_later(*ten, minutes=24 * 60), Applied)

    outcome = await house.sync_later(*twenty, minutes=24 * 60)

    assert codes(outcome) == {"domain_share"}
    assert await states(house) == {"active": 90, "deactivated": 10}


async def test_review_asks_before_a_login_ends(house: House) -> None:
    """Who wants to see each departure sees this one, too."""
    await house.founded(asking(Removals(policy=RemovalPolicy.REVIEW)))
    await house.sync(*person("ada", ADA), *OTHERS)

    outcome = await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)

    assert codes(outcome) == {"review"}
    assert (await logins(house))[ADA] == active(ADA)


# --- holds -------------------------------------------------------------------


async def test_a_hold_lets_hires_and_marriages_through(house: House) -> None:
    """Nobody new waits because others may not go."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *OTHERS)

    outcome = await house.sync_later(
        *person("ada", "a.byron@example.com", ADA), *person("bob", BOB), *AWAY
    )

    assert isinstance(outcome, Held)
    assert (outcome.counts.logins.created, outcome.counts.logins.renamed) == (1, 1)
    assert await logins(house) == {
        "a.byron@example.com": active("a.byron@example.com", ADA),
        BOB: active(BOB),
    }


async def test_an_approval_ends_the_logins_that_waited(house: House) -> None:
    """The person saw who it is about."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA), *AWAY)

    await house.approve()

    assert await states(house) == {"active": 1, "deactivated": 20}
    approved = await house.last("hold.approved")
    assert (approved["approved"], approved["grace"]) == (20, 0)
    changed = (await house.events("logins.changed"))[-1]["data"]
    assert changed["run"] is None
    assert {each["change"] for each in changed["changes"]} == {"deactivated"}
    after = await house.sync_later(*person("ada", ADA), *AWAY)
    assert isinstance(after, Applied)
    assert await house.seen("hold") == 0


async def test_an_approval_of_leavers_ends_their_logins_with_their_addresses(house: House) -> None:
    """Grace begins by the approval, and the login ends with it."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA))

    await house.approve()

    assert await states(house) == {"active": 1, "deactivated": 20}
    assert (
        await house.value("SELECT DISTINCT reason FROM api.login WHERE state = 'deactivated'")
        == "gone"
    )


async def test_who_is_enabled_again_drops_out_of_the_hold(house: House) -> None:
    """The mistake was mended: there is nothing left to wait for."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", ADA), *AWAY)

    outcome = await house.sync_later(*person("ada", ADA), *OTHERS)

    assert isinstance(outcome, Applied)
    assert await house.seen("hold") == 0
    assert await states(house) == {"active": 21}


async def test_a_standing_hold_keeps_its_version_while_its_set_does_not_change(
    house: House,
) -> None:
    """Who looks at it twice sees the same, and can approve it."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("ada", ADA), *person("bob", BOB), *AWAY)
    first = await house.hold()

    await house.sync_later(*person("ada", ADA), *person("bob", BOB), *AWAY)
    assert await house.hold() == first
    await house.sync_later(*person("ada", ADA, enabled=False), *person("bob", BOB), *AWAY)

    assert (await house.hold()).version == first.version + 1


async def test_an_address_that_came_back_with_somebody_else_waits_as_a_login_only(
    house: House,
) -> None:
    """It does not leave any more; whose login it was still would, and an approval ends that."""
    await house.founded(asking(Removals(policy=RemovalPolicy.REVIEW)))
    await house.sync(*person("bob", BOB), *OTHERS)
    await house.sync_later(*OTHERS)
    first = await house.hold()

    await house.sync_later(*person("cleo", CLEO, BOB), *OTHERS)

    assert (await house.hold()).version == first.version + 1
    held = await house.fetch("SELECT address, change FROM api.change")
    assert [tuple(each) for each in held] == [(BOB, "deactivated")]
    await house.approve()
    assert (await logins(house))[BOB] == ended("gone", BOB)
    assert await house.look(BOB) == "valid"


async def test_a_word_on_a_login_is_none_on_the_address_of_its_name(house: House) -> None:
    """Another directory holds it, so it waited for nobody: it goes its way as an address nobody approved."""
    await house.founded(asking(Removals(RemovalPolicy.REVIEW)))
    await house.save_directory(asking(STRICT), directory="lab")
    await house.sync(*person("bob", BOB), *OTHERS)
    await house.sync(BOB, directory="lab")
    await house.sync_later(*person("bob", CLEO, enabled=False), *OTHERS)

    await house.approve()

    (held,) = await house.fetch("SELECT address, step, approved FROM rollcall.departure")
    assert tuple(held) == (BOB, "missing", False)
    assert (await logins(house))[BOB].state == "deactivated"


async def test_a_login_whose_end_waits_keeps_the_name_that_it_waits_by(house: House) -> None:
    """Else an approval would not find it, or find somebody who has the name now."""
    await house.founded(asking(Removals(policy=RemovalPolicy.REVIEW)))
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", CLEO, enabled=False), *person("ann", ADA), *OTHERS)
    assert (await logins(house)) == {ADA: Login(ADA, "active", None, (CLEO,))}
    login = await id_of(house, ADA)

    await house.approve()

    assert (await logins(house))[ADA].state == "deactivated"
    for _ in range(2):  # one for the name that is given up, one for who takes it
        await house.sync_later(*person("ada", CLEO, enabled=False), *person("ann", ADA), *OTHERS)
    assert (await logins(house)) == {CLEO: ended("disabled", CLEO, CLEO), ADA: active(ADA)}
    assert await id_of(house, CLEO) == login


async def test_a_discarded_hold_keeps_its_logins(house: House) -> None:
    """A no does not wear off because a week has passed."""
    await house.founded(asking(STRICT))
    await house.sync(*person("ada", ADA), *OTHERS)
    few = [each._replace(enabled=place >= 11) for place, each in enumerate(OTHERS)]
    await house.sync_later(*person("ada", ADA), *few)
    await house.discard()

    outcome = await house.sync_later(*person("ada", ADA), *few, minutes=8 * 24 * 60)

    assert "discarded" in codes(outcome)
    assert await states(house) == {"active": 21}


# --- undo --------------------------------------------------------------------


async def test_an_undo_gives_logins_back(house: House) -> None:
    """Whom the run locked out is let in again."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("ada", ADA, enabled=False), *person("bob", BOB), *OTHERS)

    await house.undo()

    assert await logins(house) == {ADA: active(ADA), BOB: active(BOB)}
    assert (await house.last("run.undone"))["logins"] == {
        "reactivated": 1,
        "deactivated": 0,
        "renamed": 0,
    }
    assert (await told(house))[-1] == ("reactivated", ADA, None)


async def test_an_undo_of_a_departure_gives_the_login_its_addresses_back(house: House) -> None:
    """The address is valid again, and leads where it led."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA, "a@example.com"), *OTHERS)
    for _ in range(2):
        await house.sync_later(*OTHERS)
    assert await logins(house) == {ADA: ended("gone", ADA)}

    await house.undo()

    assert await logins(house) == {ADA: active(ADA, "a@example.com")}


async def test_an_undo_takes_back_names_and_hires(house: House) -> None:
    """The wrong directory gave wrong names and strangers."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", BOB, ADA), *person("cleo", CLEO), *OTHERS)

    await house.undo()

    found = await logins(house)
    assert found[ADA].state == "active"
    assert found[CLEO] == ended("undone", CLEO, CLEO)
    assert (await house.last("run.undone"))["logins"] == {
        "reactivated": 0,
        "deactivated": 1,
        "renamed": 1,
    }


async def test_an_undo_takes_no_name_from_anybody(house: House) -> None:
    """Somebody else was given the name meanwhile: it stays theirs."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada", BOB), *OTHERS)
    renaming = await house.last_run()
    await house.sync_later(*person("ada", BOB), *person("new", ADA), *OTHERS)

    await house.undo(renaming)

    assert set(await logins(house)) == {ADA, BOB}
    assert (await logins(house))[BOB].state == "active"


async def test_what_was_undone_wrongly_is_done_again_by_the_next_run(house: House) -> None:
    """The directory still says it."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    shown = [*person("ada", BOB, ADA), *person("cleo", CLEO), *OTHERS]
    await house.sync_later(*shown)
    await house.undo()

    await house.sync_later(*shown)

    assert await logins(house) == {BOB: active(BOB, ADA), CLEO: active(CLEO)}


async def test_an_undo_gives_a_shared_address_to_neither(house: House) -> None:
    """Two mailboxes show it, and it led to nobody's login: an undo must not choose one of them."""
    info = "info@example.com"
    both = [*person("ada", ADA, info), *person("bob", BOB, info)]
    away = [each._replace(enabled=False) for each in both]
    await house.founded(asking())
    await house.sync(*both, *OTHERS)
    await house.sync_later(*away, *OTHERS)

    await house.undo()

    assert await logins(house) == {ADA: active(ADA), BOB: active(BOB)}
    await house.sync_later(*both, *OTHERS)
    assert await logins(house) == {ADA: active(ADA), BOB: active(BOB)}


async def test_an_undo_lets_nobody_in_whose_address_is_a_successor_s_by_now(house: House) -> None:
    """A leaver's login bears the name of an address at which somebody else gets mail."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    for _ in range(2):
        await house.sync_later(*OTHERS)
    departure = await house.last_run()
    await house.sync_later(*person("new", ADA), *OTHERS)

    await house.undo(departure)

    assert await logins(house) == {ADA: ended("gone", ADA)}
    assert (await house.last("run.undone"))["logins"]["reactivated"] == 0


async def test_an_undo_lets_in_whom_the_run_had_under_another_id(house: House) -> None:
    """The address was never gone; the run that is undone took it for somebody else's."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*person("ada again", ADA), *OTHERS)
    assert await logins(house) == {ADA: ended("gone", ADA)}

    await house.undo()

    assert (await logins(house))[ADA].state == "active"


async def test_an_undo_lets_nobody_in_whose_domain_was_taken_off(house: House) -> None:
    """A person took the domain away after the run: that stands."""
    gone = "ada@example.net"
    await house.save_tenant("example.com", "example.net", tier=Tier.ENTERPRISE)
    await house.save_directory(asking())
    await house.sync(*person("ada", gone), *person("bob", "bob@example.net"), *OTHERS)
    for _ in range(2):
        await house.sync_later(*person("bob", "bob@example.net"), *OTHERS)
    await house.save_tenant("example.com", tier=Tier.ENTERPRISE)

    await house.undo()

    assert (await logins(house))[gone] == ended("gone", gone)


async def test_an_undo_gives_back_no_name_whose_mail_another_login_gets(house: House) -> None:
    """The address became somebody else's alias in the same run."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.sync_later(*person("ada", CLEO), *person("bob", BOB, ADA), *OTHERS)
    before = await logins(house)

    await house.undo()

    assert before == {CLEO: active(CLEO), BOB: active(BOB, ADA)}
    assert set(await logins(house)) == {CLEO, BOB}


async def test_an_undo_leads_no_more_addresses_to_a_login_than_a_run_does(house: House) -> None:
    """Else one line of an event would be larger than a message may be."""
    many = [f"a{number:03}@example.com" for number in range(ADDRESSES_MAX_COUNT + 20)]
    await house.founded(asking())
    others = crowd(ADDRESSES_MAX_COUNT * 2)
    await house.sync(*person("ada", ADA, *many), *others)
    for _ in range(2):
        await house.sync_later(*others)
    assert (await logins(house))[ADA].addresses == ()

    await house.undo()

    assert len((await logins(house))[ADA].addresses) == ADDRESSES_MAX_COUNT


# --- what people take away ---------------------------------------------------


async def test_a_domain_taken_off_takes_its_addresses_and_who_has_none_left(house: House) -> None:
    """A login of a domain that is somebody else's must not open anything."""
    await house.founded(asking())
    await house.save_tenant("example.com", "example.net")
    await house.sync(
        *person("ada", "ada@example.net"), *person("bob", BOB, "bob@example.net"), *OTHERS
    )

    await house.save_tenant("example.com")

    assert await logins(house) == {
        "ada@example.net": ended("decided", "ada@example.net"),
        BOB: active(BOB),
    }
    assert ("deactivated", "ada@example.net", None) in await told(house)


async def test_a_name_in_a_domain_taken_off_becomes_another_with_the_next_run(house: House) -> None:
    """The login goes on under an address that is left."""
    await house.founded(asking())
    await house.save_tenant("example.com", "example.net")
    await house.sync(*person("ada", "ada@example.net", ADA), *OTHERS)
    await house.save_tenant("example.com")

    await house.sync_later(*person("ada", ADA), *OTHERS)

    assert await logins(house) == {ADA: active(ADA)}


async def test_deleting_a_directory_ends_its_logins(house: House) -> None:
    """Nobody looks after them any more."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA, "a@example.com"), *person("bob", BOB, enabled=False))

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await logins(house) == {ADA: ended("decided", ADA)}
    assert (await told(house))[-1] == ("deactivated", ADA, None)


async def test_a_directory_saved_again_has_its_people_s_logins_again(house: House) -> None:
    """Deleted by mistake and saved again: the same entries, so the same logins."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA))
    before = await id_of(house, ADA)
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    await house.save_directory(asking(), directory="again")
    await house.sync_later(*person("ada", ADA), directory="again")

    assert await logins(house, "again") == {ADA: active(ADA)}
    assert await id_of(house, ADA) == before
    assert await conflicts(house) == set()


async def test_logins_kept_by_hand_stay_and_are_taken_over_by_the_same_entries(
    house: House,
) -> None:
    """Whoever moves to another directory server hands over and gets back."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA, "a@example.com"))
    before = await id_of(house, ADA)

    await house.send(DeleteDirectory(HQ, keep_by_hand=True))

    assert await logins(house, None) == {ADA: active(ADA, "a@example.com")}
    await house.send(RemoveRecipients((Address("a@example.com"),)))
    assert await logins(house, None) == {ADA: active(ADA, "a@example.com")}
    await house.save_directory(asking(), directory="again")
    await house.sync_later(*person("ada", ADA), directory="again")
    assert await logins(house, "again") == {ADA: active(ADA)}
    assert await id_of(house, ADA) == before


async def test_a_login_by_hand_leads_from_no_domain_that_was_taken_off(house: House) -> None:
    """It is left alone otherwise: people end it, as they made it."""
    elsewhere = "ada@example.net"
    await house.founded(asking())
    await house.save_tenant("example.com", "example.net")
    await house.save_directory(directory="branch")
    await house.sync(*person("ada", ADA, elsewhere))
    await house.sync(ADA, directory="branch")
    await house.send(DeleteDirectory(HQ, keep_by_hand=True))
    await house.send(DeleteDirectory(DirectoryId("branch"), keep_by_hand=False))
    assert await logins(house, None) == {ADA: active(ADA, elsewhere)}

    await house.save_tenant("example.com")

    assert await logins(house, None) == {ADA: active(ADA)}


async def test_a_deleted_tenant_s_logins_are_hidden_and_purged(house: House) -> None:
    """Nothing is seen of it at once, and nothing is left of it after 30 days."""
    await house.founded(asking())
    await house.sync(*person("jo", ADA), *person("other jo", ADA), *OTHERS)

    await house.send(DeleteTenant())

    assert await house.seen("login") == await house.seen("login_conflict") == 0
    house.clock.forward(days=31)
    for _ in range(20):
        await house.sweeper.housekeep()
    for table in ("login", "login_address", "login_conflict", "login_history"):
        assert await house.whole(table) == []


async def test_what_became_of_logins_is_kept_for_thirteen_months(house: House) -> None:
    """It is needed for an undo and for questions, not for ever."""
    await house.founded(asking())
    await house.sync(*OTHERS)
    house.clock.forward(days=395)
    await house.sweeper.housekeep()
    assert len(await house.whole("login_history")) == 20

    house.clock.forward(days=2)
    await house.sweeper.housekeep()

    assert await house.whole("login_history") == []
    assert await house.value("SELECT count(*) FROM rollcall.login") == 20


async def test_what_became_of_logins_goes_by_the_months_that_the_operator_sets(
    house: House,
) -> None:
    """Whoever must keep less keeps less of people's names too; whoever must keep more has all of it."""
    await house.founded(asking())
    await house.sync(*OTHERS)
    house.clock.forward(days=70)

    await replace(house.sweeper, history_months=3).housekeep()
    assert len(await house.whole("login_history")) == 20

    await replace(house.sweeper, history_months=2).housekeep()
    assert await house.whole("login_history") == []


# --- faults ------------------------------------------------------------------


class KilledError(Exception):
    """The worker is gone."""


async def record_and_die(house: House, run: ClaimedRun, snapshot: Snapshot) -> None:
    """Do all of the final transaction but its commit."""
    async with house.runs.final(run, snapshot) as final:
        await final.compare()
        await final.record(Ruling())
        raise KilledError


async def test_a_run_killed_while_it_records_leaves_no_login(house: House) -> None:
    """All of it or nothing; the next worker does it all."""
    await house.founded(asking())
    await house.request()
    run = await house.claim()
    snapshot = house.snapshot(run, person("ada", ADA))
    with pytest.raises(KilledError):
        await record_and_die(house, run, snapshot)

    assert await logins(house) == {}
    assert await house.events("logins.changed") == []
    await house.conclude(run, snapshot)
    assert await logins(house) == {ADA: active(ADA)}


async def test_a_worker_that_lost_its_lease_touches_no_login(house: House) -> None:
    """What it read is of yesterday."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.request()
    run = await house.claim()
    slept = replace(run, lease=replace(run.lease, token=run.lease.token - 1))

    with pytest.raises(LeaseLost):
        await house.conclude(slept, house.snapshot(run, OTHERS))

    assert await logins(house) == {ADA: active(ADA)}
