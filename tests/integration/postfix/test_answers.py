"""What a sender hears at the door, for each thing that ``api.lookup`` can say and each way to write an address."""

import asyncio
import re

import pytest

from tests.integration.postfix.door import Door
from tests.integration.postgres.house import House, people, removals
from tests.servers.postfix import Postfix
from worker.domain.model import Domain


pytestmark = pytest.mark.integration
JO = "jo@example.com"
ACCEPTED, UNKNOWN = 250, 550
NOBODY = "There is nobody of this name here"
LEFT = "This address seems to be no longer in use; please try again later"


async def founded(house: House, *domains: Domain, listed: tuple[str, ...] = (JO,)) -> None:
    """A tenant with these domains whose directory showed these addresses."""
    await house.save_tenant(*(domains or (Domain("example.com"),)))
    await house.save_directory()
    house.clock.forward(minutes=1)
    await house.sync(*listed)


async def left(house: House, *domains: Domain) -> None:
    """The same, and jo has left: in grace."""
    await house.save_tenant(*(domains or (Domain("example.com"),)))
    await house.save_directory(removals(min_count=1000))
    others = people(10)
    await house.sync(*others, JO)
    for _ in range(2):
        await house.sync_later(*others)
    assert (await house.steps())[JO] == "grace"


async def codes(door: Door, *asked: str) -> dict[str, int]:
    """The answer to each."""
    answers = await door.ask_all(asked)
    return {address: each.code for address, each in zip(asked, answers, strict=True)}


# --- every answer of api.lookup ----------------------------------------------


async def test_a_valid_recipient_is_accepted(house: House, door: Door) -> None:
    """It is what all of this is for."""
    await founded(house)

    assert (await door.ask(JO)).code == ACCEPTED


async def test_an_unknown_recipient_is_refused_for_good(house: House, door: Door) -> None:
    """The sender is to learn at once of a name mistyped."""
    await founded(house)

    answer = await door.ask("nobody@example.com")

    assert answer == (
        550,
        f"5.1.1 <nobody@example.com>: Recipient address rejected: {NOBODY}",
    )


async def test_who_is_on_the_way_out_is_put_off(house: House, door: Door) -> None:
    """Should the departure have been a mistake, the mail still comes when it is mended."""
    await left(house)

    answer = await door.ask(JO)

    assert answer == (
        450,
        f"4.2.1 <{JO}>: Recipient address rejected: {LEFT}",
    )


async def test_a_catch_all_domain_takes_everybody(house: House, door: Door) -> None:
    """Its customer wants that; also for who is on the way out."""
    await left(house, Domain("example.com", catch_all=True))

    answers = await door.ask_all(["anybody@example.com", JO])

    assert [each.code for each in answers] == [ACCEPTED, ACCEPTED]


async def test_a_domain_whose_list_was_never_read_takes_everybody(house: House, door: Door) -> None:
    """Refusing by a list that knows nobody would refuse everybody."""
    await house.save_tenant("example.com")
    await house.save_directory()

    assert (await door.ask("anybody@example.com")).code == ACCEPTED


# --- ways to write an address ------------------------------------------------


async def test_a_sub_address_is_its_owners(house: House, door: Door) -> None:
    """With the customer's own delimiter, and only with that."""
    await founded(house, Domain("example.com", delimiter="-"))

    answers = await door.ask_all(["jo-news@example.com", "jo+news@example.com"])

    assert [each.code for each in answers] == [ACCEPTED, UNKNOWN]


async def test_an_alias_domain_is_the_same_people(house: House, door: Door) -> None:
    """They are reached under both names, and nobody else is."""
    await founded(house, Domain("example.com"), Domain("example.net", alias_of="example.com"))

    answers = await door.ask_all(["jo@example.net", "nobody@example.net"])

    assert [each.code for each in answers] == [ACCEPTED, UNKNOWN]


async def test_postmaster_is_always_reached(house: House, door: Door) -> None:
    """RFC 5321 section 4.5.1: with a domain of ours, and without one."""
    await founded(house)

    answers = await door.ask_all(["postmaster@example.com", "PostMaster@Example.Com", "postmaster"])

    assert [each.code for each in answers] == [ACCEPTED] * 3


async def test_case_does_not_matter(house: House, door: Door) -> None:
    """Senders write addresses as they like."""
    await founded(house)

    answers = await door.ask_all(["JO@example.com", "Jo@EXAMPLE.com", "NoBody@Example.com"])

    assert [each.code for each in answers] == [ACCEPTED, ACCEPTED, UNKNOWN]


async def test_a_domain_in_another_script_is_known_by_both_names(house: House, door: Door) -> None:
    """Who can send the one may send the other."""
    await founded(house, Domain("xn--bcher-kva.example"), listed=("jo@xn--bcher-kva.example",))

    assert await codes(
        door,
        "jo@xn--bcher-kva.example",
        "jo@bücher.example",
        "jo@BÜCHER.Example",
        "no@bücher.example",
    ) == {
        "jo@xn--bcher-kva.example": ACCEPTED,
        "jo@bücher.example": ACCEPTED,
        "jo@BÜCHER.Example": ACCEPTED,
        "no@bücher.example": UNKNOWN,
    }


