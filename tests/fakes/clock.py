"""A clock that stands until a test moves it."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class StandingClock:
    """The Clock port; ``at`` is aware, UTC."""

    at: datetime

    async def now(self) -> datetime:
        """Return the time it was set to."""
        return self.at

    def forward(self, **how_much: float) -> datetime:
        """Move on, as ``timedelta`` takes it: ``forward(hours=72)``; gives the new time."""
        self.at += timedelta(**how_much)
        return self.at
