"""The stage: the real worker in this process, real servers, and a clock that a story moves.

What is real: OpenLDAP, Postgres, the reader, the spine and every adapter of the store. What is not: the broker (commands come
in at the store's door, events are looked up in the outbox) and the time.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from tests.disasters.company import BASE, Company
from tests.disasters.measure import WEEK, Measure
from tests.integration.postgres.house import House
from tests.servers.proxy import FaultProxy
from tests.servers.slapd import READER_PASSWORD, Slapd, Tree
from worker.adapters.directory.reader import LdapReader
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.spool import open_spool
from worker.adapters.secrets import SealedVault, generate_key
from worker.domain.commands import DeleteDirectory
from worker.domain.model import (
    DirectoryId,
    DirectorySettings,
    Domain,
    Limits,
    Removals,
    Schedule,
    Secret,
    Security,
    Server,
    Trigger,
)
from worker.flows.bell import Bell
from worker.flows.sync import SyncPorts, sync
from worker.ports import NoTelemetry, Runs


HQ = "hq"
LIMITS = Removals()
POOL_SIZE = 4
RUNS_AT_ONCE = 8
SLACK = timedelta(hours=1)
"""For the retries of a failed run, which come a few minutes late."""
PAGED = f'limits dn.exact="cn=reader,ou=Service,{BASE}" size.soft=unlimited size.hard=unlimited'
TOLD = """
SELECT body FROM rollcall.outbox
WHERE routing_key IS NOT NULL
    AND type IN ('rollcall.sync.held.v1', 'rollcall.sync.failed.v1', 'rollcall.directory.deleted.v1')
ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the company is, and how long each part of a story lasts."""

    people: int
    page_size: int
    every: timedelta
    """Between scheduled runs."""
    calm: timedelta
    wrong: timedelta
    """How long nobody mends it: long enough for two runs, the grace and one run more to do their harm."""
    mended: timedelta
    """How long it is watched afterwards: long enough for those to leave who were held up."""
    bleeding: timedelta
    """How long people vanish day by day."""
    weekly: int
    """Honest leavers a week, and as many who join."""

    @property
    def way_out(self) -> timedelta:
        """How long an honest leaver may stay on the list: till the first run, the second, grace, the next run."""
        return self.every * 3 + timedelta(hours=72) + SLACK


@dataclass(slots=True)
class Customer:
    """A tenant of the filter: a company, the forms of its directories, and people who come and go."""

    company: Company
    forms: dict[str, DirectorySettings]
    since: datetime
    gone: int = 0

    @property
    def tenant(self) -> str:
        """Its name at the platform."""
        return self.company.name

    def live(self, now: datetime, *, weekly: int) -> None:
        """Let those join and leave whose time has come."""
        due = int((now - self.since) / WEEK * weekly) - self.gone
        self.gone += due
        if due:
            self.company.join(due)
            self.company.leave(due, now)


@dataclass(slots=True)
class Scene:
    """One story's world. ``now`` is the true time; our own clock may be wrong by ``skew``."""

    scale: Scale
    house: House
    slapd: Slapd
    runs: Runs
    folder: Path
    now: datetime
    skew: timedelta = timedelta(0)
    measure: Measure = field(default_factory=Measure)
    customers: list[Customer] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    completed: int = 0
    """Runs so far."""

    # --- what a story does ---------------------------------------------------

    async def found(self, name: str = "acme", **form: Any) -> Customer:
        """Make a customer with one directory, and see it through its first sync."""
        company = Company(self.slapd, name)
        company.found(self.scale.people)
        return await self.join(company, {HQ: self.form(company, **form)})

    async def join(self, company: Company, forms: dict[str, DirectorySettings]) -> Customer:
        """Make a customer of a company, with these directories, and see it through its first sync."""
        customer = Customer(company, forms, self.now)
        self.customers.append(customer)
        await self.house.save_tenant(company.domain, tenant=customer.tenant)
        for directory in forms:
            await self.save(customer, directory)
        assert not self.measure.unlisted
        return customer

    def form(self, company: Company, **changes: Any) -> DirectorySettings:
        """Return the form by which a company's directory is read."""
        form = DirectorySettings(
            name="Head office",
            type="openldap",
            servers=(Server("127.0.0.1", self.slapd.port),),
            bind_name=self.slapd.trees[0].reader,
            security=Security.NONE,
            search_bases=(company.base,),
            schedule=Schedule(automatic=True, every_hours=self.scale.every // timedelta(hours=1)),
        )
        return replace(form, **changes)

    async def save(
        self, customer: Customer, directory: str = HQ, *, force: bool = False, **changes: Any
    ) -> None:
        """Save & Sync: the form as it was, but for these changes."""
        await self.house.save_directory(
            replace(customer.forms[directory], **changes),
            directory=directory,
            tenant=customer.tenant,
            password=READER_PASSWORD,
            sync=True,
            force=force,
        )
        await self.run_due()

    async def save_domains(self, customer: Customer, *more: Domain) -> None:
        """Tell the worker that the customer has further domains."""
        await self.house.save_tenant(Domain(customer.company.domain), *more, tenant=customer.tenant)

    async def delete(self, customer: Customer, directory: str) -> None:
        """Delete a directory; its addresses are to leave."""
        await self.house.send(
            DeleteDirectory(DirectoryId(directory), keep_by_hand=False), tenant=customer.tenant
        )

    async def approve(self, customer: Customer) -> None:
        """Have a person look at what is held, if anything is, see that all of them have left, and approve it."""
        held = await self.house.fetch(
            "SELECT address FROM api.hold WHERE tenant = $1", customer.tenant
        )
        assert {each["address"] for each in held} <= customer.company.left.keys()
        if held:
            await self.house.approve()

    def proxy(self) -> FaultProxy:
        """Put a liar in front of the server, until the story ends."""
        return self.stack.enter_context(FaultProxy(self.slapd.port))

    def another_server(self, name: str) -> Slapd:
        """Run another server with an empty tree of the same kind, until the story ends."""
        return self.stack.enter_context(Slapd(self.folder / name, self.slapd.trees))

    def restrict(self, **attributes: Sequence[str]) -> None:
        """Change how the server treats the reader, until it is restarted."""
        slapd = self.slapd
        slapd.configure(slapd.database(slapd.trees[0]), **attributes)

    async def live(self, how_long: timedelta) -> None:
        """Let scheduled runs follow one another for so long."""
        until = self.now + how_long
        while self.now < until:
            self.advance(self.scale.every)
            await self.house.sweeper.housekeep()
            for customer in self.customers:
                customer.live(self.now, weekly=self.scale.weekly)
                for directory in customer.forms:
                    await self.house.request(
                        directory, tenant=customer.tenant, trigger=Trigger.SCHEDULED
                    )
            await self.run_due()

    # --- what becomes of it --------------------------------------------------

    def advance(self, by: timedelta) -> None:
        """Let time pass, on our clock as well, wrong as it may be."""
        self.now += by
        self.house.clock.at = self.now + self.skew

    def put_clock(self, skew: timedelta) -> None:
        """Set our clock wrong, or right again."""
        self.skew = skew
        self.advance(timedelta(0))

    async def run_due(self) -> None:
        """Run what is queued and look what became of it; for what is postponed time passes until it is due."""
        while True:
            claimed = await self.runs.claim(RUNS_AT_ONCE)
            for run in claimed:
                await sync(run, ports=self._ports)
            self.completed += len(claimed)
            if claimed:
                continue
            due = await self.house.value(
                "SELECT min(run_after) FROM rollcall.run WHERE state = 'queued'"
            )
            if due is None:
                break
            assert due > self.house.clock.at, "a run is due and nobody may claim it"
            self.advance(due - self.house.clock.at)
        await self.look()

    async def look(self) -> None:
        """Ask of everybody what SMTP asks, and hold the answers against the truth."""
        living = {one for customer in self.customers for one in customer.company.addresses()}
        left = {one: at for c in self.customers for one, at in c.company.left.items()}
        found = await self.house.fetch(
            "SELECT asked, l.state FROM unnest($1::text[]) AS asked, api.lookup(asked) AS l",
            [*living, *left],
        )
        answers = {each["asked"]: each["state"] for each in found}
        self.measure.look(
            answers, living=living, left=left, now=self.now, way_out=self.scale.way_out
        )

    async def told(self) -> dict[str, str]:
        """Return what admins were told since the beginning, each code once with its first wording."""
        told: dict[str, str] = {}
        for each in await self.house.fetch(TOLD):
            for code, text in _telling(orjson.loads(each["body"])):
                told.setdefault(code, text)
        return told

    @property
    def bound(self) -> int:
        """How many the limits let any seven days take of the largest domain."""
        largest = max(
            len(customer.company.living) + len(customer.company.left) for customer in self.customers
        )
        return max(LIMITS.min_count, int(LIMITS.max_share * largest))

    @property
    def _ports(self) -> SyncPorts:
        return SyncPorts(
            runs=self.runs,
            directory=LdapReader(),
            sign_ins=self.house.sign_ins,
            clock=self.house.clock,
            telemetry=NoTelemetry(),
            spool=open_spool,
            relay_bell=Bell(),
            limits=Limits(page_size=self.scale.page_size, allow_networks=("127.0.0.0/8",)),
        )


def _telling(event: dict[str, Any]) -> list[tuple[str, str]]:
    name, data = event["type"], event["data"]
    if name == "rollcall.sync.held.v1":
        return [(reason["code"], reason["text"]) for reason in data["reasons"]]
    if name == "rollcall.sync.failed.v1":
        return [(data["finding"]["code"], data["finding"]["headline"])]
    return [("directory.deleted", "The directory was deleted.")]


@asynccontextmanager
async def opened(
    scale: Scale, database_url: str, folder: Path, *, judged: Callable[[Runs], Runs] | None = None
) -> AsyncIterator[Scene]:
    """Open a world on an empty, migrated database; ``judged`` may put another judge before the runs."""
    pool = await open_pool(database_url, size=POOL_SIZE)
    tree = Tree(base=BASE, lines=[PAGED])
    try:
        with ExitStack() as stack:
            slapd = stack.enter_context(Slapd(folder / "slapd", [tree]))
            house = await House.open(pool, SealedVault([Secret(generate_key())]))
            stack.enter_context(house.stack)
            runs = judged(house.runs) if judged else house.runs
            yield Scene(scale, house, slapd, runs, folder, now=house.clock.at, stack=stack)
    finally:
        await pool.close()
