"""As much BER as it takes to cut an LDAP stream into messages and to forge one (RFC 4511 section 5.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


SEQUENCE, INTEGER, OCTETS, ENUMERATED, CONTROLS = 0x30, 0x02, 0x04, 0x0A, 0xA0
PAGED_RESULTS = b"1.2.840.113556.1.4.319"
NOTICE_OF_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"
START_TLS = b"1.3.6.1.4.1.1466.20037"
LONG_FORM = 0x80


class Kind(StrEnum):
    """What passes, in both directions; ``connect`` is a client's arrival, before any byte."""

    CONNECT = "connect"
    BIND_REQUEST = "bind_request"
    UNBIND_REQUEST = "unbind_request"
    SEARCH_REQUEST = "search_request"
    EXTENDED_REQUEST = "extended_request"
    BIND = "bind"
    ENTRY = "entry"
    DONE = "done"
    REFERENCE = "reference"
    EXTENDED = "extended"
    OTHER = "other"


OPERATIONS = {
    0x60: Kind.BIND_REQUEST,
    0x42: Kind.UNBIND_REQUEST,
    0x63: Kind.SEARCH_REQUEST,
    0x77: Kind.EXTENDED_REQUEST,
    0x61: Kind.BIND,
    0x64: Kind.ENTRY,
    0x65: Kind.DONE,
    0x73: Kind.REFERENCE,
    0x78: Kind.EXTENDED,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One LDAPMessage as it stood on the wire."""

    raw: bytes
    number: int
    operation: int

    @property
    def kind(self) -> Kind:
        """What it is."""
        return OPERATIONS.get(self.operation, Kind.OTHER)


def element(tag: int, body: bytes) -> bytes:
    """One element with a definite length in its shortest form."""
    count = len(body)
    if count < LONG_FORM:
        return bytes([tag, count]) + body
    size = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([tag, LONG_FORM | len(size)]) + size + body


def split(buffer: bytearray) -> Iterator[Message]:
    """Take the whole messages off the front of a buffer; a part of one stays."""
    while len(buffer) > 1:
        content, end = _extent(buffer, 0)
        if end > len(buffer) or content > len(buffer):
            return
        raw = bytes(buffer[:end])
        del buffer[:end]
        yield _message(raw, content)


def result(number: int, operation: int, code: int, text: str = "", controls: bytes = b"") -> bytes:
    """A message that carries an LDAPResult."""
    body = (
        element(ENUMERATED, bytes([code])) + element(OCTETS, b"") + element(OCTETS, text.encode())
    )
    return message(number, element(operation, body) + controls)


def message(number: int, rest: bytes) -> bytes:
    """A message with this id."""
    # a leading zero byte where the number would read as negative
    size = number.bit_length() // 8 + 1
    return element(SEQUENCE, element(INTEGER, number.to_bytes(size, "big")) + rest)


def last_page() -> bytes:
    """The controls of a page after which none follows (RFC 2696 section 2)."""
    value = element(SEQUENCE, element(INTEGER, b"\0") + element(OCTETS, b""))
    control = element(SEQUENCE, element(OCTETS, PAGED_RESULTS) + element(OCTETS, value))
    return element(CONTROLS, control)


def notice_of_disconnection(code: int, text: str) -> bytes:
    """What a server says before it hangs up on its own account (RFC 4511 section 4.4.1)."""
    body = (
        element(ENUMERATED, bytes([code])) + element(OCTETS, b"") + element(OCTETS, text.encode())
    )
    return message(0, element(0x78, body + element(0x8A, NOTICE_OF_DISCONNECTION)))


def _extent(buffer: bytes | bytearray, start: int) -> tuple[int, int]:
    """Where the content of the element at ``start`` begins and ends; beyond the buffer if unknown."""
    first = buffer[start + 1]
    if first < LONG_FORM:
        return start + 2, start + 2 + first
    content = start + 2 + (first & 0x7F)
    if content > len(buffer):
        return content, content + 1
    return content, content + int.from_bytes(buffer[start + 2 : content], "big")


def _message(raw: bytes, content: int) -> Message:
    begin, end = _extent(raw, content)
    return Message(raw, int.from_bytes(raw[begin:end], "big"), raw[end])
