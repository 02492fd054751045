from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from tests.fuzz.oracle import NotLdapError, elements, listed
from tests.fuzz.streams import widened
from tests.servers.scripted_ldap import entry, octets, tlv
from worker.adapters.directory.shape import entry_shape
from worker.domain.failures import Unfinished


ATTRIBUTES = st.dictionaries(
    st.text("abcdefgh;-", min_size=1, max_size=20),
    st.lists(st.binary(max_size=300), max_size=5),
    max_size=6,
)


def operation(message: bytes) -> bytes:
    """Return the entry without its message."""
    ((_, body),) = elements(message)
    _, (tag, inner) = elements(body)
    return tlv(tag, inner)


def shape(data: bytes, values: int = 1_000) -> tuple[int, int]:
    """Return attributes and values."""
    return entry_shape(data, 0, len(data), values=values)


@given(ATTRIBUTES, st.booleans())
def test_what_is_in_an_entry_is_counted(attributes: dict[str, list[bytes]], wide: bool) -> None:  # noqa: FBT001 -- drawn
    """Also with lengths as Active Directory writes them."""
    data = operation(entry(7, "cn=a,dc=x", attributes))

    assert shape(widened(data) if wide else data) == (
        len(attributes),
        sum(map(len, attributes.values())),
    )


@given(ATTRIBUTES, st.data())
def test_what_is_taken_is_an_entry_by_the_letter(
    attributes: dict[str, list[bytes]], data: st.DataObject
) -> None:
    """One byte another: it is refused, or the oracle reads as many values."""
    whole = operation(entry(7, "cn=a,dc=x", attributes))
    at = data.draw(st.integers(1, len(whole) - 1))
    spoiled = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]

    with suppress(Unfinished):
        _, values = shape(spoiled)
        ((_, inner), *_) = elements(spoiled)
        assert sum(map(len, listed(inner).values.values())) == values


@given(st.binary(max_size=200))
def test_no_bytes_break_the_walk(garbage: bytes) -> None:
    """Whatever is there is counted or refused, and never read beyond its end."""
    with suppress(Unfinished, NotLdapError):
        shape(b"\x64" + garbage)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (tlv(0x64, octets("cn=a")), "read.malformed"),
        (tlv(0x64, octets("cn=a\0b"), tlv(0x30)), "read.malformed"),
        (tlv(0x64, octets("cn=a"), tlv(0x30), octets("more")), "read.malformed"),
        (
            tlv(0x64, octets("cn=a"), tlv(0x30, tlv(0x30, octets("m"), octets("v")))),
            "read.malformed",
        ),
        (operation(entry(1, "cn=a", {"m": [b""] * 1_001})), "read.too_many_values"),
        (operation(entry(1, "cn=a", {f"m{n}": [] for n in range(257)})), "read.malformed"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(data: bytes, code: str) -> None:
    """Nothing of it is handed on."""
    with pytest.raises(Unfinished) as caught:
        shape(data)

    assert caught.value.code == code
