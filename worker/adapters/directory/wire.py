"""LDAP messages seen from outside: where each ends, what it is, what a result says (RFC 4511 section 4).

Counts entries and references and enforces every bound on what a server may send. Never decodes
a value, never waits, never writes.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from worker.adapters.directory.shape import (
    LONG_FORM,
    MAX_LENGTH_BYTES,
    OCTETS,
    SEQUENCE,
    entry_shape,
)
from worker.domain.failures import Unfinished


INTEGER = 0x02
ENUMERATED = 0x0A
BIND_RESPONSE = 0x61
ENTRY = 0x64
SEARCH_DONE = 0x65
REFERENCE = 0x73
EXTENDED_RESPONSE = 0x78
CONTROLS = 0xA0
ANSWERS = frozenset({BIND_RESPONSE, ENTRY, SEARCH_DONE, REFERENCE, EXTENDED_RESPONSE})
"""What may come to what we ask. Anything else is kept from the library: at an operation it does not know, bonsai
1.5.5 takes the process down (a null pointer), and intermediate responses (RFC 4511 section 4.13) it hoards."""

PAGED_RESULTS = b"1.2.840.113556.1.4.319"
"""RFC 2696."""

MAX_ID_BYTES = 4
RESULT_BYTES = 64 * 1024
"""A result is a code and some words; more than this is no answer but an attack."""
UNREAD_RESULTS = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server may send: bytes and counts."""

    message_bytes: int
    run_bytes: int
    entries: int
    """Over the whole connection."""
    values: int
    """Per entry."""
    answer_bytes: int
    """Between two results: an answer is held in memory as a whole."""
    answer_entries: int
    answer_elements: int = 1_000_000
    """Attributes and values between two results: each is an object or two, thirty times its bytes on the wire."""
    answer_references: int = 10_000


@dataclass(frozen=True, slots=True)
class WireResult:
    """One LDAPResult as it went over the wire, with what preceded it."""

    message_id: int
    operation: int
    code: int
    matched: str = ""
    diagnostic: str = ""
    cookie: bytes | None = None
    """Of the paged results control; None when the control was absent."""
    entries: int = 0
    references: int = 0
    attributes: int = field(default=0, compare=False)
    values: int = field(default=0, compare=False)
    size_bytes: int = field(default=0, compare=False)
    """Of the answer that it ends, about."""


DIGEST_BYTES = 16


