"""Entries as a directory gave them to rows as the store takes them: the hot path, one pass over each page.

A value becomes one row's address or is counted under one reason; nothing is dropped in silence. Rows are text for
Postgres' COPY as they stand (its manual, "COPY", text format): address, entry id, kind, primary, enabled, name.

What is plain ASCII and in a known domain, nearly every value, is decided by one expression over bytes; the rest
goes through ``addresses``, which is the rule. A property test holds the two to the same answers.
"""

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple
from uuid import NAMESPACE_X500, uuid5

from worker.domain.addresses import (
    ADDRESS_MAX_BYTES,
    ATEXT,
    LOCAL_MAX_BYTES,
    normal_address,
    normal_domain,
)
from worker.domain.failures import Unfinished
from worker.domain.model import Kind
from worker.domain.patterns import Patterns
from worker.domain.plan import ReadPlan
from worker.domain.presets import IdForm, Marker, Preset, Syntax
from worker.domain.syntax import dn_key


Attributes = Mapping[str, Sequence[bytes]]
Entries = Iterable[tuple[str, Attributes]]

KINDS = tuple(Kind)
"""A kind's place here is its number in rows."""

DIGEST_BYTES = 16
DIGESTS = 1 << (8 * DIGEST_BYTES)

NAME_MAX_CHARACTERS = 256
"""Of a display name; Active Directory allows no more (attribute displayName, rangeUpper)."""

EXAMPLES_MAX_COUNT = 20
EXAMPLE_MAX_CHARACTERS = 320
FOREIGN_NAMES_MAX_COUNT = 50
KNOWN_DOMAINS_MAX_COUNT = 5_000
VALUE_MAX_BYTES = 4_096
"""Of a value that is looked at closely; proxyAddresses holds at most 1,123 characters."""

MEMO_MAX_COUNT = 4_096
"""Shapes and classes of entries that are remembered; a directory has a handful, a hostile one must not cost memory."""


class Reason(enum.StrEnum):
    """Why a value became no recipient."""

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
    """Of an entry that its own mail server refuses mail for."""
    NO_ADDRESS = "no_address"
    """An entry without any value; the one reason that counts entries."""


class Example(NamedTuple):
    """One value that became no recipient, and where it stands."""

    value: str
    dn: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one page came to."""

    rows: bytes
    """Newline-terminated lines."""
    row_count: int
    entries: int
    digest: int
    """Sum modulo 2**128 of a digest per entry: whatever the order of entries and values, equal rows give equal sums."""


class _Shape(NamedTuple):
    """Which of an entry's attributes, as the server spells them, say what; learnt once per set of attributes."""

    addresses: tuple[tuple[str, Syntax], ...]
    ids: tuple[tuple[str, Callable[[bytes], bytes | None]], ...]
    names: tuple[str, ...]
    classes: str | None
    type: str | None
    disabled: tuple[tuple[str, Marker], ...]
    bounces: tuple[tuple[str, Marker], ...]


class _Nature(NamedTuple):
    """What sort of entry it is, and why it is none of ours, if so."""

    kind: bytes
    """Its number with the tabs around it."""
    reason: Reason | None
    is_typed: bool
    """Whether a type told, so that names need not."""


