"""One question by hand: what a server says of itself, asked before anybody signs in.

The library signs in before it asks, and this must not. Written after RFC 4511 section 4.5; the answer is bounded and
taken for what it is: words of a stranger.
"""

import asyncio

from worker.adapters.directory.session import ROOT_ATTRIBUTES, root_dse
from worker.adapters.directory.wire import ENTRY, SEARCH_DONE, element, header
from worker.domain.failures import Unfinished
from worker.domain.server import RootDse


ANSWER_BYTES = 128 * 1024
MESSAGES = 8
"""In one answer: an entry and its end are two; who sends many more says nothing."""
SHORT = 0x80


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return one BER element."""
    body = b"".join(parts)
    if len(body) < SHORT:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, SHORT | len(size)]) + size + body


def question() -> bytes:
    """Return the search for the rootDSE and the attributes wanted of it, message id 1."""
    attributes = tlv(0x30, *(tlv(0x04, name.encode()) for name in ROOT_ATTRIBUTES))
    base_object, never, no_limit, with_values = (
        b"\x0a\x01\x00",
        b"\x0a\x01\x00",
        b"\x02\x01\x00",
        b"\x01\x01\x00",
    )
    return tlv(
        0x30,
        b"\x02\x01\x01",
        tlv(
            0x63,
            tlv(0x04),
            base_object + never + no_limit + no_limit + with_values,
            tlv(0x87, b"objectClass"),
            attributes,
        ),
    )


QUESTION = question()


class NotLdapError(ValueError):
    """What answered does not speak LDAP."""


async def asked(reader: asyncio.StreamReader, transport: asyncio.Transport) -> RootDse | None:
    """Ask, and return what was said; None if it is LDAP but says nothing to strangers.

    Raises NotLdapError, EOFError if it hangs up, OSError. The deadline is the caller's.
    """
    transport.write(QUESTION)
    answer = b""
    while len(answer) < ANSWER_BYTES:
        more = await reader.read(ANSWER_BYTES)
        if not more:
            raise EOFError
        answer += more
        try:
            said, is_whole = parsed(answer)
        except Unfinished as exc:
            raise NotLdapError from exc
        if is_whole:
            return root_dse(said) if said is not None else None
    return None


def parsed(answer: bytes) -> tuple[dict[str, list[bytes]] | None, bool]:
    """Return the entry in an answer, once the answer is whole, and whether it is. Raises Unfinished ``read.malformed``."""
    at, entry = 0, b""
    for _ in range(MESSAGES):
        try:
            start, stop, operation = header(answer, at)
        except IndexError:
            return None, False
        if stop > len(answer):
            return None, False
        if operation == SEARCH_DONE:
            return attributes(entry) if entry else None, True
        entry = answer[start:stop] if operation == ENTRY else entry
        at = stop
    return None, True


def attributes(body: bytes) -> dict[str, list[bytes]]:
    """Return the attributes of one entry (RFC 4511 section 4.5.2). Raises Unfinished ``read.malformed``."""
    end, found = len(body), dict[str, list[bytes]]()
    _, _, at = element(body, 0, end)  # message id
    _, at, end = element(body, at, end)  # the entry
    _, _, at = element(body, at, end)  # its name
    _, at, end = element(body, at, end)  # its attributes
    while at < end:
        _, first, at = element(body, at, end)
        _, start, first = element(body, first, at)
        name = body[start:first].decode("utf-8", "replace")
        _, first, last = element(body, first, at)
        values = found.setdefault(name, [])
        while first < last:
            _, start, first = element(body, first, last)
            values.append(body[start:first])
    return found
