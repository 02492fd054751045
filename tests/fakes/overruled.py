"""The Runs port with a judge that always says the same: shows what the guard is good for, and that a measure can fail."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from worker.domain.guard import Evidence, Reason, Ruling
from worker.domain.model import ClaimedRun
from worker.domain.outcomes import Failed, Outcome, Skipped
from worker.ports import Final, Runs, Snapshot


NEVER_HOLDS = Ruling()
ALWAYS_HOLDS = Ruling((Reason("stubborn", "Nothing may ever leave.", ()),))


@dataclass(frozen=True, slots=True)
class _Overruled:
    final: Final
    ruling: Ruling

    async def compare(self) -> Evidence:
        return await self.final.compare()

    async def record(self, _: Ruling) -> Outcome:
        return await self.final.record(self.ruling)


@dataclass(frozen=True, slots=True)
class OverruledRuns:
    """Real runs, whose every verdict is replaced."""

    runs: Runs
    ruling: Ruling

    async def claim(self, most: int) -> list[ClaimedRun]:
        """Claim as ever."""
        return await self.runs.claim(most)

    async def keep(self, run: ClaimedRun, *, progress: tuple[int, int] | None) -> None:
        """Keep as ever."""
        await self.runs.keep(run, progress=progress)

    def final(self, run: ClaimedRun, snapshot: Snapshot) -> AbstractAsyncContextManager[Final]:
        """Open the final transaction; what it is told to record is not what the guard said."""
        return self._final(run, snapshot)

    @asynccontextmanager
    async def _final(self, run: ClaimedRun, snapshot: Snapshot) -> AsyncIterator[Final]:
        async with self.runs.final(run, snapshot) as final:
            yield _Overruled(final, self.ruling)

    async def end(self, run: ClaimedRun, outcome: Failed | Skipped) -> Outcome:
        """End as ever."""
        return await self.runs.end(run, outcome)

    async def give_back(self, run: ClaimedRun, *, superseded: bool = False) -> Outcome:
        """Give back as ever."""
        return await self.runs.give_back(run, superseded=superseded)
