"""Account safety over all workers: how often a password may be sent, and when it must not be sent at all."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.postgres.house import HQ, TENANT, House, settings
from tests.proofs.telling import told
from worker.adapters.postgres.sign_ins import PostgresSignIns
from worker.domain.commands import DeleteTenant
from worker.domain.failures import Denied
from worker.domain.model import Credentials, Secret, Server, TenantId, Trigger
from worker.domain.outcomes import RunStopped, Skipped
from worker.domain.sign_in import SignIn, sign_in_of, sign_in_of_run
from worker.ports.directory import Gate


async def sign_in(house: House, trigger: Trigger = Trigger.MANUAL, directory: str = HQ) -> SignIn:
    """What a run is about to do when it would sign in; the run itself has ended."""
    await house.request(directory, trigger=trigger)
    run = await house.claim()
    await house.runs.end(run, Skipped("cancelled"))
    return sign_in_of_run(run)


async def press(house: House, *, accepted: bool | None, trigger: Trigger = Trigger.MANUAL) -> Gate:
    """One sign-in and what the server said."""
    gate = house.sign_ins.gate(await sign_in(house, trigger))
    await gate.admit()
    await gate.settle(accepted=accepted)
    return gate


async def refusal(house: House, trigger: Trigger = Trigger.MANUAL) -> str:
    """Why the next sign-in may not be made."""
    with pytest.raises(Denied) as denied:
        await house.sign_ins.gate(await sign_in(house, trigger)).admit()
    return denied.value.code


async def test_an_attempt_is_recorded_before_it_is_made(house: House) -> None:
    """A worker that dies after the bind must not have sent it unseen."""
    await house.founded()

    await house.sign_ins.gate(await sign_in(house)).admit()

    (found,) = await house.fetch("SELECT outcome, bind_name, fingerprint FROM rollcall.sign_in")
    assert (found["outcome"], found["bind_name"]) == ("pending", settings().bind_name)
    assert b"s3cr3t" not in found["fingerprint"]


async def test_two_refusals_close_the_gate_for_half_an_hour(house: House) -> None:
    """Most directories lock an account after three to five; presses count too."""
    await house.founded()
    await press(house, accepted=False)
    house.clock.forward(minutes=10)
    await press(house, accepted=False)

    assert await refusal(house) == "sign_in.waiting"
    house.clock.forward(minutes=29.9)
    assert await refusal(house) == "sign_in.waiting"
    house.clock.forward(minutes=0.2)

    await press(house, accepted=True)


async def test_the_answer_says_when(house: House) -> None:
    """A person may wait; a riddle is no answer."""
    await house.founded()
    await press(house, accepted=False)
    house.clock.forward(minutes=5)
    await press(house, accepted=False)
    last = house.clock.at

    with pytest.raises(Denied) as denied:
        await house.sign_ins.gate(await sign_in(house)).admit()

    assert denied.value.detail == f"{last + timedelta(minutes=30):%Y-%m-%d %H:%M} UTC"


async def test_a_refused_password_is_not_sent_again_by_itself(house: House) -> None:
    """Nobody is there to see an account being locked at night."""
    await house.founded()
    await press(house, accepted=False)
    house.clock.forward(days=3)

    assert await refusal(house, Trigger.SCHEDULED) == "sign_in.known_refused"


async def test_a_success_opens_the_gate_again(house: House) -> None:
    """The password was right after all, or was put right in the directory."""
    await house.founded()
    await press(house, accepted=False)
    await press(house, accepted=True)

    await press(house, accepted=True, trigger=Trigger.SCHEDULED)
    await press(house, accepted=False)
    await press(house, accepted=True)


async def test_a_new_password_is_tried_by_an_automatic_run(house: House) -> None:
    """Two refusals stop automatic runs until the settings change; then they have changed."""
    await house.founded()
    await press(house, accepted=False)
    await press(house, accepted=False)
    house.clock.forward(minutes=31)
    assert await refusal(house, Trigger.SCHEDULED) == "sign_in.known_refused"

    await house.save_directory(password="n3w")

    await press(house, accepted=True, trigger=Trigger.SCHEDULED)


async def test_the_old_password_saved_again_is_known(house: House) -> None:
    """It is told by a keyed fingerprint, whatever the revision."""
    await house.founded()
    await press(house, accepted=False)
    house.clock.forward(minutes=31)

    await house.save_directory(settings(name="renamed"))

    assert await refusal(house, Trigger.SCHEDULED) == "sign_in.known_refused"


async def test_refusals_count_over_all_hosts_and_directories(house: House) -> None:
    """The account is one, however many servers ask for its password."""
    await house.founded()
    other = settings(servers=(Server("elsewhere.example"),))
    await house.save_directory(other, directory="branch")
    await press(house, accepted=False)
    gate = house.sign_ins.gate(await sign_in(house, directory="branch"))
    await gate.admit()
    await gate.settle(accepted=False)

    assert await refusal(house) == "sign_in.waiting"


async def test_an_account_is_the_same_however_it_is_typed(house: House) -> None:
    """Directories do not mind the case of a name, and count one account."""
    await house.founded()
    await press(house, accepted=False)

    await house.save_directory(settings(bind_name=settings().bind_name.upper()))
    await press(house, accepted=False)

    assert await refusal(house) == "sign_in.waiting"


async def test_accounts_and_tenants_do_not_count_for_each_other(house: House) -> None:
    """Another bind name is another account."""
    await house.founded()
    await press(house, accepted=False)
    await press(house, accepted=False)

    await house.save_directory(settings(bind_name="cn=other"))

    await press(house, accepted=True)


async def test_an_attempt_without_an_answer_counts(house: House) -> None:
    """The server may have counted it before the worker died."""
    await house.founded()
    for _ in range(2):
        await house.sign_ins.gate(await sign_in(house)).admit()
    house.clock.forward(minutes=3)

    assert await refusal(house) == "sign_in.waiting"


async def test_a_broken_connection_does_not_count(house: House) -> None:
    """Where nothing was sent nothing was refused."""
    await house.founded()
    for _ in range(4):
        await press(house, accepted=None)


async def test_of_many_at_once_two_are_let_through(house: House) -> None:
    """Ten directories with one wrong password, synced at once, must not be ten refusals."""
    await house.founded()
    gates = [house.sign_ins.gate(await sign_in(house)) for _ in range(5)]
    admitted: list[Gate] = []
    denied: list[str] = []

    async def go(gate: Gate) -> None:
        try:
            await gate.admit()
        except Denied as failure:
            denied.append(failure.code)
        else:
            admitted.append(gate)
            await gate.settle(accepted=False)

    async with asyncio.TaskGroup() as group:
        for gate in gates:
            group.create_task(go(gate))

    assert len(admitted) == 2
    assert set(denied) == {"sign_in.waiting"}


async def test_a_gate_waits_for_sign_ins_under_way(house: House) -> None:
    """They will most likely succeed, and then there is nothing to wait for."""
    await house.founded()
    first, second, third = [house.sign_ins.gate(await sign_in(house)) for _ in range(3)]
    await first.admit()
    await second.admit()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(third.admit())
        await first.settle(accepted=True)
        await waiting

    found = await house.fetch("SELECT outcome FROM rollcall.sign_in ORDER BY sign_in_id")
    assert [each["outcome"] for each in found] == ["accepted", "pending", "pending"]


async def test_a_tenant_deleted_meanwhile_ends_the_run(house: House) -> None:
    """Nobody signs in for who is gone."""
    await house.founded()
    wanted = await sign_in(house)
    await house.send(DeleteTenant())

    with pytest.raises(RunStopped, match="deleted"):
        await house.sign_ins.gate(wanted).admit()


# --- one account under several names -----------------------------------------


async def press_as(
    house: House, name: str, host: str = "dc1.example.com", *, accepted: bool | None = False
) -> str:
    """Sign in as this account at this host; why not, if it may not be."""
    form = settings(bind_name=name, servers=(Server(host),))
    credentials = Credentials(Secret("guess"))
    gate = house.sign_ins.gate(
        sign_in_of(TENANT, form, credentials, trigger=Trigger.MANUAL, changed_at=house.clock.at)
    )
    try:
        await gate.admit()
    except Denied as denied:
        return denied.code
    await gate.settle(accepted=accepted)
    return "sent"


async def test_refusals_add_up_over_the_names_of_an_account(house: House) -> None:
    """The directory counts one account; who tries the next spelling is told to wait."""
    await house.founded()

    sent = [
        await press_as(house, name, f"dc{number}.example.com")
        for number, name in enumerate(("CN=Sync,DC=example,DC=com", "sync@example.com", "EX\\sync"))
    ]

    assert sent == ["sent", "sent", "sign_in.waiting"]


async def test_names_that_differ_are_one_account_in_doubt_where_they_go_to_one_host(
    house: House,
) -> None:
    """An entry may be called otherwise than its account; elsewhere it is not in the way."""
    await house.founded()
    for _ in range(2):
        await press_as(house, "CN=Sync Service,DC=example,DC=com")

    assert await press_as(house, "svc-sync@example.com") == "sign_in.waiting"
    assert await press_as(house, "svc-sync@example.com", "ldap.elsewhere.example") == "sent"
    assert await press_as(house, "CN=Other,DC=example,DC=com") == "sent"


async def test_a_success_under_another_name_opens_no_gate(house: House) -> None:
    """They may be two accounts: then the first's refusals stand."""
    await house.founded()
    await press_as(house, "sync@example.com")
    await press_as(house, "sync@example.net", accepted=True)
    await press_as(house, "sync@example.com")

    assert await press_as(house, "sync@example.net") == "sign_in.waiting"
    house.clock.forward(minutes=30.1)
    assert await press_as(house, "sync@example.net") == "sent"


