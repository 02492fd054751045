"""Pages set aside until it is known whether they need a look at all: an unchanged directory sends the same bytes.

Kept as they came, in the run's own private spool, and read back once. Never decides what is equal.
"""

import marshal
from collections.abc import Iterator

from worker.ports.directory import Page
from worker.ports.runs import Spool


SIZE_BYTES = 4


class DeferredPages:
    """Pages in a spool, each behind its size."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def add(self, page: Page) -> None:
        """Set a page aside; written and read by this process alone, so marshal is safe, and it is the fastest."""
        plain = [(name, {key: [*values] for key, values in entry.items()}) for name, entry in page]
        packed = marshal.dumps(plain)
        self._spool.add(len(packed).to_bytes(SIZE_BYTES, "big") + packed)

    def pages(self) -> Iterator[Page]:
        """Give the pages back in their order."""
        self._spool.rewind()
        while size := self._spool.read(SIZE_BYTES):
            page: Page = marshal.loads(self._spool.read(int.from_bytes(size, "big")))  # noqa: S302 - our own bytes
            yield page
