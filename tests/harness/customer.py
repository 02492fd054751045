"""One customer of the filter, as the platform acts for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.harness.lab import Branch
from tests.harness.platform import ENDINGS, WAIT_S, Platform, Seen
from tests.harness.store import Store


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant with one branch of the lab as its directory; its commands wait for their outcomes."""

    platform: Platform
    store: Store
    branch: Branch
    tenant: str = field(default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "tenant", self.tenant or f"tenant-{self.branch.name}")

    async def join(self, **changes: object) -> Seen:
        """Make the tenant, with the branch's domain."""
        told = {"plan": "enterprise", "domains": [{"name": self.branch.domain}], **changes}
        cause = await self.send("tenant.save", told)
        return await self.platform.event("tenant.saved", "command.rejected", cause=cause)

    async def send(self, name: str, data: dict[str, Any] | None = None, **how: Any) -> str:
        """Send a command of this tenant; gives its id."""
        return await self.platform.send(name, self.tenant, data, **how)

    async def save(self, **form: Any) -> Seen:
        """Save & Sync; gives the outcome of the run."""
        cause = await self.send("directory.save", self.branch.form(**form))
        return await self.platform.event("command.rejected", *ENDINGS, cause=cause)

    async def sync(self, **request: Any) -> Seen:
        """Ask for a sync; gives the outcome of the run."""
        cause = await self.request(**request)
        return await self.platform.event("command.rejected", *ENDINGS, cause=cause)

    async def request(self, **request: Any) -> str:
        """Ask for a sync and do not wait; gives the command's id."""
        told = {"directory": "hq", "trigger": "manual", "mode": "apply", **request}
        key = "sync.request.scheduled" if told["trigger"] == "scheduled" else "sync.request"
        return await self.send("sync.request", told, key=key)

    async def event(
        self,
        *names: str,
        where: Callable[[Seen], bool] = lambda _: True,
        within_s: float = WAIT_S,
    ) -> Seen:
        """Return the first event of one of these names about this tenant."""
        return await self.platform.event(
            *names, where=lambda seen: seen.tenant == self.tenant and where(seen), within_s=within_s
        )

    async def recipients(self) -> dict[str, str]:
        """Return the list as the mail filter sees it."""
        return await self.store.recipients(self.tenant)
