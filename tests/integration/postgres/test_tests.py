"""Tests of directories in the store: queued by a command, claimed once, answered once, forgotten with their secrets."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.postgres.house import HQ, PASSWORD, TENANT, House, settings
from worker.adapters.postgres.directory_tests import ATTEMPTS_MAX, WAITS_AT_MOST, PostgresTests
from worker.adapters.postgres.runs import Claiming
from worker.domain.commands import CheckDirectory, DeleteDirectory, DeleteTenant, Form
from worker.domain.failures import LeaseLost
from worker.domain.findings import finding
from worker.domain.model import ClaimedTest, DirectoryId, DirectorySettings, Secret, Server
from worker.domain.rulings import OPEN_TESTS_MAX


SHORT = timedelta(seconds=60)
LAPSED = timedelta(0)
TYPED = "typed"
OK = finding("ok", seen="3 entries, 3 addresses")


def queue_of(house: House, *, lease: timedelta = SHORT, per_tenant: int = 2) -> PostgresTests:
    """The queue as a worker sees it; with no lease, what it claims is anybody's at once."""
    claiming = Claiming("worker-1", lease=lease)
    return PostgresTests(house.pool, house.clock, house.vault, claiming, per_tenant)


async def ask(house: House, directory: str | None = HQ, **how: Any) -> str:
    """Ask for a test of a stored directory."""
    command = CheckDirectory(None if directory is None else DirectoryId(directory), None)
    return await house.send(command, **how)


async def ask_form(
    house: House,
    form: DirectorySettings,
    *,
    password: str | None = TYPED,
    directory: str | None = None,
    **how: Any,
) -> str:
    """Ask for a test of a form."""
    sealed = house.vault.seal(Secret(password)) if password else None
    entered = Form(form, sealed, None)
    command = CheckDirectory(None if directory is None else DirectoryId(directory), entered)
    return await house.send(command, **how)


async def claim(house: House) -> ClaimedTest:
    """Claim the one test that waits."""
    (claimed,) = await queue_of(house).claim(10)
    return claimed


async def count(house: House) -> int:
    """How many tests are not answered."""
    found: int = await house.value("SELECT count(*) FROM rollcall.directory_test")
    return found


async def test_a_stored_directory_is_claimed_with_its_secrets(house: House) -> None:
    """With all that the doctor needs; the password is opened on the way out of the store."""
    await house.founded(settings(notify=("it@example.com",)))
    asked = await ask(house)

    test = await claim(house)

    assert (test.tenant, test.directory, test.causes) == (TENANT, HQ, (asked,))
    assert test.settings == settings(notify=("it@example.com",))
    assert test.credentials.password == Secret(PASSWORD)
    assert (test.domains, test.fault, test.is_saved) == (("example.com",), None, True)


async def test_the_pending_revision_is_tested_if_there_is_one(house: House) -> None:
    """A person wants to know of what was just saved."""
    await house.founded()
    await house.save_directory(settings(name="newer"), password="n3w", sync=True)
    await ask(house)

    test = await claim(house)

    assert (test.settings.name, test.credentials.password) == ("newer", Secret("n3w"))


async def test_a_form_is_tested_and_nothing_of_it_is_saved(house: House) -> None:
    """It is looked at before anybody decides to keep it."""
    await house.save_tenant("example.com")
    await ask_form(house, settings(name="typed"))

    test = await claim(house)

    assert (test.directory, test.settings.name, test.is_saved) == (None, "typed", False)
    assert test.credentials.password == Secret("typed")
    assert await house.value("SELECT count(*) FROM rollcall.directory") == 0


async def test_an_edited_form_is_tested_with_the_password_that_is_stored(house: House) -> None:
    """As a save would keep it: for the same servers only."""
    await house.founded()
    await ask_form(house, settings(filter="(mail=*)"), password=None, directory=HQ)
    elsewhere = settings(servers=(Server("ldap.attacker.example"),))
    await ask_form(house, elsewhere, password=None, directory=HQ)

    test = await claim(house)

    assert (test.settings.filter, test.credentials.password) == ("(mail=*)", Secret(PASSWORD))
    assert await house.rejections() == [("form.password", "password.again")]


