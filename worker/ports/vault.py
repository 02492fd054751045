"""What keeps secrets, and the time that decides."""

from datetime import datetime
from typing import Protocol

from worker.domain.commands import (
    Sealed,
)
from worker.domain.model import (
    Secret,
)


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
