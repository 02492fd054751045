"""What people hold by hand: added, taken over by a directory, protected, removed, told whole."""

import hashlib

import orjson
import pytest

from tests.integration.postgres.house import HQ, House, people, removals
from worker.domain.commands import AddRecipients, DeleteDirectory, RepublishRecipients
from worker.domain.model import Address, DirectoryId, Mode
from worker.domain.outcomes import Applied


ALL = people(12)
JO, AL = "jo@example.com", "al@example.com"


async def hand_of(house: House, address: str) -> list[str | None]:
    """How people hold an address: nothing, or plain (None), adopt, protect."""
    found = await house.fetch(
        """SELECT h.hand FROM rollcall.holding h
           LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
           WHERE h.directory_id = 0 AND h.address = $1 AND d.step IS NULL""",
        address,
    )
    return [each["hand"] for each in found]


# --- add ---------------------------------------------------------------------


async def test_an_address_added_by_hand_is_valid_at_once(house: House) -> None:
    """Nobody waits for a directory; the answer names the command."""
    await house.founded()

    command = await house.add(JO)

    assert await house.look(JO) == "valid"
    told = await house.last("recipients.changed")
    assert (told["run"], told["directory"], told["causes"]) == (None, None, [command])
    assert await house.changes() == [(JO, "added", "valid")]
    assert await house.value("SELECT command FROM rollcall.history") is not None


async def test_what_is_valid_already_is_answered_with_an_empty_change(house: House) -> None:
    """Every command has an outcome, also one that changes nothing."""
    await house.founded()
    await house.sync(*ALL)
    await house.forget_events()

    command = await house.add(ALL[0])

    told = await house.last("recipients.changed")
    assert (told["changes"], told["causes"], told["parts"]) == ([], [command], 1)
    assert await hand_of(house, ALL[0]) == [None]


async def test_no_run_removes_what_people_hold(house: House) -> None:
    """The directory drops it, the person does not."""
    await house.founded()
    await house.sync(*ALL)
    await house.add(ALL[0])

    for minutes in (31, 31, 73 * 60):
        await house.sync_later(*ALL[1:], minutes=minutes)

    assert await house.look(ALL[0]) == "valid"
    assert (await house.steps())[ALL[0]] == "removed"


async def test_an_address_in_grace_is_valid_again_when_added(house: House) -> None:
    """Someone noticed that mail for a leaver still matters."""
    await house.founded(removals(min_count=1000))
    await house.sync(*ALL)
    for _ in range(2):
        await house.sync_later(*ALL[1:])
    assert await house.look(ALL[0]) == "grace"

    await house.add(ALL[0])

    assert await house.look(ALL[0]) == "valid"
    assert (await house.changes())[-1] == (ALL[0], "returned", "valid")


async def test_one_wrong_address_rejects_the_list_and_names_it(house: House) -> None:
    """Half an import would have to be found out by hand."""
    await house.founded()

    await house.add(JO, "jo@elsewhere.example", AL)

    assert await house.rejections() == [("addresses.1", "recipient.other_domain")]
    assert await house.states() == {}


async def test_many_wrong_addresses_are_named_up_to_a_bound(house: House) -> None:
    """The answer still fits into a message."""
    await house.founded()

    await house.add(*people(5_000, "elsewhere.example"))

    refused = (await house.last("command.rejected"))["errors"]
    assert len(refused) == 101
    assert "4900 more" in refused[-1]["message"]


async def test_thousands_are_imported_at_once_and_told_in_parts(house: House) -> None:
    """The list a customer brings along comes in one message or a few."""
    await house.founded()
    many = people(5_000)

    await house.add(*many, adopt=True)

    parts = await house.events("recipients.changed")
    assert [each["data"]["part"] for each in parts] == list(range(1, 10))
    assert len(await house.changes()) == 5_000
    assert await house.value("SELECT recipients FROM rollcall.domain") == 5_000


async def test_a_repeated_import_is_answered_with_the_same_parts(house: House) -> None:
    """A message that comes twice is one effect, told twice to whoever asked."""
    await house.founded()
    command = AddRecipients(tuple(map(Address, people(700))), adopt=True, protect=False)
    for _ in range(2):
        await house.send(command, id="once", body=b"same", reply_to="platform.answers")

    parts = await house.events("recipients.changed")
    assert [each["data"]["sequence"] for each in parts] == [3, 4, 3, 4]
    replies = await house.value(
        "SELECT count(*) FROM rollcall.outbox WHERE reply_to = 'platform.answers'"
    )
    assert replies == 4
    assert await house.value("SELECT count(*) FROM rollcall.history") == 700


# --- adopt and protect -------------------------------------------------------


