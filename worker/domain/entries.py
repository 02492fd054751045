"""What one entry says of itself, read by its preset: sort, stable id, name, state. All values are bytes.

Servers spell attribute names their own way and leave out what an entry has not, so what to look at is learnt once
for each set of names (a ``Shape``), and equal classes are judged once. Both memories are bounded.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import NAMESPACE_X500, uuid5

from worker.domain.failures import Unfinished
from worker.domain.model import Kind
from worker.domain.presets import IdForm, Marker, Preset, Syntax
from worker.domain.reasons import Reason
from worker.domain.syntax import dn_key, normal_dn


Attributes = Mapping[str, Sequence[bytes]]

KINDS = tuple(Kind)
"""A kind's place here is its number in rows."""

NAME_MAX_CHARACTERS = 256
"""Of a display name; Active Directory allows no more (displayName, rangeUpper)."""

MEMO_MAX_COUNT = 4_096
"""A directory has a handful of shapes and classes; a hostile one must not cost memory."""

TYPE_MAX_DIGITS = 19
"""Of a 64-bit number."""


class Shape(NamedTuple):
    """Which of an entry's attributes, as the server spells them, say what."""

    addresses: tuple[tuple[str, Syntax], ...]
    ids: tuple[tuple[str, Callable[[bytes], bytes | None]], ...]
    names: tuple[str, ...]
    nature: tuple[str, ...]
    """The type, if any, then the object classes."""
    disabled: tuple[tuple[str, Marker], ...]
    bounces: tuple[tuple[str, Marker], ...]


class Nature(NamedTuple):
    """What sort an entry is of."""

    kind: int
    """Its place in ``KINDS``."""
    reason: Reason | None
    """Why entries of this sort are no recipients, if they are none."""
    is_typed: bool
    """Whether a type told, so that names need not."""


class EntryReader:
    """Reads entries as one preset describes them."""

    def __init__(self, preset: Preset, wanted: Iterable[Kind]) -> None:
        self._preset = preset
        self._wanted = frozenset(wanted)
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._natures: dict[tuple[tuple[bytes, ...], ...], Nature] = {}
        names = "|".join(preset.system_names) or "(?!)"  # which nothing matches
        self._is_system_dn = re.compile(rf"[^=]*=(?:{names})", re.IGNORECASE).match
        self._is_system_address = re.compile(names.encode("ascii")).match
        self._unread = tuple(name for place in preset.unread if (name := normal_dn(place)))

    def shape(self, attributes: Attributes) -> Shape:
        """Return what to look at. Raises Unfinished if the server held back some of the entry's addresses."""
        names = tuple(attributes)
        return self._shapes.get(names) or self._learn(names)

    def nature(self, attributes: Attributes, shape: Shape) -> Nature:
        """Tell the sort of an entry by its type and classes."""
        key = tuple([tuple(attributes[name]) for name in shape.nature])
        return self._natures.get(key) or self._judge(key, attributes, shape)

    def is_system(self, dn: str, addresses: Iterable[bytes]) -> bool:
        """Whether an entry without a type is named like a mailbox that the mail system made for itself."""
        is_system_address = self._is_system_address
        for address in addresses:
            if is_system_address(address):
                return True
        return self._is_system_dn(dn) is not None

    def is_unread(self, dn: str) -> bool:
        """Whether an entry lies in a place that the preset takes nobody from."""
        if not self._unread:
            return False
        name = normal_dn(dn) or ()
        return any(
            name[start : start + len(place)] == place
            for place in self._unread
            for start in range(1, len(name))
        )

    def _learn(self, names: tuple[str, ...]) -> Shape:
        """Names ignore case and may carry options (RFC 4512 section 2.5)."""
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
        """``name;range=0-1499`` is the first part of very many values (MS-ADTS section 3.1.1.3.1.3.3).

        The reader completes such lists; one that comes here all the same would lose recipients.
        """
        if base in {address.name.lower() for address in self._preset.addresses}:
            raise Unfinished("read.range", name)

    def _judge(
        self, key: tuple[tuple[bytes, ...], ...], attributes: Attributes, shape: Shape
    ) -> Nature:
        values = {name.lower(): attributes[name] for name in shape.nature}
        number = self._type_number(values)
        kind = _kind_by_class(self._preset, values.get("objectclass", ()))
        reason = None
        if self._preset.types is not None and number is not None:
            kind = self._preset.types.kinds.get(number, kind)
            reason = Reason.SYSTEM if number in self._preset.types.system else None
            reason = Reason.NO_MAIL if number in self._preset.types.no_mail else reason
        if reason is None and kind not in self._wanted:
            reason = Reason.KIND
        if len(self._natures) >= MEMO_MAX_COUNT:
            self._natures.clear()
        nature = self._natures[key] = Nature(KINDS.index(kind), reason, number is not None)
        return nature

    def _type_number(self, values: Mapping[str, Sequence[bytes]]) -> int | None:
        if self._preset.types is None:
            return None
        given = values.get(self._preset.types.attribute.lower()) or (b"",)
        is_number = given[0].isdigit() and len(given[0]) <= TYPE_MAX_DIGITS
        return int(given[0]) if is_number else None


