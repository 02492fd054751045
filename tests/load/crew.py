"""Workers of a fleet: what the queue brought is carried out, claimed, run and told, with only the reading of directories stubbed."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import NAMESPACE_DNS, uuid5

from typing_extensions import override

from tests.fakes.runs import Pages
from tests.integration.postgres.house import House
from worker.adapters.postgres.spool import open_spool
from worker.domain.failures import StageResult, Unreachable
from worker.domain.model import ClaimedRun, Limits
from worker.domain.plan import ReadPlan
from worker.flows.bell import Bell
from worker.flows.carry import carry
from worker.flows.relay import RelayPorts, relay_batch
from worker.flows.sync import SyncPorts, sync
from worker.ports.broker import Publisher
from worker.ports.directory import Entry, Gate, Proof
from worker.ports.telemetry import NoTelemetry


HANDS = 8
"""Runs that one claim takes, and that go on beside each other."""
CARRIERS = 4
DEATHS = 0.02
"""Of all claims: the worker dies with these runs in its hands."""
STAFF = 3
LAPSE = "UPDATE rollcall.lease SET expires_at = '-infinity' WHERE expires_at > clock_timestamp()"

Offered = Callable[[str], Sequence[str] | None]
"""Who is in the directory on this host right now; None: it cannot be reached."""


class Shown(Pages):
    """A whole listing whose equal pages have equal digests."""

    @property
    @override
    def proof(self) -> Proof:
        """What it proves."""
        wire = hashlib.blake2b(repr(self.pages).encode(), digest_size=16).digest()
        return replace(super().proof, wire_digest=wire)


@dataclass(frozen=True, slots=True)
class StubbedReader:
    """The DirectoryReader port without directories: it signs in at nobody, and shows who is on offer."""

    offered: Offered

    @asynccontextmanager
    async def listing(
        self,
        plan: ReadPlan,
        *,
        gate: Gate,
        stages: list[StageResult],
    ) -> AsyncIterator[Shown]:
        """Show one page. Raises Unreachable while the host is away."""
        host = plan.settings.servers[0].host
        people = self.offered(host)
        if people is None:
            raise Unreachable("reach.refused", host)
        await gate.admit()
        await gate.settle(accepted=True)
        yield Shown([[entry(each) for each in people]], fault=None, hangs=False)


def entry(address: str) -> Entry:
    """One person as OpenLDAP gives them."""
    told = {
        "mail": [address.encode()],
        "objectClass": [b"inetOrgPerson"],
        "entryUUID": [str(uuid5(NAMESPACE_DNS, address)).encode()],
    }
    return f"uid={address},dc=example,dc=com", told


@dataclass(slots=True)
class Crew:
    """Workers on the test clock: called after every tick, they end all that there is to do."""

    house: House
    publisher: Publisher
    chance: random.Random
    offered: Offered
    killed: int = 0
    runs: int = 0
    told: int = 0
    """Events that the broker confirmed."""
    _ports: SyncPorts = field(init=False)
    _relaying: RelayPorts = field(init=False)

    def __post_init__(self) -> None:
        self._ports = SyncPorts(
            runs=self.house.runs,
            directory=StubbedReader(self.offered),
            sign_ins=self.house.sign_ins,
            clock=self.house.clock,
            telemetry=NoTelemetry(),
            spool=partial(open_spool, None),
            relay_bell=Bell(),
            limits=Limits(),
        )
        self._relaying = RelayPorts(
            self.house.outbox, self.publisher, self._ports.telemetry, Bell()
        )

    async def work(self) -> None:
        """Carry out all stored commands, end all runs that are due."""
        while await self._carried():
            pass
        while claimed := await self.house.runs.claim(HANDS):
            if self.chance.random() < DEATHS:
                await self._die()
            else:
                await self._run(claimed)

    async def tell(self) -> None:
        """Publish all that happened."""
        while sent := await relay_batch(self._relaying):
            self.told += sent

    async def _carried(self) -> bool:
        """Some carriers at once, as a worker has."""
        async with asyncio.TaskGroup() as group:
            orders = self.house.orders
            carried = [group.create_task(orders.carry_next(carry)) for _ in range(CARRIERS)]
        return any(each.result() for each in carried)

    async def _run(self, claimed: Sequence[ClaimedRun]) -> None:
        async with asyncio.TaskGroup() as group:
            for run in claimed:
                group.create_task(sync(run, ports=self._ports))
        self.runs += len(claimed)

    async def _die(self) -> None:
        """What a dead worker held goes back to the queue when its leases lapse."""
        await self.house.pool.execute(LAPSE)
        await self.house.sweeper.sweep()
        self.killed += 1


def staff(domain: str, day: int) -> list[str]:
    """Who has a mailbox: a few, and one more every day."""
    return [f"p{place}@{domain}" for place in range(STAFF + day)]
