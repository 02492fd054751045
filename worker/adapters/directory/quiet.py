"""A bonsai connection that waits without spinning, never blocks the loop, and leaves nothing behind.

What bonsai 1.5.5 does on asyncio, and what is done instead:

- it watches the socket for reading *and* writing, and an idle socket is always writable: a wait of
  3 s costs 2.9 s of CPU. Here: reading only, since libldap has written the request already;
- libldap leaves its socket blocking: the first bytes of a message hold the process until the rest
  arrives. Here: non-blocking, liblber resumes half a message;
- one message per turn of the loop. Here: as many as fit into a few milliseconds;
- an answer is made into objects in one go, 12 µs an entry. Here: a large one (a server without
  paging) in a thread, where the loop gets its turn between two entries;
- cancelled, it keeps its watchers. Here: any exception stops watching and closes the connection;
- ``exc.code`` sits on the error's class, so another tenant's error rewrites it. Here: copied at once.
"""

import asyncio
import gc
import os
import select
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import bonsai
from bonsai.asyncio import AIOLDAPConnection
from typing_extensions import override


TURN_S = 0.005
"""Reading per turn of the loop, before other tasks get theirs."""
ENTRIES_PER_TURN = 1_000
"""Answers of more entries than this are read in a thread: 1,000 take about 12 ms."""
BYTES_PER_TURN = 512 * 1024
"""And answers of more bytes: few entries may have many values."""
STEPS_PER_LOOK = 16
"""Messages taken before asking again for the time and whether there is more: a vain step costs no more than asking."""
STEPS_TO_FAIL = 20
"""Opening has five states (bonsai's ldapconnectiter.c), the first waits for a thread, 5 ms a step."""

LIBRARY_ERRORS = (bonsai.LDAPError, UnicodeError, ValueError, SystemError, MemoryError)
"""What bonsai raises, also for entries it cannot turn into objects (a name that is no UTF-8: MemoryError)."""


class LibraryError(Exception):
    """An error of the library, with the code it had when it was raised."""

    def __init__(self, exc: BaseException) -> None:
        super().__init__(f"{type(exc).__name__}: {exc}")
        self.code: int = getattr(exc, "code", 0)


class Source(Protocol):
    """Where the stream comes from."""

    @property
    def entries_waiting(self) -> int:
        """Entries of the answer that is under way, or has come and was not taken."""
        ...

    @property
    def bytes_waiting(self) -> int:
        """Bytes of the same."""
        ...

    def close(self) -> None:
        """End the stream, and what listens for it."""
        ...


class QuietConnection(AIOLDAPConnection):
    """Watches one descriptor for reading while an operation is under way, and nothing otherwise."""

    def __init__(self, client: bonsai.LDAPClient, source: Source) -> None:
        """Be ready to open."""
        super().__init__(client)  # type: ignore[no-untyped-call]  # bonsai is partly typed
        self.source = source

    async def ask(self, begin: Callable[[], Awaitable[Any]]) -> Any:
        """Begin an operation and return its result. Raises LibraryError; cancelled, it closes."""
        try:
            waiting = begin()
        except LIBRARY_ERRORS as exc:
            raise LibraryError(exc) from exc
        return await waiting

    async def answer(self, message_id: int) -> Any:
        """Return the result of an operation begun earlier, as ``ask`` does."""
        return await self._poll(message_id)

    @override
    async def _poll(self, msg_id: int, timeout: float | None = None) -> Any:
        step = super(AIOLDAPConnection, self).get_result  # AIOLDAPConnection's own is a coroutine
        watch = Watch(self, lambda: step(msg_id, 0))
        try:
            watch.follow()
            return await watch.done
        except BaseException:
            await watch.come_back()
            watch.stop()
            if not watch.is_over:
                self._drop(watch)
            raise
        finally:
            watch.stop()
            # it holds the outcome, whose traceback holds this frame: nothing would be freed
            del watch

    def _drop(self, watch: "Watch") -> None:
        """Close: half an answer cannot be resumed.

        A connection that is still opening cannot be closed, and it and its pending bind hold each
        other: bonsai lets go only when the bind fails. So the way out is closed, and it fails.
        """
        if not self.closed:
            self.close()
            return
        self.source.close()
        watch.fail()


