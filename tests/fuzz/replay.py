"""Reads what a server says by rote: each request gets the next answer, whatever it asks, and then the line is cut."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.fuzz.oracle import Listed, whole_list
from tests.fuzz.streams import ATTRIBUTES, BASE, PAGE_SIZE, SEARCH_ID
from worker.adapters.directory.reader import LdapReader
from worker.domain.failures import DirectoryFailure
from worker.domain.model import Credentials, DirectorySettings, Limits, Secret, Security, Server
from worker.domain.plan import ReadPlan
from worker.domain.presets import PRESETS
from worker.ports.directory import Entry, Page


LIMITS = Limits(
    connect_s=1,
    bind_s=0.5,
    page_s=0.4,
    run_s=3,
    page_size=PAGE_SIZE,
    message_bytes=1 << 20,
    run_bytes=1 << 22,
    entries=10_000,
    allow_networks=("127.0.0.1/32",),
)
HANG_S = 8.0
"""Longer than all deadlines of one reading."""
PLAN = ReadPlan(
    DirectorySettings(
        "fuzz", "openldap", (Server("127.0.0.1", 389),), "cn=reader", security=Security.NONE
    ),
    Credentials(Secret("secret")),
    PRESETS["openldap"],
    (BASE,),
    "(mail=*)",
    ATTRIBUTES,
    LIMITS,
)


class OpenGate:
    """Lets everybody try."""

    async def admit(self) -> None:
        """Let them."""

    async def settle(self, *, accepted: bool | None) -> None:
        """Forget the answer."""


@dataclass(slots=True)
class Replay:
    """A connector whose one connection leads to the answers; nothing leaves the process."""

    answers: Sequence[Sequence[bytes]]
    """To each request its answer, in the pieces it is sent in."""
    given: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def connect(self, address: str, port: int) -> socket.socket:
        """Give one end."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        self._tasks.append(asyncio.get_running_loop().create_task(self._answer(theirs)))
        return ours

    async def close(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _answer(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock, suppress(OSError):
            for number, pieces in enumerate(self.answers):
                if not await loop.sock_recv(sock, 65536):
                    return
                self.given = number + 1
                for piece in pieces:
                    await loop.sock_sendall(sock, piece)
                    await asyncio.sleep(0)
            # whoever still waits is left waiting: the deadlines are tried too
            await loop.sock_recv(sock, 65536)


@dataclass(frozen=True, slots=True)
class Read:
    """What came of it."""

    code: str | None
    """None for a whole list."""
    entries: list[Entry]
    fault: str | None = None


async def read(answers: Sequence[Sequence[bytes]]) -> Read:
    """Let the reader read these answers, and hold what it gives to the oracle's opinion of the same bytes."""
    replay = Replay(answers)
    reader, entries = LdapReader(connector=replay), list[Entry]()
    try:
        async with asyncio.timeout(HANG_S):
            await collect(reader, entries)
    except DirectoryFailure as failure:
        return Read(failure.code, entries)
    except TimeoutError:
        return Read(None, entries, f"not over after {HANG_S:g} s")
    except Exception as bug:  # noqa: BLE001 -- that is what is looked for
        return Read(None, entries, f"{type(bug).__name__}: {bug}")
    finally:
        await replay.close()
    sent = [b"".join(pieces) for pieces in answers[SEARCH_ID - 1 : replay.given]]
    return Read(None, entries, differs(whole_list(sent, SEARCH_ID), entries))


async def collect(reader: LdapReader, entries: list[Entry]) -> None:
    """Read to the proof."""
    async with reader.listing(PLAN, gate=OpenGate(), stages=[]) as listing:
        async for page in listing:
            entries += page
        if listing.proof.entries != len(entries):
            raise AssertionError


def differs(said: list[Listed] | None, taken: Page) -> str | None:
    """How a list taken for whole differs from what was on the wire, or None."""
    if said is None:
        return "a list was taken for whole that is none by the letter"
    if len(said) != len(taken):
        return f"{len(said)} entries on the wire, {len(taken)} taken"
    wanted = {name.lower() for name in ATTRIBUTES}
    for theirs, (name, values) in zip(said, taken, strict=True):
        ours = {kind.lower(): some for kind, some in values.items() if kind.lower() in wanted}
        meant = {kind: some for kind, some in theirs.values.items() if kind in wanted}
        if (name.encode(), ours) != (theirs.name, meant):
            return f"{theirs.name!r} was taken for {name!r}, or its values for others"
    return None