async def test_a_test_is_answered_and_forgotten_with_its_secrets(house: House) -> None:
    """A password that was typed to be tried is kept nowhere."""
    await house.save_tenant("example.com")
    form = settings(notify=("it@example.com",))
    asked = await ask_form(house, form, reply_to="platform.answers", correlation_id="k-1")

    await queue_of(house).end(await claim(house), OK)

    told = await house.last("directory.tested")
    assert (told["code"], told["seen"]) == ("ok", "3 entries, 3 addresses")
    assert (told["causes"], told["directory"]) == ([asked], None)
    assert told["notify"] == ["it@example.com"]
    assert "sequence" not in told
    assert await count(house) == 0
    (reply,) = await house.fetch("SELECT * FROM rollcall.outbox WHERE reply_to IS NOT NULL")
    assert (reply["reply_to"], reply["correlation_id"]) == ("platform.answers", "k-1")
    assert reply["type"] == "rollcall.directory.tested.v1"
    assert await house.value("SELECT body FROM rollcall.command WHERE id = $1", asked) is None


async def test_the_same_command_twice_is_one_test_and_its_answer_comes_again(house: House) -> None:
    """Delivery is at least once; a directory is not bothered twice for it."""
    await house.founded()
    item = house.received(CheckDirectory(HQ, None), id="same", body=b"same")
    await house.store(item)
    await house.carry()
    await house.store(item)
    await house.carry()
    assert await count(house) == 1

    await queue_of(house).end(await claim(house), OK)
    await house.store(item)
    await house.carry()

    first, second = await house.events("directory.tested")
    assert first == second
    assert await count(house) == 0


async def test_no_test_is_claimed_twice(house: House) -> None:
    """Every replica asks; each test is one worker's."""
    await house.founded()
    await ask(house)

    first = await queue_of(house).claim(10)
    second = await queue_of(house).claim(10)

    assert (len(first), second) == (1, [])


async def test_one_tenant_has_so_many_tests_at_once_and_others_their_turn(house: House) -> None:
    """Ten impatient presses of one customer hold up nobody."""
    await house.founded()
    await house.save_tenant("example.net", tenant="other")
    await house.save_directory(tenant="other")
    for _ in range(4):
        await ask(house)
    await ask(house, tenant="other")

    queue = queue_of(house)
    first = await queue.claim(2)
    rest = await queue.claim(10)

    assert [test.tenant for test in first] == [TENANT, "other"]
    assert [test.tenant for test in rest] == [TENANT]
    await queue.end(first[0], OK)
    assert len(await queue.claim(10)) == 1


async def test_no_more_than_so_many_tests_of_a_tenant_wait(house: House) -> None:
    """What a customer's script sends by the thousand is refused, and other customers' tests are not."""
    await house.founded()
    await house.save_tenant("example.net", tenant="other")
    await house.save_directory(tenant="other")
    for _ in range(OPEN_TESTS_MAX + 1):
        await house.store(house.received(CheckDirectory(HQ, None)))
    await house.carry()
    await ask(house, tenant="other")

    assert await count(house) == OPEN_TESTS_MAX + 1
    assert await house.rejections() == [("", "test.too_many")]
    await queue_of(house).end((await queue_of(house).claim(1))[0], OK)
    await ask(house)
    assert len(await house.rejections()) == 1


async def test_of_many_workers_at_once_each_test_is_one_s(house: House) -> None:
    """They ask at the same moment whenever a bell rings; caps hold among them all."""
    tenants = [f"t{number}" for number in range(6)]
    for tenant in tenants:
        await house.save_tenant(f"{tenant}.example", tenant=tenant)
        await house.save_directory(tenant=tenant)
        for _ in range(4):
            await ask(house, tenant=tenant)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(queue_of(house).claim(5)) for _ in range(5)]

    claimed = [test for worker in workers for test in worker.result()]
    assert len({test.number for test in claimed}) == len(claimed)
    assert max(Counter(test.tenant for test in claimed).values()) <= 2
    rest = await queue_of(house).claim(50)
    assert len(claimed) + len(rest) == 2 * len(tenants)


async def test_what_a_dead_worker_left_is_claimed_again(house: House) -> None:
    """And the dead one, should it live after all, writes nothing."""
    await house.founded()
    await ask(house)
    (dead,) = await queue_of(house, lease=LAPSED).claim(1)

    test = await claim(house)

    assert test.token > dead.token
    for lost in (queue_of(house).keep(dead), queue_of(house).end(dead, OK)):
        with pytest.raises(LeaseLost):
            await lost
    assert await house.events("directory.tested") == []
    await queue_of(house).end(test, OK)
    assert len(await house.events("directory.tested")) == 1


