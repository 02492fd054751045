"""What is recorded, read for people: runs, changes, directories, the fate of a command. Changes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.schedule import tier_of
from worker.codec.stored import load_why
from worker.domain.advice import LOGINS_PAUSED, are_paused
from worker.domain.commands import Envelope, FieldError
from worker.domain.logins import CLAIM_TEXTS, ClaimCode
from worker.domain.model import (
    Change,
    DirectoryId,
    HoldId,
    Mode,
    RunId,
    RunState,
    TenantId,
    Trigger,
)
from worker.domain.why import Why
from worker.ports.reports import (
    Answered,
    ChangeLine,
    ClaimLine,
    DirectoryLine,
    HoldLine,
    LoginChangeLine,
    LoginLine,
    Look,
    ReadinessLine,
    RunLine,
    SetLine,
    Standing,
)
from worker.ports.runs import Backlog


PAGE = 1_000
"""Rows of an export in memory at once."""


@dataclass(frozen=True, slots=True)
class PostgresReports:
    """The Reports and Export ports over Postgres."""

    pool: db.Pool

    async def runs(self, look: Look) -> list[RunLine]:
        """Return runs, the newest first. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            return await _runs(connection, look)

    async def changes(self, look: Look) -> list[ChangeLine]:
        """Return changes of addresses, the newest first. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(connection, "report_changes", **_changes_of(look))
        return [_change_line(each) for each in found]

    async def login_changes(self, look: Look) -> list[LoginChangeLine]:
        """Return changes of quarantine logins, the newest first. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(connection, "report_login_changes", **_changes_of(look))
        return [LoginChangeLine(**dict(each)) for each in found]

    async def every_run(self, look: Look, tell: Callable[[Sequence[RunLine]], None]) -> None:
        """Tell all runs page by page. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            cursor = await db.cursor(connection, "report_runs", **_runs_of(look))
            while page := await cursor.fetch(PAGE):
                tell([_run_line(each) for each in page])

    async def every_change(self, look: Look, tell: Callable[[Sequence[ChangeLine]], None]) -> None:
        """Tell all changes page by page. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            cursor = await db.cursor(connection, "report_changes", **_changes_of(look))
            while page := await cursor.fetch(PAGE):
                tell([_change_line(each) for each in page])

    async def directories(
        self, tenant: TenantId | None, *, reseller: str | None = None, most: int
    ) -> list[DirectoryLine]:
        """Return directories, those in trouble first. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(
                connection, "report_directories", tenant=tenant, reseller=reseller, most=most
            )
        return list(map(_directory_line, found))

    async def readiness(self, tenant: TenantId) -> list[ReadinessLine]:
        """Return how far the lists of a tenant's domains can be trusted. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(connection, "report_readiness", tenant=tenant)
        return [
            ReadinessLine(**{**dict(each), "kinds": orjson.loads(each["kinds"])}) for each in found
        ]

    async def knows(self, tenant: TenantId) -> bool:
        """Tell whether there is such a tenant. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            return bool((await db.only(connection, "report_tenant", tenant=tenant))["known"])

    async def knows_directory(self, tenant: TenantId, directory: DirectoryId) -> bool:
        """Tell whether a tenant has such a directory, or had one. Raises StoreFailure."""
        asked = {"tenant": tenant, "directory": directory}
        async with db.transaction(self.pool) as connection:
            return bool((await db.only(connection, "report_directory", **asked))["known"])

    async def backlog(self) -> Backlog:
        """Count what waits. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            return Backlog(**dict(await db.only(connection, "backlog")))

    async def answers(self, envelope: Envelope) -> list[Answered]:
        """Return the events that answered a command. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(
                connection, "report_answers", source=envelope.source, id=envelope.id
            )
        return [Answered(each["name"], orjson.loads(each["data"])) for each in found]

    async def holds(self, tenant: TenantId) -> list[HoldLine]:
        """Return the open holds of a tenant, the oldest first. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(connection, "report_holds", tenant=tenant)
        return [
            HoldLine(**{**dict(each), "reasons": orjson.loads(each["reasons"])}) for each in found
        ]

    async def waiting(
        self, tenant: TenantId, of: HoldId | RunId, *, most: int | None
    ) -> list[SetLine]:
        """Return the addresses of a hold, or what a preview would have changed. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(connection, "report_set", tenant=tenant, of=of, most=most)
        return [SetLine(**dict(each)) for each in found]

    async def logins(
        self, tenant: TenantId, directory: DirectoryId | None, *, most: int
    ) -> list[LoginLine]:
        """Return quarantine logins, by user name. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(
                connection, "report_logins", tenant=tenant, directory=directory, most=most
            )
        return [LoginLine(**dict(each)) for each in found]

    async def logins_of(self, tenant: TenantId, address: str) -> list[LoginLine]:
        """Return the quarantine logins that an address leads to, or that have its name. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(
                connection, "report_logins_of_address", tenant=tenant, address=address
            )
        return [LoginLine(**dict(each)) for each in found]

    async def claims(
        self, tenant: TenantId, directory: DirectoryId | None, *, most: int
    ) -> list[ClaimLine]:
        """Return what entries claim for their logins and do not get, by address. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.rows(
                connection, "report_claims", tenant=tenant, directory=directory, most=most
            )
        return [
            ClaimLine(
                **{**each, "mailboxes": tuple(each["mailboxes"])},
                text=CLAIM_TEXTS[ClaimCode(each["code"])],
            )
            for each in found
        ]

    async def why(self, asked: str, tenant: TenantId | None) -> Why:
        """Return all that is known of one address; with a tenant, what that tenant's directories rejected.

        Raises StoreFailure.
        """
        async with db.transaction(self.pool) as connection:
            found = await db.only(connection, "report_why", asked=asked, tenant=tenant)
        return load_why(found["told"].encode())

    async def standing(self, envelope: Envelope) -> Standing | None:
        """Return what became of a command. Raises StoreFailure."""
        async with db.transaction(self.pool) as connection:
            found = await db.row(
                connection, "report_command", source=envelope.source, id=envelope.id
            )
            if found is None:
                return None
            run = found["run_id"] and await _runs(
                connection, Look(envelope.tenant, run=found["run_id"], most=1)
            )
        return Standing(
            state=found["state"],
            errors=tuple(FieldError(**error) for error in orjson.loads(found["reason"] or "[]")),
            run=run[0] if run else None,
            is_behind=found["is_behind"],
        )


