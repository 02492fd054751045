"""Carrying out stored commands: one command, one transaction, in stored order per tenant.

Isolation: READ COMMITTED; the command's row is locked first (nobody else takes this tenant's next command
meanwhile), then the tenant's row, then the directory's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg
import orjson

from worker.adapters.postgres import decisions, pool as db
from worker.adapters.postgres.announce import Answer, Place, announce, take_places
from worker.adapters.postgres.endings import RunRow, cancelled, end_run
from worker.adapters.postgres.translate import PASSING
from worker.codec.stored import decode_command, dump_settings, load_settings
from worker.domain import events
from worker.domain.addresses import display_domain
from worker.domain.commands import (
    DeleteDirectory,
    Envelope,
    FieldError,
    SaveDirectory,
    SaveTenant,
    Stored,
)
from worker.domain.events import Event, TenantFacts
from worker.domain.model import (
    DirectoryId,
    Domain,
    Mode,
    RunId,
    Secret,
    TenantId,
    Tier,
    Trigger,
)
from worker.domain.rulings import (
    DirectoryRecord,
    DomainChanges,
    TenantRecord,
    keeps_client_key,
    keeps_password,
)
from worker.ports import Clock, Desk, Done, Rejected, Settled, Telemetry, Waiting


DECIDED_GRACE = timedelta(hours=72)
"""How long an address is known after a person took its domain off."""

LOOK_AGAIN = timedelta(seconds=1)
"""How soon a command that waits is looked at again; ever later the longer it has waited, since its tenant's other
commands wake it: this is for a wake that was missed."""

LOOK_AT_MOST = 20
"""Tenants whose next command is tried before giving up for now: the others' rows are locked."""

LOOK_AMONG = 200
"""Commands that are looked at for the next of each tenant, those that are due the longest."""

INTERNAL = FieldError(
    "", "internal", "This could not be carried out because of a fault of ours; we have been told."
)

Carry = Callable[[Desk], Awaitable[Settled]]


@dataclass(frozen=True, slots=True)
class PostgresOrders:
    """The Orders port over Postgres."""

    pool: db.Pool
    clock: Clock
    telemetry: Telemetry
    patience: timedelta = timedelta(seconds=60)
    """How long a command waits for a tenant or directory that is not known yet."""

    async def carry_next(self, carry: Carry) -> bool:
        """Carry out the next due command; what it writes and how it is settled commit together."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "make_touched")
            record = await self._take(connection, now)
            if record is None:
                return False
            try:
                async with connection.transaction():
                    await self._carry(PostgresDesk(connection, _stored(record), now), carry)
            except PASSING:
                raise
            except Exception as bug:  # noqa: BLE001 - a command that breaks us is refused, not met for ever
                self.telemetry.event("command_broke", level="error", error=bug)
                slip = Slip(connection, record["number"], _envelope(record), now)
                await slip.reject(Rejected((INTERNAL,)))
        return True

    async def _take(self, connection: db.Connection, now: datetime) -> asyncpg.Record | None:
        bounds = {"now": now, "most": LOOK_AT_MOST}
        first = await db.rows(connection, "due_commands", window=LOOK_AMONG, **bounds)
        taken = await _first_free(connection, first)
        if taken is not None or not first:
            return taken
        tried = [due["tenant"] for due in first]
        return await _first_free(
            connection, await db.rows(connection, "due_elsewhere", but=tried, **bounds)
        )

    async def _carry(self, desk: "PostgresDesk", carry: Carry) -> None:
        await self._settle(desk, await carry(desk))

    async def _settle(self, desk: "PostgresDesk", settled: Settled) -> None:
        match settled:
            case Waiting(missing) if desk.now - desk.stored.received_at < self.patience:
                await desk.wait(_look_again_at(desk, self.patience))
            case Waiting(missing):
                await desk.slip.reject(Rejected((missing,)))
            case Rejected():
                await desk.slip.reject(settled)
            case Done():
                await desk.finish(settled)


async def _first_free(
    connection: db.Connection, found: Sequence[asyncpg.Record]
) -> asyncpg.Record | None:
    for due in found:
        taken = await db.row(connection, "take_command", number=due["number"], tenant=due["tenant"])
        if taken is not None:
            return taken
    return None


def _look_again_at(desk: "PostgresDesk", patience: timedelta) -> datetime:
    received_at = desk.stored.received_at
    pause = max(LOOK_AGAIN, (desk.now - received_at) / 2)
    return min(desk.now + pause, max(received_at + patience, desk.now + LOOK_AGAIN))


def _stored(record: asyncpg.Record) -> Stored:
    return Stored(
        number=record["number"],
        envelope=_envelope(record),
        command=decode_command(record["name"], record["body"].encode()),
        received_at=record["received_at"],
    )


def _envelope(record: asyncpg.Record) -> Envelope:
    return Envelope(
        source=record["source"],
        id=record["id"],
        tenant=TenantId(record["tenant"]),
        name=record["name"],
        reply_to=record["reply_to"],
        correlation_id=record["correlation_id"],
        traceparent=record["traceparent"],
    )


@dataclass(frozen=True, slots=True)
class Slip:
    """What settles a command whatever it means: its number and where its answer goes."""

    connection: db.Connection
    number: int
    envelope: Envelope
    now: datetime

    async def reject(self, rejected: Rejected) -> None:
        """Answer what is wrong, park the reason, settle the command."""
        await db.run(
            self.connection,
            "park_command",
            now=self.now,
            number=self.number,
            reason=orjson.dumps(rejected.errors).decode(),
        )
        await self.answer(events.command_rejected(self.envelope, rejected.errors), place=None)
        await self.close("rejected")

    async def answer(self, event: Event, *, place: Place | None) -> None:
        """Tell an event that is the command's outcome."""
        answer = Answer(self.number, self.envelope.reply_to, self.envelope.correlation_id)
        await announce(
            self.connection,
            event,
            now=self.now,
            place=place,
            answers=(answer,),
            traceparent=self.envelope.traceparent,
        )

    async def close(self, state: str) -> None:
        """Settle the command; its body, which may hold a sealed secret, goes."""
        await db.run(
            self.connection, "finish_command", number=self.number, state=state, now=self.now
        )


