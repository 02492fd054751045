"""The store with hands and no servers but its own: commands in at the door, snapshots out of thin air, time at will."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple
from uuid import NAMESPACE_DNS, UUID, uuid5

import asyncpg
import orjson
from jsonschema import Draft202012Validator

from tests.fakes.clock import StandingClock
from worker.adapters.postgres.desk import PostgresOrders
from worker.adapters.postgres.fleet import PostgresFleet
from worker.adapters.postgres.intake import PostgresIntake
from worker.adapters.postgres.outbox import PostgresOutbox
from worker.adapters.postgres.pool import Pool
from worker.adapters.postgres.runs import Claiming, PostgresRuns
from worker.adapters.postgres.schedule import PostgresSchedule
from worker.adapters.postgres.sign_ins import PostgresSignIns
from worker.adapters.postgres.spool import open_spool
from worker.adapters.postgres.sweeper import PostgresSweeper
from worker.codec.schemas import message_schema
from worker.domain.commands import (
    AddRecipients,
    ApproveHold,
    CancelSync,
    CheckDirectory,
    Command,
    DeleteDirectory,
    DeleteTenant,
    DiscardHold,
    Envelope,
    PauseDirectory,
    Received,
    Refused,
    RemoveRecipients,
    RepublishRecipients,
    RequestSync,
    ResumeDirectory,
    SaveDirectory,
    SaveTenant,
    UndoRun,
)
from worker.domain.events import HoldRef
from worker.domain.fleet import FleetLimits
from worker.domain.guard import judge
from worker.domain.model import (
    Address,
    ClaimedRun,
    DirectoryId,
    DirectorySettings,
    Domain,
    HoldId,
    Mode,
    Removals,
    RunId,
    Secret,
    Server,
    TenantId,
    Tier,
    Trigger,
)
from worker.domain.outcomes import Outcome, Tally
from worker.domain.reasons import KeptRejects
from worker.flows.carry import carry
from worker.ports.runs import Snapshot
from worker.ports.telemetry import NoTelemetry
from worker.ports.vault import Vault


TENANT = TenantId("acme")
HQ = DirectoryId("hq")
PASSWORD = "s3cr3t"
MESSAGE_MAX_BYTES = 256 * 1024

NAMES: dict[type[Command], str] = {
    SaveTenant: "tenant.save",
    DeleteTenant: "tenant.delete",
    SaveDirectory: "directory.save",
    CheckDirectory: "directory.test",
    DeleteDirectory: "directory.delete",
    PauseDirectory: "directory.pause",
    ResumeDirectory: "directory.resume",
    RequestSync: "sync.request",
    CancelSync: "sync.cancel",
    ApproveHold: "hold.approve",
    DiscardHold: "hold.discard",
    UndoRun: "run.undo",
    AddRecipients: "recipient.add",
    RemoveRecipients: "recipient.remove",
    RepublishRecipients: "recipients.republish",
}


class Row(NamedTuple):
    """One address of one entry, as the normaliser packs it."""

    address: str
    entry: UUID
    kind: int = 0
    is_primary: bool = True
    enabled: bool = True
    name: str | None = None

    def packed(self) -> bytes:
        """Return the line for COPY."""
        told = "\\N" if self.name is None else self.name
        flags = f"{'t' if self.is_primary else 'f'}\t{'t' if self.enabled else 'f'}"
        return f"{self.address}\t{self.entry}\t{self.kind}\t{flags}\t{told}\n".encode()


def row(address: str, entry: str | None = None, **more: Any) -> Row:
    """One row; an entry is known by its name, by default the address itself."""
    return Row(address, uuid5(NAMESPACE_DNS, entry or address), **more)


def rows(*named: "str | Row") -> list[Row]:
    """Rows of addresses that each have an entry of their own."""
    return [each if isinstance(each, Row) else row(each) for each in named]


def people(number: int, domain: str = "example.com") -> list[str]:
    """So many addresses, in order."""
    return [f"p{place:05}@{domain}" for place in range(number)]


def settings(**changed: Any) -> DirectorySettings:
    """A form as an admin would fill it in."""
    form = DirectorySettings(
        name="Head office",
        type="openldap",
        servers=(Server("ldap.example.com"),),
        bind_name="cn=reader,dc=example,dc=com",
    )
    return replace(form, **changed)


def removals(**changed: Any) -> DirectorySettings:
    """The same form with other safety settings."""
    return settings(removals=Removals(**changed))


@dataclass(slots=True)
class House:
    """One database, all of its adapters, one clock."""

    pool: Pool
    clock: StandingClock
    vault: Vault
    runs: PostgresRuns
    ids: "count[int]" = field(default_factory=lambda: count(1))
    stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    async def open(cls, pool: Pool, vault: Vault) -> "House":
        """Stand the clock at the server's hour, so that history has its partitions."""
        now: datetime = await pool.fetchval("SELECT date_trunc('hour', now())")
        clock = StandingClock(now)
        return cls(pool, clock, vault, PostgresRuns(pool, clock, vault, Claiming("worker-1")))

    @property
    def orders(self) -> PostgresOrders:
        """What carries out stored commands."""
        return PostgresOrders(self.pool, self.clock, NoTelemetry())

    @property
    def intake(self) -> PostgresIntake:
        """The door."""
        return PostgresIntake(self.pool, self.clock, self.vault)

    @property
    def outbox(self) -> PostgresOutbox:
        """What waits to be published."""
        return PostgresOutbox(self.pool, "worker-1")

    @property
    def sweeper(self) -> PostgresSweeper:
        """The housekeeper."""
        return PostgresSweeper(self.pool, self.clock, self.runs)

    @property
    def fleet(self) -> PostgresFleet:
        """All directories at once."""
        return PostgresFleet(self.pool, self.clock, FleetLimits())

    @property
    def schedule(self) -> PostgresSchedule:
        """Who is due when."""
        return PostgresSchedule(self.pool, self.clock)

    @property
    def sign_ins(self) -> PostgresSignIns:
        """The gates."""
        return PostgresSignIns(self.pool, self.clock, self.vault)

    def worker(self, owner: str, **changed: Any) -> PostgresRuns:
        """Another worker on the same store."""
        return PostgresRuns(self.pool, self.clock, self.vault, Claiming(owner, **changed))

    # --- commands ------------------------------------------------------------

    def received(
        self,
        command: Command,
        *,
        tenant: str = TENANT,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        body: bytes | None = None,
        reply_to: str | None = None,
        correlation_id: str | None = None,
    ) -> Received:
        """One command as the codec gives it, under an id of its own."""
        name = NAMES[type(command)]
        envelope = Envelope(
            source="test",
            id=id or f"c-{next(self.ids)}",
            tenant=TenantId(tenant),
            name=name,
            reply_to=reply_to,
            correlation_id=correlation_id,
        )
        return Received(envelope, command, body or repr(command).encode())

    async def store(self, *items: Received | Refused) -> None:
        """Take a batch in."""
        await self.intake.store(items)

    async def carry(self) -> int:
        """Carry out all that is due; gives how many."""
        done = 0
        while await self.orders.carry_next(carry):
            done += 1
            assert done < 1_000
        return done

    async def send(self, command: Command, **how: Any) -> str:
        """Take one command in, carry it out; gives its id."""
        item = self.received(command, **how)
        await self.store(item)
        await self.carry()
        return item.envelope.id

    async def save_tenant(
        self,
        *domains: Domain | str,
        tenant: str = TENANT,
        tier: Tier = Tier.ENTERPRISE,
        reseller: str | None = None,
        revision: int | None = None,
    ) -> str:
        """A tenant with these domains."""
        named = tuple(each if isinstance(each, Domain) else Domain(each) for each in domains)
        command = SaveTenant(tier, named or None, reseller, revision)
        return await self.send(command, tenant=tenant)

    async def save_directory(
        self,
        form: DirectorySettings | None = None,
        *,
        directory: str = HQ,
        tenant: str = TENANT,
        password: str | None = PASSWORD,
        sync: bool = False,
        force: bool = False,
        revision: int | None = None,
        **how: Any,
    ) -> str:
        """A directory, in force at once unless it is to be synced first."""
        command = SaveDirectory(
            directory=DirectoryId(directory),
            settings=form or settings(),
            password=self.vault.seal(Secret(password)) if password else None,
            client_key=None,
            sync=sync,
            force=force,
            revision=revision,
        )
        return await self.send(command, tenant=tenant, **how)

    async def founded(self, form: DirectorySettings | None = None) -> "House":
        """One tenant with example.com and one directory in force, as most tests begin."""
        await self.save_tenant("example.com")
        await self.save_directory(form)
        return self

    async def request(
        self,
        directory: str = HQ,
        *,
        tenant: str = TENANT,
        trigger: Trigger = Trigger.MANUAL,
        mode: Mode = Mode.APPLY,
        **how: Any,
    ) -> str:
        """Ask for a run; gives the id of the command."""
        command = RequestSync(DirectoryId(directory), trigger, mode)
        return await self.send(command, tenant=tenant, **how)

    async def add(self, *addresses: str, adopt: bool = False, protect: bool = False) -> str:
        """Hold addresses by hand."""
        command = AddRecipients(tuple(map(Address, addresses)), adopt, protect)
        return await self.send(command)

    async def remove(self, *addresses: str) -> str:
        """End the source by hand."""
        return await self.send(RemoveRecipients(tuple(map(Address, addresses))))

    async def hold(self, directory: str = HQ) -> HoldRef:
        """The directory's open hold, as a person sees it."""
        (found,) = {
            (each["hold"], each["version"])
            for each in await self.fetch("SELECT * FROM api.hold WHERE directory = $1", directory)
        }
        return HoldRef(HoldId(found[0]), found[1])

    async def approve(self, hold: HoldRef | None = None) -> str:
        """Approve what the person sees: by default the hold as it stands."""
        seen = hold or await self.hold()
        return await self.send(ApproveHold(seen.id, seen.version))

    async def discard(self, hold: HoldRef | None = None) -> str:
        """Discard what the person sees."""
        seen = hold or await self.hold()
        return await self.send(DiscardHold(seen.id, seen.version))

    async def last_run(self) -> RunId:
        """The run that ended last."""
        return RunId(
            await self.value(
                "SELECT run FROM api.run ORDER BY finished_at DESC, queued_at DESC LIMIT 1"
            )
        )

    async def undo(self, run: RunId | None = None) -> str:
        """Undo a run: by default the last."""
        return await self.send(UndoRun(run or await self.last_run()))

    async def rejections(self) -> list[tuple[str, str]]:
        """Field and code of everything that was refused, in order."""
        return [
            (error["field"], error["code"])
            for event in await self.events("command.rejected")
            for error in event["data"]["errors"]
        ]

    # --- runs ----------------------------------------------------------------

    async def claim(self) -> ClaimedRun:
        """Claim the one run that is due."""
        claimed = await self.runs.claim(10)
        assert len(claimed) == 1
        return claimed[0]

    def snapshot(
        self,
        run: ClaimedRun,
        listed: Iterable[Row],
        *,
        scope: str = "scope",
        read_at: datetime | None = None,
        wire_digest: bytes = b"",
        ends_with: bytes = b"",
        certificate_until: datetime | None = None,
        password_until: datetime | None = None,
    ) -> Snapshot:
        """What a complete read would have given."""
        packed = [each.packed() for each in listed]
        digest = hashlib.blake2b(repr(sorted(packed)).encode(), digest_size=16)
        digest.update(f"{scope} {run.domains}".encode())
        spool = self.stack.enter_context(open_spool())
        spool.add(b"".join(packed) + ends_with)
        return Snapshot(
            spool=spool,
            rows=len(packed),
            digest=digest.digest(),
            scope=scope,
            read_at=read_at or self.clock.at,
            tally=Tally(entries=len(packed)),
            connect_s=0.01,
            read_s=0.02,
            wire_digest=wire_digest,
            rejects=KeptRejects(b"", 0, bytes(16)),
            certificate_until=certificate_until,
            password_until=password_until,
        )

    async def conclude(self, run: ClaimedRun, snapshot: Snapshot) -> Outcome:
        """The final transaction."""
        async with self.runs.final(run, snapshot) as final:
            evidence = await final.compare()
            return await final.record(judge(evidence, run.settings.removals))

    async def sync(
        self,
        *listed: str | Row,
        directory: str = HQ,
        tenant: str = TENANT,
        mode: Mode = Mode.APPLY,
        trigger: Trigger = Trigger.MANUAL,
        scope: str = "scope",
    ) -> Outcome:
        """One run from request to outcome, with the directory showing just this."""
        await self.request(directory, tenant=tenant, mode=mode, trigger=trigger)
        run = await self.claim()
        return await self.conclude(run, self.snapshot(run, rows(*listed), scope=scope))

    async def sync_later(self, *listed: str | Row, minutes: float = 31, **how: Any) -> Outcome:
        """The same, some time later: by default far enough apart to count as another run."""
        self.clock.forward(minutes=minutes)
        return await self.sync(*listed, **how)

    # --- what can be seen ----------------------------------------------------

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Look into a table."""
        found: list[asyncpg.Record] = await self.pool.fetch(sql, *arguments)
        return found

    async def value(self, sql: str, *arguments: object) -> Any:
        """Look at one value."""
        return await self.pool.fetchval(sql, *arguments)

    async def states(self, tenant: str = TENANT) -> dict[str, str]:
        """What the tenant's list says of each address it knows."""
        found = await self.fetch(
            "SELECT address, state FROM api.recipient WHERE tenant = $1", tenant
        )
        return {each["address"]: each["state"] for each in found}

    async def steps(self, directory: str = HQ) -> dict[str, str]:
        """How far each address is on its way out of a directory."""
        found = await self.fetch(
            """SELECT DISTINCT h.address, coalesce(d.step, 'present') AS step
               FROM rollcall.holding h
               JOIN rollcall.directory i USING (tenant_id, directory_id)
               LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
               WHERE i.directory = $1""",
            directory,
        )
        return {each["address"]: each["step"] for each in found}

    async def history(self) -> list[tuple[str, str]]:
        """Each address and its change, in order."""
        found = await self.fetch(
            "SELECT address, change FROM rollcall.history ORDER BY at, address"
        )
        return [(each["address"], each["change"]) for each in found]

    async def look(self, address: str) -> str:
        """What SMTP is told."""
        found: str = await self.value("SELECT state FROM api.lookup($1)", address)
        return found

    async def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The events in the outbox for the exchange, oldest first; of one name, or all."""
        found = await self.fetch(
            "SELECT body FROM rollcall.outbox WHERE routing_key IS NOT NULL ORDER BY number"
        )
        told: list[dict[str, Any]] = [orjson.loads(each["body"]) for each in found]
        return [each for each in told if name is None or each["type"] == f"rollcall.{name}.v1"]

    async def last(self, name: str) -> Any:
        """The data of the youngest event of a name."""
        return (await self.events(name))[-1]["data"]

    async def changes(self) -> list[tuple[str, str, str]]:
        """All changes told in recipients.changed: address, change, state; in the order told."""
        return [
            (each["address"], each["change"], each["state"])
            for event in await self.events("recipients.changed")
            for each in event["data"]["changes"]
        ]

    async def whole(self, table: str) -> list[asyncpg.Record]:
        """All rows of a table, with what tells whether one was written again."""
        return await self.fetch(f"SELECT ctid, xmin::text, * FROM rollcall.{table} ORDER BY 1")  # noqa: S608 - a name the test gives

    async def seen(self, view: str) -> int:
        """How many rows others see in a view."""
        found: int = await self.value(f"SELECT count(*) FROM api.{view}")  # noqa: S608 - a name the test gives
        return found

    async def forget_events(self) -> None:
        """Look at later events only; the sequence goes on."""
        await self.pool.execute("DELETE FROM rollcall.outbox")


async def check(house: House) -> None:
    """What holds after every test, whatever it did."""
    assert await recounted(house) == []
    assert await house.fetch(ORPHANS) == []
    assert await house.fetch(MISCOUNTED) == []
    check_messages(await house.fetch("SELECT body FROM rollcall.outbox ORDER BY number"))


ORPHANS = """
SELECT d.* FROM rollcall.departure d
WHERE NOT EXISTS (SELECT FROM rollcall.holding h
    WHERE (h.tenant_id, h.address, h.directory_id) = (d.tenant_id, d.address, d.directory_id))
