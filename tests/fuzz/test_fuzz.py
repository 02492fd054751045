"""A small part of ``make fuzz``, and proof that each of its measures can fail."""

from collections.abc import Sequence

import pytest

from tests.fuzz.campaign import Amount, play
from tests.fuzz.oracle import Listed, whole_list
from tests.fuzz.reader_process import apart, flat
from tests.fuzz.replay import differs, read
from tests.fuzz.streams import PEOPLE, SEARCH_ID, Conversation, conversations


SEED = 20_250
SMALL = Amount(pure_cases=2_000, pure_s=1, reader_cases=300, reader_s=8)


@pytest.mark.timeout(90)
def test_no_bytes_break_anything_or_pass_for_a_list_that_they_are_not() -> None:
    """One customer's broken server must neither end the worker of all nor cost anybody their mail."""
    report = play(SEED, SMALL)

    assert report.save() == []
    assert all(tally.cases for tally in report.tallies.values())
    assert report.tallies["reader"].outcomes["a whole list"] > 0


@pytest.mark.parametrize("talk", conversations(), ids=lambda talk: talk.name)
async def test_what_was_recorded_is_read_whole(talk: Conversation) -> None:
    """Else all cases would fail early, and nothing deep would be tried."""
    got = await read([[answer] for answer in talk.answers])

    assert (got.code, got.fault, len(got.entries)) == (None, None, PEOPLE)


async def test_a_case_can_be_had_again() -> None:
    """A fault without its bytes is of little use."""
    answers = [[b"a", b"bc"], [b"d"]]

    assert apart(flat(answers)) == answers


def listed() -> list[Listed]:
    """The oracle's opinion of the recorded pages."""
    found = whole_list(conversations()[0].pages, SEARCH_ID)
    assert found is not None
    return found


def taken(listed: Sequence[Listed]) -> list[tuple[str, dict[str, list[bytes]]]]:
    """What a reader that makes no mistake would give."""
    return [(each.name.decode(), dict(each.values)) for each in listed]


def test_a_short_list_is_noticed() -> None:
    """The measure itself: an entry that is lost."""
    assert differs(listed(), taken(listed())) is None
    assert differs(listed(), taken(listed())[:-1]) is not None


def test_a_lost_value_is_noticed() -> None:
    """The measure itself: an address that is lost."""
    short = taken(listed())
    short[3][1]["mail"] = []

    assert differs(listed(), short) is not None


@pytest.mark.parametrize("spoil", [b"\x30", b"\x65\x07\x0a\x01\x00\x04\x00"])
def test_the_oracle_wants_every_letter(spoil: bytes) -> None:
    """A page without one of its bytes, or with a result of another number, is none."""
    first, *others = conversations()[0].pages

    assert whole_list([first.replace(spoil, spoil[:-1], 1), *others], SEARCH_ID) is None