class PostgresDesk:
    """One command in hand, and the books it may write."""

    def __init__(self, connection: db.Connection, stored: Stored, now: datetime) -> None:
        self.connection = connection
        self.stored = stored
        self.now = now
        self.tenant = PostgresTenants(self)
        self.directories = PostgresDirectories(self)
        self.runs = PostgresRunBook(self)
        self._tenant_id: int | None = None

    @property
    def tenant_id(self) -> int:
        """The number of the tenant found. Raises LookupError before that."""
        if self._tenant_id is None:
            raise LookupError
        return self._tenant_id

    @tenant_id.setter
    def tenant_id(self, found: int) -> None:
        self._tenant_id = found

    @property
    def causes(self) -> tuple[str, ...]:
        """What an event of this command answers."""
        return (self.stored.envelope.id,)

    async def wait(self, until: datetime) -> None:
        """Look at the command again then."""
        await db.run(
            self.connection, "wait_for_its_tenant", number=self.stored.number, try_after=until
        )

    @property
    def slip(self) -> Slip:
        """What settles the command."""
        return Slip(self.connection, self.stored.number, self.stored.envelope, self.now)

    async def finish(self, done: Done) -> None:
        """Tell what was done, settle the command, and look again at those that waited for it."""
        if done.outcome is not None:
            await self.slip.answer(done.outcome, place=await self._place(done.outcome))
        for event in done.also:
            await announce(
                self.connection,
                event,
                now=self.now,
                place=await self._place(event),
                traceparent=self.stored.envelope.traceparent,
            )
        await self.slip.close("done")
        await db.run(
            self.connection, "wake_waiting", tenant=self.stored.envelope.tenant, now=self.now
        )

    async def _place(self, event: Event) -> Place | None:
        if not event.sequenced:
            return None
        return await take_places(self.connection, tenant_id=self.tenant_id, count=1)


