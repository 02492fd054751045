"""What the spines need of the world, as Protocols in domain types. No driver, cursor or channel is named here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from worker.domain.commands import (
    AddRecipients,
    DeleteDirectory,
    Envelope,
    FieldError,
    Received,
    Refused,
    RemoveRecipients,
    SaveDirectory,
    SaveTenant,
    Sealed,
    Stored,
)
from worker.domain.decisions import HoldRecord, RunRecord
from worker.domain.events import Event, FleetFigures
from worker.domain.failures import StageResult
from worker.domain.guard import Evidence, Ruling
from worker.domain.model import (
    Address,
    Change,
    ClaimedRun,
    DirectoryId,
    HoldId,
    Mode,
    RunId,
    RunState,
    Secret,
    TenantId,
    Trigger,
)
from worker.domain.outcomes import Failed, Outcome, Skipped, Tally
from worker.domain.plan import ReadPlan
from worker.domain.reasons import KeptRejects
from worker.domain.rulings import DirectoryRecord, DomainChanges, TenantRecord


Entry = tuple[str, dict[str, list[bytes]]]
"""DN as text, and the values of each attribute as the server sent them."""

Page = list[Entry]


# --- the directory -----------------------------------------------------------


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


class Gate(Protocol):
    """Asked before each sign-in, told after it: account safety lives behind it."""

    async def admit(self) -> None:
        """Record the attempt durably. Raises Denied when it must not be made."""
        ...

    async def settle(self, *, accepted: bool | None) -> None:
        """Record the answer; None when there was none (the connection broke)."""
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


# --- the broker --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """One handing-over by the broker; redelivery is normal."""

    body: bytes = field(repr=False)
    """May hold a password."""
    redelivered: bool = False
    reply_to: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered event on its way out, to the events exchange or to one reply queue."""

    number: int
    id: str
    type: str
    tenant: str
    routing_key: str | None
    """On the events exchange; None for a reply, which goes to ``reply_to`` alone."""
    body: bytes
    reply_to: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


class Publisher(Protocol):
    """Publishes with confirms."""

    async def publish(self, message: Message) -> bool:
        """Return once the broker has confirmed: True if a queue took it, False if nobody is bound.

        Raises BrokerFailure when the fate is unknown: the same message must then be published again.
        """
        ...


class Accept(Protocol):
    """What the consumer calls with each batch; it returns when the whole batch is durable."""

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Make durable, or raise StoreFailure: then nothing of the batch is acked."""
        ...


# --- secrets and time --------------------------------------------------------


class Vault(Protocol):
    """Seals and opens secrets, and makes keyed digests that tell nothing without the key."""

    def seal(self, secret: Secret) -> Sealed:
        """Seal for the newest key."""
        ...

    def unseal(self, sealed: Sealed) -> Secret:
        """Open with whichever key fits. Raises RequestFailure ``settings.unreadable_secret``."""
        ...

    def digests(self, value: bytes) -> tuple[bytes, ...]:
        """16-byte keyed digests of a value, the newest key's first: equal values are known by any of them."""
        ...


class Clock(Protocol):
    """The time that decides: the database's in production, the test's in tests."""

    async def now(self) -> datetime:
        """Return the time, aware, UTC."""
        ...


# --- the store: intake and carrying out -------------------------------------


class Intake(Protocol):
    """Makes deliveries durable."""

    async def store(self, batch: Sequence[Received | Refused]) -> None:
        """Store commands and park what cannot be one, all in one transaction. Raises StoreFailure."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out. ``outcome`` is kept and sent again when the command comes again."""

    outcome: Event | None
    also: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command was understood and may not be carried out."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a command names is not known yet; it is looked at again."""

    missing: FieldError


Settled = Done | Rejected | Waiting


