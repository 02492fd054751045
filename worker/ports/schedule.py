"""The store as the scheduler sees it: who is due, and the triggers on their way to the broker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.ports.broker import Message


@dataclass(frozen=True, slots=True)
class Bite:
    """What one look at the due directories came to."""

    looked_at: int
    triggered: int
    postponed: int
    """Missed times that were spread."""
    lateness_s: float
    """How late the latest of the triggered was; 0 if none was."""


class Schedule(Protocol):
    """When each directory is due. Any number of workers may ask at once: what one has in hand no other sees."""

    async def decide(self, most: int) -> Bite:
        """Decide about up to so many directories whose time has come.

        Their next times and the triggers are durable together when it returns.
        """
        ...

    async def take(self, most: int) -> list[Message]:
        """Take up to so many triggers to be published soon; those not confirmed a while later are given again."""
        ...

    async def confirmed(self, messages: Sequence[Message]) -> None:
        """Forget what the broker has confirmed."""
        ...

    async def arrange(self, most: int) -> int:
        """Give up to so many directories a time that should have one and have none; says how many had none."""
        ...

    async def recheck(self, most: int) -> int:
        """Look at up to so many tenants again whose reseller's plan has changed; says how many there were."""
        ...
