"""What reads a directory: one complete listing, page by page, and its proof."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.domain.failures import StageResult
from worker.domain.plan import ReadPlan
from worker.domain.server import Profile
from worker.domain.survey import Survey


Entry = tuple[str, dict[str, list[bytes]]]
"""DN as text, and the values of each attribute as the server sent them."""

Page = list[Entry]


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that a listing was whole, filled in when its last page has been given."""

    server: str
    """``host:port`` that answered."""
    bases: tuple[str, ...]
    entries: int
    """Entries given to us; the wire was counted apart and agreed."""
    references: int
    """Search references seen (RFC 4511 section 4.5.3), counted and never followed."""
    connect_s: float
    read_s: float
    wire_digest: bytes = b""
    """16 bytes over the entries as they came: equal only if the same bytes came in the same order."""
    certificate_until: datetime | None = None
    """When the server's certificate expires; None: it showed none, or only its fingerprint was checked."""
    password_until: datetime | None = None
    """When the password of the bind account expires; None: never, or the directory does not tell."""


class Gate(Protocol):
    """Asked before each sign-in, told after it: account safety lives behind it."""

    async def admit(self) -> None:
        """Record the attempt durably. Raises Denied when it must not be made."""
        ...

    async def settle(self, *, accepted: bool | None) -> None:
        """Record the answer; None when it says nothing of the password.

        Not called when the server may have counted an attempt that we heard no answer to.
        """
        ...


class Listing(Protocol):
    """One complete read. Iterate once; the end of the iteration is the proof, anything else raises."""

    def __aiter__(self) -> AsyncIterator[Page]:
        """Give pages, each a bounded list of entries, forgotten when the next is asked for."""
        ...

    @property
    def proof(self) -> Proof:
        """What was proved. Only after the iteration has ended."""
        ...

    @property
    def profile(self) -> Profile:
        """What the server says of itself; its schema if the plan asks for it, at the end of the iteration, or once ``learn`` asked."""
        ...

    async def learn(self) -> None:
        """Ask also what the schema has, if nobody did, for ``profile``: where a failure may lie in the type. Raises no Failure.

        Takes some seconds at most; a good run never asks.
        """
        ...

    async def groups(self) -> tuple[str, ...]:
        """Return the SIDs of the account and its groups where the server tells them, else nothing. Raises no Failure.

        Only after the iteration has ended; costs one more question.
        """
        ...


class DirectoryReader(Protocol):
    """Dials, signs in, proves the base, reads pages."""

    def listing(
        self, plan: ReadPlan, *, gate: Gate, stages: list[StageResult]
    ) -> AbstractAsyncContextManager[Listing]:
        """Open a listing on the first server that can be reached; ``stages`` is filled as it goes.

        Raises a DirectoryFailure with a stable code at every fault; closes all it opened, also when
        cancelled.
        """
        ...


class Surveyor(Protocol):
    """Looks around without signing in."""

    async def survey(self, plan: ReadPlan) -> Survey:
        """Look at every server of a plan, at every address of each, within some 15 seconds in all.

        Raises no Failure: what could not be seen is told as such. Empty when too many surveys are under way.
        """
        ...
