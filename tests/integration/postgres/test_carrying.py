"""Carrying out stored commands: in order per tenant, all or nothing, and what each leaves in the books."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.integration.postgres.house import HQ, House, people, removals, row, settings
from worker.adapters.postgres.pool import queries
from worker.domain.commands import (
    CancelSync,
    DeleteDirectory,
    DeleteTenant,
    FieldError,
    PauseDirectory,
    RequestSync,
    ResumeDirectory,
    SaveDirectory,
    SaveTenant,
)
from worker.domain.failures import StoreFailure
from worker.domain.findings import finding
from worker.domain.model import Domain, Mode, RunId, Secret, Server, Tier, Trigger
from worker.domain.outcomes import Applied, Failed
from worker.flows.carry import carry
from worker.ports import Desk, Rejected, Settled


ADA, BOB = "ada@example.com", "bob@example.com"
ALL = people(10)


async def rejections(house: House) -> list[tuple[str, str]]:
    """Field and code of everything that was rejected."""
    return [
        (error["field"], error["code"])
        for event in await house.events("command.rejected")
        for error in event["data"]["errors"]
    ]


# --- order -------------------------------------------------------------------


async def test_commands_of_a_tenant_are_carried_out_in_stored_order(house: House) -> None:
    """The last of three saves is the one that counts, however many workers carry them out."""
    names = [f"d{number}.example" for number in range(8)]
    await house.store(
        *[house.received(SaveTenant(Tier.BASIC, (Domain(name),), None, None)) for name in names]
    )

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(house.carry())
    await house.carry()

    told = [event["data"]["domains"][0]["name"] for event in await house.events("tenant.saved")]
    assert told == names


@pytest.mark.parametrize("tenant", ["'acme'", "'t' || number"])
async def test_a_burst_makes_no_command_dearer(house: House, tenant: str) -> None:
    """Ten thousand commands, of one tenant or of as many, cost ten thousand times one."""
    await house.pool.execute(
        f"""INSERT INTO rollcall.command (source, id, tenant, name, digest, received_at, try_after)
            SELECT 'test', number::text, {tenant}, 'tenant.save', '', $1, $1
            FROM generate_series(1, 10000) AS number""",  # noqa: S608 - an expression the test gives
        house.clock.at,
    )
    await house.pool.execute("ANALYZE rollcall.command")

    (told,) = await explained(house, "due_commands", now=house.clock.at, window=200, most=20)

    assert rows_looked_at(told["Plan"]) < 2_000


async def explained(house: House, name: str, **arguments: object) -> list[Any]:
    """How the server carried a query out."""
    query = queries()[name]
    values = [arguments[parameter] for parameter in query.parameters]
    told = await house.value(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.sql}", *values)
    read: list[Any] = orjson.loads(told)
    return read


def rows_looked_at(plan: dict[str, Any]) -> int:
    """Rows that a step and those below it gave or threw away."""
    each: int = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return each * int(plan["Actual Loops"]) + sum(map(rows_looked_at, plan.get("Plans", ())))


async def test_a_tenant_in_hand_does_not_hide_one_behind_its_burst(house: House) -> None:
    """While one worker carries out the first of a thousand, another finds who came after them."""
    await house.store(
        *[house.received(SaveTenant(Tier.BASIC, None, None, number)) for number in range(300)],
        house.received(SaveTenant(Tier.BASIC, (Domain("b.example"),), None, None), tenant="beta"),
    )
    found: list[str] = []

    async def first(_: Desk) -> Settled:
        async def second(desk: Desk) -> Settled:
            found.append(desk.stored.envelope.tenant)
            return await carry(desk)

        assert await house.orders.carry_next(second)
        return Rejected((FieldError("", "internal", "Not this one."),))

    assert await house.orders.carry_next(first)

    assert found == ["beta"]


async def test_a_command_that_waits_is_looked_at_ever_more_seldom(house: House) -> None:
    """Thousands for tenants that never come must not keep everyone busy for their whole minute."""
    await house.store(house.received(RequestSync(HQ, Trigger.MANUAL, Mode.APPLY)))
    looks = 0

    for _ in range(65):
        looks += await house.carry()
        house.clock.forward(seconds=1)

    assert looks < 15
    assert await rejections(house) == [("subject", "tenant.unknown")]


async def test_tenants_do_not_wait_for_each_other(house: House) -> None:
    """A customer whose command takes long holds up nobody else."""
    await house.store(
        house.received(SaveTenant(Tier.BASIC, (Domain("a.example"),), None, None), tenant="a"),
        house.received(SaveTenant(Tier.BASIC, (Domain("b.example"),), None, None), tenant="b"),
    )
    taken: list[str] = []
    both = asyncio.Event()

    async def slow(desk: Desk) -> Settled:
        taken.append(desk.stored.envelope.tenant)
        if len(taken) == 2:
            both.set()
        await both.wait()
        return await carry(desk)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(house.orders.carry_next(slow))

    assert sorted(taken) == ["a", "b"]


async def test_a_command_waits_for_its_tenant(house: House) -> None:
    """Two queues have no order among them: a trigger may overtake the save it needs."""
    await house.request()
    assert await house.events() == []

    await house.save_tenant("example.com")
    await house.save_directory()

    (accepted,) = await house.events("sync.accepted")
    assert accepted["data"]["trigger"] == "manual"


async def test_a_command_for_an_unknown_tenant_is_rejected_after_a_minute(house: House) -> None:
    """Who mistyped a name is told, not left waiting."""
    await house.request()
    house.clock.forward(seconds=59)
    await house.carry()
    assert await rejections(house) == []

    house.clock.forward(seconds=2)
    await house.carry()

    assert await rejections(house) == [("subject", "tenant.unknown")]


async def test_a_command_for_an_unknown_directory_is_rejected_after_a_minute(house: House) -> None:
    """Likewise."""
    await house.save_tenant("example.com")
    await house.request("nowhere")
    house.clock.forward(seconds=61)
    await house.carry()

    assert await rejections(house) == [("directory", "directory.unknown")]
    (parked,) = await house.fetch("SELECT type, reason FROM api.parked")
    assert parked["type"] == "sync.request"
    assert "directory.unknown" in parked["reason"]


async def test_a_command_that_waits_lets_later_ones_of_its_tenant_go_ahead(house: House) -> None:
    """What it waits for may be among them."""
    await house.save_tenant("example.com")
    await house.request("nowhere")

    await house.save_directory()

    assert len(await house.events("directory.saved")) == 1


async def test_a_command_that_breaks_us_stops_nobody(house: House) -> None:
    """One poisoned command must not take the worker down again and again."""
    await house.store(house.received(SaveTenant(Tier.BASIC, (Domain("example.com"),), None, None)))

    async def broken(desk: Desk) -> Settled:
        await desk.tenant.find()
        await carry(desk)
        raise ZeroDivisionError

    assert await house.orders.carry_next(broken)

    assert await rejections(house) == [("", "internal")]
    assert await house.value("SELECT count(*) FROM rollcall.tenant") == 0
    assert not await house.orders.carry_next(carry)


async def test_a_stored_command_that_cannot_be_read_stops_nobody(house: House) -> None:
    """Another release may have stored what this one does not know."""
    await house.store(house.received(SaveTenant(Tier.BASIC, (Domain("example.com"),), None, None)))
    await house.pool.execute("""UPDATE rollcall.command SET body = '{"tier": "platinum"}'""")

    assert await house.orders.carry_next(carry)

    assert await rejections(house) == [("", "internal")]
    assert not await house.orders.carry_next(carry)


async def test_a_store_that_is_in_the_way_settles_nothing(house: House) -> None:
    """What waiting can mend is tried again, not rejected."""
    await house.store(house.received(SaveTenant(Tier.BASIC, (Domain("example.com"),), None, None)))

    async def away(desk: Desk) -> Settled:
        raise StoreFailure("store.conflict")

    with pytest.raises(StoreFailure):
        await house.orders.carry_next(away)

    assert await house.carry() == 1
    assert len(await house.events("tenant.saved")) == 1


async def test_the_body_of_a_command_goes_when_it_is_settled(house: House) -> None:
    """It may hold a sealed password, which lies in one place only."""
    await house.founded()

    assert await house.value("SELECT count(*) FROM rollcall.command WHERE body IS NOT NULL") == 0


# --- tenants -----------------------------------------------------------------


async def test_an_older_revision_of_a_tenant_is_stale(house: House) -> None:
    """A late or replayed message must do no harm."""
    await house.save_tenant("example.com", revision=7)

    await house.save_tenant("example.net", revision=6)
    await house.save_tenant(revision=7, tier=Tier.BASIC)

    assert await rejections(house) == [("revision", "stale")]
    assert await house.value("SELECT tier FROM rollcall.tenant") == "basic"


async def test_a_domain_that_another_tenant_has_is_taken(house: House) -> None:
    """Mail for one domain cannot be judged by two lists."""
    await house.save_tenant("example.com", tenant="first")

    await house.save_tenant("example.net", "example.com", tenant="second")

    assert await rejections(house) == [("domains.1.name", "domain.taken")]
    assert await house.value("SELECT count(*) FROM rollcall.tenant") == 1


async def test_two_tenants_that_take_a_domain_at_once_are_told_apart(house: House) -> None:
    """One has it, the other is told so; neither ends in an error of ours."""
    for tenant in ("a", "b", "c", "d"):
        command = SaveTenant(
            Tier.BASIC, (Domain("example.com"), Domain(f"{tenant}.example")), None, None
        )
        await house.store(house.received(command, tenant=tenant))

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(house.orders.carry_next(carry))

    assert await rejections(house) == [("domains.0.name", "domain.taken")] * 3
    assert len(await house.events("tenant.saved")) == 1


async def test_a_domain_taken_off_is_free_for_others(house: House) -> None:
    """Customers move from one tenant to another."""
    await house.save_tenant("example.com", "example.net", tenant="first")
    await house.save_tenant("example.net", tenant="first")

    await house.save_tenant("example.com", tenant="second")

    assert await rejections(house) == []
    assert (
        await house.value("SELECT tenant FROM api.domain WHERE domain = 'example.com'") == "second"
    )


async def test_a_plan_alone_leaves_the_domains_as_they_are(house: House) -> None:
    """Domains left out are unchanged."""
    await house.founded()
    await house.sync(*ALL)
    before = await house.value("SELECT domain_revision FROM rollcall.tenant")

    await house.save_tenant(tier=Tier.STANDARD)

    assert await house.value("SELECT domain_revision FROM rollcall.tenant") == before
    assert await house.value("SELECT digest FROM rollcall.directory") is not None
    assert len((await house.last("tenant.saved"))["domains"]) == 1


async def test_a_change_of_domains_clears_the_digests(house: House) -> None:
    """The same snapshot means something else now."""
    await house.founded()
    await house.sync(*ALL)

    await house.save_tenant(Domain("example.com", catch_all=True))

    assert await house.value("SELECT digest FROM rollcall.directory") is None
    assert await house.value("SELECT domain_revision FROM rollcall.tenant") == 2


async def test_addresses_of_a_domain_taken_off_leave_by_the_clock_alone(house: House) -> None:
    """A decision needs no second opinion, only time to change one's mind."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync(*ALL, "ada@example.net", "bob@example.net")
    await house.forget_events()

    command = await house.save_tenant("example.com")

    assert await house.changes() == [
        ("ada@example.net", "grace", "grace"),
        ("bob@example.net", "grace", "grace"),
    ]
    told = await house.last("recipients.changed")
    assert (told["run"], told["directory"], told["causes"]) == (None, None, [command])
    assert (
        await house.value("SELECT recipients FROM rollcall.domain WHERE domain = 'example.com'")
        == 10
    )
    house.clock.forward(hours=71)
    await house.sweeper.housekeep()
    assert len(await house.changes()) == 2
    house.clock.forward(hours=1)
    await house.sweeper.housekeep()
    await house.sweeper.housekeep()
    assert (await house.changes())[2:] == [
        ("ada@example.net", "removed", "removed"),
        ("bob@example.net", "removed", "removed"),
    ]
    found = await house.fetch(
        "SELECT change, run_id, command FROM rollcall.history WHERE address = 'ada@example.net' ORDER BY at"
    )
    assert [each["change"] for each in found] == ["added", "grace", "removed"]
    assert found[1]["command"] is not None
    assert (found[2]["run_id"], found[2]["command"]) == (None, None)


