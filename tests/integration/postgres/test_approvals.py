"""A person decides about a hold: what is approved leaves, what is discarded stays, and two who decide at once both hear the truth."""

from uuid import UUID

import pytest

from tests.integration.postgres.house import HQ, TENANT, House, people, removals, rows, settings
from worker.adapters.postgres.reports import PostgresReports
from worker.domain.commands import ApproveHold, DeleteDirectory
from worker.domain.events import HoldRef
from worker.domain.model import Address, DirectoryId, HoldId, RemovalPolicy, Removals
from worker.domain.outcomes import Applied, Held, Outcome, Unchanged


ALL = people(40)
FEW = ALL[:10]
GONE = ALL[10:]


def codes(outcome: Outcome) -> list[str]:
    """Why it is held."""
    assert isinstance(outcome, Held), outcome
    return [reason.code for reason in outcome.ruling.reasons]


async def held(house: House) -> HoldRef:
    """A directory of 40 that showed 10 once: 30 wait for a person."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*FEW)
    return await house.hold()


# --- approve -----------------------------------------------------------------


async def test_an_approval_lets_those_absent_enter_grace(house: House) -> None:
    """The person saw the list and said yes: mail for them is put off from now on, and refused after the grace."""
    hold = await held(house)
    await house.forget_events()

    await house.approve(hold)

    states = await house.states()
    assert {states[each] for each in GONE} == {"grace"}
    assert {states[each] for each in FEW} == {"valid"}
    told = await house.last("hold.approved")
    assert told["hold"] == {"id": str(hold.id), "version": 1}
    assert (told["directory"], told["approved"], told["grace"]) == (HQ, 30, 30)
    assert {each[1:] for each in await house.changes()} == {("grace", "grace")}
    assert await house.seen("hold") == 0


async def test_who_was_approved_goes_by_later_runs_alone(house: House) -> None:
    """Once approved nobody is asked again; and still a complete run has to confirm the end."""
    await held(house)
    await house.approve()
    await house.forget_events()

    assert isinstance(await house.sync_later(*FEW), Applied)
    house.clock.forward(hours=80)
    await house.sweeper.housekeep()
    assert (await house.states())[GONE[0]] == "grace"
    assert isinstance(await house.sync_later(*FEW), Applied | Unchanged)

    assert await house.states() == dict.fromkeys(FEW, "valid")
    assert [each["type"] for each in await house.events("sync.held")] == []


async def test_who_comes_back_after_an_approval_is_valid_again(house: House) -> None:
    """An approval is no sentence: the directory has the last word."""
    await held(house)
    await house.approve()

    await house.sync_later(*ALL)

    assert await house.states() == dict.fromkeys(ALL, "valid")


async def test_an_approved_address_that_returned_counts_again(house: House) -> None:
    """The approval was for that departure, not for the next one."""
    await held(house)
    await house.approve()
    await house.sync_later(*ALL)

    assert "half_size" in codes(await house.sync_later(*FEW))


async def test_an_approval_of_another_version_is_refused(house: House) -> None:
    """Whoever approves must have seen who leaves."""
    hold = await held(house)
    await house.sync_later(*FEW[:9])

    await house.approve(hold)

    assert await house.rejections() == [("version", "hold.changed")]
    assert set((await house.states()).values()) == {"valid"}
    await house.approve()
    assert (await house.states())[FEW[9]] == "grace"


async def test_the_second_of_two_approvals_hears_of_the_first(house: House) -> None:
    """Two admins at once: the list changes once, and nobody is left to wonder."""
    hold = await held(house)

    await house.approve(hold)
    await house.approve(hold)

    assert await house.rejections() == [("hold", "hold.ended")]
    assert len(await house.events("hold.approved")) == 1
    assert len(await house.changes()) == 40 + 30 + 30


async def test_a_repeated_approval_message_is_answered_again(house: House) -> None:
    """A message that comes twice is one effect and one answer, told twice."""
    hold = await held(house)

    for _ in range(2):
        await house.send(ApproveHold(hold.id, hold.version), id="once", body=b"the same")

    assert len(await house.events("hold.approved")) == 2
    assert await house.rejections() == []


async def test_an_unknown_hold_is_refused_with_words(house: House) -> None:
    """Also one of another customer."""
    hold = await held(house)
    await house.save_tenant("other.example", tenant="other")

    await house.send(ApproveHold(hold.id, hold.version), tenant="other")

    assert await house.rejections() == [("hold", "hold.unknown")]


async def test_a_hold_that_ended_by_itself_cannot_be_approved(house: House) -> None:
    """The directory was mended while the person looked."""
    hold = await held(house)
    await house.sync_later(*ALL)

    await house.approve(hold)

    assert await house.rejections() == [("hold", "hold.ended")]
    assert "by itself" in (await house.last("command.rejected"))["errors"][0]["message"]
    assert set((await house.states()).values()) == {"valid"}


async def test_a_run_that_read_before_an_approval_keeps_to_it(house: House) -> None:
    """The run was under way when the person said yes: it finds the decision and goes on from there."""
    await held(house)
    house.clock.forward(minutes=31)
    await house.request()
    run = await house.claim()
    snapshot = house.snapshot(run, rows(*FEW))
    await house.approve()

    outcome = await house.conclude(run, snapshot)

    assert isinstance(outcome, Applied)
    assert (await house.states())[GONE[0]] == "grace"
    assert await house.seen("hold") == 0


async def test_what_is_newly_absent_after_an_approval_waits_anew(house: House) -> None:
    """A yes to thirty is no yes to six more."""
    await held(house)
    await house.approve()

    outcome = await house.sync_later(*FEW[:4])

    assert codes(outcome) == ["half_size", "domain_half"]
    waiting = await house.fetch("SELECT address, approved FROM api.hold ORDER BY address")
    assert [each["address"] for each in waiting if not each["approved"]] == FEW[4:]
    assert [each["address"] for each in waiting if each["approved"]] == GONE
    assert (await house.states())[FEW[4]] == "valid"


async def test_who_was_approved_and_is_back_is_in_no_hold(house: House) -> None:
    """An admin who looks at a hold must not see among those who leave one whom the directory shows."""
    await held(house)
    await house.approve()
    await house.sync_later(*FEW[:4])
    hold = await house.hold()

    await house.sync_later(*FEW[:4], GONE[0])

    seen = {each["address"] for each in await house.fetch("SELECT address FROM api.hold")}
    assert GONE[0] not in seen
    assert {GONE[1], FEW[4]} <= seen
    assert await house.hold() == hold  # what waits is the same: whoever saw it may still approve it


async def test_who_was_approved_is_not_counted_among_those_who_wait(house: House) -> None:
    """The figure of ``rollcall status`` is how many a person has still to decide about."""
    await held(house)
    await house.approve()
    await house.sync_later(*FEW[:4])
    reports = PostgresReports(house.pool)

    (directory,) = await reports.directories(TENANT, most=10)

    (hold,) = await reports.holds(TENANT)
    assert (directory.held, hold.waiting, hold.approved) == (6, 6, 30)


async def test_an_approval_makes_what_was_read_the_new_measure(house: House) -> None:
    """Ten are the whole company now: the next run is measured by ten, not by forty."""
    await held(house)

    await house.approve()

    assert await house.value("SELECT applied_addresses FROM rollcall.directory") == 10
    assert isinstance(await house.sync_later(*FEW[:9]), Applied)


async def test_an_approval_accepts_the_changed_scope(house: House) -> None:
    """The narrower filter was meant."""
    await house.founded(removals(min_count=1000))
    await house.sync(*ALL)
    assert codes(await house.sync_later(*ALL[1:], scope="narrower")) == ["scope_changed"]

    await house.approve()

    assert isinstance(await house.sync_later(*ALL[1:], scope="narrower"), Applied)
    assert isinstance(await house.sync_later(*ALL[2:], scope="narrower"), Applied)


async def test_an_approval_accepts_that_a_canary_is_gone(house: House) -> None:
    """The person who was always to be found has left; until the address is seen again it is not missed."""
    await house.founded(settings(removals=Removals(canaries=(Address(ALL[0]),))))
    await house.sync(*ALL)
    assert codes(await house.sync_later(*ALL[1:])) == ["canary_missing"]
    await house.approve()

    assert isinstance(await house.sync_later(*ALL[1:]), Applied)
    assert isinstance(await house.sync_later(*ALL), Applied)

    assert codes(await house.sync_later(*ALL[1:])) == ["canary_missing"]


async def test_where_nobody_is_removed_an_approval_moves_the_measure_only(house: House) -> None:
    """Never is never, whoever approves what."""
    await house.founded(removals(policy=RemovalPolicy.NEVER))
    await house.sync(*ALL)
    assert codes(await house.sync_later(*FEW)) == ["half_size"]

    await house.approve()

    assert set((await house.states()).values()) == {"valid"}
    assert isinstance(await house.sync_later(*FEW), Applied)


async def test_who_another_source_holds_stays_valid_through_an_approval(house: House) -> None:
    """The approval is about one directory; the list is about all."""
    await held(house)
    await house.add(GONE[0])

    await house.approve()

    assert (await house.states())[GONE[0]] == "valid"
    assert (await house.steps())[GONE[0]] == "grace"


# --- discard -----------------------------------------------------------------


async def test_a_discarded_hold_keeps_everyone_and_mails_nobody_again(house: House) -> None:
    """The person said no: nobody leaves, and nobody is told the same thing every six hours."""
    await house.founded(settings(notify=("it@example.com",)))
    await house.sync(*ALL)
    await house.sync_later(*FEW)
    assert (await house.last("sync.held"))["notify"] == ["it@example.com"]

    await house.discard()

    told = await house.last("hold.discarded")
    assert (told["kept"], told["hold"]["version"]) == (30, 1)
    for _ in range(3):
        await house.sync_later(*FEW, minutes=60 * 30)
        assert (await house.last("sync.held"))["notify"] == []
    assert set((await house.states()).values()) == {"valid"}
    assert await house.value("SELECT bool_and(discarded) FROM api.hold")


async def test_a_discarded_hold_is_told_again_when_its_set_changes(house: House) -> None:
    """Something new has happened."""
    await house.founded(settings(notify=("it@example.com",)))
    await house.sync(*ALL)
    await house.sync_later(*FEW)
    await house.discard()

    await house.sync_later(*FEW[:9])

    assert (await house.last("sync.held"))["notify"] == ["it@example.com"]
    assert not await house.value("SELECT bool_or(discarded) FROM api.hold")


async def test_a_discarded_hold_can_still_be_approved(house: House) -> None:
    """People change their minds."""
    await held(house)
    await house.discard()

    await house.approve()

    assert (await house.states())[GONE[0]] == "grace"


async def test_a_hold_is_discarded_once(house: House) -> None:
    """The second person hears that the first was faster; neither changes anything."""
    hold = await held(house)

    await house.discard(hold)
    await house.discard(hold)

    assert await house.rejections() == [("hold", "hold.discarded")]


async def test_a_hold_of_a_deleted_directory_has_ended(house: House) -> None:
    """What was held leaves by the decision to delete."""
    hold = await held(house)
    await house.send(DeleteDirectory(DirectoryId(HQ), keep_by_hand=True))

    await house.approve(hold)

    assert await house.rejections() == [("hold", "hold.ended")]
    assert set((await house.states()).values()) == {"valid"}


@pytest.mark.parametrize("decide", ["approve", "discard"])
async def test_a_hold_that_never_was_is_refused(house: House, decide: str) -> None:
    """A typing error."""
    await house.founded()

    await getattr(house, decide)(HoldRef(HoldId(UUID(int=7)), 1))

    assert await house.rejections() == [("hold", "hold.unknown")]


async def test_a_discarded_hold_does_not_wear_off_when_a_week_has_passed(house: House) -> None:
    """Alone they would be few; but a person was asked about them, and said no."""
    everyone = people(100)
    await house.founded()
    await house.sync(*everyone)
    for minutes in (31, 31, 73 * 60):
        await house.sync_later(*everyone[7:], minutes=minutes)
    assert codes(await house.sync_later(*everyone[13:])) == ["domain_share"]
    await house.discard()

    for _ in range(11):
        await house.sync_later(*everyone[13:], minutes=24 * 60)

    assert codes(await house.sync_later(*everyone[13:], minutes=24 * 60)) == ["discarded"]
    assert (await house.last("sync.held"))["notify"] == []
    assert {(await house.states())[each] for each in everyone[7:13]} == {"valid"}
    await house.approve()
    assert (await house.states())[everyone[7]] == "grace"


async def test_a_discarded_hold_ends_when_all_are_back(house: House) -> None:
    """Then there is nobody left to keep."""
    await held(house)
    await house.discard()

    assert isinstance(await house.sync_later(*ALL), Applied)
    assert await house.seen("hold") == 0
