"""An outbox in memory and a broker that confirms what it is told to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.domain.failures import BrokerFailure, StoreFailure
from worker.ports.broker import Message


def message(number: int, tenant: str = "acme") -> Message:
    """One event on its way out."""
    return Message(number, f"e-{number}", "rollcall.tenant.saved.v1", tenant, f"k.{tenant}", b"{}")


@dataclass(slots=True)
class MemoryOutbox:
    """The Outbox port."""

    rows: list[Message] = field(default_factory=list)
    leads: bool = True
    faults: list[StoreFailure] = field(default_factory=list)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    async def lead(self) -> bool:
        """Whether this worker relays."""
        if self.faults:
            raise self.faults.pop(0)
        return self.leads

    async def next(self, most: int) -> list[Message]:
        """The oldest."""
        return self.rows[:most]

    async def confirmed(self, numbers: Sequence[int]) -> None:
        """Forget them."""
        self.rows = [row for row in self.rows if row.number not in numbers]
        if not self.rows:
            self.emptied.set()

    @property
    def left(self) -> list[int]:
        """The numbers of what waits."""
        return [row.number for row in self.rows]


@dataclass(slots=True)
class Broker:
    """The Publisher port: refuses some, never answers for others, has nobody bound for the rest or takes them."""

    refuses: set[int] = field(default_factory=set)
    hangs_at: set[int] = field(default_factory=set)
    unbound: set[int] = field(default_factory=set)
    published: list[int] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def publish(self, message: Message) -> bool:
        """Confirm, or not."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if message.number in self.hangs_at:
            await asyncio.Event().wait()
        if message.number in self.refuses:
            raise BrokerFailure("broker.unconfirmed", str(message.number))
        self.published.append(message.number)
        return message.number not in self.unbound
