"""A run is undone: what it took is valid again, what it gave has to prove itself, and nothing leaves by the undo itself."""

from datetime import timedelta
from uuid import UUID

import pytest

from tests.integration.postgres.house import HQ, House, canaries, people, removals, row
from worker.domain.commands import DeleteDirectory, UndoRun
from worker.domain.model import DirectoryId, Mode, RunId, Trigger
from worker.domain.outcomes import Applied, Held


ALL = people(40)
FEW = ALL[:10]
WIDE = {"min_count": 1000, "max_count": 1000}


async def fates(house: House) -> dict[str, tuple[int, list[str]]]:
    """What became of the addresses, by the event."""
    told = await house.last("run.undone")
    named = {key: told[key] for key in ("given_back", "leaving")}
    named |= {each["code"]: each for each in told["not_touched"]}
    return {
        code: (each["count"], each["addresses"]) for code, each in named.items() if each["count"]
    }


async def test_an_undo_gives_back_who_was_missed(house: House) -> None:
    """The first step of a departure is taken back: nobody is on the way out any more."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*ALL[2:])

    await house.undo()

    assert await fates(house) == {"given_back": (2, ALL[:2])}
    assert set((await house.steps()).values()) == {"present"}
    assert (await house.changes())[-2:] == [(each, "returned", "valid") for each in ALL[:2]]


async def test_an_undo_gives_back_who_was_in_grace_or_removed(house: House) -> None:
    """However far the run took them: they are valid at once."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*ALL[1:])
    await house.sync_later(*ALL[1:])
    to_grace = await house.last_run()
    await house.sync_later(*ALL[1:], minutes=73 * 60)
    assert ALL[0] not in await house.states()

    await house.undo(to_grace)

    assert (await house.states())[ALL[0]] == "valid"
    assert await fates(house) == {"given_back": (1, ALL[:1])}
    assert await house.look(ALL[0]) == "valid"


async def test_what_the_run_gave_leaves_through_guard_and_grace(house: House) -> None:
    """The wrong addresses it let in are not thrown out at once: they may have been right."""
    await house.founded()
    await house.sync(*FEW)
    await house.sync_later(*FEW, *ALL[10:13])

    await house.undo()

    assert await fates(house) == {"leaving": (3, ALL[10:13])}
    assert (await house.states())[ALL[10]] == "valid"
    assert (await house.steps())[ALL[10]] == "missing"
    house.clock.forward(days=30)
    await house.sweeper.housekeep()
    assert (await house.states())[ALL[10]] == "valid"
    await house.sync_later(*FEW)
    assert (await house.states())[ALL[10]] == "grace"
    await house.sync_later(*FEW, minutes=73 * 60)
    assert ALL[10] not in await house.states()


async def test_what_the_run_gave_stays_if_the_directory_shows_it_still(house: House) -> None:
    """The undo was the mistake."""
    await house.founded()
    await house.sync(*FEW)
    await house.sync_later(*FEW, ALL[10])
    await house.undo()

    await house.sync_later(*FEW, ALL[10])

    assert set((await house.steps()).values()) == {"present"}
    assert await house.look(ALL[10]) == "valid"


async def test_the_undo_of_many_additions_does_not_pass_the_guard_unseen(house: House) -> None:
    """More would leave than a week may lose: a person is asked."""
    await house.founded()
    await house.sync(*FEW)
    await house.sync_later(*ALL)
    await house.undo()

    outcome = await house.sync_later(*FEW)

    assert isinstance(outcome, Held)
    assert set((await house.states()).values()) == {"valid"}


async def test_an_undo_pauses_automatic_syncs_until_someone_resumes_them(house: House) -> None:
    """The next scheduled run would do the same again."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*ALL[1:])

    await house.undo()

    assert await house.value("SELECT paused_reason FROM api.directory") == "a run was undone"
    assert len(await house.events("directory.paused")) == 1
    await house.request(trigger=Trigger.SCHEDULED)
    assert (await house.claim()).skip == "paused"


async def test_a_run_is_undone_once(house: House) -> None:
    """The second person is told so, and what happened since is not touched."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*ALL[1:])
    run = await house.last_run()
    await house.undo(run)
    before = [await house.whole(table) for table in ("holding", "departure", "history")]

    await house.undo(run)

    assert await house.rejections() == [("run", "run.undone")]
    assert [await house.whole(table) for table in ("holding", "departure", "history")] == before
    assert await house.value("SELECT count(*) FROM api.run WHERE undone_at IS NOT NULL") == 1