def _directory_line(found: asyncpg.Record) -> DirectoryLine:
    told = dict(found)
    plan = tier_of(found)
    asked = told.pop("asks_logins")
    del told["tier"], told["reseller_tier"]
    stilled = (LOGINS_PAUSED,) if are_paused(asked=asked, plan=plan) else ()
    return DirectoryLine(**{**told, "warnings": (*told["warnings"], *stilled)})


def _runs_of(look: Look) -> dict[str, object]:
    return {
        "tenant": look.tenant,
        "directory": look.directory,
        "run": look.run,
        "most": look.most,
    }


def _changes_of(look: Look) -> dict[str, object]:
    return {**_runs_of(look), "address": look.address}


async def _runs(connection: db.Connection, look: Look) -> list[RunLine]:
    found = await db.rows(connection, "report_runs", **_runs_of(look))
    return [_run_line(each) for each in found]


def _change_line(record: asyncpg.Record) -> ChangeLine:
    return ChangeLine(
        record["at"],
        record["directory"],
        record["run"],
        record["address"],
        Change(record["change"]),
        record["by"],
    )


def _run_line(record: asyncpg.Record) -> RunLine:
    return RunLine(
        run=RunId(record["run"]),
        directory=DirectoryId(record["directory"]),
        trigger=Trigger(record["trigger"]),
        mode=Mode(record["mode"]),
        state=RunState(record["state"]),
        verdict=record["verdict"],
        attempt=record["attempt"],
        counts=orjson.loads(record["counts"] or "{}"),
        seconds=orjson.loads(record["seconds"] or "{}"),
        reasons=orjson.loads(record["reasons"] or "[]"),
        finding=orjson.loads(record["finding"] or "null"),
        queued_at=record["queued_at"],
        started_at=record["started_at"],
        finished_at=record["finished_at"],
        advice=orjson.loads(record["advice"]),
        hold=record["hold"] and HoldId(record["hold"]),
    )