async def test_runs_leave_decided_departures_alone(house: House) -> None:
    """Neither a run without them nor its guard moves what a person has decided."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync(*ALL, *people(30, "example.net"))
    await house.save_tenant("example.com")
    await house.forget_events()

    outcome = await house.sync_later(*ALL)

    assert isinstance(outcome, Applied)  # a quarter of what was, and no alarm: the rest was decided
    assert await house.changes() == []
    assert list((await house.steps()).values()).count("grace") == 30


async def test_a_domain_put_back_brings_its_addresses_back_with_the_next_run(house: House) -> None:
    """Taken off by mistake and put back: nobody is lost."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync(*ALL, "ada@example.net")
    await house.save_tenant("example.com")
    await house.save_tenant("example.com", "example.net")
    await house.forget_events()
    assert await house.look("ada@example.net") == "grace"

    await house.sync_later(*ALL, "ada@example.net")

    assert await house.changes() == [("ada@example.net", "returned", "valid")]
    assert (
        await house.value(
            "SELECT recipients FROM rollcall.domain WHERE domain = 'example.net' AND removed_at IS NULL"
        )
        == 1
    )


async def test_a_deleted_tenant_is_hidden_and_its_secrets_erased(house: House) -> None:
    """Gone at once for everyone, whatever the purge takes."""
    await house.founded()
    await house.sync(*ALL)
    await house.request()

    await house.send(DeleteTenant())

    assert await house.states() == {}
    assert await house.look(ALL[0]) == "not_authoritative"
    for view in ("recipient", "domain", "directory", "run", "history", "hold"):
        assert await house.seen(view) == 0
    assert (
        await house.value(
            "SELECT count(*) FROM rollcall.directory_revision WHERE password_sealed IS NOT NULL"
        )
        == 0
    )
    cancelled, deleted = (await house.events())[-2:]
    assert cancelled["type"] == "rollcall.sync.cancelled.v1"
    assert cancelled["data"]["reasons"][0]["code"] == "deleted"
    assert deleted["type"] == "rollcall.tenant.deleted.v1"


