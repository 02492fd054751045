"""Entries as a directory gave them to rows as the store takes them: the hot path, one pass over each page.

A value becomes one row's address or is counted under one reason; nothing is dropped in silence. Rows are lines that
Postgres' COPY reads as they stand (its manual, COPY, "Text Format"): address, entry id, kind, primary, enabled, name.

What is plain ASCII and in one of the tenant's domains, nearly every value, is decided by one expression over bytes.
The rest goes through ``addresses``, which is the rule; a property test holds the two to the same answers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from worker.domain.addresses import (
    ADDRESS_MAX_BYTES,
    ATEXT,
    LOCAL_MAX_BYTES,
    normal_address,
    normal_domain,
)
from worker.domain.entries import (
    KINDS,
    Attributes,
    EntryReader,
    Nature,
    Shape,
    display_name,
    entry_id,
    is_any_set,
)
from worker.domain.patterns import Patterns
from worker.domain.plan import ReadPlan
from worker.domain.presets import Syntax
from worker.domain.reasons import (
    Example,
    KeptRejects,
    Reason,
    RejectBook,
    Rejects,
    text_asked_for,
)


Entries = Iterable[tuple[str, Attributes]]

RULES_VERSION = "3"
"""Moves with any change of presets or normalising: the same bytes may then mean other rows."""

DIGEST_BYTES = 16
DIGESTS = 1 << (8 * DIGEST_BYTES)

FOREIGN_NAMES_MAX_COUNT = 50
KNOWN_FOREIGN_MAX_COUNT = 5_000
ADOPTED_MAX_COUNT = 5_000
VALUE_MAX_BYTES = 4_096
"""Of a value that is looked at closely; proxyAddresses holds at most 1,123 characters."""

_PLAIN_ADDRESS = re.compile(
    rf"(?=[^@]{{1,{LOCAL_MAX_BYTES}}}@)[{ATEXT}]+(?:\.[{ATEXT}]+)*@([a-z0-9.-]+)".encode("ascii")
).fullmatch
_PLAIN_DOMAIN_MAX_BYTES = ADDRESS_MAX_BYTES - LOCAL_MAX_BYTES - 1
"""In a domain up to this long no address can be too long, so the expression need not count."""

_TYPED = re.compile(rb"([A-Za-z0-9-]{1,16}):").match
_IS_PRIMARY = {b"SMTP:": True, b"smtp:": False}
_FLAGS = {
    (kind, is_enabled): tuple(
        b"\t%d\t%b\t%b\t" % (kind, is_primary, b"t" if is_enabled else b"f")
        for is_primary in (b"t", b"f")
    )
    for kind in range(len(KINDS))
    for is_enabled in (True, False)
}
"""The columns between id and name, of a primary address and of another, by kind and state."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one page came to."""

    rows: bytes
    """Newline-terminated lines."""
    row_count: int
    entries: int
    digest: int
    """Sum modulo 2**128 of one digest per entry: equal rows give equal sums in whatever order entries and values come."""