class Framer:
    """Is fed every byte a server sends, in order, before anybody else may see it."""

    __slots__ = (
        "_answer_bytes",
        "_attributes",
        "_bounds",
        "_digest",
        "_entries",
        "_head",
        "_kept",
        "_left",
        "_operation",
        "_reference_id",
        "_references",
        "_values",
        "notice",
        "page_entries",
        "results",
        "total_bytes",
        "total_entries",
    )

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._head = b""
        self._left = 0
        self._kept: bytearray | None = None
        self._operation = 0
        self._entries = 0
        self._references = 0
        self._reference_id: int | None = None
        """The question that the references of this answer belong to."""
        self._answer_bytes = 0
        self._attributes = 0
        self._values = 0
        self.page_entries: int | None = None
        """Most entries of one page, while pages are asked for."""
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self.results: deque[WireResult] = deque()
        self.notice: WireResult | None = None
        """The notice of disconnection (RFC 4511 section 4.4.1), when there was one."""
        self.total_bytes = 0
        self.total_entries = 0

    @property
    def entries_waiting(self) -> int:
        """Entries since the last result, and of results not taken."""
        return self._entries + sum(result.entries for result in self.results)

    @property
    def bytes_waiting(self) -> int:
        """Bytes since the last result, and of results not taken."""
        return self._answer_bytes + sum(result.size_bytes for result in self.results)

    @property
    def is_listing(self) -> bool:
        """True between the first entry or reference and the result that ends them."""
        return self._entries + self._references > 0

    @property
    def entries_digest(self) -> bytes:
        """16 bytes over all entries so far, as they came: equal bytes in equal order, whatever lies between."""
        return self._digest.digest()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Unfinished (``read.too_…``, ``read.malformed``): then forward nothing."""
        self._bound_bytes(len(chunk))
        self._scan(self._head + chunk if self._head else chunk)
        self._bound_entries()

    def _bound_bytes(self, count: int) -> None:
        self.total_bytes += count
        self._answer_bytes += count
        if self.total_bytes > self._bounds.run_bytes:
            raise over("read.too_many_bytes", sized(self._bounds.run_bytes))
        if self._answer_bytes > self._bounds.answer_bytes:
            raise over("read.too_many_bytes", f"{sized(self._bounds.answer_bytes)} in one answer")

    def _bound_entries(self) -> None:
        if self.total_entries + self._entries > self._bounds.entries:
            raise over("read.too_many_entries", f"{self._bounds.entries:,} entries")
        if self._entries > self._bounds.answer_entries:
            most = f"{self._bounds.answer_entries:,} entries in one answer"
            raise over("read.too_many_entries", most)
        if self._attributes + self._values > self._bounds.answer_elements:
            most = f"{self._bounds.answer_elements:,} values in one answer"
            raise over("read.too_many_bytes", most)
        if self.page_entries is not None and self._entries > self.page_entries:
            raise Unfinished("read.no_paging", f"{self._entries} entries in one page")

    def _scan(self, data: bytes) -> None:
        """Walk from header to header; what lies between is stepped over, or kept if it is looked into."""
        at, end = self._rest_of_message(data), len(data)
        if self._left:
            return
        largest, self._head = self._bounds.message_bytes, b""
        begin = at  # of the run of entries that is being stepped over
        while at < end:
            try:
                start, stop, operation = header(data, at)
            except IndexError:  # the header itself is cut: wait for the rest of it
                self._head = data[at:]
                break
            if stop - at > largest:
                raise over("read.message_too_large", sized(largest), f"{stop - at} bytes")
            if operation == ENTRY and stop <= end:
                self._entries += 1
                self._count(data, start, stop)
            else:
                if operation != ENTRY:
                    self._digest.update(data[begin:at])
                    begin = stop
                self._take(data, start, stop, operation)
            at = stop
        self._digest.update(data[begin : min(at, end)])
        self._left = max(0, at - end)

    def _rest_of_message(self, data: bytes) -> int:
        """Take what belongs to the message begun earlier; return where the next one begins."""
        take = min(self._left, len(data))
        self._left -= take
        if take and self._operation == ENTRY:
            self._digest.update(data[:take])
        if self._kept is not None:
            self._kept += data[:take]
            if not self._left:
                self._look_into()
        return take

    def _take(self, data: bytes, start: int, stop: int, operation: int) -> None:
        """Take a message that is not just another whole entry, and keep it until all of it is there."""
        if operation not in ANSWERS:
            raise Unfinished("read.unasked", f"operation {operation:#04x}")
        self._operation = operation
        if operation == ENTRY:
            self._entries += 1
        elif stop - start > RESULT_BYTES:
            found = f"a result of {stop - start} bytes"
            raise over("read.message_too_large", sized(RESULT_BYTES), found)
        if operation == REFERENCE:
            self._count_reference()
        self._kept = bytearray(data[start:stop])
        if stop <= len(data):
            self._look_into()

    def _count_reference(self) -> None:
        self._references += 1
        if self._references > self._bounds.answer_references:
            most = f"{self._bounds.answer_references:,} in one answer"
            raise over("read.too_many_references", most)

    def _look_into(self) -> None:
        body, self._kept = bytes(self._kept or b""), None
        if self._operation == ENTRY:
            self._count(body, 0, len(body))
        elif self._operation == REFERENCE:
            self._check_number(reference_id(body))
        else:
            self._take_result(body)

    def _check_number(self, message_id: int) -> None:
        """Want one number for all references of an answer and its result; the library drops others without a word."""
        if self._reference_id not in {None, message_id}:
            raise Unfinished("read.unasked", f"a reference to question {self._reference_id}")
        self._reference_id = message_id

    def _count(self, data: bytes, start: int, stop: int) -> None:
        """Look into an entry whose contents are these bytes: its operation stands after the message id."""
        operation = start + 2 + data[start + 1]
        attributes, values = entry_shape(data, operation, stop, values=self._bounds.values)
        self._attributes += attributes
        self._values += values

    def _take_result(self, body: bytes) -> None:
        result = replace(
            parse_result(body),
            entries=self._entries,
            references=self._references,
            attributes=self._attributes,
            values=self._values,
            size_bytes=self._answer_bytes,
        )
        if result.message_id == 0:
            self._take_notice(result)
            return
        if self._references:
            self._check_number(result.message_id)
        self._reference_id = None
        self.total_entries += self._entries
        self._entries = self._references = self._answer_bytes = 0
        self._attributes = self._values = 0
        if len(self.results) >= UNREAD_RESULTS:
            raise Unfinished("read.malformed", "results nobody asked for")
        self.results.append(result)

    def _take_notice(self, result: WireResult) -> None:
        """Keep it: the one message that answers nothing (RFC 4511 section 4.4), of one kind."""
        if result.operation != EXTENDED_RESPONSE:
            raise Unfinished("read.unasked", f"an answer {result.operation:#04x} to question 0")
        self.notice = result


def over(code: str, most: str, detail: str = "") -> Unfinished:
    """Return the failure for a bound that was hit, which names it."""
    return Unfinished(code, detail or f"more than {most}", figure=most)


def sized(count: int) -> str:
    """Return bytes as people write them, in the largest unit that holds them without a rest."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power:,} {unit}"
    return f"{count:,} bytes"


