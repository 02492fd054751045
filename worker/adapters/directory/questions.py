"""What the library has asked and nobody has answered: an answer to anything else is not handed on.

Only requests that libldap wrote are read here, and one question is open at a time. bonsai 1.5.5 follows the
order of messages and not their numbers: an answer to another question would end a list early, with success.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from worker.adapters.directory.wire import (
    BIND_RESPONSE,
    EXTENDED_RESPONSE,
    SEARCH_DONE,
    WireResult,
    header,
)
from worker.domain.failures import Unfinished


ANSWER_TO = {0x60: BIND_RESPONSE, 0x63: SEARCH_DONE, 0x77: EXTENDED_RESPONSE}
"""Request to the result that ends it (RFC 4511 section 4.1.1); unbind and abandon have none."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request that waits for its result."""

    message_id: int
    answer: int
    """The operation of its result."""


class Questions:
    """Is fed every byte the library sends, and every result the server sends, in order."""

    __slots__ = ("_head", "_left", "open")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.open: Question | None = None

    def feed(self, chunk: bytes) -> None:
        """Take what the library sends."""
        data = self._head + chunk
        at, self._head = min(self._left, len(data)), b""
        self._left -= at
        while at < len(data):
            try:
                start, stop, operation = header(data, at)
            except IndexError:  # the header itself is cut: wait for the rest of it
                self._head = data[at:]
                return
            if operation in ANSWER_TO:
                id_bytes = data[start + 1]
                message_id = int.from_bytes(data[start + 2 : start + 2 + id_bytes], "big")
                self.open = Question(message_id, ANSWER_TO[operation])
            self._left = max(0, stop - len(data))
            at = stop

    def check(self, results: Iterable[WireResult], *, is_listing: bool) -> None:
        """Hold these results, and whether a list is under way, to what was asked. Raises Unfinished ``read.unasked``."""
        for result in results:
            asked, self.open = self.open, None
            if asked is None or result.message_id != asked.message_id:
                raise Unfinished("read.unasked", f"an answer to question {result.message_id}")
            lists = result.entries + result.references > 0
            if result.operation != asked.answer or (lists and asked.answer != SEARCH_DONE):
                raise Unfinished("read.unasked", f"an answer {result.operation:#04x}")
        if is_listing and (self.open is None or self.open.answer != SEARCH_DONE):
            raise Unfinished("read.unasked", "entries that nobody asked for")