@dataclass(frozen=True, slots=True)
class PostgresTenants:
    """The TenantBook port."""

    desk: PostgresDesk

    async def find(self) -> TenantRecord | None:
        """Return and lock the living tenant."""
        on = self.desk.connection
        found = await db.row(on, "find_tenant", tenant=self.desk.stored.envelope.tenant)
        if found is None:
            return None
        self.desk.tenant_id = found["tenant_id"]
        domains = await db.rows(on, "domains_of_tenant", tenant_id=found["tenant_id"])
        return TenantRecord(
            tier=Tier(found["tier"]),
            reseller=found["reseller"],
            revision=found["revision"],
            domains=tuple(
                Domain(d["domain"], d["catch_all"], d["delimiter"], d["alias_of"], d["by_hand"])
                for d in domains
            ),
        )

    async def taken(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these domains that another tenant has; nobody else takes one until the command is settled."""
        await db.run(self.desk.connection, "lock_domains", domains=list(names))
        mine = self.desk._tenant_id or 0  # noqa: SLF001 - its own desk; a new tenant has none yet
        found = await db.rows(
            self.desk.connection, "domains_taken", domains=list(names), tenant_id=mine
        )
        return tuple(record["domain"] for record in found)

    async def save(self, command: SaveTenant, changes: DomainChanges) -> Event:
        """Write plan, reseller and domains."""
        await self._upsert(command, changes)
        await self._change_domains(changes)
        if changes:
            await db.run(
                self.desk.connection,
                "forget_digests",
                tenant_id=self.desk.tenant_id,
                directory_id=None,
            )
        saved = await self.find()
        if saved is None:
            raise LookupError
        return events.tenant_saved(
            self.desk.stored.envelope.tenant,
            causes=self.desk.causes,
            facts=TenantFacts(saved.tier, saved.reseller, saved.revision, saved.domains),
        )

    async def _upsert(self, command: SaveTenant, changes: DomainChanges) -> None:
        on, tenant = self.desk.connection, self.desk.stored.envelope.tenant
        if await self.find() is not None:
            await db.run(
                on,
                "update_tenant",
                tenant_id=self.desk.tenant_id,
                tier=command.tier,
                reseller=command.reseller,
                revision=command.revision,
                domains_changed=int(bool(changes)),
            )
            return
        last = await db.only(on, "last_epoch", tenant=tenant)
        made = await db.only(
            on,
            "insert_tenant",
            tenant=tenant,
            tier=command.tier,
            reseller=command.reseller,
            revision=command.revision,
            epoch=(last["epoch"] or 0) + 1,
            now=self.desk.now,
        )
        self.desk.tenant_id = made["tenant_id"]

    async def _change_domains(self, changes: DomainChanges) -> None:
        on, tenant_id = self.desk.connection, self.desk.tenant_id
        for name in changes.taken_off:
            await db.run(on, "shrink_baseline", tenant_id=tenant_id, domain=name)
            await decisions.depart(
                self.desk_decision(), domain=name, directory_id=None, grace=DECIDED_GRACE
            )
            await db.run(on, "take_off_domain", tenant_id=tenant_id, domain=name, now=self.desk.now)
        for domain in changes.added:
            await db.run(
                on,
                "add_domain",
                display=display_domain(domain.name),
                now=self.desk.now,
                **_columns(tenant_id, domain),
            )
        for domain in changes.changed:
            await db.run(on, "change_domain", **_columns(tenant_id, domain))

    def desk_decision(self) -> decisions.Decision:
        """The decision that this command is."""
        return decision_of(self.desk)

    async def delete(self) -> Done:
        """Hide the tenant, end its runs, erase its secrets."""
        on, tenant_id = self.desk.connection, self.desk.tenant_id
        for record in await db.rows(on, "directories_of_tenant", tenant_id=tenant_id):
            await _stop_runs(self.desk, record["directory_id"], record["directory"])
            await db.run(
                on, "delete_directory", directory_id=record["directory_id"], now=self.desk.now
            )
        outcome = events.tenant_deleted(self.desk.stored.envelope.tenant, causes=self.desk.causes)
        await db.run(on, "delete_tenant", tenant_id=tenant_id, now=self.desk.now)
        return Done(outcome)


def _columns(tenant_id: int, domain: Domain) -> dict[str, object]:
    return {
        "tenant_id": tenant_id,
        "domain": domain.name,
        "catch_all": domain.catch_all,
        "alias_of": domain.alias_of,
        "delimiter": domain.delimiter,
        "by_hand": domain.by_hand,
    }


def decision_of(desk: PostgresDesk, directory: DirectoryId | None = None) -> decisions.Decision:
    """Return the decision that the command in hand is."""
    return decisions.Decision(
        connection=desk.connection,
        tenant_id=desk.tenant_id,
        tenant=desk.stored.envelope.tenant,
        now=desk.now,
        command=desk.stored.number,
        causes=desk.causes,
        directory=directory,
        traceparent=desk.stored.envelope.traceparent,
    )


async def _stop_runs(desk: PostgresDesk, directory_id: int, directory: str) -> None:
    """End the queued runs of a deleted directory and ask the running one to end."""
    for run in await db.rows(desk.connection, "open_runs", directory_id=directory_id):
        await _stop_run(desk, run, directory_id, directory, reason="deleted")


async def _stop_run(
    desk: PostgresDesk, run: asyncpg.Record, directory_id: int, directory: str, *, reason: str
) -> None:
    if run["state"] == "running":
        await db.run(desk.connection, "ask_to_cancel", run_id=run["run_id"], reason=reason)
        return
    row = RunRow(
        run["run_id"],
        desk.tenant_id,
        desk.stored.envelope.tenant,
        directory_id,
        DirectoryId(directory),
    )
    await end_run(desk.connection, row, cancelled(reason), now=desk.now)


@dataclass(frozen=True, slots=True)
class PostgresDirectories:
    """The DirectoryBook port."""

    desk: PostgresDesk

    async def _found(self, directory: DirectoryId) -> asyncpg.Record | None:
        return await db.row(
            self.desk.connection,
            "find_directory",
            tenant_id=self.desk.tenant_id,
            directory=directory,
        )

    async def find(self, directory: DirectoryId) -> DirectoryRecord | None:
        """Return and lock the living directory, with the settings of its newest revision."""
        found = await self._found(directory)
        return None if found is None else _directory(found)

    async def save(self, command: SaveDirectory, *, revision: int, pending: bool) -> Event:
        """Write a new revision, with the secrets given or those kept from the newest one."""
        on = self.desk.connection
        found = await self._found(command.directory)
        password, client_key = _secrets(command, found)
        standing = {
            "revision": revision,
            "asked_revision": command.revision,
            "in_force": None if pending else revision,
            "pending": revision if pending else None,
        }
        if found is None:
            made = await db.only(
                on,
                "insert_directory",
                tenant_id=self.desk.tenant_id,
                directory=command.directory,
                **standing,
            )
            directory_id = made["directory_id"]
        else:
            directory_id = found["directory_id"]
            await db.run(on, "save_directory", directory_id=directory_id, **standing)
        await db.run(
            on,
            "insert_revision",
            directory_id=directory_id,
            revision=revision,
            asked_revision=command.revision,
            settings=dump_settings(command.settings).decode(),
            password_sealed=password,
            client_key_sealed=client_key,
            now=self.desk.now,
        )
        return events.directory_saved(
            self.desk.stored.envelope.tenant,
            command.directory,
            causes=self.desk.causes,
            revision=command.revision if command.revision is not None else revision,
            in_force=not pending,
        )

    async def pause(self, directory: DirectoryId, reason: str | None) -> Event:
        """Pause scheduled runs, or let them go on."""
        found = await self._found(directory)
        if found is None:
            raise LookupError(directory)
        await db.run(
            self.desk.connection,
            "pause_directory",
            directory_id=found["directory_id"],
            reason=reason,
        )
        told = events.directory_paused if reason else events.directory_resumed
        return told(self.desk.stored.envelope.tenant, directory, causes=self.desk.causes)

    async def delete(self, command: DeleteDirectory) -> Done:
        """Delete a directory; what it held departs by decision or stays by hand."""
        on, found = self.desk.connection, await self._found(command.directory)
        if found is None:
            raise LookupError(command.directory)
        directory_id = found["directory_id"]
        await _stop_runs(self.desk, directory_id, command.directory)
        if command.keep_by_hand:
            await self._hand_over(directory_id)
        settings = load_settings(found["settings"].encode())
        await decisions.depart(
            decision_of(self.desk, command.directory),
            domain=None,
            directory_id=directory_id,
            grace=settings.removals.grace,
        )
        await db.run(on, "end_hold", directory_id=directory_id, now=self.desk.now)
        await db.run(on, "delete_directory", directory_id=directory_id, now=self.desk.now)
        return Done(
            events.directory_deleted(
                self.desk.stored.envelope.tenant,
                command.directory,
                causes=self.desk.causes,
                keep_by_hand=command.keep_by_hand,
            )
        )

    async def _hand_over(self, directory_id: int) -> None:
        """Let "by hand" hold what is valid now; what is on its way out goes on, by the clock."""
        here = {"tenant_id": self.desk.tenant_id, "directory_id": directory_id}
        await db.run(self.desk.connection, "keep_by_hand", **here)
        await db.run(self.desk.connection, "stay_by_hand", **here)
        await db.run(self.desk.connection, "delete_handed_over", **here)


def _directory(found: asyncpg.Record) -> DirectoryRecord:
    return DirectoryRecord(
        last_revision=found["last_revision"],
        asked_revision=found["asked_revision"],
        in_force=found["revision_in_force"],
        pending=found["revision_pending"],
        settings=load_settings(found["settings"].encode()),
        has_password=found["password_sealed"] is not None,
        has_client_key=found["client_key_sealed"] is not None,
        paused=found["paused"],
    )


def _secrets(
    command: SaveDirectory, found: asyncpg.Record | None
) -> tuple[Secret | bytes | None, Secret | bytes | None]:
    """Return password and client key of a new revision: those given, or those that may be kept."""
    password: Secret | bytes | None = command.password
    client_key: Secret | bytes | None = command.client_key
    if found is None:
        return password, client_key
    known = _directory(found)
    if keeps_password(command, known):
        password = found["password_sealed"]
    if keeps_client_key(command, known):
        client_key = found["client_key_sealed"]
    return password, client_key


@dataclass(frozen=True, slots=True)
class PostgresRunBook:
    """The RunBook port."""

    desk: PostgresDesk

    async def request(self, directory: DirectoryId, *, trigger: Trigger, mode: Mode) -> Event:
        """Queue a run, or join the one that is queued for the same."""
        on, now = self.desk.connection, self.desk.now
        found = await db.only(
            on, "find_directory", tenant_id=self.desk.tenant_id, directory=directory
        )
        reads_pending = trigger is Trigger.MANUAL and found["revision_pending"] is not None
        standing = {
            "directory_id": found["directory_id"],
            "mode": mode,
            "pending": reads_pending,
        }
        queued = await db.row(on, "find_queued", **standing)
        if queued is not None:
            run_id = queued["run_id"]
            await db.run(on, "join_run", run_id=run_id, manual=trigger is Trigger.MANUAL, now=now)
        else:
            run_id = uuid4()
            revision = found["revision_pending"] if reads_pending else found["revision_in_force"]
            await db.run(
                on,
                "insert_run",
                run_id=run_id,
                tenant_id=self.desk.tenant_id,
                revision=revision,
                trigger=trigger,
                now=now,
                traceparent=self.desk.stored.envelope.traceparent,
                **standing,
            )
        await db.run(
            on,
            "add_cause",
            run_id=run_id,
            number=self.desk.stored.number,
            command_id=self.desk.stored.envelope.id,
        )
        ref = events.RunRef(RunId(run_id), directory, self.desk.causes, trigger, mode)
        return events.sync_accepted(self.desk.stored.envelope.tenant, ref)

    async def cancel(self, run: RunId) -> Done | None:
        """End a queued run as cancelled; a running one ends as soon as its worker sees it asked."""
        found = await db.row(
            self.desk.connection, "find_run", tenant_id=self.desk.tenant_id, run_id=run
        )
        if found is None or found["state"] not in ("queued", "running"):
            return None
        await db.run(
            self.desk.connection,
            "add_cause",
            run_id=run,
            number=self.desk.stored.number,
            command_id=self.desk.stored.envelope.id,
        )
        await _stop_run(
            self.desk, found, found["directory_id"], found["directory"], reason="cancelled"
        )
        return Done(None)