def hang_up(descriptor: int) -> None:
    """End the stream under a descriptor that somebody else owns and will close."""
    if descriptor < 0:
        return
    with socket.socket(fileno=os.dup(descriptor)) as end, suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


class Watch:
    """Steps one operation each time its socket becomes readable."""

    def __init__(self, connection: QuietConnection, step: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._step = step
        self._poller = select.poll()
        self._first = connection.fileno()
        self._watched = -1
        self._aside: asyncio.Future[Any] | None = None
        self.is_over = False
        """True once the library has given its result or its error."""
        self.done: asyncio.Future[Any] = self._loop.create_future()

    def follow(self) -> None:
        """Watch the connection's present descriptor: while opening it is a socket pair, later the LDAP socket."""
        descriptor = self._connection.fileno()
        if descriptor == self._watched:
            return
        self.stop()
        if descriptor < 0:
            raise bonsai.ConnectionError("descriptor")
        os.set_blocking(descriptor, False)
        self._poller.register(descriptor, select.POLLIN)
        self._loop.add_reader(descriptor, self._ready)
        self._watched = descriptor

    def stop(self) -> None:
        """Watch nothing. Before the descriptor is closed, or its number may be another's already."""
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._poller.unregister(self._watched)
            self._watched = -1

    def _ready(self) -> None:
        if self.done.done():  # cancelled in this very turn
            self.stop()
        elif is_large(self._connection.source):
            self._loop.remove_reader(self._watched)
            self._aside = self._loop.run_in_executor(None, self._read)
            self._aside.add_done_callback(self._back)
        else:
            self._take(self._read)

    def _back(self, read: asyncio.Future[Any]) -> None:
        self._aside = None
        if not self.done.done():
            self._take(read.result)
        if not self.is_over and not self.done.done():
            self._loop.add_reader(self._watched, self._ready)

    async def come_back(self) -> None:
        """Wait for the thread, which never waits itself: the connection must not be closed under it."""
        while self._aside is not None:
            with suppress(asyncio.CancelledError):  # there is one already, on its way up
                await asyncio.wait({self._aside})

    def _take(self, read: Callable[[], Any]) -> None:
        try:
            result = read()
            if result is not None:
                self.is_over = True
                self.done.set_result(result)
            else:
                self.follow()
        except LIBRARY_ERRORS as exc:
            self.stop()
            self.is_over = True
            self.done.set_exception(LibraryError(exc))

    def fail(self) -> None:
        """Step an opening connection, whose way out is closed already, until it has noticed."""
        descriptor = self._connection.fileno()
        if descriptor != self._first:  # past the socket pair that tells of the first step's end
            hang_up(descriptor)
        for _ in range(STEPS_TO_FAIL):
            try:
                self._step()
            except LIBRARY_ERRORS:
                return

    def _read(self) -> Any:
        """Take message after message until there is a result, nothing to read, or the turn is over."""
        stop = time.monotonic() + TURN_S
        with no_collection():
            while True:
                for _ in range(STEPS_PER_LOOK):
                    result = self._step()
                    if result is not None:
                        return result
                if not self._has_more() or time.monotonic() > stop:
                    return None

    def _has_more(self) -> bool:
        return self._connection.fileno() == self._watched and bool(self._poller.poll(0))


def is_large(source: Source) -> bool:
    """Tell whether an answer takes longer than a turn of the loop may."""
    return source.entries_waiting > ENTRIES_PER_TURN or source.bytes_waiting > BYTES_PER_TURN


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector out while a page's objects are made: it finds nothing, for 12 % of the time.

    It is off only inside one synchronous burst. Should a burst in a thread overlap with one on the
    loop, whoever found it on turns it on again: it never stays off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
