"""What a plan has, in every direction and at every moment; and the directories of a reseller at one look."""

from dataclasses import dataclass
from datetime import datetime

import pytest

from tests.integration.postgres.house import HQ, TENANT, House, people, rows, settings
from worker.adapters.postgres.reports import PostgresReports
from worker.domain.commands import DeleteTenant, PauseDirectory, ResumeDirectory
from worker.domain.findings import finding
from worker.domain.model import (
    ClaimedRun,
    DirectorySettings,
    Logins,
    Schedule,
    TenantId,
    Tier,
    Trigger,
)
from worker.domain.outcomes import Applied, Failed, RunStopped, Skipped
from worker.domain.plans import PAUSED


EVERY_SIX_HOURS = settings(schedule=Schedule(automatic=True, every_hours=6))
LOST = {Tier.STANDARD: Tier.BASIC, Tier.ENTERPRISE: Tier.BASIC, Tier.RESELLER: Tier.BASIC}


@dataclass(frozen=True, slots=True)
class Seen:
    """A directory as others see it."""

    state: str
    reason: str | None
    next_sync_at: datetime | None


async def seen(house: House, tenant: str = TENANT) -> Seen:
    """Look at the tenant's directory."""
    (found,) = await house.fetch("SELECT * FROM api.directory WHERE tenant = $1", tenant)
    return Seen(found["state"], found["paused_reason"], found["next_sync_at"])


async def told(house: House) -> list[str]:
    """Pauses and resumes in the order they were told."""
    names = ("directory.paused", "directory.resumed")
    kinds = {f"rollcall.{name}.v1": name.removeprefix("directory.") for name in names}
    return [kinds[each["type"]] for each in await house.events() if each["type"] in kinds]


# --- lost and found -----------------------------------------------------------


@pytest.mark.parametrize(("had", "has"), LOST.items())
async def test_a_lost_right_pauses_and_says_so_and_a_bought_one_resumes(
    house: House, had: Tier, has: Tier
) -> None:
    """The settings stay as the customer made them, so that nothing has to be filled in again."""
    await house.save_tenant("example.com", tier=had)
    await house.save_directory(EVERY_SIX_HOURS)
    before = await seen(house)

    cause = await house.save_tenant(tier=has)
    lost = await seen(house)
    form = await house.value(
        "SELECT settings -> 'schedule' ->> 'automatic' FROM rollcall.directory_revision"
    )
    await house.save_tenant(tier=had)

    assert lost == Seen("paused", PAUSED, None)
    assert form == "true"
    paused = await house.last("directory.paused")
    assert (paused["causes"], paused["reason"]) == ([cause], PAUSED)
    assert await told(house) == ["paused", "resumed"]
    assert await seen(house) == before
    assert before.next_sync_at is not None


async def test_a_plan_that_changes_nothing_tells_nothing(house: House) -> None:
    """Between plans that both have it, and for directories synced by hand only."""
    await house.save_tenant("example.com", tier=Tier.STANDARD)
    await house.save_directory(EVERY_SIX_HOURS)
    await house.save_directory(directory="by-hand")

    await house.save_tenant(tier=Tier.ENTERPRISE)
    await house.save_tenant(tier=Tier.STANDARD)
    assert await told(house) == []

    await house.save_tenant(tier=Tier.BASIC)
    await house.save_tenant(tier=Tier.BASIC)
    assert await told(house) == ["paused"]


async def test_a_pause_that_an_older_release_worded_is_not_told_again(house: House) -> None:
    """Nothing happened to it; another sentence is no news."""
    await house.founded(EVERY_SIX_HOURS)
    await house.save_tenant(tier=Tier.BASIC)
    await house.pool.execute("UPDATE rollcall.directory SET plan_pause = 'worded otherwise'")

    await house.save_tenant(tier=Tier.BASIC)
    still = await told(house)
    await house.save_tenant(tier=Tier.STANDARD)

    assert still == ["paused"]
    assert await told(house) == ["paused", "resumed"]