async def test_a_tenant_made_anew_begins_another_epoch(house: House) -> None:
    """Receivers must not take its first events for old ones."""
    await house.founded()
    await house.sync(*ALL)
    await house.send(DeleteTenant())

    await house.founded()
    await house.sync(ADA)

    told = await house.last("sync.completed")
    assert told["epoch"] == 2
    assert told["sequence"] == 4  # after tenant.saved, the empty list and directory.saved
    assert await house.states() == {ADA: "valid"}


async def test_a_command_for_a_deleted_tenant_waits_and_is_rejected(house: House) -> None:
    """It is not known any more."""
    await house.founded()
    await house.send(DeleteTenant())
    await house.request()
    house.clock.forward(seconds=61)
    await house.carry()

    assert await rejections(house) == [("subject", "tenant.unknown")]


# --- directories -------------------------------------------------------------


async def test_an_older_revision_of_a_directory_is_stale(house: House) -> None:
    """Two pages that save at once: the older form does not win."""
    await house.save_tenant("example.com")
    await house.save_directory(revision=5)

    await house.save_directory(settings(name="old"), revision=4)

    assert await rejections(house) == [("revision", "stale")]
    assert await house.value("SELECT name FROM api.directory") == "Head office"


async def test_save_and_sync_is_pending_until_its_first_complete_run(house: House) -> None:
    """Settings that were never tried do not replace settings that work."""
    await house.founded()
    await house.save_directory(settings(name="new"), sync=True)
    standing = "SELECT revision_in_force, revision_pending FROM rollcall.directory"
    assert tuple((await house.fetch(standing))[0]) == (1, 2)
    assert (await house.last("directory.saved"))["state"] == "pending"

    run = await house.claim()
    assert (run.revision, run.settings.name) == (2, "new")
    await house.conclude(run, house.snapshot(run, [row(ADA)]))

    assert tuple((await house.fetch(standing))[0]) == (2, None)