async def test_who_came_back_since_is_not_touched(house: House) -> None:
    """It is back by a later run already."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*ALL[2:])
    run = await house.last_run()
    await house.sync_later(*ALL[1:])

    await house.undo(run)

    assert await fates(house) == {"given_back": (1, [ALL[0]]), "came_back": (1, [ALL[1]])}


async def test_who_left_since_and_who_another_source_holds_are_not_touched(house: House) -> None:
    """What later runs and other sources say of them stands."""
    await house.founded(removals(**WIDE))
    await house.sync(*FEW)
    await house.sync_later(*FEW, *ALL[10:13])
    run = await house.last_run()
    await house.sync_later(*FEW, *ALL[11:13])
    await house.add(ALL[11])

    await house.undo(run)

    assert await fates(house) == {
        "leaving": (1, [ALL[12]]),
        "left_since": (1, [ALL[10]]),
        "held_elsewhere": (1, [ALL[11]]),
    }


async def test_who_a_person_took_away_since_is_not_given_back(house: House) -> None:
    """A decision outlives the run before it."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory(removals(**WIDE))
    await house.sync(*FEW, "jo@example.net", "al@example.net", "ed@example.net", "ny@example.net")
    await house.sync_later(*FEW, "al@example.net", "ed@example.net", "ny@example.net")
    run = await house.last_run()
    await house.save_tenant("example.com")

    await house.undo(run)

    assert await fates(house) == {"decided": (1, ["jo@example.net"])}


async def test_who_was_removed_too_long_ago_is_forgotten(house: House) -> None:
    """Nothing of it is left to give back, and the answer says what to do."""
    await house.founded()
    await house.sync(*ALL)
    for _ in range(2):
        await house.sync_later(*ALL[1:])
    await house.sync_later(*ALL[1:], minutes=73 * 60)
    run = await house.last_run()
    for _ in range(2):
        house.clock.forward(days=31)
        await house.sweeper.housekeep()

    await house.undo(run)

    assert await fates(house) == {"forgotten": (1, [ALL[0]])}
    assert "by hand" in (await house.last("run.undone"))["not_touched"][0]["text"]


