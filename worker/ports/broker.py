"""What the broker hands over, and what it is handed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


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