async def test_a_failed_first_run_leaves_the_old_settings_in_force(house: House) -> None:
    """A wrong password in a new form must not stop what worked."""
    await house.founded()
    await house.save_directory(sync=True)

    await house.runs.end(await house.claim(), Failed(finding("sign_in.wrong_password")))

    standing = "SELECT revision_in_force, revision_pending FROM rollcall.directory"
    assert tuple((await house.fetch(standing))[0]) == (1, 2)


async def test_force_brings_settings_into_force_untried(house: House) -> None:
    """Who knows what they do may skip the trial."""
    await house.founded()
    await house.save_directory(sync=True, force=True)

    standing = "SELECT revision_in_force, revision_pending FROM rollcall.directory"
    assert tuple((await house.fetch(standing))[0]) == (2, None)
    assert (await house.claim()).revision == 2


async def test_older_secrets_are_erased_when_new_ones_are_proved(house: House) -> None:
    """A password that is not needed any more lies nowhere."""
    await house.founded()
    await house.save_directory(password="n3w", sync=True)
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, [row(ADA)]))

    found = await house.fetch(
        "SELECT revision, password_sealed IS NULL FROM rollcall.directory_revision ORDER BY 1"
    )
    assert [tuple(each) for each in found] == [(1, True), (2, False)]


