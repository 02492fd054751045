"""The reference consumer as the tests hold it: waited for, cut off, restarted on its own file."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from tests.consumer.core import Place, states
from tests.consumer.follower import Follower
from tests.harness.customer import Customer
from tests.harness.wire import Wire


WITHIN_S = 20.0


@dataclass(slots=True)
class Receiver(Follower):
    """Tells of news, and may have its plug pulled after an event is applied and before it is acknowledged."""

    wire: Wire | None = None
    cut_at: Collection[int] = ()
    """After how many events taken."""
    taken: int = 0
    repeats: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    def take(self, event: dict[str, Any]) -> None:
        before = self.state
        Follower.take(self, event)
        self.taken += 1
        self.repeats += self.state is before
        if self.wire is not None and self.taken in self.cut_at:
            self.wire.cut()
        self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that an event brings about, under a deadline."""
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self.news.clear()
                await self.news.wait()

    async def caught_up(self, customer: Customer) -> None:
        """Wait until it has all that the platform has seen of a tenant, in step."""
        last = Place(*(customer.platform.of(customer.tenant)[-1].place or (0, 0)))
        await self.until(lambda: self.state.is_in_step and self.state.place >= last)

    async def in_epoch_after(self, epoch: int) -> int:
        """Wait until it is in step in a later epoch; gives that."""
        await self.until(lambda: self.state.is_in_step and self.state.place.epoch > epoch)
        return self.state.place.epoch

    @property
    def list(self) -> dict[str, str]:
        """What it serves."""
        return states(self.state.recipients)


@asynccontextmanager
async def at_work(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Let it follow for as long as the block lasts; its end comes in the middle of whatever it does."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(receiver.run())
        try:
            yield receiver
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            receiver.book.close()