def _shape(preset: Preset, spellings: Mapping[str, Sequence[str]]) -> Shape:
    def spelt(name: str) -> Sequence[str]:
        return spellings.get(name.lower(), ())

    types = spelt(preset.types.attribute) if preset.types else ()
    classes = spelt("objectClass") if preset.classes else ()
    return Shape(
        addresses=tuple((name, a.syntax) for a in preset.addresses for name in spelt(a.name)),
        ids=tuple((name, _ID_FORMS[i.form]) for i in preset.ids for name in spelt(i.name)),
        names=tuple(name for attribute in preset.display_names for name in spelt(attribute)),
        nature=(*types, *classes),
        disabled=tuple((name, m) for m in preset.disabled for name in spelt(m.attribute)),
        bounces=tuple((name, m) for m in preset.bounces for name in spelt(m.attribute)),
    )


def _kind_by_class(preset: Preset, classes: Iterable[bytes]) -> Kind:
    given = {name.lower() for name in classes}
    return next((kind for name, kind in preset.classes if name in given), Kind.MAILBOX)


# --- state -------------------------------------------------------------------


def is_any_set(attributes: Attributes, markers: Iterable[tuple[str, Marker]]) -> bool:
    """Whether any of these markers is set."""
    for name, marker in markers:
        for value in attributes[name]:
            if marker.is_set_by(value):
                return True
    return False


# --- id ----------------------------------------------------------------------

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_HEX_DIGITS = re.compile(rb"[0-9a-f]{32}").fullmatch


def entry_id(dn: str, attributes: Attributes, shape: Shape) -> bytes:
    """Return the entry's stable id as the text of a UUID; without any it is made of the DN (RFC 4122 section 4.3)."""
    for name, decode in shape.ids:
        values = attributes[name]
        found = decode(values[0]) if values else None
        if found:
            return found
    return str(uuid5(NAMESPACE_X500, dn_key(dn))).encode("ascii")


def _guid(value: bytes) -> bytes | None:
    """Write 16 bytes as ``uuid.UUID(bytes_le=…)`` does, in a third of its time."""
    if len(value) != 16:  # noqa: PLR2004 -- bytes of a GUID
        return None
    h = value.hex()
    text = f"{h[6:8]}{h[4:6]}{h[2:4]}{h[0:2]}-{h[10:12]}{h[8:10]}-{h[14:16]}{h[12:14]}-{h[16:20]}-{h[20:]}"
    return text.encode("ascii")


def _octets(value: bytes) -> bytes | None:
    """Write 16 bytes in the order they came in."""
    return _hex_id(value.hex().encode("ascii")) if len(value) == 16 else None  # noqa: PLR2004 -- as above


def _hex_id(value: bytes) -> bytes | None:
    if _UUID(value):
        return value
    digits = value.lower().replace(b"-", b"")
    if not _HEX_DIGITS(digits):
        return None
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


_ID_FORMS: Mapping[IdForm, Callable[[bytes], bytes | None]] = {
    IdForm.GUID: _guid,
    IdForm.HEX: _hex_id,
    IdForm.OCTETS: _octets,
}


# --- name --------------------------------------------------------------------

NO_NAME = b"\\N"
"""What COPY reads as NULL."""

_NOT_AS_IT_STANDS = re.compile(rb"[\x00-\x1f\\]").search
_COPY_ESCAPES = str.maketrans({"\0": "", "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def display_name(attributes: Attributes, shape: Shape) -> bytes:
    """Return the name as COPY's text format reads it; the smallest of several, since values come in no order."""
    for attribute in shape.names:
        values = attributes[attribute]
        value = values[0] if len(values) == 1 else min(values, default=b"")
        if value:
            return _copy_text(value)
    return NO_NAME


def _copy_text(value: bytes) -> bytes:
    """Return a text that holds no character COPY or a Postgres text would stumble over; too long a one is cut."""
    if len(value) <= NAME_MAX_CHARACTERS and not _NOT_AS_IT_STANDS(value):
        try:
            value.decode()
        except UnicodeDecodeError:
            pass
        else:
            return value
    text = value[: 4 * NAME_MAX_CHARACTERS].decode("utf-8", "replace")[:NAME_MAX_CHARACTERS]
    return text.translate(_COPY_ESCAPES).encode()
