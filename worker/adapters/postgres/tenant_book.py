"""The tenant that the command in hand is about: plan, domains, and its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.adapters.postgres import decisions, pool as db
from worker.adapters.postgres.directory_tests import stop_tests
from worker.adapters.postgres.hand import DECIDED_GRACE, Hand
from worker.adapters.postgres.login_decisions import let_go
from worker.adapters.postgres.run_book import stop_runs
from worker.adapters.postgres.schedule import Concerned, rearrange, settle_plan
from worker.domain import events
from worker.domain.addresses import display_domain
from worker.domain.commands import SaveTenant
from worker.domain.events import Event, TenantFacts
from worker.domain.model import Domain, Tier
from worker.domain.rulings import DomainChanges, TenantRecord
from worker.ports.desk import Done


@dataclass(frozen=True, slots=True)
class PostgresTenants:
    """The TenantBook port."""

    hand: Hand

    async def find(self) -> TenantRecord | None:
        """Return and lock the living tenant."""
        on = self.hand.connection
        found = await db.row(on, "find_tenant", tenant=self.hand.stored.envelope.tenant)
        if found is None:
            return None
        self.hand.known_tenant_id = found["tenant_id"]
        domains = await db.rows(on, "domains_of_tenant", tenant_id=found["tenant_id"])
        return TenantRecord(
            tier=Tier(found["tier"]),
            reseller=found["reseller"],
            revision=found["revision"],
            reseller_tier=None if found["reseller_tier"] is None else Tier(found["reseller_tier"]),
            domains=tuple(
                Domain(d["domain"], d["catch_all"], d["delimiter"], d["alias_of"], d["by_hand"])
                for d in domains
            ),
        )

    async def taken(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these domains that another tenant has; nobody else takes one until the command is settled."""
        await db.run(self.hand.connection, "lock_domains", domains=list(names))
        mine = self.hand.known_tenant_id or 0  # a new tenant has none yet
        found = await db.rows(
            self.hand.connection, "domains_taken", domains=list(names), tenant_id=mine
        )
        return tuple(record["domain"] for record in found)

    async def save(self, command: SaveTenant, changes: DomainChanges) -> Event:
        """Write plan, reseller and domains."""
        before = await self.find()
        await self._upsert(command, changes)
        if before is None or before.tier is not command.tier:
            await self._recheck_fleet()
        await self._change_domains(changes)
        if command.domains is not None:
            await db.run(
                self.hand.connection,
                "confirm_domains",
                tenant_id=self.hand.tenant_id,
                now=self.hand.now,
            )
        if changes:
            await db.run(
                self.hand.connection,
                "forget_digests",
                tenant_id=self.hand.tenant_id,
                directory_id=None,
            )
        everywhere = Concerned(self.hand.connection, self.hand.tenant_id, None, self.hand.now)
        await rearrange(everywhere)  # the plan may be another
        await settle_plan(everywhere, self.hand.stored.envelope.tenant, causes=self.hand.causes)
        saved = await self.find()
        if saved is None:
            raise LookupError
        return events.tenant_saved(
            self.hand.stored.envelope.tenant,
            causes=self.hand.causes,
            facts=TenantFacts(saved.tier, saved.reseller, saved.revision, saved.domains),
        )

    async def _recheck_fleet(self) -> None:
        """Have the tenants looked at again that this one is the reseller of, if it is."""
        await db.run(
            self.hand.connection,
            "ask_plan_checks",
            reseller=self.hand.stored.envelope.tenant,
            tenant_id=self.hand.tenant_id,
            now=self.hand.now,
        )

    async def _upsert(self, command: SaveTenant, changes: DomainChanges) -> None:
        on, tenant = self.hand.connection, self.hand.stored.envelope.tenant
        if await self.find() is not None:
            await db.run(
                on,
                "update_tenant",
                tenant_id=self.hand.tenant_id,
                tier=command.tier,
                reseller=command.reseller,
                revision=command.revision,
                domains_changed=int(bool(changes)),
            )
            return
        following = await db.only(on, "next_epoch", tenant=tenant)
        self.hand.begins_epoch = following["epoch"] > 1
        made = await db.only(
            on,
            "insert_tenant",
            tenant=tenant,
            tier=command.tier,
            reseller=command.reseller,
            revision=command.revision,
            epoch=following["epoch"],
            now=self.hand.now,
        )
        self.hand.known_tenant_id = made["tenant_id"]

    async def _change_domains(self, changes: DomainChanges) -> None:
        on, tenant_id = self.hand.connection, self.hand.tenant_id
        if changes.taken_off or changes.added:
            await db.run(on, "plan_for_many")
        for name in changes.taken_off:
            await db.run(on, "shrink_baseline", tenant_id=tenant_id, domain=name)
            departing = decisions.Departing(domain=name)
            await decisions.depart(self.hand.decision(), departing, grace=DECIDED_GRACE)
            await let_go(self.hand.decision())
            await db.run(on, "take_off_domain", tenant_id=tenant_id, domain=name, now=self.hand.now)
        for domain in changes.added:
            await db.run(
                on,
                "add_domain",
                display=display_domain(domain.name),
                now=self.hand.now,
                **_columns(tenant_id, domain),
            )
            await decisions.put_back(self.hand.decision(), domain.name)
        if changes.taken_off or changes.added:
            await db.run(on, "plan_for_few")
        for domain in changes.changed:
            await db.run(on, "change_domain", **_columns(tenant_id, domain))

    async def delete(self) -> Done:
        """Hide the tenant, end its runs and tests, erase its secrets."""
        await stop_tests(self.hand)
        on, tenant_id = self.hand.connection, self.hand.tenant_id
        for record in await db.rows(on, "directories_of_tenant", tenant_id=tenant_id):
            await stop_runs(self.hand, record["directory_id"], record["directory"])
            await db.run(
                on, "delete_directory", directory_id=record["directory_id"], now=self.hand.now
            )
        outcome = events.tenant_deleted(self.hand.stored.envelope.tenant, causes=self.hand.causes)
        await self._recheck_fleet()
        await db.run(on, "delete_tenant", tenant_id=tenant_id, now=self.hand.now)
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