async def test_a_name_in_another_script_reaches_its_owner(house: House, door: Door) -> None:
    """Postfix makes another spelling of some before it asks; the owner must not lose mail by that."""
    names = ["jörg", "łukasz", "weiß", "γιώργος", "κώστας-ς", "太郎"]
    await founded(house, listed=(JO, *(f"{name}@example.com" for name in names)))
    written = [*names, "JÖRG", "jo\u0308rg", "Weiß", "ΓΙΏΡΓΟΣ"]

    known = await codes(door, *(f"{name}@example.com" for name in written))
    unknown = await codes(door, *(f"{name}x@example.com" for name in written))

    assert set(known.values()) == {ACCEPTED}, known
    assert set(unknown.values()) == {UNKNOWN}, unknown


async def test_a_name_of_several_ss_reaches_its_owner_whichever_is_one_letter(
    house: House, door: Door
) -> None:
    """Postfix makes ss of each ß: the owner may have written one of them so and not the other."""
    names = ["weißwasser", "messegroß", "weißgroß", "jessica.hess", "ßß.ss.ß"]
    await founded(house, listed=(JO, *(f"{name}@example.com" for name in names)))

    known = await codes(door, *(f"{name}@example.com" for name in names))
    unknown = await codes(door, *(f"{name}x@example.com" for name in [*names, "s" * 40]))

    assert set(known.values()) == {ACCEPTED}, known
    assert set(unknown.values()) == {UNKNOWN}, unknown


async def test_octets_that_are_no_text_trouble_nobody_else(house: House, door: Door) -> None:
    """One stranger's garbage must not be an error of the database, which would put everybody off."""
    await founded(house)
    garbage = [b"\xff\xfe@example.com", b"j\xc3@example.com", b"jo@ex\xe4mple.com"]

    answers = await door.ask_all([*garbage, "nobody@example.com", JO])

    assert [each.code for each in answers] == [500, 500, 500, UNKNOWN, ACCEPTED]


async def test_what_means_something_in_sql_means_nothing_in_a_name(
    house: House, door: Door
) -> None:
    """An apostrophe ends no query, and a backslash hides none."""
    await founded(house, listed=("o'hara@example.com", "$1&co@example.com", JO))

    assert await codes(
        door,
        "o'hara@example.com",
        '"o\'hara"@example.com',
        "$1&co@example.com",
        "o''hara@example.com",
        '"a\\\\\'b"@example.com',
        '"\') OR true --"@example.com',
    ) == {
        "o'hara@example.com": ACCEPTED,
        '"o\'hara"@example.com': ACCEPTED,
        "$1&co@example.com": ACCEPTED,
        "o''hara@example.com": UNKNOWN,
        '"a\\\\\'b"@example.com': UNKNOWN,
        '"\') OR true --"@example.com': UNKNOWN,
    }


# --- whose mail is taken at all ----------------------------------------------


async def test_nobody_relays_to_a_domain_that_no_customer_has(house: House, door: Door) -> None:
    """Not authoritative is no invitation: else spammers find an open relay within hours."""
    await founded(house)
    asked = [
        "anybody@elsewhere.example",
        "jo@sub.example.com",
        "jo@com",
        "postmaster@elsewhere.example",
        "jo@[203.0.113.9]",
    ]

    answers = await door.ask_all(asked)

    assert {each.code for each in answers} == {554}
    assert all("Relay access denied" in each.text for each in answers)


async def test_a_customers_domain_opens_no_way_to_another(house: House, door: Door) -> None:
    """Routes of former days end at the door, also where everybody is taken."""
    await founded(house, Domain("example.com", catch_all=True))
    asked = [
        "@example.com:jo@elsewhere.example",
        "jo@elsewhere.example@example.com",
        '"jo@elsewhere.example"@example.com',
        "jo%elsewhere.example@example.com",
        "elsewhere.example!jo@example.com",
    ]

    assert await codes(door, *asked, "jo@example.com") == {
        **dict.fromkeys(asked, 554),
        "jo@example.com": ACCEPTED,
    }


# --- the example itself ------------------------------------------------------


async def test_postmap_shows_what_is_answered(house: House, postfix: Postfix) -> None:
    """An operator tries a map by hand before mail meets it."""
    await founded(house)

    assert postfix.look_up(JO) == "DUNNO"
    assert postfix.look_up("nobody@example.com") == f"550 5.1.1 {NOBODY}"
    assert postfix.look_up("anybody@elsewhere.example") == "DUNNO"
    assert postfix.look_up("example.com", table="rollcall-domains.cf") == "acme"
    assert postfix.look_up("elsewhere.example", table="rollcall-domains.cf") is None


async def test_keys_that_are_no_address_are_not_asked(house: House, postfix: Postfix) -> None:
    """A domain or a name alone, as access(5) tries them too, must not pass for an answer."""
    await founded(house)

    for key in ("example.com", "com", "jo@", "@example.com", "jo"):
        assert postfix.look_up(key) is None, key


async def test_postfix_finds_no_fault_with_the_example(postfix: Postfix, door: Door) -> None:
    """A misspelt setting would be ignored, with a warning that nobody reads."""
    await door.ask("somebody@elsewhere.example")

    assert await asyncio.to_thread(
        postfix.logs, "<somebody@elsewhere.example>: Relay access denied"
    )
    assert postfix.complaints() == ""
    assert [line for line in postfix.log.splitlines() if re.search("warning|fatal", line)] == []