class Normaliser:
    """Turns the pages of one reading into rows, and keeps its totals."""

    def __init__(self, plan: ReadPlan, domains: Iterable[str] | None) -> None:
        """``domains``: those of the tenant, as lower-case A-labels; None: every one that is met counts as theirs."""
        self.entries = 0
        self.rows = 0
        self.digest = 0
        """Of all pages so far, as in ``Chunk``."""
        self.foreign_domains: dict[str, int] = {}
        """The first 50 domains met that are not the tenant's, with how many addresses each."""
        self._reader = EntryReader(plan.preset, plan.settings.kinds)
        self._takes_any = domains is None
        self._domains: set[bytes] = set()
        self._plain_domains: set[bytes] = set()
        for name in domains or ():
            self._adopt(name.encode("ascii"))
        self._foreign: set[bytes] = set()
        self._is_left_out = Patterns(plan.settings.leave_out).match
        self._rejects: Mapping[Reason, Rejects] = {reason: Rejects() for reason in Reason}
        # by name, since hashing an enum's member is slow and these two are met all the time
        self._other_type = self._rejects[Reason.OTHER_TYPE]
        self._other_domain = self._rejects[Reason.OTHER_DOMAIN]
        self._book = RejectBook()

    @property
    def ignored(self) -> dict[str, int]:
        """Values that became no row, by reason."""
        return {reason.value: found.count for reason, found in self._rejects.items() if found.count}

    @property
    def examples(self) -> dict[str, tuple[Example, ...]]:
        """Up to 20 of the values behind each reason. Addresses: not for logs."""
        return {
            reason.value: tuple(found.examples)
            for reason, found in self._rejects.items()
            if found.count
        }

    @property
    def kept_rejects(self) -> KeptRejects:
        """The values that became no row, as far as they are kept. Addresses: not for logs."""
        return self._book.kept()

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
        shape = self._reader.shape(attributes)
        found = self._addresses(dn, attributes, shape)
        if not found:
            return []
        nature = self._reader.nature(attributes, shape)
        reason = nature.reason or self._entry_reason(dn, attributes, shape, found, nature)
        if reason:
            for address in found:
                self._reject(reason, address, dn, address)
            return []
        is_enabled = not is_any_set(attributes, shape.disabled)
        identity, name = entry_id(dn, attributes, shape), display_name(attributes, shape)
        as_primary, as_other = _FLAGS[nature.kind, is_enabled]
        primary = b"\t%b%b%b\n" % (identity, as_primary, name)
        other = b"\t%b%b%b\n" % (identity, as_other, name)
        return sorted([address + (primary if first else other) for address, first in found.items()])

    def _entry_reason(
        self, dn: str, attributes: Attributes, shape: Shape, found: Iterable[bytes], nature: Nature
    ) -> Reason | None:
        """Say why this one entry is no recipient although others of its sort are."""
        if not nature.is_typed and self._reader.is_system(dn, found):
            return Reason.SYSTEM
        if self._reader.is_unread(dn) or is_any_set(attributes, shape.bounces):
            return Reason.NO_MAIL
        return None

    # --- addresses -----------------------------------------------------------

    def _addresses(self, dn: str, attributes: Attributes, shape: Shape) -> dict[bytes, bool]:
        """Return the entry's normal addresses in the tenant's domains, each with whether it is primary.

        The first attribute that names a primary decides.
        """
        found: dict[bytes, bool] = {}
        has_value = has_primary = False
        for name, syntax in shape.addresses:
            values = attributes[name]
            if not values:
                continue
            has_value = True
            if syntax is Syntax.PLAIN:
                primaries = self._take_plain(values, dn, found)
            else:
                primaries = self._take_prefixed(values, dn, found, syntax)
            if primaries and not has_primary:
                has_primary = True
                for address in primaries:
                    found[address] = True
        if not has_value:
            self._rejects[Reason.NO_ADDRESS].add(b"", dn)
        return found

    def _take_plain(
        self, values: Sequence[bytes], dn: str, found: dict[bytes, bool]
    ) -> list[bytes]:
        """Add the addresses; primary is the smallest, since values come in no order (RFC 4511 section 4.1.7)."""
        taken = [address for value in values if (address := self._address(value, dn))]
        for address in taken:
            found.setdefault(address, False)
        return [min(taken)] if taken else []

    def _take_prefixed(
        self, values: Sequence[bytes], dn: str, found: dict[bytes, bool], syntax: Syntax
    ) -> list[bytes]:
        """Add the addresses; primary are those written with ``SMTP:``."""
        primaries: list[bytes] = []
        plain_domains = self._plain_domains
        for value in values:
            is_primary = _IS_PRIMARY.get(value[:5])
            if is_primary is None:
                is_primary, address = self._odd_value(value, dn, syntax)
            else:
                address = value[5:].lower()
                plain = _PLAIN_ADDRESS(address)
                # what nearly every value comes to; written out, as a call each would cost a tenth of all
                if plain is None or plain[1] not in plain_domains or self._is_left_out is not None:
                    address = self._address(value[5:], dn)
            if address:
                found.setdefault(address, False)
                if is_primary:
                    primaries.append(address)
        return primaries

    def _odd_value(self, value: bytes, dn: str, syntax: Syntax) -> tuple[bool, bytes | None]:
        """Read a value that begins neither with ``SMTP:`` nor with ``smtp:``; tells whether it is primary."""
        typed = _TYPED(value)
        if typed and typed[1].lower() != b"smtp":
            self._other_type.add(value, dn)
            return False, None
        prefix, colon, rest = value[:VALUE_MAX_BYTES].partition(b":")
        written = prefix.decode("utf-8", "replace").strip()
        if colon and written.lower() == "smtp":
            return written == "SMTP", self._address(rest, dn)
        if syntax is Syntax.PREFIXED:
            self._reject(Reason.NO_TYPE, value, dn, _asked_for(value))
            return False, None
        return False, self._address(value, dn)

    def _address(self, value: bytes, dn: str) -> bytes | None:
        """Return the normal form of an address that is the tenant's; else count it under a reason."""
        lowered = value.lower()
        plain = _PLAIN_ADDRESS(lowered)
        address: bytes | None = lowered
        if plain is None or plain[1] not in self._plain_domains:
            address = self._odd_address(value, dn, plain)
        if address and self._is_left_out is not None and self._is_left_out(address):
            self._reject(Reason.LEFT_OUT, value, dn, address)
            return None
        return address

    def _odd_address(self, value: bytes, dn: str, plain: re.Match[bytes] | None) -> bytes | None:
        """Do the same by the whole rule, for what is not plain or not in a domain of ours."""
        if plain is not None and plain[1] in self._foreign:
            self._add_foreign(plain[1], value, dn, plain[0])
            return None
        text = _text(value)
        normal = normal_address(text)
        if normal is None:
            self._reject(self._why_none(text), value, dn, text_asked_for(value))
            return None
        address = normal.encode()
        domain = address.rpartition(b"@")[2]
        if self._is_ours(domain):
            return address
        self._add_foreign(domain, value, dn, address)
        return None

    def _is_ours(self, domain: bytes) -> bool:
        if self._takes_any and len(self._domains) < ADOPTED_MAX_COUNT:
            self._adopt(domain)
        return self._takes_any or domain in self._domains

    def _adopt(self, domain: bytes) -> None:
        self._domains.add(domain)
        if len(domain) <= _PLAIN_DOMAIN_MAX_BYTES:
            self._plain_domains.add(domain)

    def _add_foreign(self, domain: bytes, value: bytes, dn: str, address: bytes) -> None:
        if len(domain) <= _PLAIN_DOMAIN_MAX_BYTES and len(self._foreign) < KNOWN_FOREIGN_MAX_COUNT:
            self._foreign.add(domain)
        self._other_domain.add(value, dn)
        self._book.add(address, Reason.OTHER_DOMAIN, dn)
        name = domain.decode("ascii")
        if name in self.foreign_domains or len(self.foreign_domains) < FOREIGN_NAMES_MAX_COUNT:
            self.foreign_domains[name] = self.foreign_domains.get(name, 0) + 1

    def _reject(self, reason: Reason, value: bytes, dn: str, asked_for: bytes) -> None:
        """Count a value under a reason, and keep it under the form that people ask for."""
        self._rejects[reason].add(value, dn)
        self._book.add(asked_for, reason, dn)

    def _why_none(self, text: str) -> Reason:
        local, at, name = text.strip().rpartition("@")
        domain = normal_domain(name) if at and not local else None
        if domain is None:
            return Reason.MALFORMED
        return Reason.CATCH_ALL if self._is_ours(domain.encode("ascii")) else Reason.OTHER_DOMAIN


def wire_digest(entries_digest: bytes, *, scope: str, domains: Iterable[str]) -> bytes:
    """Return 16 bytes that are equal only if the same bytes came, to be read by the same rules for the same domains."""
    parts = (RULES_VERSION, entries_digest.hex(), scope, *sorted(domains))
    return blake2b("\n".join(parts).encode(), digest_size=DIGEST_BYTES).digest()


def snapshot_digest(rows_digest: int, *, scope: str, domains: Iterable[str]) -> bytes:
    """Return 16 bytes that are equal only if rows, scope and the tenant's domains are."""
    parts = (f"{rows_digest % DIGESTS:x}", scope, *sorted(domains))
    return blake2b("\n".join(parts).encode(), digest_size=DIGEST_BYTES).digest()


def _asked_for(value: bytes) -> bytes:
    """Return the normal address in a value, or what stands there."""
    normal = normal_address(_text(value))
    return text_asked_for(value) if normal is None else normal.encode()


def _text(value: bytes) -> str:
    """Return the text of an address; octets that are no UTF-8 become a character that no address may hold."""
    return value[:VALUE_MAX_BYTES].decode("utf-8", "replace").replace("\ufffd", "\0")
