"""The quarantine logins of one directory, settled within the final transaction of its run. In sets: it may be 250,000.

Before the verdict: whose login would end. After it, once the addresses are written: names, states, addresses, conflicts, and
what is told. The tenant's row is locked, so names and addresses are given to one at a time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import Place
from worker.adapters.postgres.endings import RunRow
from worker.domain.entries import KINDS
from worker.domain.events import LoginCounts, UnmetClaim
from worker.domain.guard import SAMPLE, WINDOW_DAYS, Discarded, DomainCount
from worker.domain.logins import (
    ADDRESSES_MAX_COUNT,
    CLAIM_TEXTS,
    NAME_KEPT,
    ClaimCode,
    are_ended,
    primary_is_told,
    rule_of,
)
from worker.domain.model import DirectoryId, DirectorySettings, TenantId


PART_BYTES = 100 * 1024
"""With one line more (500 addresses of 254 octets, RFC 5321) and the envelope a part stays under 256 KiB."""

ANALYZE_ABOVE_ROWS = 10_000
"""Below, statistics cost more than they save."""

MAKE = (
    "make_ending",
    "make_login_candidate",
    "make_login_shown",
    "make_login_entry",
    "make_login_step",
    "make_login_line",
)


@dataclass(frozen=True, slots=True)
class Telling:
    """Under which names, and in answer to what, changes of logins are recorded and told."""

    tenant: TenantId
    directory: DirectoryId | None
    now: datetime
    run_id: UUID | None = None
    command: int | None = None
    causes: tuple[str, ...] = ()
    traceparent: str | None = None


async def make_tables(connection: db.Connection) -> None:
    """Make what the statements work with; kept per connection."""
    for table in MAKE:
        await db.run(connection, table)


@dataclass(frozen=True, slots=True)
class RunLogins:
    """The logins of the directory that a run is about."""

    connection: db.Connection
    row: RunRow
    settings: DirectorySettings
    everything: bool
    """Not only what the run changed: they were settled by another rule, or not at all."""
    telling: Telling

    @property
    def _here(self) -> dict[str, int]:
        return {"tenant_id": self.row.tenant_id, "directory_id": self.row.directory_id}

    @property
    def _kinds(self) -> list[int]:
        return [KINDS.index(kind) for kind in self.settings.logins.kinds]

    @property
    def _window_from(self) -> datetime:
        return self.telling.now - timedelta(days=WINDOW_DAYS)

    # --- before the verdict ----------------------------------------------------

    async def weigh(self) -> None:
        """Find the logins that the staged snapshot gives no right to."""
        if are_ended(self.settings):
            await db.run(
                self.connection,
                "fill_ending",
                kinds=self._kinds,
                window_from=self._window_from,
                **self._here,
            )

    async def counted(self, domains: tuple[DomainCount, ...]) -> tuple[DomainCount, ...]:
        """Add to what the guard may know the logins that would end now, or ended during the window."""
        found = await db.rows(
            self.connection,
            "count_ending",
            window_from=self._window_from,
            **self._here,
        )
        by_name = {count.domain: count for count in domains}
        for each in found:
            known = by_name.get(each["domain"]) or DomainCount(
                each["domain"], each["recipients"], 0, 0
            )
            by_name[each["domain"]] = _joined(known, each)
        return tuple(by_name[name] for name in sorted(by_name))

    async def discarded(self, hold_id: UUID, known: Discarded) -> Discarded:
        """Add those whom a person wanted to keep when a hold was discarded."""
        found = await db.only(self.connection, "count_discarded_logins", hold_id=hold_id)
        sample = (*known.sample, *found["sample"])[:SAMPLE]
        return Discarded(known.kept + found["kept"], sample)

    async def waiting(self) -> int:
        """How many logins wait for a person, besides the addresses that do."""
        return int((await db.only(self.connection, "count_ending_only"))["waiting"])

    # --- after it --------------------------------------------------------------

    async def settle(self, *, is_held: bool) -> LoginCounts:
        """Make every login of the directory what it should be; those that a hold keeps stay."""
        if await self._gather_candidates():
            await self._settle_entries(is_held=is_held)
        counted = await db.only(self.connection, "count_login_steps", tenant_id=self.row.tenant_id)
        conflicts = await self._count_conflicts()
        return LoginCounts(
            created=counted["created"],
            renamed=counted["renamed"],
            deactivated=counted["deactivated"],
            reactivated=counted["reactivated"],
            conflicts=conflicts,
            unmet=await self._first_conflicts() if conflicts else (),
        )

    async def _count_conflicts(self) -> int:
        counted = await db.only(self.connection, "count_login_conflicts", **self._here)
        return int(counted["conflicts"])

    async def _first_conflicts(self) -> tuple[UnmetClaim, ...]:
        found = await db.rows(self.connection, "first_login_conflicts", most=SAMPLE, **self._here)
        return tuple(map(_unmet, found))

    async def _gather_candidates(self) -> int:
        query = "all_login_candidates" if self.everything else "changed_login_candidates"
        gathered = await db.run(self.connection, query, **self._here)
        if gathered > ANALYZE_ABOVE_ROWS:
            await db.run(self.connection, "analyze_login_candidate")
        return gathered

    async def _settle_entries(self, *, is_held: bool) -> None:
        on, here, now = self.connection, self._here, self.telling.now
        shown = await db.run(on, "fill_login_shown", **here)
        if shown > ANALYZE_ABOVE_ROWS:
            await db.run(on, "analyze_login_shown")
        await db.run(
            on,
            "fill_login_entries",
            kinds=self._kinds,
            deactivates=are_ended(self.settings),
            held=is_held,
            told=primary_is_told(self.settings),
            **here,
        )
        if shown > ANALYZE_ABOVE_ROWS:
            await db.run(on, "analyze_login_entry")
        await db.run(on, "drop_lost_addresses", tenant_id=self.row.tenant_id)
        await db.run(on, "release_names", tenant_id=self.row.tenant_id, now=now, kept=NAME_KEPT)
        await db.run(on, "name_conflicts", tenant_id=self.row.tenant_id)
        await self._lead_addresses()
        await db.run(on, "step_logins", role=self.settings.logins.role)
        await self._write()

    async def _lead_addresses(self) -> None:
        on = self.connection
        sizes = await db.only(on, "count_login_entries")
        if sizes["most_addresses"] > ADDRESSES_MAX_COUNT:
            await db.run(on, "trim_addresses", most=ADDRESSES_MAX_COUNT)
        await db.run(on, "lead_addresses", tenant_id=self.row.tenant_id)

    async def _write(self) -> None:
        on, here, now = self.connection, self._here, self.telling.now
        role = self.settings.logins.role
        await db.run(on, "create_logins", role=role, now=now, **here)
        await db.run(
            on,
            "change_logins",
            role=role,
            now=now,
            **here,
        )
        await db.run(on, "drop_login_conflicts", everything=self.everything, **here)
        await db.run(on, "keep_login_conflicts", now=now, most=ADDRESSES_MAX_COUNT, **here)

    async def note(self) -> None:
        """Keep by which rule, and by which run, all of them are settled."""
        await db.run(
            self.connection,
            "note_logins",
            rule=rule_of(self.settings),
            run_id=self.row.run_id,
            directory_id=self.row.directory_id,
        )


async def render(connection: db.Connection, *, tenant_id: int, telling: Telling) -> int:
    """Record what became of logins and render it; gives how many parts it takes to tell."""
    await db.run(
        connection,
        "write_login_history",
        now=telling.now,
        tenant_id=tenant_id,
        run_id=telling.run_id,
        command=telling.command,
    )
    rendered = await db.run(
        connection, "fill_login_lines", tenant_id=tenant_id, part_bytes=PART_BYTES
    )
    if not rendered:
        return 0
    return int((await db.only(connection, "count_login_parts"))["parts"])


async def tell(connection: db.Connection, telling: Telling, place: Place, *, parts: int) -> None:
    """Put what was rendered into the outbox, from this place on."""
    await db.run(
        connection,
        "write_login_events",
        tenant=telling.tenant,
        directory=telling.directory,
        run_id=telling.run_id,
        causes=orjson.dumps(telling.causes).decode(),
        now=telling.now,
        traceparent=telling.traceparent,
        epoch=place.epoch,
        first=place.sequence,
        parts=parts,
    )


def _joined(known: DomainCount, logins: asyncpg.Record) -> DomainCount:
    """A login that ended before keeps its address among the recipients: it is counted once, as one that left."""
    return DomainCount(
        known.domain,
        known.recipients - logins["gone"],
        known.leaving + logins["leaving"],
        known.left + logins["gone"],
        (*known.sample, *logins["sample"])[:SAMPLE],
        known.lingering,
        known.logins + logins["leaving"],
    )


def _unmet(found: asyncpg.Record) -> UnmetClaim:
    text = CLAIM_TEXTS[ClaimCode(found["code"])]
    return UnmetClaim(found["address"], found["code"], text, tuple(found["mailboxes"]))