async def test_a_password_left_out_is_kept(house: House) -> None:
    """Nobody types the password again to change the name."""
    await house.founded()
    await house.save_directory(settings(name="renamed"), password=None)
    await house.request()

    password = (await house.claim()).credentials.password
    assert password is not None
    assert password.reveal() == "s3cr3t"


async def test_a_password_is_not_kept_for_other_servers(house: House) -> None:
    """Whoever can edit the form must not be able to send the old password to a server of theirs."""
    await house.founded()

    await house.save_directory(settings(servers=(Server("evil.example"),)), password=None)

    assert await rejections(house) == [("password", "password.again")]


async def test_a_new_client_key_leaves_the_password_as_it_is(house: House) -> None:
    """Each secret that is left out stays, as long as it goes to the same place."""
    await house.founded()
    form = settings(client_certificate="pem")
    key = house.vault.seal(Secret("k3y"))
    await house.send(SaveDirectory(HQ, form, None, key, sync=False, force=False, revision=None))
    await house.request()

    credentials = (await house.claim()).credentials
    assert credentials.password is not None
    assert credentials.client_key is not None
    assert (credentials.password.reveal(), credentials.client_key.reveal()) == ("s3cr3t", "k3y")


async def test_a_client_key_for_other_servers_does_not_take_the_password_along(
    house: House,
) -> None:
    """A key of one's own is no way to have somebody else's password sent."""
    await house.founded()
    form = settings(client_certificate="pem", servers=(Server("evil.example"),))
    key = house.vault.seal(Secret("k3y"))
    await house.send(SaveDirectory(HQ, form, None, key, sync=False, force=False, revision=None))
    await house.request()

    assert (await house.claim()).credentials.password is None


async def test_a_deleted_directory_lets_its_addresses_go_by_the_clock(house: House) -> None:
    """Nobody's mail is refused from one second to the next; the form's grace holds to the end."""
    await house.founded(removals(grace=timedelta(hours=5)))
    await house.sync(*ALL)
    await house.forget_events()

    command = await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert set((await house.states()).values()) == {"grace"}
    told = await house.last("recipients.changed")
    assert (told["directory"], told["causes"], len(told["changes"])) == ("hq", [command], 10)
    house.clock.forward(hours=5)
    await house.sweeper.housekeep()
    assert await house.states() == {}
    assert (
        await house.value(
            "SELECT count(*) FROM rollcall.directory_revision WHERE password_sealed IS NOT NULL"
        )
        == 0
    )
    assert await house.fetch("SELECT * FROM api.directory") == []


