"""Wakes a loop that waits for work, so that nobody polls fast and nobody waits long."""

import asyncio


class Bell:
    """Rung when there may be work; a loop that was busy meanwhile finds it rung."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits, now or when they next wait."""
        self._rung.set()

    async def wait(self, most_s: float) -> None:
        """Return when rung, or after so many seconds: other workers ring no bell here."""
        try:
            async with asyncio.timeout(most_s):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()