class TenantBook(Protocol):
    """The tenant that the command in hand is about; all within the command's one transaction."""

    async def find(self) -> TenantRecord | None:
        """Return the living tenant, locked until the command is settled."""
        ...

    async def taken(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these domains that another tenant has."""
        ...

    async def save(self, command: SaveTenant, changes: DomainChanges) -> Event:
        """Write plan, reseller and domains; who had an address in a domain taken off departs by decision."""
        ...

    async def delete(self) -> Done:
        """Hide the tenant, end its runs, erase its secrets."""
        ...


class DirectoryBook(Protocol):
    """One directory of that tenant; the tenant must have been found."""

    async def find(self, directory: DirectoryId) -> DirectoryRecord | None:
        """Return the living directory, locked until the command is settled."""
        ...

    async def save(self, command: SaveDirectory, *, revision: int, pending: bool) -> Event:
        """Write a new revision; a queued run of a replaced one takes it."""
        ...

    async def pause(self, directory: DirectoryId, reason: str | None) -> Event:
        """Pause its scheduled runs, or with None let them go on."""
        ...

    async def delete(self, command: DeleteDirectory) -> Done:
        """Delete it; its addresses leave by decision, or stay by hand."""
        ...


class RunBook(Protocol):
    """The runs of that tenant."""

    async def request(self, directory: DirectoryId, *, trigger: Trigger, mode: Mode) -> Event:
        """Queue a run for the command in hand, or join the queued one; ``sync.accepted``."""
        ...

    async def cancel(self, run: RunId) -> Done | None:
        """End a queued run, ask a running one to end; None if the tenant has no such open run."""
        ...

    async def find(self, run: RunId) -> RunRecord | None:
        """Return a run of the tenant, locked until the command is settled."""
        ...

    async def undo(self, run: RunRecord) -> Done:
        """Give back what it took, let go what it gave, pause its directory's schedule."""
        ...


class HoldBook(Protocol):
    """The holds of that tenant."""

    async def find(self, hold: HoldId) -> HoldRecord | None:
        """Return a hold of the tenant, open or ended, locked until the command is settled."""
        ...

    async def approve(self, hold: HoldRecord) -> Event:
        """Let its departures happen: those still absent enter grace; what was read is the new baseline."""
        ...

    async def discard(self, hold: HoldRecord) -> Event:
        """Let nobody leave, and tell nobody again until the set changes."""
        ...


class RecipientBook(Protocol):
    """What people hold by hand of that tenant, and the whole of its list."""

    async def add(self, command: AddRecipients) -> Done:
        """Hold addresses by hand; told as ``recipients.changed``, empty if the list does not change."""
        ...

    async def not_by_hand(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Return those of these addresses that nobody holds by hand."""
        ...

    async def remove(self, command: RemoveRecipients) -> Done:
        """End the source by hand: grace by decision, where nothing else holds the address; told like ``add``."""
        ...

    async def republish(self) -> Done:
        """Tell the whole list, in parts that follow one another."""
        ...


class Desk(Protocol):
    """One command in hand, and the books it may write."""

    @property
    def stored(self) -> Stored:
        """The command."""
        ...

    @property
    def tenant(self) -> TenantBook:
        """The tenant it is about."""
        ...

    @property
    def directories(self) -> DirectoryBook:
        """That tenant's directories."""
        ...

    @property
    def runs(self) -> RunBook:
        """That tenant's runs."""
        ...

    @property
    def holds(self) -> HoldBook:
        """That tenant's holds."""
        ...

    @property
    def recipients(self) -> RecipientBook:
        """What people hold by hand of it."""
        ...


class Orders(Protocol):
    """Stored commands, taken one at a time, in stored order per tenant."""

    async def carry_next(self, carry: Callable[[Desk], Awaitable[Settled]]) -> bool:
        """Take the next command that is due, carry it out and settle it in one transaction; False if none is due."""
        ...


# --- the store: runs ---------------------------------------------------------


class Spool(Protocol):
    """The snapshot on its way from the pages to the comparison: compact, in bounded memory."""

    def add(self, rows: bytes) -> None:
        """Append newline-terminated rows as the normaliser packs them."""
        ...

    def read(self, size: int) -> bytes:
        """Read on from where the last read ended; empty at the end."""
        ...

    def rewind(self) -> None:
        """Begin to read from the start."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one complete read said."""

    spool: Spool | None
    """The rows; None when the wire showed that they are those of the last applied run."""
    rows: int
    digest: bytes
    """16 bytes over rows, scope and the tenant's domains: equal digests are equal snapshots."""
    scope: str
    read_at: datetime
    """When the reading began."""
    tally: Tally
    connect_s: float
    read_s: float
    wire_digest: bytes = b""
    """16 bytes over what came from the wire, scope and domains: by it the next run knows its like. Empty: by nothing."""
    rejects: KeptRejects | None = None
    """What became no row; None when it is what the last complete run rejected."""


class Final(Protocol):
    """The one transaction that ends a complete run."""

    async def compare(self) -> Evidence:
        """Compare the snapshot with what is known; gives what the guard may know of it."""
        ...

    async def record(self, ruling: Ruling) -> Outcome:
        """Write recipients, history, holds, the run's outcome and its events."""
        ...


class Runs(Protocol):
    """Runs in the queue, and the leases of those at work."""

    async def claim(self, most: int) -> list[ClaimedRun]:
        """Claim up to that many due runs: manual first, fair between resellers and tenants. Bounded."""
        ...

    async def keep(self, run: ClaimedRun, *, progress: tuple[int, int] | None) -> None:
        """Renew the lease; with progress (entries and addresses so far), also tell it.

        Raises LeaseLost, or RunStopped when the run is to end.
        """
        ...

    def final(self, run: ClaimedRun, snapshot: Snapshot) -> AbstractAsyncContextManager[Final]:
        """Open the final transaction under the tenant's lock.

        Raises LeaseLost, RunStopped, Superseded (revision or domains changed), StoreFailure.
        """
        ...

    async def end(self, run: ClaimedRun, outcome: Failed | Skipped) -> Outcome:
        """Record an outcome that changes no recipient; a scheduled run that may yet succeed is postponed."""
        ...

    async def give_back(self, run: ClaimedRun, *, superseded: bool = False) -> Outcome:
        """Back to the queue, the lease released; after two changes under it, the run fails."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and for how long (seconds)."""

    outbox_rows: int
    outbox_age_s: float
    manual_ready: int
    scheduled_ready: int
    run_age_s: float


class Sweeper(Protocol):
    """What keeps the store healthy while runs come and go."""

    async def sweep(self) -> int:
        """Queue again what dead workers left; gives how many."""
        ...

    async def backlog(self) -> Backlog:
        """Count what waits."""
        ...

    async def housekeep(self) -> None:
        """Make partitions ahead, end decided departures by the clock, purge what is past its time; bounded."""
        ...


@dataclass(frozen=True, slots=True)
class FleetHold:
    """Removals of all directories are held since then, because of these figures."""

    since: datetime
    figures: FleetFigures


class Fleet(Protocol):
    """All directories of all tenants, looked at as one."""

    async def watch(self) -> FleetHold | None:
        """Hold removals of all if too many directories are in trouble at once; gives a hold that is new."""
        ...

    async def standing(self) -> FleetHold | None:
        """Return the hold that stands."""
        ...

    async def release(self) -> bool:
        """Let removals go on; False if nothing was held."""
        ...


class SignIns(Protocol):
    """Account safety, counted per tenant and bind name over all hosts and workers."""

    def gate(self, run: ClaimedRun) -> Gate:
        """The gate of one run's sign-in."""
        ...


class Outbox(Protocol):
    """Events that are durable and not yet confirmed."""

    async def lead(self) -> bool:
        """Take or keep the relay's lease; False while another worker relays."""
        ...

    async def next(self, most: int) -> list[Message]:
        """The oldest messages, in order."""
        ...

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """Forget what the broker has confirmed."""
        ...


# --- the store: what people look at ------------------------------------------


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


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """What became of one address; directory and run are None for changes by hand."""

    at: datetime
    directory: DirectoryId | None
    run: RunId | None
    address: str
    change: Change


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
    """Addresses in its standing hold."""
    held_since: datetime | None


@dataclass(frozen=True, slots=True)
class Look:
    """Which runs or changes are wanted; None: whichever. The newest first, so many at most."""

    tenant: TenantId
    directory: DirectoryId | None = None
    run: RunId | None = None
    address: str | None = None
    most: int = 50


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


@dataclass(frozen=True, slots=True)
class SetLine:
    """One change of a hold or a preview that is not applied."""

    address: str
    change: str
    kind: str
    primary: bool
    approved: bool


class Reports(Protocol):
    """Reads what is recorded, for people; changes nothing."""

    async def runs(self, look: Look) -> list[RunLine]:
        """Return runs."""
        ...

    async def changes(self, look: Look) -> list[ChangeLine]:
        """Return changes of addresses."""
        ...

    async def directories(self, tenant: TenantId | None, *, most: int) -> list[DirectoryLine]:
        """Return directories of one tenant or of all, those in trouble first."""
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

    async def waiting(self, tenant: TenantId, of: HoldId | RunId, *, most: int) -> list[SetLine]:
        """Return the addresses of a hold, or what a preview would have changed."""
        ...


# --- what operators see ------------------------------------------------------


class Telemetry(Protocol):
    """Log lines and metrics. No metric is labelled by tenant, directory, address or DN; log lines may name the first two."""

    def event(self, name: str, **keys: object) -> None:
        """Write one log line: a fixed name in the past tense, and keys. Secrets are left out.

        The key ``level`` (debug, info, warning, error; info if left out) says how much it matters; the key
        ``error``, an exception, adds its traceback.
        """
        ...

    def bind(self, **keys: object) -> AbstractContextManager[None]:
        """Add keys to every line written inside, in this task and those it starts."""
        ...

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter that the telemetry's table names."""
        ...

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Record one duration, in seconds."""
        ...

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Set what is measured now."""
        ...


class NoTelemetry:
    """Says nothing, for those who read a directory once and for tests."""

    def event(self, name: str, **keys: object) -> None:
        """Write nothing."""

    def bind(self, **keys: object) -> AbstractContextManager[None]:  # noqa: ARG002  the port names them
        """Add nothing."""
        return nullcontext()

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Count nothing."""

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Record nothing."""

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Set nothing."""