_PLAIN_ADDRESS = re.compile(
    rf"(?=[^@]{{1,{LOCAL_MAX_BYTES}}}@)[{ATEXT}]+(?:\.[{ATEXT}]+)*@([a-z0-9.-]+)".encode("ascii")
).fullmatch
_TYPE = re.compile(r"[A-Za-z0-9-]{1,16}").fullmatch
_NOT_AS_IT_STANDS = re.compile(rb"[\x00-\x1f\\]").search
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_HEX_DIGITS = re.compile(rb"[0-9a-f]{32}").fullmatch
_COPY_ESCAPES = str.maketrans({"\0": "", "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NO_NAME = b"\\N"


class Normaliser:
    """Turns the pages of one reading into rows, and keeps the totals of the reading."""

    def __init__(self, plan: ReadPlan, domains: Iterable[str]) -> None:
        self.entries = 0
        self.rows = 0
        self.digest = 0
        """Of all pages so far, as in ``Chunk``."""
        self.ignored: dict[str, int] = {}
        """Values that became no row, by reason."""
        self.foreign_domains: dict[str, int] = {}
        """The first 50 domains met that are not the tenant's, with how many addresses each."""
        self.examples: dict[str, list[Example]] = {}
        """Up to 20 of the values behind each reason. Addresses: not for logs."""
        self._preset: Preset = plan.preset
        self._wanted = frozenset(plan.settings.kinds)
        self._is_ours = {name.encode("ascii"): True for name in domains}
        self._is_left_out = Patterns(plan.settings.leave_out).match
        self._system_dn, self._system_address = _system_expressions(plan.preset)
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._natures: dict[tuple[bytes, ...], _Nature] = {}

    def page(self, entries: Entries) -> Chunk:
        """Turn one page into rows. Raises Unfinished if the server held back some of an entry's addresses."""
        blocks: list[bytes] = []
        digest = row_count = entry_count = 0
        for dn, attributes in entries:
            entry_count += 1
            lines = self._lines(dn, attributes)
            if lines:
                block = b"".join(lines)
                digest += int.from_bytes(blake2b(block, digest_size=DIGEST_BYTES).digest(), "big")
                blocks.append(block)
                row_count += len(lines)
        self.entries += entry_count
        self.rows += row_count
        self.digest = (self.digest + digest) % DIGESTS
        return Chunk(b"".join(blocks), row_count, entry_count, digest % DIGESTS)

    def _lines(self, dn: str, attributes: Attributes) -> list[bytes]:
        """Return the rows of one entry in their canonical order."""
        shape = self._shapes.get(tuple(attributes)) or self._learn(tuple(attributes))
        found = self._addresses(dn, attributes, shape)
        if not found:
            return []
        nature = self._nature(attributes, shape)
        reason = nature.reason or self._entry_reason(dn, attributes, shape, found, nature)
        if reason:
            for address in found:
                self._reject(reason, address, dn)
            return []
        before = b"\t" + _entry_id(dn, attributes, shape) + nature.kind
        after = (
            (b"\tf\t" if _is_any_set(attributes, shape.disabled) else b"\tt\t")
            + _name(attributes, shape)
            + b"\n"
        )
        primary, other = before + b"t" + after, before + b"f" + after
        return sorted(
            [address + (primary if is_primary else other) for address, is_primary in found.items()]
        )

    # --- addresses -----------------------------------------------------------

    def _addresses(self, dn: str, attributes: Attributes, shape: _Shape) -> dict[bytes, bool]:
        """Return the entry's normal addresses in the tenant's domains, and which of them are primary."""
        found: dict[bytes, bool] = {}
        has_value = has_primary = False
        for name, syntax in shape.addresses:
            values = attributes[name]
            has_value = has_value or bool(values)
            if syntax is Syntax.PLAIN:
                primary = self._take_plain(values, dn, found)
            else:
                primary = self._take_prefixed(values, dn, found, syntax)
            if primary and not has_primary:
                has_primary = True
                found.update(dict.fromkeys(primary, True))
        if not has_value:
            self._reject(Reason.NO_ADDRESS, b"", dn)
        return found

    def _take_plain(
        self, values: Sequence[bytes], dn: str, found: dict[bytes, bool]
    ) -> list[bytes]:
        """Add the addresses; the primary of several is the smallest, since values come in no order (RFC 4511 4.1.7)."""
        taken = [address for value in values if (address := self._address(value, dn))]
        for address in taken:
            found.setdefault(address, False)
        return [min(taken)] if taken else []

    def _take_prefixed(
        self, values: Sequence[bytes], dn: str, found: dict[bytes, bool], syntax: Syntax
    ) -> list[bytes]:
        primaries: list[bytes] = []
        for value in values:
            prefix = value[:5]
            is_primary = prefix == b"SMTP:"
            if is_primary or prefix == b"smtp:":
                address = self._address(value[5:], dn)
            else:
                is_primary, address = self._odd_value(value, dn, syntax)
            if address:
                found.setdefault(address, False)
                if is_primary:
                    primaries.append(address)
        return primaries

    def _odd_value(self, value: bytes, dn: str, syntax: Syntax) -> tuple[bool, bytes | None]:
        """Read a value that begins neither with ``SMTP:`` nor with ``smtp:``; tells if it is primary."""
        prefix, colon, rest = (
            value[:VALUE_MAX_BYTES].decode("utf-8", "replace").strip().partition(":")
        )
        if colon and prefix.lower() == "smtp":
            return prefix == "SMTP", self._address(value.partition(b":")[2], dn)
        if colon and _TYPE(prefix):
            return False, self._reject(Reason.OTHER_TYPE, value, dn)
        if syntax is Syntax.PREFIXED:
            return False, self._reject(Reason.NO_TYPE, value, dn)
        return False, self._address(value, dn)

    def _address(self, value: bytes, dn: str) -> bytes | None:
        """Return the normal form of an address that is the tenant's, or count it under a reason."""
        address = value.lower()
        plain = _PLAIN_ADDRESS(address)
        is_ours = self._is_ours.get(plain[1]) if plain else None
        if is_ours is None or len(address) > ADDRESS_MAX_BYTES:
            return self._any_address(value, dn)
        if not is_ours:
            return self._reject(Reason.OTHER_DOMAIN, value, dn, address)
        if self._is_left_out and self._is_left_out(address):
            return self._reject(Reason.LEFT_OUT, value, dn)
        return address

    def _any_address(self, value: bytes, dn: str) -> bytes | None:
        """Do the same by the whole rule, for what is not plain or in a domain not met before."""
        text = _text(value)
        normal = normal_address(text)
        if normal is None:
            return self._reject(self._why_none(text), value, dn)
        address = normal.encode()
        domain = address.rpartition(b"@")[2]
        if not self._is_ours.get(domain):
            if len(self._is_ours) < KNOWN_DOMAINS_MAX_COUNT:
                self._is_ours[domain] = False
            return self._reject(Reason.OTHER_DOMAIN, value, dn, address)
        if self._is_left_out and self._is_left_out(address):
            return self._reject(Reason.LEFT_OUT, value, dn)
        return address

    def _why_none(self, text: str) -> Reason:
        local, at, name = text.strip().rpartition("@")
        domain = normal_domain(name) if at and not local else None
        if domain is None:
            return Reason.MALFORMED
        return (
            Reason.CATCH_ALL if self._is_ours.get(domain.encode("ascii")) else Reason.OTHER_DOMAIN
        )

    def _reject(self, reason: Reason, value: bytes, dn: str, address: bytes | None = None) -> None:
        """Count one value under one reason; with the whole address, also its domain."""
        self.ignored[reason.value] = self.ignored.get(reason.value, 0) + 1
        examples = self.examples.setdefault(reason.value, [])
        if len(examples) < EXAMPLES_MAX_COUNT:
            shown = value[:VALUE_MAX_BYTES].decode("utf-8", "replace")
            examples.append(Example(shown[:EXAMPLE_MAX_CHARACTERS], dn[:VALUE_MAX_BYTES]))
        if address is not None:
            name = address.rpartition(b"@")[2].decode("ascii")
            if name in self.foreign_domains or len(self.foreign_domains) < FOREIGN_NAMES_MAX_COUNT:
                self.foreign_domains[name] = self.foreign_domains.get(name, 0) + 1

    # --- the entry -----------------------------------------------------------

    def _nature(self, attributes: Attributes, shape: _Shape) -> _Nature:
        """Tell the sort of an entry by its type and classes; equal ones were decided before."""
        types = attributes[shape.type] if shape.type else ()
        classes = attributes[shape.classes] if shape.classes else ()
        key = (types[0] if types else b"", *classes)
        nature = self._natures.get(key)
        if nature is None:
            if len(self._natures) >= MEMO_MAX_COUNT:
                self._natures.clear()
            nature = self._natures[key] = self._decide_nature(key[0], classes)
        return nature

    def _decide_nature(self, type_value: bytes, classes: Sequence[bytes]) -> _Nature:
        table = self._preset.types
        number = int(type_value) if type_value.isdigit() and len(type_value) < 20 else None  # noqa: PLR2004 -- 64 bits
        kind = _kind_by_class(self._preset, classes)
        reason = None
        if table is not None and number is not None:
            kind = table.kinds.get(number, kind)
            reason = Reason.SYSTEM if number in table.system else None
            reason = Reason.NO_MAIL if number in table.no_mail else reason
        if reason is None and kind not in self._wanted:
            reason = Reason.KIND
        return _Nature(b"\t%d\t" % KINDS.index(kind), reason, number is not None)

    def _entry_reason(
        self,
        dn: str,
        attributes: Attributes,
        shape: _Shape,
        found: Iterable[bytes],
        nature: _Nature,
    ) -> Reason | None:
        """Say why this one entry is none of ours although its sort is."""
        is_named_so = self._system_dn is not None and not nature.is_typed
        if is_named_so and (self._system_dn(dn) or any(map(self._system_address, found))):
            return Reason.SYSTEM
        return Reason.NO_MAIL if _is_any_set(attributes, shape.bounces) else None

    # --- shapes --------------------------------------------------------------

    def _learn(self, names: tuple[str, ...]) -> _Shape:
        """Find out which of these attributes say what; names ignore case and may carry options (RFC 4512 2.5)."""
        spellings: dict[str, list[str]] = {}
        for name in names:
            base, _, options = name.lower().partition(";")
            spellings.setdefault(base, []).append(name)
            if options.startswith("range=") and not options.endswith("-*"):
                self._refuse_range(base, name)
        if len(self._shapes) >= MEMO_MAX_COUNT:
            self._shapes.clear()
        shape = self._shapes[names] = _shape(self._preset, spellings)
        return shape

    def _refuse_range(self, base: str, name: str) -> None:
        """Active Directory gives the first 1,500 values as ``name;range=0-1499``: that is not all (MS-ADTS 3.1.1.3.1.3.3)."""
        if base in {address.name.lower() for address in self._preset.addresses}:
            raise Unfinished("read.too_many_values", name)


def snapshot_digest(rows_digest: int, *, scope: str, domains: Iterable[str]) -> bytes:
    """Return 16 bytes that are equal only if rows, scope and the tenant's domains are."""
    parts = (f"{rows_digest % DIGESTS:x}", scope, *sorted(domains))
    return blake2b("\n".join(parts).encode(), digest_size=DIGEST_BYTES).digest()


def _shape(preset: Preset, spellings: Mapping[str, Sequence[str]]) -> _Shape:
    def spelt(name: str) -> Sequence[str]:
        return spellings.get(name.lower(), ())

    return _Shape(
        addresses=tuple(
            (name, each.syntax) for each in preset.addresses for name in spelt(each.name)
        ),
        ids=tuple((name, _ID_FORMS[each.form]) for each in preset.ids for name in spelt(each.name)),
        names=tuple(name for each in preset.display_names for name in spelt(each)),
        classes=next(iter(spelt("objectClass")), None) if preset.classes else None,
        type=next(iter(spelt(preset.types.attribute)), None) if preset.types else None,
        disabled=tuple((name, each) for each in preset.disabled for name in spelt(each.attribute)),
        bounces=tuple((name, each) for each in preset.bounces for name in spelt(each.attribute)),
    )


def _kind_by_class(preset: Preset, classes: Sequence[bytes]) -> Kind:
    given = {name.lower() for name in classes}
    return next((kind for name, kind in preset.classes if name in given), Kind.MAILBOX)


def _is_any_set(attributes: Attributes, markers: Iterable[tuple[str, Marker]]) -> bool:
    for name, marker in markers:
        if any(map(marker.is_set_by, attributes[name])):
            return True
    return False


def _system_expressions(
    preset: Preset,
) -> tuple[Callable[[str], object] | None, Callable[[bytes], object]]:
    """Return what knows a system mailbox by the first value of its DN, and by an address; None if nothing does."""
    names = "|".join(preset.system_names) or "(?!)"
    by_dn = re.compile(rf"[^=]*=(?:{names})", re.IGNORECASE).match if preset.system_names else None
    return by_dn, re.compile(names.encode("ascii")).match


def _entry_id(dn: str, attributes: Attributes, shape: _Shape) -> bytes:
    """Return the entry's stable id as the text of a UUID; one without any is known by its DN (RFC 4122 section 4.3)."""
    for name, decode in shape.ids:
        values = attributes[name]
        entry_id = decode(values[0]) if values else None
        if entry_id:
            return entry_id
    return str(uuid5(NAMESPACE_X500, dn_key(dn))).encode("ascii")


def _guid(value: bytes) -> bytes | None:
    """Write 16 bytes as ``uuid.UUID(bytes_le=…)`` does, in a third of its time."""
    if len(value) != 16:  # noqa: PLR2004 -- a GUID
        return None
    h = value.hex()
    return (
        f"{h[6:8]}{h[4:6]}{h[2:4]}{h[0:2]}-{h[10:12]}{h[8:10]}-{h[14:16]}{h[12:14]}-{h[16:20]}-{h[20:]}"
    ).encode("ascii")


def _hex_id(value: bytes) -> bytes | None:
    lowered = value.lower()
    if _UUID(lowered):
        return lowered
    digits = lowered.replace(b"-", b"")
    if not _HEX_DIGITS(digits):
        return None
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


_ID_FORMS: Mapping[IdForm, Callable[[bytes], bytes | None]] = {
    IdForm.GUID: _guid,
    IdForm.HEX: _hex_id,
}


def _name(attributes: Attributes, shape: _Shape) -> bytes:
    """Return the display name as COPY reads it; the smallest of several, since values come in no order."""
    for attribute in shape.names:
        values = attributes[attribute]
        value = min(values) if values else b""
        if value:
            return _copy_text(value)
    return _NO_NAME


def _copy_text(value: bytes) -> bytes:
    if len(value) <= NAME_MAX_CHARACTERS and not _NOT_AS_IT_STANDS(value) and _is_utf8(value):
        return value
    text = value[: 4 * NAME_MAX_CHARACTERS].decode("utf-8", "replace")[:NAME_MAX_CHARACTERS]
    return text.translate(_COPY_ESCAPES).encode()


def _is_utf8(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(value: bytes) -> str:
    """Return the text of an address; octets that are no UTF-8 become characters that no address may hold."""
    return value[:VALUE_MAX_BYTES].decode("utf-8", "replace").replace("\ufffd", "\0")
