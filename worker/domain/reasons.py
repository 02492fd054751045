"""Why a value of a directory became no recipient, and which values those were."""

import enum
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple


EXAMPLES_MAX_COUNT = 20
EXAMPLE_MAX_CHARACTERS = 320
DN_MAX_CHARACTERS = 1_024

KEPT_MAX_COUNT = 20_000
"""Rejected values of one run that are kept, so that a person can ask for one of them."""

KEPT_MAX_BYTES = 4 * 1024 * 1024
"""The same in octets, against a directory whose names are very long."""

REJECTS_DIGEST_BYTES = 16


class Reason(enum.StrEnum):
    """Each rejected value is counted under exactly one."""

    OTHER_TYPE = "other_type"
    """An address of another sort (``X500:``, ``SIP:``), as every Exchange directory holds."""
    NO_TYPE = "no_type"
    """Without ``smtp:`` where addresses carry it."""
    MALFORMED = "malformed"
    CATCH_ALL = "catch_all"
    """``@domain`` alone."""
    OTHER_DOMAIN = "other_domain"
    LEFT_OUT = "left_out"
    SYSTEM = "system"
    """Of a mailbox that the mail system made for itself."""
    KIND = "kind"
    """Of an entry of a kind that is not wanted."""
    NO_MAIL = "no_mail"
    """Of an entry that its own mail server takes no mail for, or that lies where those are kept who have left."""
    NO_ADDRESS = "no_address"
    """No value at all; the one reason that counts entries."""


IN_SHORT: Mapping[str, str] = MappingProxyType(
    {
        Reason.OTHER_TYPE: "another sort of address (X500, SIP …)",
        Reason.NO_TYPE: "no smtp: before it",
        Reason.MALFORMED: "no mail address",
        Reason.CATCH_ALL: "a whole domain",
        Reason.OTHER_DOMAIN: "in none of your domains",
        Reason.LEFT_OUT: "left out as asked",
        Reason.SYSTEM: "the mail system's own mailbox",
        Reason.KIND: "a kind that is not wanted",
        Reason.NO_MAIL: "its mail server takes no mail for it",
        Reason.NO_ADDRESS: "entries without any address",
    }
)
"""Why values became no recipient, in a few words."""


class Example(NamedTuple):
    """One value that became no recipient, and the entry it stands in."""

    value: str
    dn: str


class Rejects:
    """How many values one reason took, and the first of them. Addresses: not for logs."""

    __slots__ = ("count", "examples")

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[Example] = []

    def add(self, value: bytes, dn: str) -> None:
        """Count a value."""
        self.count += 1
        if self.count <= EXAMPLES_MAX_COUNT:
            # four bytes are the most that a character takes in UTF-8
            shown = value[: 4 * EXAMPLE_MAX_CHARACTERS].decode("utf-8", "replace")
            self.examples.append(Example(shown[:EXAMPLE_MAX_CHARACTERS], dn[:DN_MAX_CHARACTERS]))


# --- what is kept of them -----------------------------------------------------

_NOT_AS_IT_STANDS = re.compile(rb"[\0\t\n\r]").search
_COPY_ESCAPES = str.maketrans({"\0": "\ufffd", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_COLUMNS = {reason: b"\t%b\t" % reason.value.encode() for reason in Reason}
_from_bytes = int.from_bytes


@dataclass(frozen=True, slots=True)
class KeptRejects:
    """The rejected values of one whole reading, as far as they are kept. Addresses: not for logs."""

    lines: bytes
    """Newline-terminated lines as COPY's text format reads them: address, reason, DN of the entry. Some may come twice."""
    left_out: int
    """How many values more there were than are kept."""
    digest: bytes
    """Over all of them, kept or not: equal digests are equal rejects, in whatever order they came."""


class RejectBook:
    """Keeps the rejected values of a reading up to a bound, and digests all of them.

    Not those of another type, nor entries without a value: they are no mail addresses, and nobody asks for them.
    """

    __slots__ = ("_digest", "_dn", "_dn_text", "_left_out", "_lines", "_room")

    def __init__(self, room: int = KEPT_MAX_COUNT) -> None:
        self._room = room
        self._lines = bytearray()
        self._left_out = 0
        self._digest = 0
        self._dn = ""
        self._dn_text = b""

    def add(self, address: bytes, reason: Reason, dn: str) -> None:
        """Keep a value under the form that people ask for: some 3 µs, and only rejects pay them."""
        if dn is not self._dn:  # several values of one entry come in a row
            self._dn = dn
            self._dn_text = _copy_text(dn[:DN_MAX_CHARACTERS])
        if b"\\" in address:
            address = address.replace(b"\\", b"\\\\")
        line = b"%b%b%b\n" % (address, _COLUMNS[reason], self._dn_text)
        self._digest += _from_bytes(blake2b(line, digest_size=REJECTS_DIGEST_BYTES).digest(), "big")
        if self._room and len(self._lines) + len(line) <= KEPT_MAX_BYTES:
            self._room -= 1
            self._lines += line
        else:
            self._left_out += 1

    def kept(self) -> KeptRejects:
        """Return what is kept so far."""
        digest = self._digest % (1 << (8 * REJECTS_DIGEST_BYTES))
        return KeptRejects(
            bytes(self._lines), self._left_out, digest.to_bytes(REJECTS_DIGEST_BYTES, "big")
        )


def _copy_text(text: str) -> bytes:
    """Return a text as COPY reads it (Postgres' manual, COPY, "Text Format")."""
    octets = text.encode("utf-8", "replace").replace(b"\\", b"\\\\")
    if _NOT_AS_IT_STANDS(octets):
        return octets.decode().translate(_COPY_ESCAPES).encode()
    return octets


def text_asked_for(value: bytes) -> bytes:
    """Return the form under which a value that is no address is kept: as it stood, trimmed, in lower case, and cut.

    No tab, line feed, carriage return or NUL is in it. A person who asks for the same text finds it.
    """
    text = value[: 8 * EXAMPLE_MAX_CHARACTERS].decode("utf-8", "replace")
    lowered = unicodedata.normalize(
        "NFC", unicodedata.normalize("NFC", text.strip(_AROUND)).lower()
    )
    return lowered[:EXAMPLE_MAX_CHARACTERS].translate(_BLANKS).encode()


_AROUND = " \t\r\n\u00a0"
_BLANKS = str.maketrans({"\0": "\ufffd", "\t": " ", "\n": " ", "\r": " "})
