"""No number of syncs, failovers, doctors and replicas locks an account: counted by a real directory with a threshold."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.integration.directory.conftest import LOOPBACK
from tests.integration.postgres.house import House
from tests.servers import ad_domain
from tests.servers.ad_domain import LOCKOUT_THRESHOLD, PASSWORD, upn
from tests.servers.daemon import free_port
from tests.servers.samba import Samba
from worker.adapters.directory.reader import LdapReader
from worker.adapters.postgres.runs import PostgresRuns
from worker.adapters.postgres.spool import open_spool
from worker.domain.model import (
    Credentials,
    DirectorySettings,
    Secret,
    Server,
    Trigger,
    Trust,
)
from worker.domain.outcomes import Failed, Outcome, Skipped
from worker.flows.bell import Bell
from worker.flows.diagnose import Asked, DiagnosePorts, diagnose
from worker.flows.sync import SyncPorts, sync
from worker.ports.telemetry import NoTelemetry


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

REFUSALS_MAX = 2
FORGETS_MINUTES = 30
Form = Callable[[str], DirectorySettings]


@pytest.fixture
def form(samba: Samba, own_ca: Trust) -> Form:
    """The form of a new account, with two servers that are one: what goes to both counts twice."""

    def make(account: str) -> DirectorySettings:
        samba.add(ad_domain.new_account(account))
        return DirectorySettings(
            name="Head office",
            type="active_directory",
            servers=tuple(Server(host, samba.ldaps_port) for host in ("127.0.0.1", "localhost")),
            bind_name=upn(account),
            trust=own_ca,
        )

    return make


async def move_in(house: House, form: DirectorySettings, *, password: str) -> None:
    """A tenant with this directory, in force."""
    await house.save_tenant(ad_domain.MAIL)
    await house.save_directory(form, password=password)


async def run(house: House, runs: PostgresRuns | None = None, most: int = 1) -> Sequence[Outcome]:
    """Carry out what is due, so many at once, as a worker would."""
    runs = runs or house.runs
    ports = SyncPorts(
        runs=runs,
        directory=LdapReader(),
        sign_ins=house.sign_ins,
        clock=house.clock,
        telemetry=NoTelemetry(),
        spool=open_spool,
        relay_bell=Bell(),
        limits=LOOPBACK,
    )
    claimed = await runs.claim(most)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sync(each, ports=ports)) for each in claimed]
    return [task.result() for task in tasks]


async def press(house: House, trigger: Trigger = Trigger.MANUAL) -> str:
    """One sync from request to outcome; the code of what went wrong, or why it was not run."""
    await house.request(trigger=trigger)
    (outcome,) = await run(house)
    if isinstance(outcome, Skipped):
        return outcome.reason
    return outcome.finding.code if isinstance(outcome, Failed) else "ok"


def refusals(samba: Samba, account: str) -> int:
    """What the directory has counted against an account; it locks it at LOCKOUT_THRESHOLD."""
    assert samba.number(ad_domain.account(account), "lockoutTime") == 0
    return samba.number(ad_domain.account(account), "badPwdCount")


async def test_a_person_who_presses_again_and_again(house: House, samba: Samba, form: Form) -> None:
    """Twenty times within ten minutes, and then a schedule for a week."""
    await move_in(house, form("safe-press"), password="wrong")

    codes = []
    for _ in range(20):
        codes.append(await press(house))
        house.clock.forward(minutes=0.5)
    for _ in range(28):
        house.clock.forward(hours=6)
        codes.append(await press(house, Trigger.SCHEDULED))

    assert codes[:REFUSALS_MAX] == ["sign_in.wrong_password"] * REFUSALS_MAX
    assert set(codes[REFUSALS_MAX:20]) == {"sign_in.waiting"}
    # the schedule tries once, is not let through, and stands still from then on
    assert codes[20:] == ["sign_in.known_refused", *["paused"] * 27]
    assert refusals(samba, "safe-press") == REFUSALS_MAX


async def test_a_patient_person_who_presses_every_quarter_of_an_hour(
    house: House, samba: Samba, form: Form
) -> None:
    """A directory forgets only after half an hour without a refusal: one at each end of the window adds up.

    Its own clock stands nearly still here, so an administrator's unlocking stands for each half hour of rest.
    """
    await move_in(house, form("safe-patient"), password="wrong")

    counts = []
    rested = 0
    for _ in range(12):
        sent = await press(house) == "sign_in.wrong_password"
        rested = 0 if sent else rested + 15
        counts.append(refusals(samba, "safe-patient"))
        house.clock.forward(minutes=15)
        if rested + 15 >= FORGETS_MINUTES:
            samba.set(ad_domain.account("safe-patient"), lockoutTime="0")

    assert max(counts) == REFUSALS_MAX


async def test_many_directories_and_workers_at_once(house: House, samba: Samba, form: Form) -> None:
    """One account for ten directories, and its password changed: three workers find out together."""
    settings = form("safe-many")
    await house.save_tenant(ad_domain.MAIL)
    for number in range(10):
        spelled = settings.bind_name.upper() if number % 2 else settings.bind_name
        await house.save_directory(
            replace(settings, bind_name=spelled), directory=f"d{number}", password="wrong"
        )
        await house.request(f"d{number}")

    outcomes: list[Outcome] = []
    async with asyncio.TaskGroup() as group:
        workers = [
            group.create_task(run(house, house.worker(f"worker-{number}", per_tenant=10), most=3))
            for number in range(3)
        ]
    for worker in workers:
        outcomes += worker.result()

    assert len(outcomes) == 9
    assert refusals(samba, "safe-many") == REFUSALS_MAX


async def test_a_failover_sends_a_wrong_password_once(
    house: House, samba: Samba, form: Form
) -> None:
    """The second domain controller asks the same account; the first, which is away, asks nobody."""
    settings = form("safe-failover")
    away = Server("127.0.0.1", free_port())
    await move_in(house, replace(settings, servers=(away, *settings.servers)), password="wrong")

    assert await press(house) == "sign_in.wrong_password"
    assert refusals(samba, "safe-failover") == 1


async def test_a_doctor_sends_a_wrong_password_once(samba: Samba, form: Form) -> None:
    """It goes on as far as it can with all servers, and signs in at one."""
    asked = Asked(form("safe-doctor"), Credentials(Secret("wrong")), None)

    diagnosis = await diagnose(asked, ports=DiagnosePorts(LdapReader(), LOOPBACK))

    assert diagnosis.finding.code == "sign_in.wrong_password"
    assert refusals(samba, "safe-doctor") == diagnosis.refused_sign_ins == 1


async def test_the_right_password_starts_anew(house: House, samba: Samba, form: Form) -> None:
    """Then the directory forgets, and so do we: a typing mistake costs nobody half an hour."""
    settings = form("safe-again")
    await move_in(house, settings, password="wrong")
    codes = [await press(house)]
    await house.save_directory(settings, password=PASSWORD)
    codes.append(await press(house))
    counted = refusals(samba, "safe-again")

    await house.save_directory(settings, password="wrong again")
    codes += [await press(house), await press(house), await press(house)]

    assert codes[:2] == ["sign_in.wrong_password", "ok"]
    assert codes[2:] == ["sign_in.wrong_password", "sign_in.wrong_password", "sign_in.waiting"]
    assert counted == 0
    assert refusals(samba, "safe-again") == REFUSALS_MAX


async def test_a_form_saved_again_and_again(house: House, samba: Samba, form: Form) -> None:
    """Save & Sync with another guess each time is what an admin in a hurry does."""
    settings = form("safe-guess")
    await move_in(house, settings, password="guess 0")
    codes = []
    for number in range(1, 8):
        await house.save_directory(settings, password=f"guess {number}", sync=True)
        (outcome,) = await run(house)
        codes.append(outcome.finding.code if isinstance(outcome, Failed) else "ok")

    assert codes.count("sign_in.wrong_password") == REFUSALS_MAX < LOCKOUT_THRESHOLD
    assert refusals(samba, "safe-guess") == REFUSALS_MAX