async def test_an_upgrade_leaves_what_a_person_paused(house: House) -> None:
    """Whoever paused it for a reason of their own resumes it."""
    await house.founded(EVERY_SIX_HOURS)
    await house.send(PauseDirectory(HQ))

    await house.save_tenant(tier=Tier.BASIC)
    await house.save_tenant(tier=Tier.STANDARD)

    assert await seen(house) == Seen("paused", "paused by hand", None)
    assert await told(house) == ["paused"]
    await house.send(ResumeDirectory(HQ))
    assert (await seen(house)).next_sync_at is not None


async def test_a_pause_by_hand_under_a_lost_right_outlives_the_upgrade(house: House) -> None:
    """The later word is the person's."""
    await house.founded(EVERY_SIX_HOURS)
    await house.save_tenant(tier=Tier.BASIC)
    await house.send(PauseDirectory(HQ))

    await house.save_tenant(tier=Tier.STANDARD)

    assert await seen(house) == Seen("paused", "paused by hand", None)


async def test_refused_sign_ins_and_a_lost_right_each_end_by_themselves(house: House) -> None:
    """A working password does not bring back what the plan took, nor tell that it did."""
    await house.founded(EVERY_SIX_HOURS)
    await house.request(trigger=Trigger.SCHEDULED)
    await house.runs.end(await house.claim(), Failed(finding("sign_in.known_refused")))
    await house.save_tenant(tier=Tier.BASIC)

    await house.sync("ada@example.com")
    mended = await seen(house)
    await house.save_tenant(tier=Tier.STANDARD)

    assert mended == Seen("paused", PAUSED, None)
    assert await told(house) == ["paused", "resumed"]
    assert (await seen(house)).next_sync_at is not None


async def test_no_person_resumes_what_the_plan_stopped(house: House) -> None:
    """The refusal says what to buy."""
    await house.founded(EVERY_SIX_HOURS)
    await house.save_tenant(tier=Tier.BASIC)

    await house.send(ResumeDirectory(HQ))

    (rejected,) = await house.events("command.rejected")
    (error,) = rejected["data"]["errors"]
    assert error["code"] == "plan.automatic_sync"
    assert error["message"] == "Automatic sync needs the plan Standard or higher."
    assert await seen(house) == Seen("paused", PAUSED, None)


async def test_a_form_that_asks_nothing_new_is_saved_under_a_smaller_plan(house: House) -> None:
    """A customer who lost a right can change the password and keep the settings for the day it is back."""
    await house.founded(EVERY_SIX_HOURS)
    await house.save_tenant(tier=Tier.BASIC)

    await house.save_directory(EVERY_SIX_HOURS, password="another")
    kept = await seen(house)
    await house.save_directory(with_logins(EVERY_SIX_HOURS), password="another")
    await house.save_tenant(tier=Tier.STANDARD)

    assert kept == Seen("paused", PAUSED, None)
    assert await house.rejections() == [("logins.create", "plan.quarantine_logins")]
    assert (await seen(house)).next_sync_at is not None


def with_logins(form: DirectorySettings) -> DirectorySettings:
    """The form with logins, which takes more than the schedule."""
    return settings(schedule=form.schedule, logins=Logins(create=True))


# --- while a run reads ----------------------------------------------------------


async def reading(house: House, trigger: Trigger) -> ClaimedRun:
    """A run that has begun to read."""
    await house.request(trigger=trigger)
    return await house.claim()


