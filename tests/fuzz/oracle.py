"""A second opinion on what a server sent: strict, slow, and written from RFC 4511 without a look at the worker.

It knows nothing of bounds. What it cannot read by the letter is no list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


ENTRY, DONE, REFERENCE, CONTROLS = 0x64, 0x65, 0x73, 0xA0
PAGED = b"1.2.840.113556.1.4.319"

Element = tuple[int, bytes]
Attributes = dict[str, list[bytes]]


class NotLdapError(Exception):
    """These bytes are not what the RFC says."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry: its name, and its values by the lower-case name of their attribute, options left off."""

    name: bytes
    values: Attributes


def elements(data: bytes) -> Iterator[Element]:
    """Cut a run of elements; definite lengths only (section 5.1)."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise NotLdapError
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4 or at + width > len(data):
                raise NotLdapError
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + size > len(data):
            raise NotLdapError
        yield tag, data[at : at + size]
        at += size


def octets(element: Element) -> bytes:
    """The contents of an OCTET STRING."""
    return inside(element, 0x04)


def inside(element: Element, tag: int) -> bytes:
    """The contents of an element that must have this tag."""
    if element[0] != tag:
        raise NotLdapError
    return element[1]


def take(data: bytes, count: int) -> list[Element]:
    """At least so many elements."""
    found = list(elements(data))
    if len(found) < count:
        raise NotLdapError
    return found


def only(data: bytes, count: int) -> list[Element]:
    """Exactly so many elements."""
    found = take(data, count)
    if len(found) > count:
        raise NotLdapError
    return found


def listed(body: bytes) -> Listed:
    """A SearchResultEntry (section 4.5.2)."""
    name, rows = only(body, 2)
    values: Attributes = {}
    for row in elements(inside(rows, 0x30)):
        kind, some = only(inside(row, 0x30), 2)
        text = octets(kind).decode("ascii", "replace").partition(";")[0].lower()
        values.setdefault(text, []).extend(map(octets, elements(inside(some, 0x31))))
    return Listed(octets(name), values)


def cookie(controls: Sequence[Element]) -> bytes | None:
    """The cookie of the paged results control (RFC 2696), None without one."""
    if not controls:
        return None
    for control in elements(inside(controls[0], CONTROLS)):
        oid, *rest = take(inside(control, 0x30), 1)
        if octets(oid) == PAGED:
            if not rest:
                raise NotLdapError
            (value,) = only(octets(rest[-1]), 1)
            _, found = only(inside(value, 0x30), 2)
            return octets(found)
    return None


def page(answer: bytes, message_id: int) -> tuple[list[Listed], bytes | None, bytes]:
    """Entries up to the first result, its cookie, and what comes after. Raises NotLdapError at anything else."""
    found, rest = [], answer
    while True:
        body, rest = first(rest)
        number, (operation, inner), *controls = take(body, 2)
        if int.from_bytes(inside(number, 0x02), "big", signed=True) != message_id:
            raise NotLdapError
        if operation == ENTRY:
            found.append(listed(inner))
        elif operation == DONE:
            code, matched, words, *_ = take(inner, 3)
            octets(matched), octets(words)
            if inside(code, 0x0A) != b"\0":
                raise NotLdapError
            return found, cookie(controls), rest
        elif operation == REFERENCE:
            for uri in elements(inner):
                octets(uri)
        else:
            raise NotLdapError


def first(data: bytes) -> tuple[bytes, bytes]:
    """The contents of the first message, and what comes after it."""
    head = next(elements(data), None)
    if head is None:
        raise NotLdapError
    tag, body = head
    if tag != 0x30:
        raise NotLdapError
    start = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
    return body, data[start + len(body) :]


def whole_list(answers: Sequence[bytes], first_id: int) -> list[Listed] | None:
    """All entries of a paged search, by the answers to its requests; None when they are no whole list by the letter."""
    found: list[Listed] = []
    try:
        for number, answer in enumerate(answers):
            some, following, rest = page(answer, first_id + number)
            found += some
            is_last = number == len(answers) - 1
            if bool(following) is is_last or (rest and not is_last):
                return None
    except NotLdapError:
        return None
    return found
