"""Why a value of a directory became no recipient."""

import enum
from typing import NamedTuple


EXAMPLES_MAX_COUNT = 20
EXAMPLE_MAX_CHARACTERS = 320
DN_MAX_CHARACTERS = 1_024


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
    """Of an entry that its own mail server takes no mail for."""
    NO_ADDRESS = "no_address"
    """No value at all; the one reason that counts entries."""


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
