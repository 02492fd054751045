"""A schedule in memory: so many are due, each trigger is given until it is confirmed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.domain.failures import StoreFailure
from worker.ports.broker import Message
from worker.ports.schedule import Bite


@dataclass(slots=True)
class MemorySchedule:
    """The Schedule port."""

    due: list[Message] = field(default_factory=list)
    waiting: list[Message] = field(default_factory=list)
    unarranged: int = 0
    unchecked: int = 0
    faults: list[StoreFailure] = field(default_factory=list)
    looked: int = 0
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    async def decide(self, most: int) -> Bite:
        """Make triggers of those that are due."""
        self.looked += 1
        if self.faults:
            raise self.faults.pop(0)
        bite, self.due = self.due[:most], self.due[most:]
        self.waiting += bite
        return Bite(len(bite), len(bite), 0, 0.5)

    async def take(self, most: int) -> list[Message]:
        """The oldest."""
        return self.waiting[:most]

    async def confirmed(self, messages: Sequence[Message]) -> None:
        """Forget them."""
        self.waiting = [each for each in self.waiting if each not in messages]
        if not self.waiting and not self.due:
            self.emptied.set()

    async def recheck(self, most: int) -> int:
        """Look at some."""
        checked = min(most, self.unchecked)
        self.unchecked -= checked
        return checked

    async def arrange(self, most: int) -> int:
        """Give a time to some."""
        found = min(most, self.unarranged)
        self.unarranged -= found
        return found