async def test_a_directory_takes_over_what_it_shows(house: House) -> None:
    """An imported list becomes the directory's own, address by address; what it does not show stays."""
    await house.founded()
    await house.add(ALL[0], JO, adopt=True)

    await house.sync(*ALL)

    assert await hand_of(house, ALL[0]) == []
    assert await hand_of(house, JO) == ["adopt"]
    assert ("added", "valid") not in [
        each[1:] for each in await house.changes() if each[0] == ALL[0]
    ][1:]
    for minutes in (31, 31, 73 * 60):
        await house.sync_later(*ALL[1:], minutes=minutes)
    assert ALL[0] not in await house.states()
    assert await house.look(JO) == "valid"


async def test_an_address_keeps_its_age_when_it_is_taken_over(house: House) -> None:
    """To the customer it is the same address all along."""
    await house.founded()
    await house.add(ALL[0], adopt=True)
    since = house.clock.at

    await house.sync_later(*ALL)

    assert await house.value("SELECT since FROM api.recipient WHERE address = $1", ALL[0]) == since


async def test_what_the_directory_shows_already_is_taken_over_by_the_next_run(house: House) -> None:
    """Also when the directory itself has not changed: a decision by hand makes the next run look anew."""
    await house.founded()
    await house.sync(*ALL)
    await house.add(ALL[0], adopt=True)
    assert await hand_of(house, ALL[0]) == ["adopt"]

    await house.sync_later(*ALL)

    assert await hand_of(house, ALL[0]) == []
    assert await house.look(ALL[0]) == "valid"


async def test_a_preview_takes_nothing_over(house: House) -> None:
    """Looking changes nothing."""
    await house.founded()
    await house.add(ALL[0], adopt=True)

    await house.sync(*ALL, mode=Mode.PREVIEW)

    assert await hand_of(house, ALL[0]) == ["adopt"]


async def test_what_is_not_to_be_adopted_stays_by_hand(house: House) -> None:
    """Plain and protected addresses are the person's."""
    await house.founded()
    await house.add(ALL[0])
    await house.add(ALL[1], protect=True)

    await house.sync(*ALL)

    assert await hand_of(house, ALL[0]) == [None]
    assert await hand_of(house, ALL[1]) == ["protect"]


async def test_a_later_import_does_not_unprotect(house: House) -> None:
    """Who protected an address must not find it adopted by somebody's spreadsheet."""
    await house.founded()
    await house.add(ALL[0], protect=True)
    await house.add(ALL[1])

    await house.add(*ALL[:2], adopt=True)
    await house.sync(*ALL)

    assert await hand_of(house, ALL[0]) == ["protect"]
    assert await hand_of(house, ALL[1]) == []


# --- a domain that goes and comes back ----------------------------------------


async def test_a_domain_put_back_brings_back_what_people_hold_in_it(house: House) -> None:
    """Left out of one tenant.save by mistake: no run brings back what no directory shows, so putting it back must."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.add("old@example.net", "jo@example.net", JO)
    await house.remove("old@example.net")
    house.clock.forward(minutes=1)
    await house.save_tenant("example.com")
    assert await house.look("jo@example.net") == "not_authoritative"
    await house.forget_events()
    house.clock.forward(minutes=1)

    command = await house.save_tenant("example.com", "example.net")

    assert await house.look("jo@example.net") == "valid"
    assert await house.changes() == [("jo@example.net", "returned", "valid")]
    assert (await house.last("recipients.changed"))["causes"] == [command]
    house.clock.forward(hours=80)
    await house.sweeper.housekeep()
    assert await house.states() == {JO: "valid", "jo@example.net": "valid"}


async def test_what_a_directory_took_over_is_not_given_to_people_with_its_domain(
    house: House,
) -> None:
    """It was the directory's when the domain went, and the directory's next run brings it back or does not."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.add("jo@example.net", adopt=True)
    await house.sync("jo@example.net", *ALL)
    house.clock.forward(minutes=1)
    await house.save_tenant("example.com")

    await house.save_tenant("example.com", "example.net")

    assert await hand_of(house, "jo@example.net") == []
    await house.sync_later("jo@example.net", *ALL)
    assert await house.look("jo@example.net") == "valid"


# --- remove ------------------------------------------------------------------


async def test_an_address_removed_by_hand_goes_by_grace_and_the_clock(house: House) -> None:
    """A person decided; no run is needed, and nothing is lost at once."""
    await house.founded()
    await house.add(JO, AL)

    command = await house.remove(JO)

    assert await house.look(JO) == "grace"
    assert (await house.last("recipients.changed"))["causes"] == [command]
    house.clock.forward(hours=73)
    await house.sweeper.housekeep()
    assert await house.states() == {AL: "valid"}
    assert (await house.changes())[-1] == (JO, "removed", "removed")


