from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from tests.servers.scripted_ldap import done, entry, message, person, reference, result
from worker.adapters.directory.wire import Bounds, Framer, WireResult, sized
from worker.domain.failures import Unfinished


BOUNDS = Bounds(
    message_bytes=100_000,
    run_bytes=1_000_000,
    entries=1_000,
    values=500,
    answer_bytes=500_000,
    answer_entries=900,
)


def fed(chunks: Iterable[bytes], bounds: Bounds = BOUNDS) -> Framer:
    """Return a framer that has been fed these chunks."""
    framer = Framer(bounds)
    for chunk in chunks:
        framer.feed(chunk)
    return framer


@given(st.data())
def test_however_the_bytes_are_cut_the_account_is_the_same(data: st.DataObject) -> None:
    """Networks cut where they like; the proof of completeness rests on this count."""
    people = data.draw(st.lists(st.integers(1, 400), max_size=8))
    stream = b"".join(
        entry(7, f"cn=p{size}", {"mail": [b"x" * size * 10], "a": [b""] * size}) for size in people
    )
    stream += reference(7, "ldap://elsewhere") + done(7, 0, "", cookie=b"more")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=40)))

    framer = fed(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))

    assert list(framer.results) == [
        WireResult(7, 0x65, 0, "", "", b"more", entries=len(people), references=1)
    ]


@given(st.data())
def test_however_the_bytes_are_cut_the_digest_of_the_entries_is_the_same(
    data: st.DataObject,
) -> None:
    """By it an unchanged directory is known; results between pages, which may differ, are no part of it."""
    pages = data.draw(st.lists(st.lists(st.integers(1, 400), max_size=4), min_size=1, max_size=4))
    people = [
        b"".join(entry(7, f"cn=p{n}", {"mail": [b"x" * n * 10]}) for n in page) for page in pages
    ]
    plain = b"".join(page + done(7, 0, "", cookie=b"a") for page in people)
    talking = b"".join(
        page + reference(7, "ldap://elsewhere") + done(7, 0, "busy today", cookie=b"another")
        for page in people
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(talking)), max_size=40)))

    whole = fed([plain])
    cut = fed(talking[a:b] for a, b in zip([0, *cuts], [*cuts, len(talking)], strict=True))

    assert cut.entries_digest == whole.entries_digest


def test_one_other_byte_of_an_entry_is_another_digest() -> None:
    """Whatever changed must take the long way."""
    one, other = (fed([entry(7, "cn=a", {"mail": [mail]}) + done(7)]) for mail in (b"a@b", b"a@c"))

    assert one.entries_digest != other.entries_digest


def test_each_answer_has_its_own_count() -> None:
    """Pages come one after another on one connection."""
    framer = fed([person(1, 1) + done(1, cookie=b"c") + person(2, 2) + person(2, 3) + done(2)])

    assert [(r.message_id, r.entries, r.cookie) for r in framer.results] == [
        (1, 1, b"c"),
        (2, 2, b""),
    ]


def test_lengths_may_be_written_longer_than_need_be() -> None:
    """Active Directory writes every length in four bytes."""
    body = person(5, 1)[2:]

    framer = fed([b"\x30\x84" + len(body).to_bytes(4, "big") + body, done(5)])

    assert framer.results[0].entries == 1


def test_the_servers_words_are_kept() -> None:
    """They are what an operator needs."""
    framer = fed([result(1, 0x61, 49, "data 52e, nö")])

    assert (framer.results[0].code, framer.results[0].diagnostic) == (49, "data 52e, nö")


def test_a_notice_answers_nothing() -> None:
    """Message id 0 belongs to no question (RFC 4511 section 4.4)."""
    framer = fed([result(0, 0x78, 52)])

    assert framer.notice is not None
    assert (framer.notice.code, list(framer.results)) == (52, [])


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x16\x03\x01\x00\x00", "read.malformed"),
        (b"\x30\x80\x02\x01\x01\x65\x00", "read.malformed"),
        (b"\x30\x85\x00\x00\x00\x00\x05\x02\x01\x01\x65\x00", "read.malformed"),
        (b"\x30\x02\x02\x00", "read.malformed"),
        (message(1, b"\x65\x03\x0a\x01"), "read.malformed"),
        (b"\x30\x83\x0f\xff\xff\x02\x01\x01\x64", "read.message_too_large"),
        (b"\x30\x83\x01\x80\x00\x02\x01\x01\x65", "read.message_too_large"),
        (done(1) * 17, "read.malformed"),
        (person(1, 1) * 901, "read.too_many_entries"),
        ((person(1, 1) * 600 + done(1)) * 2, "read.too_many_entries"),
        (entry(1, "cn=x", {"a": [b"xxxxxxxx"] * 501}), "read.too_many_values"),
        (entry(1, "cn=x", {f"a{n}": [b""] for n in range(257)}), "read.malformed"),
        (message(1, b"\x41\x01x"), "read.unasked"),
        (message(1, b"\x79\x00"), "read.unasked"),
        (done(0), "read.unasked"),
        (reference(1, "ldap://x") * 10_001, "read.too_many_references"),
        (message(1, b"\x73\x02\x30\x00"), "read.malformed"),
        (message(1, b"\x65\x07\x01\x01\x00\x04\x00\x04\x00"), "read.malformed"),
        (message(1, b"\x65\x06\x0a\x00\x04\x00\x04\x00"), "read.malformed"),
        (message(1, b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00", b"\xa1\x00"), "read.malformed"),
    ],
)
def test_what_a_server_may_not_send_is_named(stream: bytes, code: str) -> None:
    """Each bound tells which it was, and nothing of it is handed on."""
    with pytest.raises(Unfinished) as caught:
        fed([stream])

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("stream", "figure"),
    [
        (b"\x30\x83\x0f\xff\xff\x02\x01\x01\x64", sized(BOUNDS.message_bytes)),
        (b"\x30\x83\x01\x80\x00\x02\x01\x01\x65", "64 KiB"),
        (person(1, 1) * 901, f"{BOUNDS.answer_entries:,} entries in one answer"),
        ((person(1, 1) * 600 + done(1)) * 2, f"{BOUNDS.entries:,} entries"),
        (entry(1, "cn=x", {"a": [b"xxxxxxxx"] * 501}), f"{BOUNDS.values:,}"),
        (reference(1, "ldap://x") * 10_001, "10,000 in one answer"),
    ],
)
def test_a_bound_that_was_hit_is_named_with_its_unit(stream: bytes, figure: str) -> None:
    """Whoever is to raise it, or to stay below it, has to know it."""
    with pytest.raises(Unfinished) as caught:
        fed([stream])

    assert caught.value.figure == figure


@pytest.mark.parametrize(
    ("count", "said"),
    [(4 * 1024**3, "4 GiB"), (1536 * 1024, "1,536 KiB"), (5_000_000, "5,000,000 bytes")],
)
def test_bytes_are_said_in_the_unit_that_fits(count: int, said: str) -> None:
    """An operator may set any number."""
    assert sized(count) == said


@given(st.binary(max_size=300))
def test_no_bytes_break_the_framer(garbage: bytes) -> None:
    """Whatever a server sends is counted or refused: nothing else is raised."""
    with suppress(Unfinished):
        fed([garbage])
