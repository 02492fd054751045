"""Runs that the guard holds, through the real statements: what applies, what waits, and when a hold ends."""

import pytest

from tests.integration.postgres.house import HQ, House, canaries, people, removals, row, rows
from worker.domain.commands import DeleteDirectory
from worker.domain.findings import finding
from worker.domain.model import Mode, RemovalPolicy
from worker.domain.outcomes import Applied, Failed, Held, Previewed, Unchanged


ADA, BOB, CLEO = "ada@example.com", "bob@example.com", "cleo@example.com"
ALL = people(40)
FEW = ALL[:10]


def codes(outcome: object) -> list[str]:
    """Why a run was held."""
    assert isinstance(outcome, Held | Previewed)
    return [reason.code for reason in outcome.ruling.reasons]


async def test_a_list_that_halved_is_held_and_its_additions_apply(house: House) -> None:
    """A directory that lost most of its people is more likely broken than right; who joined is not made to wait."""
    await house.founded()
    await house.sync(*ALL)

    outcome = await house.sync_later(*FEW, ADA)

    assert set(codes(outcome)) >= {"half_size", "domain_half"}
    assert (await house.steps())[ADA] == "present"
    assert {each[1] for each in await house.history()} == {"added", "missing"}
    told = await house.last("sync.held")
    assert told["hold"]["version"] == 1
    assert (told["counts"]["added"], told["counts"]["missing"], told["counts"]["held"]) == (
        1,
        30,
        30,
    )
    held = await house.fetch("SELECT address, approved, version FROM api.hold ORDER BY address")
    assert [tuple(each) for each in held] == [(each, False, 1) for each in ALL[10:]]


async def test_nobody_moves_to_grace_while_a_hold_stands(house: House) -> None:
    """What waits for a person waits for as long as it takes."""
    await house.founded()
    await house.sync(*ALL)

    for _ in range(4):
        await house.sync_later(*FEW, minutes=60 * 24)

    assert set((await house.steps()).values()) == {"present", "missing"}
    assert set((await house.states()).values()) == {"valid"}


@pytest.mark.parametrize(("were", "come"), [(8, 8), (100, 3_000)])
async def test_strangers_do_not_make_those_who_vanished_look_few(
    house: House, were: int, come: int
) -> None:
    """A server that shows another company's people holds for as long as it does, however many they are."""
    await house.founded()
    await house.sync(*people(were))
    strangers = [f"s{number:05}@example.com" for number in range(come)]

    outcomes = [await house.sync_later(*strangers) for _ in range(3)]

    assert [type(outcome) for outcome in outcomes] == [Held] * 3
    assert {(await house.steps())[each] for each in people(were)} == {"missing"}


async def test_a_stranger_who_leaves_again_counts_as_one(house: House) -> None:
    """Who came while a hold stands and vanishes meanwhile is both among the recipients and among those who leave."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*FEW, ADA, BOB)

    outcome = await house.sync_later(*FEW, ADA)

    half = next(
        reason
        for reason in (outcome.ruling.reasons if isinstance(outcome, Held) else ())
        if reason.code == "domain_half"
    )
    assert dict(half.figures) == {"domain": "example.com", "gone": 31, "of": 41}


async def test_known_people_with_new_ids_are_no_strangers(house: House) -> None:
    """A stale replica has ids of its own: the figures an admin is told must still be those of the whole list."""
    await house.founded()
    await house.sync(*ALL)
    replica = [row(each, entry=f"replica {each}") for each in ALL[:28]]

    outcomes = [await house.sync_later(*replica) for _ in range(2)]

    assert [codes(outcome) for outcome in outcomes] == [["domain_share"]] * 2


async def test_a_canary_whose_domain_was_taken_off_holds_nothing(house: House) -> None:
    """It left by decision, and no run could find it again."""
    await house.save_tenant("example.com", "old.example")
    await house.save_directory(canaries("boss@old.example", "p00000@example.com"))
    await house.sync(*ALL, "boss@old.example")
    await house.save_tenant("example.com")

    assert isinstance(await house.sync_later(*ALL), Applied)
    assert codes(await house.sync_later(*ALL[1:])) == ["canary_missing"]


async def test_an_equal_set_keeps_the_version_of_a_hold(house: House) -> None:
    """What a person is about to approve must not change its number for nothing."""
    await house.founded()
    await house.sync(*ALL)

    for _ in range(3):
        await house.sync_later(*FEW)

    assert {each["version"] for each in await house.fetch("SELECT version FROM api.hold")} == {1}
    holds = [event["data"]["hold"]["id"] for event in await house.events("sync.held")]
    assert len(holds) == 3
    assert len(set(holds)) == 1


async def test_the_version_moves_with_the_set(house: House) -> None:
    """Who comes back drops out, who is newly absent joins, and an approval of the older set would not fit."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*FEW)

    await house.sync_later(*FEW[:9], ALL[39])

    held = await house.fetch("SELECT address, version FROM api.hold ORDER BY address")
    assert {each["version"] for each in held} == {2}
    assert [each["address"] for each in held] == ALL[9:39]