async def test_a_deleted_directory_may_leave_its_addresses_by_hand(house: House) -> None:
    """A customer who gives up the directory keeps the list, without a word to anybody."""
    await house.founded()
    await house.sync(*ALL)
    await house.forget_events()

    await house.send(DeleteDirectory(HQ, keep_by_hand=True))

    assert set((await house.states()).values()) == {"valid"}
    assert await house.changes() == []
    assert (await house.last("directory.deleted"))["recipients"] == "keep_by_hand"
    house.clock.forward(days=40)
    await house.sweeper.housekeep()
    assert len(await house.states()) == 10


async def test_what_was_leaving_a_directory_that_is_kept_by_hand_goes_on_leaving(
    house: House,
) -> None:
    """An address in grace is neither brought back nor dropped without a word."""
    await house.founded(removals(min_count=1000))
    await house.sync(*ALL, ADA)
    for _ in range(2):
        await house.sync_later(*ALL)
    await house.forget_events()

    await house.send(DeleteDirectory(HQ, keep_by_hand=True))

    assert await house.look(ADA) == "grace"
    house.clock.forward(hours=73)
    await house.sweeper.housekeep()
    assert await house.changes() == [(ADA, "removed", "removed")]
    assert len(await house.states()) == 10


async def test_who_is_kept_by_hand_twice_stays(house: House) -> None:
    """An address that was by hand before, departed with its domain and came back, is by hand again."""
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync(ADA, "ada@example.net")
    await house.send(DeleteDirectory(HQ, keep_by_hand=True))
    await house.save_tenant("example.com")
    await house.save_tenant("example.com", "example.net")
    await house.save_directory()
    await house.sync(ADA, "ada@example.net")

    await house.send(DeleteDirectory(HQ, keep_by_hand=True))

    assert await house.look("ada@example.net") == "valid"
    house.clock.forward(days=4)
    await house.sweeper.housekeep()
    assert await house.look("ada@example.net") == "valid"


async def test_an_address_that_another_directory_holds_does_not_leave_with_the_deleted_one(
    house: House,
) -> None:
    """The list as a whole counts."""
    await house.founded()
    await house.save_directory(directory="branch")
    await house.sync(ADA, BOB)
    await house.sync(ADA, directory="branch")
    await house.forget_events()

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await house.states() == {ADA: "valid", BOB: "grace"}
    assert await house.changes() == [(BOB, "grace", "grace")]


async def test_a_directory_made_anew_starts_afresh(house: House) -> None:
    """The name is the platform's; what was read under it before is not known to it."""
    await house.founded()
    await house.sync(ADA)
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))
    await house.save_directory()
    await house.forget_events()

    await house.sync(ADA)

    assert await house.changes() == [(ADA, "returned", "valid")]
    house.clock.forward(hours=80)
    await house.sweeper.housekeep()
    assert await house.states() == {ADA: "valid"}
    assert await house.changes() == [(ADA, "returned", "valid")]


async def test_deleting_a_directory_ends_its_hold(house: House) -> None:
    """There is nothing left to decide."""
    await house.founded()
    await house.sync(*ALL)
    await house.sync_later(ALL[0])

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await house.fetch("SELECT * FROM api.hold") == []
    assert await house.value("SELECT count(*) FROM rollcall.change_set") == 0


async def test_pause_and_resume_are_told_and_seen(house: House) -> None:
    """A person sees why nothing happens."""
    await house.founded()

    await house.send(PauseDirectory(HQ))
    assert await house.value("SELECT state FROM api.directory") == "paused"
    await house.send(ResumeDirectory(HQ))

    assert await house.value("SELECT state FROM api.directory") == "in_force"
    assert len(await house.events("directory.paused")) == 1
    assert len(await house.events("directory.resumed")) == 1


# --- requests ----------------------------------------------------------------


