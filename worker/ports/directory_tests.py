"""The store as tests of directories see it: a queue of their own, each under a lease."""

from typing import Protocol

from worker.domain.failures import Finding
from worker.domain.model import ClaimedTest


class DirectoryTests(Protocol):
    """Tests that were asked for and are not answered yet. Any number of workers may ask at once."""

    async def claim(self, most: int) -> list[ClaimedTest]:
        """Claim up to so many, the oldest first, in turns between tenants; what a dead worker left is among them."""
        ...

    async def keep(self, test: ClaimedTest) -> None:
        """Renew the lease. Raises LeaseLost when the test is another worker's, or is gone."""
        ...

    async def end(self, test: ClaimedTest, found: Finding) -> None:
        """Answer whoever asked, and forget the test with its secrets. Raises LeaseLost."""
        ...

    async def give_back(self, test: ClaimedTest) -> None:
        """Let another worker carry it out at once."""
        ...
