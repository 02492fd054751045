"""The store as people see it: what is recorded, and how things stand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from worker.domain.commands import (
    Envelope,
    FieldError,
)
from worker.domain.model import (
    Change,
    DirectoryId,
    HoldId,
    Mode,
    RunId,
    RunState,
    TenantId,
    Trigger,
)


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run as it stands; ``counts``, ``seconds``, ``reasons`` and ``finding`` as in its outcome event."""

    run: RunId
    directory: DirectoryId
    trigger: Trigger
    mode: Mode
    state: RunState
    verdict: str | None
    attempt: int
    counts: Mapping[str, object]
    seconds: Mapping[str, object]
    reasons: Sequence[Mapping[str, object]]
    finding: Mapping[str, object] | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    advice: Sequence[Mapping[str, object]] = ()
    """What its outcome recommends."""
    hold: HoldId | None = None
    """The hold that it opened or went on with."""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """What became of one address; directory and run are None for changes by hand."""

    at: datetime
    directory: DirectoryId | None
    run: RunId | None
    address: str
    change: Change
    by: str = "run"
    """``run``, ``person`` or ``clock``."""


@dataclass(frozen=True, slots=True)
class LoginChangeLine:
    """What became of one quarantine login; the directory is None where it was made, or stays, by hand."""

    at: datetime
    directory: DirectoryId | None
    run: RunId | None
    login: UUID
    username: str
    was: str | None
    """Its user name before, if that was another."""
    change: str
    state: str
    by: str
    """``run``, ``person`` or ``clock``."""
    causes: Sequence[str]
    """Ids of the commands behind it, as far as they are kept."""


@dataclass(frozen=True, slots=True)
class DirectoryLine:
    """One directory as it stands."""

    tenant: TenantId
    directory: DirectoryId
    name: str
    type: str
    state: str
    """``in_force``, ``pending`` or ``paused``."""
    paused: str | None
    last_good_at: datetime | None
    failing_since: datetime | None
    """Of the first run that failed since the last good one."""
    failing: str | None
    """The code of the last finding since then."""
    next_sync_at: datetime | None
    queued: int
    running: int
    held: int
    """Addresses that wait in its standing hold."""
    held_since: datetime | None
    warnings: tuple[str, ...]
    """Causes of the warnings that stand; ``logins_paused`` where the plan has none of the logins that the directory asks for."""


@dataclass(frozen=True, slots=True)
class ReadinessLine:
    """How far the list of one domain can be trusted."""

    domain: str
    catch_all: bool
    automatic: bool
    complete_runs: int
    stable_since: datetime
    addresses: int
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Look:
    """Which runs or changes are wanted; None: whichever. The newest first, so many at most."""

    tenant: TenantId
    directory: DirectoryId | None = None
    run: RunId | None = None
    address: str | None = None
    most: int | None = 50
    """None: all."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a stored command so far."""

    state: str
    """``stored``, ``done`` or ``rejected``."""
    errors: Sequence[FieldError]
    run: RunLine | None
    """The run that answers it."""
    is_behind: bool
    """Whether that run waits for another of the same directory."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An event that answered a command: its name, and its ``data`` as it was sent."""

    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HoldLine:
    """One open hold."""

    hold: HoldId
    version: int
    directory: DirectoryId
    since: datetime
    discarded: bool
    reasons: Sequence[Mapping[str, Any]]
    waiting: int
    """Addresses that wait for a person."""
    approved: int
    """Addresses on their way out that a person approved before."""
    logins: int
    """Of those that wait: of whom only the quarantine login would end."""


@dataclass(frozen=True, slots=True)
class SetLine:
    """One change of a hold or a preview that is not applied."""

    address: str
    change: str
    kind: str
    primary: bool
    approved: bool


@dataclass(frozen=True, slots=True)
class LoginLine:
    """One quarantine login; its directory is None where it was made, or stays, by hand."""

    login: UUID
    directory: DirectoryId | None
    username: str
    addresses: Sequence[str]
    role: str
    state: str
    reason: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """An address that an entry claims for its login and does not get, and why."""

    directory: DirectoryId
    entry: UUID
    address: str
    code: str
    text: str
    mailboxes: tuple[str, ...]
    """Those that show the address or whose login has it."""


class Export(Protocol):
    """Gives away what is recorded, however much that is: page by page as of one moment, in bounded memory."""

    async def every_run(self, look: Look, tell: Callable[[Sequence[RunLine]], None]) -> None:
        """Tell all runs, the newest first."""
        ...

    async def every_change(self, look: Look, tell: Callable[[Sequence[ChangeLine]], None]) -> None:
        """Tell all changes, the newest first."""
        ...


class Reports(Protocol):
    """Reads what is recorded, for people; changes nothing."""

    async def runs(self, look: Look) -> list[RunLine]:
        """Return runs."""
        ...

    async def changes(self, look: Look) -> list[ChangeLine]:
        """Return changes of addresses."""
        ...

    async def directories(
        self, tenant: TenantId | None, *, reseller: str | None = None, most: int
    ) -> list[DirectoryLine]:
        """Return directories of one tenant, of a reseller's tenants or of all, those in trouble first."""
        ...

    async def knows(self, tenant: TenantId) -> bool:
        """Tell whether there is such a tenant."""
        ...

    async def standing(self, envelope: Envelope) -> Standing | None:
        """Return what became of a command; None if there is none."""
        ...

    async def answers(self, envelope: Envelope) -> list[Answered]:
        """Return the events that answered a command."""
        ...

    async def holds(self, tenant: TenantId) -> list[HoldLine]:
        """Return the open holds of a tenant, the oldest first."""
        ...

    async def waiting(
        self, tenant: TenantId, of: HoldId | RunId, *, most: int | None
    ) -> list[SetLine]:
        """Return the addresses of a hold, or what a preview would have changed."""
        ...