def header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return where the message's contents begin, where they end, and the operation's tag.

    Raises IndexError when the header is not whole yet, Unfinished when it is none.
    """
    if data[at] != SEQUENCE:
        raise Unfinished("read.malformed", f"tag {data[at]:#04x} where a message should begin")
    size, start = data[at + 1], at + 2
    if size >= LONG_FORM:
        length_bytes = size - LONG_FORM
        if not 0 < length_bytes <= MAX_LENGTH_BYTES:  # indefinite lengths: RFC 4511 section 5.1
            raise Unfinished("read.malformed", f"a length of {length_bytes} bytes")
        start += length_bytes
        data[start]  # IndexError: a length cut short would be taken for a smaller one
        size = int.from_bytes(data[start - length_bytes : start], "big")
    id_bytes = data[start + 1]
    if data[start] != INTEGER or not 0 < id_bytes <= MAX_ID_BYTES or size < id_bytes + 4:
        raise Unfinished("read.malformed", "no message id")
    return start, start + size, data[start + 2 + id_bytes]


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, start and stop of the element at ``at``. Raises Unfinished ``read.malformed`` if it leaves ``end``."""
    try:
        tag, size, start = data[at], data[at + 1], at + 2
    except IndexError as exc:
        raise Unfinished("read.malformed", "cut short") from exc
    if size >= LONG_FORM:
        length_bytes = size - LONG_FORM
        if not 0 < length_bytes <= MAX_LENGTH_BYTES:
            raise Unfinished("read.malformed", f"a length of {length_bytes} bytes")
        size = int.from_bytes(data[start : start + length_bytes], "big")
        start += length_bytes
    if start + size > end:
        raise Unfinished("read.malformed", "an element longer than what holds it")
    return tag, start, start + size


def contents(data: bytes, at: int, end: int, tag: int) -> tuple[bytes, int]:
    """Return what is in the element at ``at``, and where it stops. Raises Unfinished ``read.malformed`` at another tag."""
    found, start, stop = element(data, at, end)
    if found != tag:
        raise Unfinished("read.malformed", f"tag {found:#04x} in place of {tag:#04x}")
    return data[start:stop], stop


def reference_id(body: bytes) -> int:
    """Return the message id of a list of URIs (RFC 4511 section 4.5.3). Raises Unfinished ``read.malformed``: it may have been an entry."""
    end = len(body)
    message_id, at = contents(body, 0, end, INTEGER)
    _, at, end = element(body, at, end)
    while at < end:
        tag, _, at = element(body, at, end)
        if tag != OCTETS:
            raise Unfinished("read.malformed", f"a reference that holds {tag:#04x}")
    return int.from_bytes(message_id, "big")


def parse_result(body: bytes) -> WireResult:
    """Read an LDAPResult (RFC 4511 section 4.1.9) from the contents of its message. Raises Unfinished ``read.malformed``."""
    message_id, at = contents(body, 0, len(body), INTEGER)
    operation, first, at = element(body, at, len(body))
    code, first = contents(body, first, at, ENUMERATED)
    matched, first = contents(body, first, at, OCTETS)
    diagnostic, _ = contents(body, first, at, OCTETS)
    if not code:
        raise Unfinished("read.malformed", "a result without a code")
    return WireResult(
        int.from_bytes(message_id, "big"),
        operation,
        int.from_bytes(code, "big"),
        text(matched),
        text(diagnostic),
        cookie_of(body, at),
    )


def cookie_of(body: bytes, at: int) -> bytes | None:
    """Return the cookie of the paged results control among the controls at ``at``, if there is one."""
    if at >= len(body):
        return None
    tag, at, end = element(body, at, len(body))
    if tag != CONTROLS or end != len(body):
        # what is taken for no control may have been the cookie of a page that is not the last
        raise Unfinished("read.malformed", f"{tag:#04x} where the controls should be")
    while at < end:
        control, at = contents(body, at, end, SEQUENCE)
        oid, first = contents(control, 0, len(control), OCTETS)
        if oid == PAGED_RESULTS:
            return last_octets(control[first:])
    return None


def last_octets(control: bytes) -> bytes:
    """Return the cookie: the last element of the sequence inside the control's last element (RFC 2696 section 2)."""
    at, tag, inner = 0, 0, b""
    while at < len(control):
        tag, start, at = element(control, at, len(control))
        inner = control[start:at]
    if tag != OCTETS:
        raise Unfinished("read.malformed", "a paging control without a value")
    value, _ = contents(inner, 0, len(inner), SEQUENCE)
    _, at = contents(value, 0, len(value), INTEGER)  # the server's estimate of the size
    cookie, at = contents(value, at, len(value), OCTETS)
    return cookie


def text(value: bytes) -> str:
    """Return a server's words as text, whatever bytes they are."""
    return value.decode("utf-8", "replace")
