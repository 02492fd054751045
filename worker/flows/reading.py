"""Pages on their way to a snapshot: normalised as they come, or set aside while nothing new has been seen.

A directory that did not change sends the same bytes again; then nothing need be normalised, spooled or
compared. Whether bytes are the same is only ever a short cut to "unchanged": anything else takes the long way.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from worker.domain.answer import addresses_seen, fit_matters
from worker.domain.failures import DirectoryFailure, Misdirected, StageResult
from worker.domain.model import ClaimedRun
from worker.domain.normalise import Normaliser, snapshot_digest, wire_digest
from worker.domain.outcomes import Tally
from worker.domain.plan import ReadPlan, scope_digest
from worker.domain.server import Profile
from worker.flows.deferred import DeferredPages
from worker.ports.directory import Listing, Page, Proof
from worker.ports.runs import Snapshot, Spool


@dataclass(slots=True)
class Progress:
    """How far a run has come; read by the beat, written by the reading."""

    entries: int = 0
    addresses: int = 0
    told: int = 0
    stages: list[StageResult] = field(default_factory=list)
    plan: ReadPlan | None = None
    profile: Profile | None = None
    """What the server says of itself; None if nobody came so far."""
    seen: str = ""
    """What a finding about the addresses shows the customer: domains or reasons with counts."""


@asynccontextmanager
async def fit_learned(pages: Listing) -> AsyncIterator[None]:
    """Have a reading that fails for a reason that may lie in the type find out whether the type fits."""
    try:
        yield
    except DirectoryFailure as failure:
        if fit_matters(failure.code):
            await pages.learn()
        raise


class Reading:
    """One reading of one directory. ``aside`` holds pages that may turn out to need no look."""

    def __init__(
        self,
        run: ClaimedRun,
        plan: ReadPlan,
        *,
        read_at: datetime,
        spools: tuple[Spool, Spool],
        progress: Progress,
    ) -> None:
        self._read_at = read_at
        self._run = run
        self._scope = scope_digest(plan)
        self._normaliser = Normaliser(plan, run.domains)
        self._rows, aside = spools
        self._deferred = DeferredPages(aside) if run.last is not None else None
        self._progress = progress

    def take(self, page: Page) -> None:
        """Take the next page: some 5 ms for 500 entries, less when it is set aside."""
        if self._deferred is None:
            self._normalise(page)
        else:
            self._deferred.add(page)
            self._progress.entries += len(page)

    def _normalise(self, page: Page) -> None:
        self._rows.add(self._normaliser.page(page).rows)
        self._progress.entries = self._normaliser.entries
        self._progress.addresses = self._normaliser.rows

    async def snapshot(self, proof: Proof) -> Snapshot:
        """Return what a whole listing said. Raises Misdirected when not one address is the tenant's."""
        began = asyncio.get_running_loop().time()
        last = self._run.last
        wire = wire_digest(proof.wire_digest, scope=self._scope, domains=self._run.domains)
        if last is not None and proof.wire_digest and last.wire_digest == wire:
            return Snapshot(
                spool=None,
                rows=last.rows,
                digest=last.digest,
                wire_digest=wire,
                scope=self._scope,
                read_at=self._read_at,
                tally=Tally(proof.entries, proof.references, dict(last.ignored)),
                connect_s=proof.connect_s,
                read_s=proof.read_s,
                certificate_until=proof.certificate_until,
                password_until=proof.password_until,
            )
        await self._normalise_deferred()
        self._check()
        rows = self._normaliser
        return Snapshot(
            spool=self._rows,
            rows=rows.rows,
            digest=snapshot_digest(rows.digest, scope=self._scope, domains=self._run.domains),
            wire_digest=wire,
            scope=self._scope,
            read_at=self._read_at,
            tally=Tally(proof.entries, proof.references, dict(rows.ignored)),
            connect_s=proof.connect_s,
            read_s=proof.read_s + asyncio.get_running_loop().time() - began,
            rejects=rows.kept_rejects,
            certificate_until=proof.certificate_until,
            password_until=proof.password_until,
        )

    async def _normalise_deferred(self) -> None:
        for page in self._deferred.pages() if self._deferred is not None else ():
            self._normalise(page)
            await asyncio.sleep(0)

    def _check(self) -> None:
        """Refuse a listing in which not one address is the tenant's: that is a wrong place, not a departure."""
        normaliser, progress = self._normaliser, self._progress
        if normaliser.rows:
            return
        progress.seen = addresses_seen(
            normaliser.entries, 0, normaliser.foreign_domains, normaliser.ignored
        )
        raise Misdirected(
            code="addresses.other_domains" if normaliser.foreign_domains else "addresses.none_valid"
        )