async def test_a_request_joins_the_queued_run_and_each_gets_the_outcome(house: House) -> None:
    """Ten presses are one read; all ten are answered."""
    await house.founded()
    causes = [await house.request(reply_to=f"reply.{number}") for number in range(3)]

    run = await house.claim()
    assert run.causes == tuple(causes)
    await house.conclude(run, house.snapshot(run, [row(ADA)]))

    (told,) = await house.events("sync.completed")
    assert told["data"]["causes"] == causes
    replies = await house.fetch(
        "SELECT reply_to FROM rollcall.outbox WHERE reply_to IS NOT NULL ORDER BY number"
    )
    assert [each["reply_to"] for each in replies] == ["reply.0", "reply.1", "reply.2"]
    assert len({event["data"]["run"] for event in await house.events("sync.accepted")}) == 1


async def test_a_manual_request_makes_the_scheduled_run_manual_and_due_now(house: House) -> None:
    """Who presses the button while a run waits for its next try does not wait with it."""
    await house.founded()
    await house.request(trigger=Trigger.SCHEDULED)
    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))
    assert await house.runs.claim(1) == []

    await house.request()

    run = await house.claim()
    assert (run.trigger, run.attempt) == (Trigger.MANUAL, 1)


async def test_a_scheduled_request_leaves_a_manual_run_as_it_is(house: House) -> None:
    """It gets the same outcome."""
    await house.founded()
    await house.request()
    await house.request(trigger=Trigger.SCHEDULED)

    run = await house.claim()
    assert run.trigger is Trigger.MANUAL
    assert len(run.causes) == 2


async def test_a_preview_is_a_run_of_its_own(house: House) -> None:
    """Looking and doing are two things."""
    await house.founded()
    await house.request()
    await house.request(mode=Mode.PREVIEW)

    assert await house.value("SELECT count(*) FROM rollcall.run WHERE state = 'queued'") == 2


async def test_a_request_while_a_run_is_at_work_queues_the_next(house: House) -> None:
    """What the run at work has read already may be older than the wish."""
    await house.founded()
    await house.request()
    run = await house.claim()

    await house.request()

    assert await house.value("SELECT count(*) FROM rollcall.run") == 2
    assert len(run.causes) == 1


async def test_a_queued_run_takes_settings_saved_after_it(house: House) -> None:
    """The newest form is what the person at the button sees."""
    await house.founded()
    await house.request()
    await house.save_directory(settings(name="newer"))

    run = await house.claim()
    assert (run.revision, run.settings.name) == (2, "newer")


async def test_a_scheduled_request_needs_the_plan_and_settings_in_force(house: House) -> None:
    """A right is checked when a command comes in."""
    await house.save_tenant("example.com", tier=Tier.BASIC)
    await house.save_directory(sync=True)
    await house.request(trigger=Trigger.SCHEDULED)
    await house.save_tenant(tier=Tier.STANDARD)
    await house.request(trigger=Trigger.SCHEDULED)

    assert await rejections(house) == [
        ("trigger", "plan.automatic_sync"),
        ("directory", "directory.pending"),
    ]


async def test_a_queued_run_is_cancelled_at_once(house: House) -> None:
    """Exactly one outcome, to those who asked for it and to who cancelled it."""
    await house.founded()
    asked = await house.request()
    run = RunId(await house.value("SELECT run_id FROM rollcall.run"))

    wish = await house.send(CancelSync(run))

    told = await house.last("sync.cancelled")
    assert (told["causes"], told["reasons"][0]["code"]) == ([asked, wish], "cancelled")
    assert told["started_at"] is None
    assert await house.runs.claim(1) == []


async def test_an_unknown_or_ended_run_cannot_be_cancelled(house: House) -> None:
    """It is told so."""
    await house.founded()
    await house.sync(ADA)
    ended = RunId(await house.value("SELECT run_id FROM rollcall.run"))

    await house.send(CancelSync(ended))
    await house.save_tenant("example.net", tenant="other")
    await house.send(CancelSync(ended), tenant="other")

    assert await rejections(house) == [("run", "run.unknown")] * 2