"""


MISCOUNTED = """
SELECT domain, kinds, rollcall.kinds_of(tenant_id, domain) AS counted FROM rollcall.domain
WHERE removed_at IS NULL AND kinds IS NOT NULL AND kinds <> rollcall.kinds_of(tenant_id, domain)
"""
"""Domains whose addresses by kind are kept otherwise than counting gives."""


async def recounted(house: House) -> list[asyncpg.Record]:
    """Domains whose counter is not what counting gives; counted without a plan row by row, whatever the statistics say."""
    async with house.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_nestloop = off")
        return await connection.fetch(RECOUNTED)


RECOUNTED = """
SELECT m.domain, m.recipients, count(v.address) AS counted
FROM rollcall.domain m
LEFT JOIN (
    SELECT DISTINCT h.tenant_id, h.address FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE coalesce(d.step, 'missing') = 'missing'
) v ON v.tenant_id = m.tenant_id AND split_part(v.address, '@', 2) = m.domain
WHERE m.removed_at IS NULL
GROUP BY m.domain_id, m.domain, m.recipients
HAVING m.recipients <> count(v.address)
"""


def check_messages(records: Sequence[asyncpg.Record]) -> None:
    """Each is within bounds and as its schema says; sequences have no gap and no repeat."""
    seen: dict[tuple[str, int], int] = {}
    told = set()
    for record in records:
        body = record["body"]
        assert len(body.encode()) <= MESSAGE_MAX_BYTES
        message = orjson.loads(body)
        if message["id"] in told:
            continue  # the same event to a reply queue, or again
        told.add(message["id"])
        validate(message)
        if "sequence" in message["data"]:
            key = (message["subject"], message["data"]["epoch"])
            assert message["data"]["sequence"] == seen.get(key, message["data"]["sequence"] - 1) + 1
            seen[key] = message["data"]["sequence"]


_VALIDATORS: dict[str, Draft202012Validator] = {}


def validate(message: dict[str, Any]) -> None:
    """Hold a message to the schema of its type."""
    name = message["type"].removeprefix("rollcall.").removesuffix(".v1")
    if name not in _VALIDATORS:
        _VALIDATORS[name] = Draft202012Validator(message_schema(name))
    _VALIDATORS[name].validate(message)


def canaries(*addresses: str) -> DirectorySettings:
    """The form with canaries."""
    return removals(canaries=tuple(Address(each) for each in addresses))
