"""What is kept of the values that became no recipient: bounded, in the form people ask for, and told apart by a digest."""

import pytest

from tests.unit.domain.makers import normaliser_of, read, user
from worker.domain.reasons import (
    DN_MAX_CHARACTERS,
    KEPT_MAX_BYTES,
    KEPT_MAX_COUNT,
    KeptRejects,
    Reason,
    RejectBook,
    text_asked_for,
)


def kept_of(*values: str) -> KeptRejects:
    """What is kept of one entry with these addresses."""
    normaliser = normaliser_of()
    read(normaliser, user("SMTP:ada@example.org", *values))
    return normaliser.kept_rejects


def test_a_rejected_address_is_kept_in_its_normal_form() -> None:
    """Whoever asks types it in lower case, whatever the directory does."""
    kept = kept_of(
        "smtp:Far@Elsewhere.EXAMPLE", "smtp:jö@BÜCHER.example", "smtp:far2@elsewhere.example"
    )

    addresses = [line.split(b"\t")[0].decode() for line in kept.lines.splitlines()]
    assert addresses == [
        "far@elsewhere.example",
        "jö@xn--bcher-kva.example",
        "far2@elsewhere.example",
    ]


def test_values_of_another_type_are_not_kept() -> None:
    """X500 and SIP are counted, and nobody asks for them."""
    assert kept_of("X500:/o=x", "SIP:ada@example.org") == KeptRejects(b"", 0, bytes(16))


def test_equal_rejects_are_equal_in_whatever_order_they_come() -> None:
    """A server owes no order; a digest that moved with it would write twenty thousand rows at each run."""
    values = [f"smtp:f{number}@elsewhere.example" for number in range(40)]

    assert kept_of(*values).digest == kept_of(*values[::-1]).digest != kept_of(*values[1:]).digest


def test_what_is_beyond_the_bound_is_counted_and_digested() -> None:
    """A change among those that are not kept is a change."""
    book, other = RejectBook(room=2), RejectBook(room=2)
    for number in range(5):
        book.add(b"a%d@x.example" % number, Reason.OTHER_DOMAIN, "CN=x")
        other.add(b"a%d@x.example" % (number + number // 4), Reason.OTHER_DOMAIN, "CN=x")

    assert book.kept().lines.count(b"\n") == 2
    assert book.kept().left_out == other.kept().left_out == 3
    assert book.kept().lines == other.kept().lines
    assert book.kept().digest != other.kept().digest


def test_long_names_reach_the_bound_of_bytes_first() -> None:
    """A hostile directory decides how long its names are, not how much memory a run takes."""
    book = RejectBook()
    dn = "CN=" + "ü" * 5_000
    for number in range(3_000):
        book.add(b"a%d@x.example" % number, Reason.OTHER_DOMAIN, dn + str(number))

    kept = book.kept()
    assert KEPT_MAX_BYTES - 4 * DN_MAX_CHARACTERS < len(kept.lines) <= KEPT_MAX_BYTES
    assert kept.lines.count(b"\n") + kept.left_out == 3_000
    assert kept.lines.count(b"\n") < KEPT_MAX_COUNT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"  Jo Smith@Example.com\xc2\xa0", "jo smith@example.com"),
        (b"a\tb\nc\rd\0e", "a b c d\ufffde"),
        (b"x" * 9_000, "x" * 320),
        ("ü".encode() * 9_000, "ü" * 320),
        (b"bad \xff octet", "bad \ufffd octet"),
        ("Jo\u0301".encode(), "j\u00f3"),
        (b"", ""),
    ],
)
def test_what_is_no_address_is_kept_as_it_stood(value: bytes, text: str) -> None:
    """Trimmed, in lower case, cut, and without what would shift a column."""
    assert text_asked_for(value).decode() == text