async def test_other_tenants_accounts_of_one_name_are_others(house: House) -> None:
    """Half of all accounts are called the same."""
    await house.founded()
    await house.save_tenant("example.net", tenant="other")
    for _ in range(2):
        await press_as(house, "sync@example.com")

    form = settings(bind_name="sync@example.com", servers=(Server("dc1.example.com"),))
    wanted = sign_in_of(
        TenantId("other"),
        form,
        Credentials(Secret("guess")),
        trigger=Trigger.MANUAL,
        changed_at=house.clock.at,
    )

    await house.sign_ins.gate(wanted).admit()


@pytest.mark.proves("sign_in.under_way")
async def test_a_third_sign_in_waits_for_the_answers_to_two(house: House) -> None:
    """Each may yet be a refusal; it is not the server that is called busy."""
    await house.founded()
    hasty = PostgresSignIns(house.pool, house.clock, house.vault, busy_tries=1)
    wanted = await sign_in(house)
    for _ in range(2):
        await hasty.gate(wanted).admit()

    with pytest.raises(Denied) as denied:
        await hasty.gate(wanted).admit()

    told(denied.value, [])
    assert denied.value.code == "sign_in.under_way"


async def test_forms_that_were_tried_in_vain_stop_no_schedule(house: House) -> None:
    """The stored password is another, and right."""
    await house.founded()
    for _ in range(2):
        wanted = replace(await sign_in(house), secret=Secret("mistyped"), is_trial=True)
        gate = house.sign_ins.gate(wanted)
        await gate.admit()
        await gate.settle(accepted=False)

    assert await refusal(house, Trigger.SCHEDULED) == "sign_in.waiting"
    house.clock.forward(minutes=30.1)

    await press(house, accepted=True, trigger=Trigger.SCHEDULED)


async def test_of_many_names_at_once_two_are_let_through(house: House) -> None:
    """Three spellings pressed in three windows at the same moment."""
    await house.founded()
    names = ("cn=sync,dc=example,dc=com", "sync@example.com", "ex\\sync", "sync", "sync@other")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(press_as(house, name)) for name in names]

    codes = sorted(task.result() for task in tasks)
    assert codes == ["sent", "sent", *["sign_in.waiting"] * 3]