async def test_a_lease_that_is_kept_is_nobody_else_s(house: House) -> None:
    """A directory may be slow."""
    await house.founded()
    await ask(house)
    (test,) = await queue_of(house, lease=LAPSED).claim(1)

    await queue_of(house).keep(test)

    assert await queue_of(house).claim(1) == []


async def test_a_test_that_workers_die_over_is_answered_without_another(house: House) -> None:
    """It may be what kills them."""
    await house.founded()
    await ask(house)
    mortal = queue_of(house, lease=LAPSED)

    faults = [(await mortal.claim(1))[0].fault for _ in range(ATTEMPTS_MAX + 1)]

    assert faults == [None] * ATTEMPTS_MAX + ["internal"]


async def test_a_test_that_is_given_back_was_not_begun(house: House) -> None:
    """Workers that are replaced one after another are no crashes."""
    await house.founded()
    await ask(house)
    queue = queue_of(house)

    first = await claim(house)
    await queue.give_back(first)
    for _ in range(ATTEMPTS_MAX + 2):
        await queue.give_back(await claim(house))

    assert (await claim(house)).fault is None
    with pytest.raises(LeaseLost):
        await queue.end(first, OK)


@pytest.mark.proves("settings.not_tested")
async def test_a_test_that_nobody_carried_out_in_time_is_not_carried_out(house: House) -> None:
    """Who asked has gone; the account is not signed in to for nobody."""
    await house.founded()
    await ask(house)
    house.clock.at += WAITS_AT_MOST + timedelta(seconds=1)

    test = await claim(house)
    await queue_of(house).end(test, finding("settings.not_tested"))

    assert test.fault == "settings.not_tested"
    assert (await house.last("directory.tested"))["code"] == "settings.not_tested"


async def test_a_test_without_a_stored_password_says_so(house: House) -> None:
    """As its next sync would."""
    await house.founded()
    await house.pool.execute("UPDATE rollcall.directory_revision SET password_sealed = NULL")
    await ask(house)

    assert (await claim(house)).fault == "settings.no_password"


async def test_a_test_of_a_secret_that_no_key_opens_says_so(house: House) -> None:
    """One damaged form must not stop the claiming."""
    await house.founded()
    await house.pool.execute("UPDATE rollcall.directory_revision SET password_sealed = 'x'")
    await ask(house)

    assert (await claim(house)).fault == "settings.unreadable_secret"


@pytest.mark.parametrize("state", ["waiting", "under way"])
@pytest.mark.parametrize("what", ["directory", "tenant"])
async def test_a_deletion_answers_and_forgets_its_tests(
    house: House, what: str, state: str
) -> None:
    """Secrets are erased at once, and whoever waits hears of it."""
    await house.founded()
    asked = await ask(house, reply_to="platform.answers", correlation_id="k-1")
    test = await claim(house) if state == "under way" else None

    deletion = DeleteTenant() if what == "tenant" else DeleteDirectory(HQ, keep_by_hand=False)
    await house.send(deletion)

    assert await count(house) == 0
    assert await house.rejections() == [("directory", "directory.deleted")]
    assert (await house.last("command.rejected"))["command"] == asked
    assert await house.value("SELECT count(*) FROM rollcall.outbox WHERE reply_to IS NOT NULL") == 1
    if test is not None:
        with pytest.raises(LeaseLost):
            await queue_of(house).keep(test)


async def test_deleting_a_directory_leaves_the_tests_of_others(house: House) -> None:
    """Of another directory, and of forms that name none."""
    await house.founded()
    await house.save_directory(directory="branch")
    await ask(house, "branch")
    await ask_form(house, settings())

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await count(house) == 2


async def test_what_waits_is_counted(house: House) -> None:
    """An operator sees people waiting before they complain."""
    await house.founded()
    await ask(house)
    await ask(house)
    await queue_of(house).claim(1)

    backlog = await house.sweeper.backlog()

    assert backlog.tests_ready == 1
    assert backlog.test_age_s >= 0


async def test_an_answered_test_is_purged_with_its_command(house: House) -> None:
    """Nothing of it is kept longer than the key that tells a repeat."""
    await house.founded()
    await ask(house)
    await queue_of(house).end(await claim(house), OK)
    house.clock.forward(days=31)

    await house.sweeper.housekeep()

    assert await house.value("SELECT count(*) FROM rollcall.command_outcome") == 0
