"""What the spines need of the world, as Protocols in domain types. No driver, cursor or channel is named here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from worker.domain.commands import Sealed
from worker.domain.failures import StageResult
from worker.domain.model import Secret
from worker.domain.plan import ReadPlan


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
    """One rendered event on its way out. ``reply_to`` names a queue that gets it as well."""

    number: int
    id: str
    type: str
    tenant: str
    routing_key: str
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
