"""Carries bytes between a directory and the LDAP library: a one-shot private socket, counted and bounded.

asyncio has dialled and secured the far side; libldap only ever sees a local socket, so nothing a
directory does can hold the process. The server's bytes are framed before they are handed on.
"""

import asyncio
import os
import shutil
import tempfile
from itertools import islice
from pathlib import Path
from typing import cast

from typing_extensions import override

from worker.adapters.directory.questions import Questions
from worker.adapters.directory.wire import Bounds, Framer, WireResult
from worker.domain.failures import DirectoryFailure


PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.")


class Side(asyncio.Protocol):
    """One end: tells the forwarder what happens on it."""

    def __init__(self, forwarder: "Forwarder", *, is_far: bool) -> None:
        self._forwarder = forwarder
        self._is_far = is_far
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # only streams are made here
        if not self._is_far:
            self._forwarder.near_connected(self)

    @override
    def data_received(self, data: bytes) -> None:
        """Hand on what arrived."""
        if self._is_far:
            self._forwarder.from_server(data)
        else:
            self._forwarder.from_client(data)

    @override
    def pause_writing(self) -> None:
        """This end takes no more for now, so the other must not read: back-pressure."""
        other = self._forwarder.other(self)
        if other.transport is not None and not other.is_lost:
            other.transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        """This end takes bytes again."""
        other = self._forwarder.other(self)
        if other.transport is not None and not other.is_lost:
            other.transport.resume_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side too, after it has got what was on its way."""
        self.is_lost = True
        if self._is_far:
            self._forwarder.fault = self._forwarder.fault or exc
        other = self._forwarder.other(self)
        if other.transport is not None:
            other.transport.close()


class Forwarder:
    """One connection's two sides, and the account of what the server sent."""

    def __init__(self, bounds: Bounds) -> None:
        self._framer = Framer(bounds)
        self._questions = Questions()
        self.far = Side(self, is_far=True)
        self.near = Side(self, is_far=False)
        self.failure: DirectoryFailure | None = None
        """The bound of ours that was hit, or what came unasked."""
        self.fault: Exception | None = None
        """Why the far side was lost; None also when it simply hung up."""
        self.last_result: WireResult | None = None
        """The last result taken."""
        self._is_closed = False
        self._server: asyncio.Server | None = None
        self._folder: Path | None = None

    @property
    def is_lost(self) -> bool:
        """True once the server is gone."""
        return self.far.is_lost

    @property
    def notice(self) -> WireResult | None:
        """The server's notice of disconnection, when it sent one."""
        return self._framer.notice

    @property
    def bytes_received(self) -> int:
        """All that the server has sent."""
        return self._framer.total_bytes

    @property
    def entries_digest(self) -> bytes:
        """16 bytes over all entries that the server has sent."""
        return self._framer.entries_digest

    @property
    def entries_waiting(self) -> int:
        """Entries of the answer that is under way, or has come and was not taken."""
        return self._framer.entries_waiting

    @property
    def bytes_waiting(self) -> int:
        """Bytes of the same."""
        return self._framer.bytes_waiting

    def expect_pages(self, *, of_entries: int) -> None:
        """From now on let no page have more entries than so many."""
        self._framer.page_entries = of_entries

    def take_result(self) -> WireResult | None:
        """Return the oldest result not taken yet: there is one before the library can see it."""
        if not self._framer.results:
            return None
        self.last_result = self._framer.results.popleft()
        return self.last_result

    async def listen(self) -> str:
        """Offer the connection once, on a socket in a directory of our own (0700); return its ldapi URL."""
        self._folder = Path(tempfile.mkdtemp(prefix=f"rollcall-{os.getpid()}-"))
        path = self._folder / "s"
        # in two steps: cancelled while it starts to serve, a server not yet returned would listen for ever
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: Side(self, is_far=False), str(path), backlog=1, start_serving=False
        )
        await self._server.start_serving()
        # bonsai lower-cases the host part of a URL, so other characters are percent-encoded
        return "ldapi://" + "".join(
            character if character in PLAIN_CHARACTERS else f"%{ord(character):02x}"
            for character in str(path)
        )

    def near_connected(self, side: Side) -> None:
        """Take the first who comes, if the server is still there, and nobody after."""
        is_first = self.near.transport is None
        if is_first:
            self.near = side
            self._unlisten()
        if side.transport is not None and (not is_first or self._is_closed or self.far.is_lost):
            side.transport.abort()

    def from_server(self, data: bytes) -> None:
        """Count, bound and hold to what was asked, then hand on; what does not pass closes both sides.

        The far side is read from the start, though a server has nothing to say before it is asked:
        an alert of TLS 1.3 (no client certificate) must be heard before a write fails.
        """
        known = len(self._framer.results)
        try:
            self._framer.feed(data)
            self._questions.check(
                islice(self._framer.results, known, None), is_listing=self._framer.is_listing
            )
        except DirectoryFailure as failure:
            self.failure = failure
            self.close()
            return
        if self.near.transport is not None and not self.near.is_lost:
            self.near.transport.write(data)

    def from_client(self, data: bytes) -> None:
        """Note what is asked, and hand on to the server."""
        self._questions.feed(data)
        if self.far.transport is not None and not self.far.is_lost:
            self.far.transport.write(data)

    def other(self, side: Side) -> Side:
        """Return the opposite end."""
        return self.near if side is self.far else self.far

    def _unlisten(self) -> None:
        if self._server is not None:
            # not at once: asyncio (3.11) drops a connection it has accepted but not yet attached to
            # its server, without closing it, when the server is closed in between
            asyncio.get_running_loop().call_soon(self._server.close)
            self._server = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def close(self) -> None:
        """Drop both sides at once and remove the socket."""
        self._is_closed = True
        self._unlisten()
        for side in (self.far, self.near):
            if side.transport is not None:
                side.transport.abort()
