"""What can be said of a flavour of directory: the words that presets are written in."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from worker.domain.model import Kind


class Syntax(enum.Enum):
    """How an attribute writes an address."""

    PLAIN = "plain"
    """``jo@example.com``, as in ``mail`` (RFC 4524 section 2.16)."""
    PREFIXED = "prefixed"
    """``SMTP:`` the primary address, ``smtp:`` another one, any other type no mail address: Exchange's proxyAddresses."""
    PREFIX_OPTIONAL = "prefix_optional"
    """The same where people write into it by hand: a value without a type is an address too."""


@dataclass(frozen=True, slots=True)
class AddressAttribute:
    """An attribute that holds addresses."""

    name: str
    syntax: Syntax = Syntax.PLAIN


class IdForm(enum.Enum):
    """How an attribute writes an entry's stable id."""

    GUID = "guid"
    """16 bytes, the first three fields little-endian (MS-DTYP section 2.3.4.2)."""
    HEX = "hex"
    """32 hexadecimal digits as text, hyphens anywhere: UUIDs (RFC 4530) and 389-DS's four groups of eight."""
    OCTETS = "octets"
    """16 bytes as they stand, no field turned round: eDirectory's GUID."""


@dataclass(frozen=True, slots=True)
class IdAttribute:
    """An attribute that names an entry for good, whatever becomes of its DN."""

    name: str
    form: IdForm = IdForm.HEX


@dataclass(frozen=True, slots=True)
class Marker:
    """An attribute that says something by one of some values (lower case), one letter, or one bit of a decimal number."""

    attribute: str
    values: frozenset[bytes] = frozenset()
    bit: int = 0
    letter: bytes = b""
    """Anywhere in the value, its case kept: Samba's ``[UD         ]``."""

    def is_set_by(self, value: bytes) -> bool:
        """Whether this value says it; what cannot be read does not."""
        if self.letter:
            return self.letter in value
        if not self.bit:
            return value.lower() in self.values
        try:
            return bool(int(value) & self.bit)
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class TypeTable:
    """An attribute whose decimal number says what an entry is; a number in none of the sets says nothing."""

    attribute: str
    kinds: Mapping[int, Kind]
    system: frozenset[int]
    """Mailboxes that the mail system made for itself."""
    no_mail: frozenset[int]
    """Entries without a mailbox or address of their own."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One flavour of directory. Attribute names ignore case, as the server does (RFC 4512 section 2.5)."""

    name: str
    title: str
    """What people call it."""
    tip: str
    """One or two plain sentences: when to choose it, and what to know of it."""
    tested_on: str = ""
    """The server it was tried on; empty: written after the vendor's documents alone."""
    below: str = ""
    """Where under the server's own base to search, as the beginning of a DN, when the settings name no base."""
    is_whole_tree: bool = False
    """The empty base, from which all is found, when the settings name no base."""
    unread: tuple[str, ...] = ()
    """Places, as parts of a DN, whose entries are never recipients, whatever base the settings name."""
    needs: tuple[str, ...] = ()
    """Attributes and classes without which a server cannot be of this flavour."""
    filters: tuple[tuple[Kind, str], ...] = ()
    """The filter that finds each kind; those wanted are ORed. Empty: the settings must bring one."""
    addresses: tuple[AddressAttribute, ...] = ()
    """In order of rank: the first that names a primary address decides. Empty: the settings must bring some."""
    ids: tuple[IdAttribute, ...] = ()
    """Tried in order; an entry with none of them is known by its DN."""
    display_names: tuple[str, ...] = ("displayName", "cn")
    classes: tuple[tuple[bytes, Kind], ...] = ()
    """Object classes (lower case) that tell a kind, the most telling first; else an entry is a mailbox."""
    types: TypeTable | None = None
    """Knows more than the classes, where an entry has it."""
    disabled: tuple[Marker, ...] = ()
    """Any of these ends the login. The address lives on: shared and room mailboxes are disabled by design."""
    bounces: tuple[Marker, ...] = ()
    """Any of these means that the directory's own mail server refuses mail for the entry."""
    system_names: tuple[str, ...] = ()
    """Expressions (lower case) for how the name or local part of a system mailbox begins, where no type tells."""

    @property
    def verified(self) -> str:
        """Return how far to trust it, in words."""
        return f"tested on {self.tested_on}" if self.tested_on else "unverified"

    def bases_in(self, contexts: Iterable[str]) -> tuple[str, ...]:
        """Return where to search, given what the server calls its data."""
        if self.is_whole_tree:
            return ("",)
        return tuple(f"{self.below},{each}" if self.below else each for each in contexts)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Return every attribute to ask for, each once. Asking for one the server does not know is harmless."""
        names = [
            *(address.name for address in self.addresses),
            *(entry_id.name for entry_id in self.ids),
            *self.display_names,
            *(("objectClass",) if self.classes else ()),
            *((self.types.attribute,) if self.types else ()),
            *(marker.attribute for marker in (*self.disabled, *self.bounces)),
        ]
        return tuple({name.lower(): name for name in reversed(names)}.values())[::-1]