async def test_a_snapshot_that_trips_no_rule_ends_the_hold(house: House) -> None:
    """The directory was repaired: nothing is left to decide."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*FEW)

    outcome = await house.sync_later(*ALL)

    assert isinstance(outcome, Applied)
    assert await house.fetch("SELECT * FROM api.hold") == []
    assert await house.value("SELECT count(*) FROM rollcall.change_set") == 0
    assert set((await house.steps()).values()) == {"present"}
    assert await house.value("SELECT state FROM rollcall.hold") == "ended"


async def test_a_hold_clears_the_digest(house: House) -> None:
    """The snapshot after a hold is compared with what is stored, even if it equals the last applied one."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(*FEW)

    assert await house.value("SELECT digest FROM rollcall.directory") is None
    assert isinstance(await house.sync_later(*ALL), Applied)
    assert isinstance(await house.sync_later(*ALL), Unchanged)


async def test_a_held_run_is_no_new_baseline(house: House) -> None:
    """Half of what was applied last stays the measure, however often the short list is read."""
    await house.founded()
    await house.sync(*ALL)

    for _ in range(3):
        assert "half_size" in codes(await house.sync_later(*FEW))

    assert await house.value("SELECT applied_addresses FROM rollcall.directory") == 40


async def test_a_missing_canary_holds_even_an_equal_snapshot(house: House) -> None:
    """A canary named later must be found too, though the directory shows what it always showed."""
    await house.founded()
    await house.sync(*ALL)
    await house.save_directory(canaries("boss@example.com", ALL[0]))

    outcome = await house.sync_later(*ALL)

    assert codes(outcome) == ["canary_missing"]
    assert (await house.last("sync.held"))["reasons"][0]["addresses"] == ["boss@example.com"]


async def test_a_canary_that_is_read_holds_nothing(house: House) -> None:
    """The list can be trusted as far as its owner can tell."""
    await house.founded(canaries(ALL[0], ALL[1]))

    assert isinstance(await house.sync(*ALL), Applied)
    assert isinstance(await house.sync_later(*ALL), Unchanged)
    assert codes(await house.sync_later(*ALL[1:])) == ["canary_missing"]


async def test_a_changed_scope_holds_only_if_somebody_leaves(house: House) -> None:
    """Another filter may be right or a slip; as long as nobody leaves there is nothing to ask."""
    await house.founded(removals(min_count=1000))
    await house.sync(*ALL)

    assert isinstance(await house.sync_later(*ALL, ADA, scope="wider"), Applied)
    outcome = await house.sync_later(*ALL, scope="narrower")

    assert codes(outcome) == ["scope_changed"]


async def test_review_holds_each_departure(house: House) -> None:
    """Who wants to see each departure sees each."""
    await house.founded(removals(policy=RemovalPolicy.REVIEW))
    await house.sync(*ALL)

    assert codes(await house.sync_later(*ALL[1:])) == ["review"]


async def test_slow_bleeding_trips_the_same_limit(house: House) -> None:
    """Three a run are few; together with those of the same week they are more than a person should miss."""
    await house.founded(removals(min_count=4, max_share=0.1))
    await house.sync(*ALL)

    assert isinstance(await house.sync_later(*ALL[2:]), Applied)
    assert isinstance(await house.sync_later(*ALL[4:]), Applied)
    outcome = await house.sync_later(*ALL[5:])

    assert codes(outcome) == ["domain_share"]


async def test_who_was_removed_this_week_still_counts(house: House) -> None:
    """Removed is not forgotten: the week counts together."""
    await house.founded(removals(min_count=4, max_share=0.1))
    await house.sync(*ALL)
    await house.sync_later(*ALL[4:])
    await house.sync_later(*ALL[4:])
    await house.sync_later(*ALL[4:], minutes=73 * 60)
    assert list((await house.steps()).values()).count("removed") == 4

    assert codes(await house.sync_later(*ALL[5:])) == ["domain_share"]


