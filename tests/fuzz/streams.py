"""What directories really said, answer by answer: ``streams/openldap.json`` was recorded from slapd 2.5.

Eighteen people in pages of seven, one reference; the bind is message 1, the search begins with message 5.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.oracle import elements
from tests.servers.scripted_ldap import result, tlv


RECORDED = Path(__file__).parent / "streams" / "openldap.json"
BASE = "dc=hq,dc=test"
ATTRIBUTES = ("mail", "proxyAddresses", "entryUUID")
PAGE_SIZE = 7
SEARCH_ID = 5
PEOPLE = 18
CONSTRUCTED = 0x20
START_TLS = (result(1, 0x78), result(1, 0x78, 52, "no TLS here"))
"""Answers to StartTLS: yes, and no."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The answers of one server to bind, rootDSE, who-am-I, base and three pages, in this order."""

    name: str
    answers: tuple[bytes, ...]

    @property
    def pages(self) -> tuple[bytes, ...]:
        """The answers to the search."""
        return self.answers[SEARCH_ID - 1 :]


def conversations() -> tuple[Conversation, ...]:
    """The recorded one, and the same with lengths as Active Directory writes them."""
    said = tuple(map(base64.b64decode, json.loads(RECORDED.read_text(encoding="ascii"))))
    wide = tuple(map(widened, said))
    return Conversation("openldap", said), Conversation("wide", wide)


def widened(data: bytes) -> bytes:
    """The same elements, every length of a constructed one in four bytes."""
    return b"".join(
        bytes([tag, 0x84]) + len(wide).to_bytes(4, "big") + wide
        if tag & CONSTRUCTED and (wide := widened(body)) is not None
        else tlv(tag, body)
        for tag, body in elements(data)
    )