async def test_a_removal_ends_only_the_source_by_hand(house: House) -> None:
    """What the directory shows it goes on holding."""
    await house.founded()
    await house.sync(*ALL)
    await house.add(ALL[0])
    await house.forget_events()

    await house.remove(ALL[0])
    house.clock.forward(hours=73)
    await house.sweeper.housekeep()

    assert await house.look(ALL[0]) == "valid"
    assert await house.changes() == []
    assert len(await house.events("recipients.changed")) == 1


async def test_what_nobody_holds_by_hand_cannot_be_removed(house: House) -> None:
    """A silent yes would leave the admin believing that the address is gone."""
    await house.founded()
    await house.sync(*ALL)
    await house.add(JO)

    await house.remove(JO, ALL[0], "nobody@example.com")

    assert await house.rejections() == [
        ("addresses.1", "recipient.not_by_hand"),
        ("addresses.2", "recipient.not_by_hand"),
    ]
    assert await house.look(JO) == "valid"


async def test_an_address_may_be_removed_twice_and_added_again(house: House) -> None:
    """A second removal is no mistake; a return is one."""
    await house.founded()
    await house.add(JO)
    await house.remove(JO)
    await house.remove(JO)
    assert await house.rejections() == []

    await house.add(JO)

    assert await house.look(JO) == "valid"
    assert [each[1] for each in await house.changes()] == ["added", "grace", "returned"]


async def test_a_deleted_directory_hands_over_to_the_hand(house: House) -> None:
    """And what people held before they still hold, with its protection."""
    await house.founded()
    await house.add(ALL[0], protect=True)
    await house.sync(*ALL)

    await house.send(DeleteDirectory(DirectoryId(HQ), keep_by_hand=True))

    assert set(await house.states()) == set(ALL)
    assert await hand_of(house, ALL[0]) == ["protect"]
    assert await hand_of(house, ALL[1]) == [None]


async def test_what_people_hold_is_no_departure_to_the_guard(house: House) -> None:
    """A list that people keep by hand does not alarm anyone when the directory drops it."""
    await house.founded()
    many = people(40)
    await house.add(*many)
    await house.sync(*many, *people(100, "example.com")[40:])

    outcome = await house.sync_later(*people(100)[40:])

    assert isinstance(outcome, Applied)


# --- the whole list ----------------------------------------------------------


def listed(parts: list[dict[str, object]]) -> list[tuple[str, str]]:
    """Addresses and states of all parts, in order."""
    return [
        (each["address"], each["state"])
        for part in parts
        for each in orjson.loads(orjson.dumps(part))["data"]["recipients"]
    ]


@pytest.mark.parametrize("number", [0, 5, 600, 601, 1_500])
async def test_the_whole_list_is_told_in_parts_with_a_sum(house: House, number: int) -> None:
    """A new service starts from one message, and can tell that it has all of the list."""
    await house.founded()
    if number:
        await house.sync(*people(number))
    await house.forget_events()

    await house.send(RepublishRecipients())

    parts = await house.events("recipients.snapshot")
    assert len(parts) == max(1, -(-number // 600))
    lines = listed(parts)
    assert lines == [(each, "valid") for each in people(number)]
    digest = hashlib.sha256("".join(f"{a} {s}\n" for a, s in lines).encode()).hexdigest()
    assert {each["data"]["checksum"] for each in parts} == {f"sha256:{digest}"}
    assert {each["data"]["count"] for each in parts} == {number}
    first = parts[0]["data"]["sequence"]
    assert [each["data"]["sequence"] for each in parts] == list(range(first, first + len(parts)))
    assert {each["data"]["true_for"] for each in parts} == {first - 1}


async def test_who_is_in_grace_is_told_with_its_end(house: House) -> None:
    """The receiver can put mail off as the filter does."""
    await house.founded(removals(min_count=1000))
    await house.sync(*ALL)
    for _ in range(2):
        await house.sync_later(*ALL[1:])

    await house.send(RepublishRecipients())

    first = (await house.last("recipients.snapshot"))["recipients"][0]
    ends = (await house.last("recipients.changed"))["changes"][0]["grace_until"]
    assert (first["address"], first["state"], first["grace_until"]) == (ALL[0], "grace", ends)


async def test_the_whole_list_goes_to_the_reply_queue_too(house: House) -> None:
    """Who asks for it need not bind to everyone's events."""
    await house.founded()
    await house.sync(*ALL)

    await house.send(RepublishRecipients(), reply_to="platform.answers", correlation_id="7")

    found = await house.fetch(
        "SELECT body, correlation_id FROM rollcall.outbox WHERE reply_to IS NOT NULL"
    )
    assert [each["correlation_id"] for each in found] == ["7"]
    assert listed([orjson.loads(found[0]["body"])]) == [(each, "valid") for each in ALL]