async def test_a_right_lost_while_a_scheduled_run_reads_freezes_the_list(house: House) -> None:
    """What counts is the plan in the moment of the decision."""
    await house.founded(EVERY_SIX_HOURS)
    await house.sync("ada@example.com")
    run = await reading(house, Trigger.SCHEDULED)

    await house.save_tenant(tier=Tier.BASIC)
    with pytest.raises(RunStopped, match="plan"):
        await house.conclude(run, house.snapshot(run, rows("eve@example.com")))
    await house.runs.end(run, Skipped("plan"))

    (reason,) = (await house.last("sync.cancelled"))["reasons"]
    assert (reason["code"], reason["text"]) == (
        "plan",
        "Automatic sync needs the plan Standard or higher.",
    )
    assert await house.states() == {"ada@example.com": "valid"}


async def test_a_right_lost_and_found_while_a_run_reads_changes_nothing(house: House) -> None:
    """The run ends as if nobody had touched the plan."""
    await house.founded(EVERY_SIX_HOURS)
    run = await reading(house, Trigger.SCHEDULED)

    await house.save_tenant(tier=Tier.BASIC)
    await house.save_tenant(tier=Tier.ENTERPRISE)
    outcome = await house.conclude(run, house.snapshot(run, rows("ada@example.com")))

    assert isinstance(outcome, Applied)
    assert (await seen(house)).next_sync_at is not None


@pytest.mark.parametrize("tier", Tier)
async def test_a_run_by_hand_ends_whatever_the_plan_becomes(house: House, tier: Tier) -> None:
    """Every plan has it; and what it may not do by itself is told with its end."""
    await house.founded(EVERY_SIX_HOURS)
    run = await reading(house, Trigger.MANUAL)

    await house.save_tenant(tier=tier)
    outcome = await house.conclude(run, house.snapshot(run, rows("ada@example.com")))

    assert isinstance(outcome, Applied)
    assert ((await seen(house)).next_sync_at is None) == (tier is Tier.BASIC)


async def test_settings_that_come_into_force_under_a_smaller_plan_are_paused(house: House) -> None:
    """Saved under the higher plan, read for the first time under the smaller; told after the run's own events."""
    await house.save_tenant("example.com")
    await house.save_directory(EVERY_SIX_HOURS, sync=True)
    run = await house.claim()

    await house.save_tenant(tier=Tier.BASIC)
    pending = await seen(house)
    await house.conclude(run, house.snapshot(run, rows("ada@example.com")))

    assert pending == Seen("pending", None, None)
    assert await seen(house) == Seen("paused", PAUSED, None)
    assert [each["type"] for each in await house.events()][-3:] == [
        "rollcall.sync.completed.v1",
        "rollcall.recipients.changed.v1",
        "rollcall.directory.paused.v1",
    ]


async def test_what_an_older_release_stopped_without_a_word_is_told_after_the_upgrade(
    house: House,
) -> None:
    """It set the plan and took the time away; nobody was told why."""
    await house.founded(EVERY_SIX_HOURS)
    await house.pool.execute("UPDATE rollcall.tenant SET tier = 'basic'")
    await house.pool.execute("UPDATE rollcall.directory SET next_sync_at = NULL")

    for _ in range(2):
        assert await house.schedule.arrange(10) == 0
        await house.schedule.recheck(10)

    assert await seen(house) == Seen("paused", PAUSED, None)
    assert await told(house) == ["paused"]


# --- a reseller and its tenants ---------------------------------------------------


async def resold(house: House, *, plan: Tier = Tier.RESELLER) -> House:
    """A reseller, and a tenant of its own on the smallest plan with automatic sync."""
    await house.save_tenant("acme.example", tenant="acme", tier=plan)
    await house.save_tenant("small.example", tenant="small", tier=Tier.BASIC, reseller="acme")
    await house.save_directory(EVERY_SIX_HOURS, tenant="small")
    return house


async def test_a_resellers_tenants_have_the_resellers_right(house: House) -> None:
    """Also when a trigger comes in, and when its run starts and ends."""
    await resold(house)
    assert (await seen(house, "small")).next_sync_at is not None

    outcome = await house.sync("ada@small.example", tenant="small", trigger=Trigger.SCHEDULED)

    assert isinstance(outcome, Applied)
    assert (await house.last("tenant.saved"))["plan"] == "basic"


