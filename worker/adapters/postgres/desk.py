"""Carrying out stored commands: one command, one transaction, in stored order per tenant.

Isolation: READ COMMITTED; the command's row is locked first (nobody else takes this tenant's next command
meanwhile), then the tenant's row, then the directory's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import Place, announce, take_places
from worker.adapters.postgres.directory_book import PostgresDirectories
from worker.adapters.postgres.hand import Hand, Slip, envelope_of
from worker.adapters.postgres.hold_book import PostgresHolds
from worker.adapters.postgres.recipient_book import PostgresRecipients, publish_list
from worker.adapters.postgres.run_book import PostgresRunBook
from worker.adapters.postgres.tenant_book import PostgresTenants
from worker.adapters.postgres.translate import PASSING
from worker.codec.stored import decode_command
from worker.domain.commands import FieldError, Stored
from worker.domain.events import Event
from worker.ports.desk import Desk, Done, Rejected, Settled, Waiting
from worker.ports.telemetry import Telemetry
from worker.ports.vault import Clock


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
                slip = Slip(connection, record["number"], envelope_of(record), now)
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
        envelope=envelope_of(record),
        command=decode_command(record["name"], record["body"].encode()),
        received_at=record["received_at"],
    )


class PostgresDesk:
    """One command in hand, and the books it may write."""

    def __init__(self, connection: db.Connection, stored: Stored, now: datetime) -> None:
        self.hand = hand = Hand(connection, stored, now)
        self.tenant = PostgresTenants(hand)
        self.directories = PostgresDirectories(hand)
        self.runs = PostgresRunBook(hand)
        self.holds = PostgresHolds(hand)
        self.recipients = PostgresRecipients(hand)

    @property
    def stored(self) -> Stored:
        """The command."""
        return self.hand.stored

    @property
    def now(self) -> datetime:
        """When it is carried out."""
        return self.hand.now

    @property
    def slip(self) -> Slip:
        """What settles it."""
        return self.hand.slip

    async def wait(self, until: datetime) -> None:
        """Look at the command again then."""
        await db.run(
            self.hand.connection, "wait_for_its_tenant", number=self.stored.number, try_after=until
        )

    async def finish(self, done: Done) -> None:
        """Tell what was done, settle the command, and look again at those that waited for it."""
        if done.outcome is not None:
            await self.slip.answer(done.outcome, place=await self._place(done.outcome))
        for event in done.also:
            await announce(
                self.hand.connection,
                event,
                now=self.now,
                place=await self._place(event),
                traceparent=self.stored.envelope.traceparent,
            )
        if self.hand.begins_epoch:
            await publish_list(self.hand.decision())
        await self.slip.close("done")
        await db.run(
            self.hand.connection, "wake_waiting", tenant=self.stored.envelope.tenant, now=self.now
        )

    async def _place(self, event: Event) -> Place | None:
        if not event.sequenced:
            return None
        return await take_places(self.hand.connection, tenant_id=self.hand.tenant_id, count=1)
