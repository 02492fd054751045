"""Turns what the library gives into entries as the port promises them: names as asked for, bytes as sent.

Values that come in ranges (Active Directory gives at most ``MaxValRange`` at once, MS-ADTS section
3.1.1.3.1.3.3) are found here and completed by further reads of the entry.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from worker.adapters.directory.lean import NAME
from worker.adapters.directory.session import Answer, RawEntry, Session
from worker.adapters.directory.wire import WireResult
from worker.domain.failures import Stage, Unfinished
from worker.ports.directory import Entry, Page


ENTRIES_PER_TURN = 1_000
"""Made ready before the loop's other tasks get their turn: half a millisecond."""
VALUES_PER_TURN = 10_000
"""Given to be worked on before the same: an address takes some 4 µs. Twice that for one entry, since it is not cut."""
RANGE = re.compile(r"(?P<name>[^;]+);range=(?P<low>\d+)-(?P<high>\d+|\*)", re.IGNORECASE)
RANGE_READS = 200
"""Per attribute of one entry, however many values are allowed."""


class Entries:
    """Makes pages for one plan."""

    def __init__(self, session: Session, attributes: Iterable[str], *, values: int) -> None:
        self._session = session
        self._names = {name.lower(): name for name in attributes}
        self._usual = frozenset(self._names.values())
        self._values = values
        self._most = f"{values:,}"

    async def page(self, answer: Answer) -> Page:
        """Return the entries, complete. Raises Unfinished ``read.too_many_values``, ``read.range``, ``read.miscounted``."""
        page: Page = []
        usual, raw, counted = self._usual, answer.entries, Counted()
        for first in range(0, len(raw), ENTRIES_PER_TURN):
            if first:
                await asyncio.sleep(0)
            some = raw[first : first + ENTRIES_PER_TURN]
            counted.add(some)
            for values in some:
                name = values.pop(NAME)
                if usual.issuperset(values):
                    page.append((name, values))
                else:  # another spelling, an option, or values in ranges
                    page.append(await self._unusual(name, values))
        counted.compare(answer.result)
        return page

    async def _unusual(self, name: str, raw: RawEntry) -> Entry:
        """Bring names to the spelling asked for, merge options (``mail;lang-de``) and complete ranges."""
        values: dict[str, list[bytes]] = {}
        for described, some in raw.items():
            ranged = RANGE.fullmatch(described)
            whole = await self._whole(name, ranged) if ranged else some
            attribute = self._spelling(described)
            values.setdefault(attribute, []).extend(map(octets, whole))
            if len(values[attribute]) > self._values:
                raise Unfinished(
                    "read.too_many_values", f"{attribute} of '{name}'", figure=self._most
                )
        return name, values

    def _spelling(self, described: str) -> str:
        kind = described.partition(";")[0]
        return self._names.get(described.lower()) or self._names.get(kind.lower()) or kind

    async def _whole(self, name: str, first: re.Match[str]) -> list[bytes]:
        """Read all values of one attribute, range by range, each asked for by its exact name.

        The first range is read again: the library has turned its values into whatever they
        look like, since only attributes named beforehand are left as bytes.
        """
        if first["high"] == "*":
            return await self._span(name, f"{first['name']};range={first['low']}-*")
        collected: list[bytes] = []
        step = int(first["high"]) - int(first["low"]) + 1
        for _ in range(RANGE_READS):
            low = len(collected)
            if low > self._values:
                raise Unfinished(
                    "read.too_many_values", f"{first['name']} of '{name}'", figure=self._most
                )
            span = f"{first['name']};range={low}-{low + step - 1}"
            last = f"{first['name']};range={low}-*"
            found = await self._read(name, span, last)
            if last.lower() in found:
                return collected + found[last.lower()]
            if len(found.get(span.lower(), ())) != step:
                break
            collected += found[span.lower()]
        raise Unfinished("read.range", f"{first['name']} of '{name}'")

    async def _span(self, name: str, span: str) -> list[bytes]:
        found = await self._read(name, span)
        if span.lower() not in found:
            raise Unfinished("read.range", f"{span} of '{name}'")
        return found[span.lower()]

    async def _read(self, name: str, asked: str, *also: str) -> dict[str, list[bytes]]:
        entry = await self._session.look_up(name, (asked,), stage=Stage.READ, raw=(asked, *also))
        if entry is None:
            raise Unfinished("read.range", f"'{name}' is gone")
        return {key.lower(): values for key, values in entry.items() if key != NAME}


def in_turns(page: Page, values: int) -> Iterator[Page]:
    """Cut a page of so many values into parts that one turn of the loop is enough for; most pages are one.

    A server without paging gives all at once, and a page that means harm has a million values: whoever works on what
    it is given would hold up everybody else.
    """
    if values <= VALUES_PER_TURN and len(page) <= ENTRIES_PER_TURN:
        yield page
        return
    part: Page = []
    count = 0
    for entry in page:
        size = sum(map(len, entry[1].values()))
        if part and (count + size > VALUES_PER_TURN or len(part) == ENTRIES_PER_TURN):
            yield part
            part, count = [], 0
        part.append(entry)
        count += size
    yield part


class Counted:
    """Counts what the library gave, to be held against the wire: it drops what it cannot read without a word."""

    def __init__(self) -> None:
        self._attributes = self._values = 0

    def add(self, raw: list[RawEntry]) -> None:
        """Take some entries, their names among them under ``NAME``."""
        self._attributes += sum(map(len, raw)) - len(raw)
        everything = chain.from_iterable(map(dict.values, raw))
        self._values += sum(map(len, everything)) - sum(len(entry[NAME]) for entry in raw)

    def compare(self, result: WireResult) -> None:
        """Compare. Raises Unfinished ``read.miscounted``."""
        given, sent = (self._attributes, self._values), (result.attributes, result.values)
        if given != sent:
            raise Unfinished(
                "read.miscounted", f"attributes and values: {sent} sent, {given} given"
            )


def octets(value: Any) -> bytes:
    """Return a value as it was sent: the library guesses types for names it was not told of."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"TRUE" if value else b"FALSE"
    return str(value).encode()