async def test_a_reseller_that_is_no_tenant_here_gives_no_right(house: House) -> None:
    """It is a name, and the tenant's own plan counts."""
    await house.save_tenant("small.example", tenant="small", tier=Tier.BASIC, reseller="nobody")
    await house.save_directory(EVERY_SIX_HOURS, tenant="small")

    assert await house.rejections() == [("schedule.automatic", "plan.automatic_sync")]


async def test_a_resellers_plan_reaches_its_tenants_soon(house: House) -> None:
    """Nobody has to save them again; no trigger is sent meanwhile."""
    await resold(house)
    before = await seen(house, "small")

    await house.save_tenant(tenant="acme", tier=Tier.BASIC)
    assert await house.schedule.recheck(10) == 1
    lost = await seen(house, "small")
    await house.save_tenant(tenant="acme", tier=Tier.STANDARD)
    assert await house.schedule.recheck(10) == 1

    assert lost == Seen("paused", PAUSED, None)
    assert await seen(house, "small") == before
    assert await told(house) == ["paused", "resumed"]
    assert await house.schedule.recheck(10) == 0


async def test_no_trigger_is_sent_before_the_look_again(house: House) -> None:
    """The plan that counts is read when the time comes, whatever was worked out before."""
    await resold(house)
    due_at = (await seen(house, "small")).next_sync_at
    assert due_at is not None

    await house.save_tenant(tenant="acme", tier=Tier.BASIC)
    house.clock.at = due_at
    bite = await house.schedule.decide(10)

    assert (bite.looked_at, bite.triggered) == (1, 0)


async def test_a_deleted_reseller_takes_its_right_along(house: House) -> None:
    """What its tenants bought themselves stays theirs."""
    await resold(house)
    await house.save_tenant("big.example", tenant="big", tier=Tier.STANDARD, reseller="acme")
    await house.save_directory(EVERY_SIX_HOURS, tenant="big")

    await house.send(DeleteTenant(), tenant="acme")
    assert await house.schedule.recheck(10) == 2

    assert await seen(house, "small") == Seen("paused", PAUSED, None)
    assert (await seen(house, "big")).next_sync_at is not None


# --- the fleet ----------------------------------------------------------------------


async def test_a_reseller_sees_all_its_directories_and_nobody_elses(house: House) -> None:
    """State, last good, held, failing since, next; those in trouble first."""
    await resold(house)
    await house.save_tenant("fine.example", tenant="fine", reseller="acme")
    await house.save_directory(EVERY_SIX_HOURS, tenant="fine")
    await house.save_tenant("other.example", tenant="other", reseller="zeta")
    await house.save_directory(EVERY_SIX_HOURS, tenant="other")
    listed = people(40, "fine.example")
    await house.sync(*listed, tenant="fine")
    await house.sync_later(*listed[:5], tenant="fine")
    await house.request(tenant="small")
    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))

    found = await house.fetch("SELECT * FROM api.fleet WHERE reseller = 'acme' ORDER BY tenant")
    lines = await PostgresReports(house.pool).directories(None, reseller="acme", most=10)

    assert [(each["tenant"], each["directory"], each["state"]) for each in found] == [
        ("fine", HQ, "in_force"),
        ("small", HQ, "in_force"),
    ]
    fine, small = found
    assert (fine["held"], fine["last_good_at"], fine["failing"]) == (35, house.clock.at, None)
    assert (small["failing"], small["failing_since"]) == ("reach.refused", house.clock.at)
    assert (small["held"], small["last_good_at"]) == (0, None)
    assert None not in {fine["next_sync_at"], small["next_sync_at"]}
    assert [(each.tenant, each.held, each.failing) for each in lines] == [
        (TenantId("fine"), 35, None),
        (TenantId("small"), 0, "reach.refused"),
    ]