async def test_what_left_other_domains_this_week_counts_for_the_total(house: House) -> None:
    """The limit for the whole tenant must not be walked around domain by domain."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory(removals(min_count=1000, max_count=12))
    here, there = people(40), people(40, "example.net")
    await house.sync(*here, *there)
    for _ in range(2):
        await house.sync_later(*here[8:], *there)
    await house.sync_later(*here[8:], *there, minutes=73 * 60)
    assert list((await house.steps()).values()).count("removed") == 8

    outcome = await house.sync_later(*here[8:], *there[5:])

    assert codes(outcome) == ["total_count"]


async def test_who_another_directory_still_holds_is_no_departure(house: House) -> None:
    """Moving a branch from one directory to another must not alarm anyone."""
    await house.founded(removals(min_count=2))
    await house.save_directory(directory="branch")
    await house.sync(*ALL)
    await house.sync(*ALL, directory="branch")

    outcome = await house.sync_later(*ALL[:30])

    assert isinstance(outcome, Applied)
    for _ in range(3):
        outcome = await house.sync_later(*ALL[:30], minutes=73 * 60)
    assert list((await house.steps()).values()).count("removed") == 10
    assert isinstance(await house.sync_later(*ALL[1:30], minutes=60), Applied)


async def test_a_preview_writes_nothing_but_its_change_set(house: House) -> None:
    """Looking must not touch: no recipient, no history, no baseline, no hold."""
    await house.founded()
    await house.sync(*ALL)
    await house.forget_events()
    tables = (
        "holding",
        "departure",
        "history",
        "hold",
        "domain",
        "directory",
        "directory_revision",
    )
    before = [await house.whole(each) for each in tables]

    outcome = await house.sync_later(*FEW, ADA, mode=Mode.PREVIEW)

    after = [await house.whole(each) for each in tables]
    assert after == before
    assert "half_size" in codes(outcome)
    told = await house.last("sync.previewed")
    assert (told["counts"]["added"], told["counts"]["missing"], told["hold"]) == (1, 30, None)
    changes = await house.fetch(
        "SELECT change, count(*) FROM rollcall.change_set GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(each) for each in changes] == [("added", 1), ("missing", 30)]
    assert await house.events("recipients.changed") == []


async def test_a_preview_of_pending_settings_leaves_them_pending(house: House) -> None:
    """Trying a form is not using it."""
    await house.founded()
    await house.sync(*ALL)
    await house.save_directory(sync=True)
    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))

    await house.request(mode=Mode.PREVIEW)
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, rows(*ALL)))

    assert run.revision == 2
    assert await house.value("SELECT revision_pending FROM rollcall.directory") == 2


async def test_a_hold_in_one_directory_lets_another_go_on(house: House) -> None:
    """One broken branch must not freeze the rest of a customer."""
    await house.founded(removals(min_count=1000))
    await house.save_directory(removals(min_count=1000), directory="branch")
    await house.sync(*ALL)
    others = [f"b{number:02}@example.com" for number in range(40)]
    await house.sync(*others, directory="branch")

    await house.sync_later(*FEW)
    for _ in range(2):
        await house.sync_later(*others[1:], directory="branch")

    assert (await house.steps("branch"))[others[0]] == "grace"
    assert (await house.states())[others[0]] == "grace"


async def deleted_and_saved_again(house: House) -> None:
    """A directory of forty is deleted, its addresses are to leave, and it is set up anew."""
    await house.founded()
    await house.sync(*ALL)
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))
    house.clock.forward(hours=1)
    await house.save_directory()


async def test_a_directory_saved_again_with_a_slip_is_held_and_nobody_is_refused(
    house: House,
) -> None:
    """Its first run is all that is known: it must not be taken for the whole truth, and the clock goes on."""
    await deleted_and_saved_again(house)

    outcome = await house.sync_later(*FEW)

    assert codes(outcome) == ["replaced"]
    house.clock.forward(hours=80)
    await house.sweeper.housekeep()
    assert await house.look(ALL[39]) == "not_authoritative"
    assert await house.look(FEW[0]) == "valid"


async def test_a_directory_saved_again_as_it_was_is_held_by_nothing(house: House) -> None:
    """Everyone is back."""
    await deleted_and_saved_again(house)

    assert isinstance(await house.sync_later(*ALL), Applied)
    assert await house.states() == dict.fromkeys(ALL, "valid")
    assert await house.look("nobody@example.com") == "unknown"


async def test_a_smaller_directory_in_place_of_a_deleted_one_can_be_approved(house: House) -> None:
    """The branch is smaller now; once a person says so, the others are unknown."""
    await deleted_and_saved_again(house)
    assert codes(await house.sync_later(*FEW)) == ["replaced"]

    await house.approve()

    assert isinstance(await house.sync_later(*FEW), Applied)
    house.clock.forward(hours=80)
    await house.sweeper.housekeep()
    assert await house.look(ALL[39]) == "unknown"


async def test_a_directory_long_deleted_is_no_measure(house: House) -> None:
    """After a week it is history."""
    await deleted_and_saved_again(house)

    assert isinstance(await house.sync_later(*FEW, minutes=8 * 24 * 60), Applied)


async def test_what_another_directory_shows_is_not_missed_after_a_deletion(house: House) -> None:
    """Two directories merged into one: the other one has them all."""
    await house.founded()
    await house.save_directory(directory="branch")
    await house.sync(*ALL)
    await house.sync(*ALL, directory="branch")
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))
    await house.save_directory(directory="third")

    assert isinstance(await house.sync_later(*FEW, directory="third"), Applied)