async def test_an_undo_takes_the_given_back_out_of_the_standing_hold(house: House) -> None:
    """The person who approves next must not approve what was just given back."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*FEW)
    first = await house.last_run()
    await house.sync_later(*FEW[:9])

    await house.undo(first)

    held = await house.fetch("SELECT address, version FROM api.hold")
    assert [(each["address"], each["version"]) for each in held] == [(FEW[9], 3)]
    await house.undo(await house.last_run())
    assert await house.seen("hold") == 0
    assert set((await house.steps()).values()) == {"present"}


async def test_an_undone_run_is_no_measure(house: House) -> None:
    """The next run is measured by the last one that stands."""
    await house.founded(removals(**WIDE))
    await house.sync(*ALL)
    await house.sync_later(*ALL[15:], scope="narrower")
    await house.approve()
    await house.sync_later(*ALL[15:], scope="narrower")

    await house.undo()

    assert await house.value("SELECT applied_addresses FROM rollcall.directory") == 40
    outcome = await house.sync_later(*ALL[15:-1], scope="narrower")
    assert isinstance(outcome, Held)
    assert "scope_changed" in [reason.code for reason in outcome.ruling.reasons]


async def test_a_canary_given_up_by_mistake_is_awaited_again_after_the_undo(house: House) -> None:
    """The approval said that the canary is gone for good; the undo says that it was not, so it guards again."""
    await house.founded(canaries(ALL[0]))
    await house.sync(*ALL)
    await house.sync_later(*ALL[3:])
    held = await house.last_run()
    await house.approve()

    await house.undo(held)

    outcome = await house.sync_later(*ALL[3:])
    assert isinstance(outcome, Held)
    assert [reason.code for reason in outcome.ruling.reasons] == ["canary_missing"]


async def test_the_undo_of_the_only_run_leaves_the_domain_without_authority(house: House) -> None:
    """If what is known of a domain rests on a run that was wrong, nobody is called unknown."""
    await house.founded()
    await house.sync_later(*ALL)
    assert await house.look("nobody@example.com") == "unknown"

    await house.undo()

    assert await house.look("nobody@example.com") == "not_authoritative"
    assert await house.look(ALL[0]) == "valid"


async def test_what_a_run_took_over_from_by_hand_is_held_by_hand_again(house: House) -> None:
    """The import was right and the directory was not."""
    await house.founded()
    await house.add(*FEW[:2], adopt=True)
    await house.sync(*FEW)
    assert await house.value("SELECT count(*) FROM rollcall.departure WHERE directory_id = 0") == 2

    await house.undo()

    assert await house.value("SELECT count(*) FROM rollcall.departure WHERE directory_id = 0") == 0
    assert await house.look(FEW[0]) == "valid"


async def test_an_adopted_address_that_is_gone_returns_by_the_undo(house: House) -> None:
    """Taken over, then dropped by the same directory: the list hears that it is back."""
    await house.founded(removals(**WIDE))
    await house.add(FEW[0], adopt=True)
    await house.sync(*FEW)
    run = await house.last_run()
    for _ in range(2):
        await house.sync_later(*FEW[1:])
    await house.sync_later(*FEW[1:], minutes=73 * 60)
    assert FEW[0] not in await house.states()

    await house.undo(run)

    assert await house.look(FEW[0]) == "valid"
    assert (FEW[0], "returned", "valid") in await house.changes()


async def test_only_a_run_that_changed_something_can_be_undone(house: House) -> None:
    """A preview, a cancelled run and one under way have nothing to give back."""
    await house.founded()
    await house.sync(*ALL, mode=Mode.PREVIEW)
    await house.undo()
    await house.request()
    await house.undo(RunId(await house.value("SELECT run FROM api.run WHERE state = 'queued'")))
    run = await house.claim()
    await house.undo(run.lease.run)

    assert await house.rejections() == [
        ("run", "run.changed_nothing"),
        ("run", "run.not_ended"),
        ("run", "run.not_ended"),
    ]


async def test_a_run_of_a_deleted_directory_cannot_be_undone(house: House) -> None:
    """There is no directory left that could hold anything; the answer says what to do instead."""
    await house.founded()
    await house.sync(*ALL)
    await house.send(DeleteDirectory(DirectoryId(HQ), keep_by_hand=False))

    await house.undo()

    assert await house.rejections() == [("run", "run.directory_deleted")]


@pytest.mark.parametrize("is_others", [False, True], ids=["nobody's", "another customer's"])
async def test_an_unknown_run_is_refused(house: House, *, is_others: bool) -> None:
    """Whether it never was or belongs to someone else."""
    await house.founded()
    await house.sync(*ALL)
    run = await house.last_run() if is_others else RunId(UUID(int=7))
    await house.save_tenant("other.example", tenant="other")

    await house.send(UndoRun(run), tenant="other")

    assert await house.rejections() == [("run", "run.unknown")]


async def test_a_run_that_shares_an_address_among_entries_is_undone_by_address(
    house: House,
) -> None:
    """One address of two entries is one recipient."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*ALL, row("new@example.com", "one"), row("new@example.com", "two"))

    await house.undo()

    assert await fates(house) == {"leaving": (1, ["new@example.com"])}


async def test_an_undo_and_its_run_s_second_look_agree(house: House) -> None:
    """Undone and read again as it was before: the list is what it was, with its history in between."""
    await house.founded()
    await house.sync(*ALL)
    before = await house.states()
    await house.sync_later(*ALL[3:], "new@example.com")
    await house.undo()

    outcome = await house.sync_later(*ALL)
    assert isinstance(outcome, Applied)
    for wait in (timedelta(minutes=31), timedelta(hours=73)):
        house.clock.forward(seconds=wait.total_seconds())
        await house.sync(*ALL)

    assert await house.states() == before


async def test_what_a_person_approved_stays_the_measure_when_an_earlier_run_is_undone(
    house: House,
) -> None:
    """The approval came later, and counts."""
    await house.founded()
    await house.sync(*ALL)
    earlier = await house.last_run()
    await house.sync_later(*FEW)
    await house.approve()

    await house.undo(earlier)

    assert await house.value("SELECT applied_addresses FROM rollcall.directory") == 10
