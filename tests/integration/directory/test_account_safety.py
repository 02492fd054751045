"""No number of syncs, failovers, doctors and replicas locks an account: counted by a real directory with a threshold."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.directory.conftest import LOOPBACK
from tests.integration.postgres.house import House
from tests.servers import ad_domain
from tests.servers.ad_domain import LOCKOUT_THRESHOLD, PASSWORD, upn
from tests.servers.ber import Kind
from tests.servers.certs import Authority
from tests.servers.daemon import free_port
from tests.servers.proxy import Action, Fault, FaultProxy
from tests.servers.samba import Samba
from worker.adapters.directory.reader import LdapReader
from worker.adapters.postgres.directory_tests import PostgresTests
from worker.adapters.postgres.runs import Claiming, PostgresRuns
from worker.adapters.postgres.spool import open_spool
from worker.domain.commands import CheckDirectory, Form
from worker.domain.model import (
    Credentials,
    DirectoryId,
    DirectorySettings,
    Limits,
    Secret,
    Server,
    Trigger,
    Trust,
)
from worker.domain.outcomes import Failed, Outcome, Skipped
from worker.flows.bell import Bell
from worker.flows.diagnose import Asked, DiagnosePorts, diagnose
from worker.flows.examine import ExaminePorts, examine
from worker.flows.sync import SyncPorts, sync
from worker.ports.telemetry import NoTelemetry


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

REFUSALS_MAX = 2
FORGETS_MINUTES = 30
IMPATIENT = replace(LOOPBACK, bind_s=1)
MakeForm = Callable[[str], DirectorySettings]


@pytest.fixture
def form(samba: Samba, own_ca: Trust) -> MakeForm:
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


async def run(
    house: House, runs: PostgresRuns | None = None, most: int = 1, *, limits: Limits = LOOPBACK
) -> Sequence[Outcome]:
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
        limits=limits,
    )
    claimed = await runs.claim(most)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sync(each, ports=ports)) for each in claimed]
    return [task.result() for task in tasks]


async def press(
    house: House, trigger: Trigger = Trigger.MANUAL, *, limits: Limits = LOOPBACK
) -> str:
    """One sync from request to outcome; the code of what went wrong, or why it was not run."""
    await house.request(trigger=trigger)
    (outcome,) = await run(house, limits=limits)
    if isinstance(outcome, Skipped):
        return outcome.reason
    return outcome.finding.code if isinstance(outcome, Failed) else "ok"


async def doctor(house: House, form: DirectorySettings, *, password: str) -> str:
    """One test of a form, from the command to its answer; the code of what was found."""
    sealed = house.vault.seal(Secret(password))
    await house.send(CheckDirectory(None, Form(form, sealed, None)))
    (code,) = await examined(house)
    return code


async def examined(house: House, most: int = 1) -> Sequence[str]:
    """Carry out the tests that wait, so many at once, as a worker would; gives what was found."""
    tests = PostgresTests(house.pool, house.clock, house.vault, Claiming("worker-1"), per_tenant=10)
    ports = ExaminePorts(
        tests=tests,
        directory=LdapReader(),
        sign_ins=house.sign_ins,
        telemetry=NoTelemetry(),
        relay_bell=Bell(),
        limits=LOOPBACK,
    )
    claimed = await tests.claim(most)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(examine(each, ports=ports)) for each in claimed]
    return [task.result() for task in tasks]


def refusals(samba: Samba, account: str) -> int:
    """What the directory has counted against an account; it locks it at LOCKOUT_THRESHOLD."""
    assert samba.number(ad_domain.account(account), "lockoutTime") == 0
    return samba.number(ad_domain.account(account), "badPwdCount")


async def test_a_person_who_presses_again_and_again(
    house: House, samba: Samba, form: MakeForm
) -> None:
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
    house: House, samba: Samba, form: MakeForm
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


async def test_many_directories_and_workers_at_once(
    house: House, samba: Samba, form: MakeForm
) -> None:
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
    house: House, samba: Samba, form: MakeForm
) -> None:
    """The second domain controller asks the same account; the first, which is away, asks nobody."""
    settings = form("safe-failover")
    away = Server("127.0.0.1", free_port())
    await move_in(house, replace(settings, servers=(away, *settings.servers)), password="wrong")

    assert await press(house) == "sign_in.wrong_password"
    assert refusals(samba, "safe-failover") == 1


@pytest.mark.parametrize("how", [Action.DROP, Action.CUT])
async def test_answers_that_are_lost_on_the_way_lock_nobody(
    house: House, samba: Samba, authority: Authority, form: MakeForm, how: Action
) -> None:
    """The directory counts a sign-in also when its answer never arrives; five servers were five of them."""
    account = f"safe-lost-{how}"
    with ExitStack() as doors:
        ports = [doors.enter_context(keeping_back(samba, authority, how)) for _ in range(5)]
        servers = tuple(Server("127.0.0.1", port) for port in ports)
        await move_in(house, replace(form(account), servers=servers), password="wrong")

        codes = [await press(house, limits=IMPATIENT)]
        house.clock.forward(minutes=3)
        codes.append(await press(house, limits=IMPATIENT))

    assert codes[1] == "sign_in.waiting"
    assert refusals(samba, account) == REFUSALS_MAX


@contextmanager
def keeping_back(samba: Samba, authority: Authority, how: Action) -> Iterator[int]:
    """A way to the directory on which no answer to a sign-in arrives; gives its port."""
    certificate = authority.issue("proxy")
    with FaultProxy(samba.ldaps_port, certificate=certificate, upstream_tls=True) as proxy:
        proxy.arm(Fault(how, Kind.BIND, times=0))
        yield proxy.port


async def test_a_doctor_sends_a_wrong_password_once(samba: Samba, form: MakeForm) -> None:
    """It goes on as far as it can with all servers, and signs in at one."""
    asked = Asked(form("safe-doctor"), Credentials(Secret("wrong")), None)

    diagnosis = await diagnose(asked, ports=DiagnosePorts(LdapReader(), LOOPBACK))

    assert diagnosis.finding.code == "sign_in.wrong_password"
    assert refusals(samba, "safe-doctor") == diagnosis.refused_sign_ins == 1


async def test_the_right_password_starts_anew(house: House, samba: Samba, form: MakeForm) -> None:
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


async def test_a_form_saved_again_and_again(house: House, samba: Samba, form: MakeForm) -> None:
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


async def test_a_person_who_tests_a_form_again_and_again(
    house: House, samba: Samba, form: MakeForm
) -> None:
    """A test is a press like another, and its answer says when the next may be made."""
    settings = form("safe-doctors")
    await house.save_tenant(ad_domain.MAIL)

    codes = [await doctor(house, settings, password=f"guess {number}") for number in range(8)]

    assert codes == ["sign_in.wrong_password"] * REFUSALS_MAX + ["sign_in.waiting"] * 6
    told = await house.last("directory.tested")
    assert f"{house.clock.at + timedelta(minutes=30):%Y-%m-%d %H:%M} UTC" in told["headline"]
    assert refusals(samba, "safe-doctors") == REFUSALS_MAX


@pytest.mark.parametrize("called", ["", "Sync Service (safe-spelled)"], ids=["alike", "unlike"])
async def test_presses_under_three_spellings_lock_nobody(
    house: House, samba: Samba, own_ca: Trust, called: str
) -> None:
    r"""DN, user@domain and DOMAIN\user are one account, also where the entry is called otherwise than the account.

    Two refusals are what an account bears that is locked at three.
    """
    name = "safe-unlike" if called else "safe-alike"
    samba.add(ad_domain.new_account(name, called))
    await house.save_tenant(ad_domain.MAIL)
    settings = DirectorySettings(
        name="Head office",
        type="active_directory",
        servers=(Server("127.0.0.1", samba.ldaps_port),),
        bind_name="",
        trust=own_ca,
    )
    spellings = (ad_domain.account(called or name), upn(name), ad_domain.logon(name))

    codes = [
        await doctor(house, replace(settings, bind_name=spelling), password=f"guess {attempt}")
        for attempt in range(3)
        for spelling in spellings
    ]

    assert codes == ["sign_in.wrong_password"] * REFUSALS_MAX + ["sign_in.waiting"] * 7
    assert refusals(samba, called or name) == REFUSALS_MAX
    # and all three are names of that account indeed
    house.clock.forward(minutes=31)
    for spelling in spellings:
        right = replace(settings, bind_name=spelling)
        assert await doctor(house, right, password=PASSWORD) in {"ok", "addresses.other_domains"}


async def test_presses_under_names_that_only_the_domain_can_tell_lock_nobody(
    house: House, samba: Samba, form: MakeForm
) -> None:
    """It takes a SID, a GUID and two of user@domain for the account as well."""
    settings = form("safe-named")
    await house.save_tenant(ad_domain.MAIL)
    samba.set(ad_domain.account("safe-named"), userPrincipalName="many.names@elsewhere.example")
    (entry,) = samba.search(
        ad_domain.account("safe-named"), "(objectClass=*)", "objectSid", "objectGUID"
    )
    sid = sid_of(entry.attributes["objectsid"][0])
    names = (
        "many.names@elsewhere.example",
        upn("safe-named"),
        f"<GUID={entry.attributes['objectguid'][0].hex()}>",
        f"<SID={sid}>",
        sid,
    )

    codes = [
        await doctor(house, replace(settings, bind_name=name), password=f"guess {attempt}")
        for attempt in range(2)
        for name in names
    ]

    assert codes == ["sign_in.wrong_password"] * REFUSALS_MAX + ["sign_in.waiting"] * 8
    assert refusals(samba, "safe-named") == REFUSALS_MAX
    # and all are names of that account indeed
    house.clock.forward(minutes=31)
    for name in names:
        right = replace(settings, bind_name=name)
        assert await doctor(house, right, password=PASSWORD) in {"ok", "addresses.other_domains"}


def sid_of(value: bytes) -> str:
    """How a SID is written (MS-DTYP section 2.4.2)."""
    parts = [int.from_bytes(value[at : at + 4], "little") for at in range(8, len(value), 4)]
    return "-".join(["S", str(value[0]), str(int.from_bytes(value[2:8], "big")), *map(str, parts)])


@pytest.mark.timeout(180)
async def test_doctors_syncs_failovers_and_two_workers_at_once(
    house: House, samba: Samba, form: MakeForm
) -> None:
    """An account whose password was changed: schedule, presses, Save & Sync and tests all find out at the same moment."""
    spellings = (upn("safe-all"), ad_domain.account("safe-all"), ad_domain.logon("safe-all"))
    await everybody_asks(house, form("safe-all"), spellings)

    workers = [house.worker(f"worker-{number}", per_tenant=10) for number in range(2)]
    async with asyncio.TaskGroup() as group:
        syncs = [group.create_task(run(house, runs, most=4)) for runs in workers]
        doctors = [group.create_task(examined(house, most=4)) for _ in workers]

    assert sum(len(task.result()) for task in syncs) == len(spellings)
    assert sum(len(task.result()) for task in doctors) == 2 * len(spellings)
    assert refusals(samba, "safe-all") == REFUSALS_MAX
    # the rest of the day: the schedule, and a person who does not believe it
    for _ in range(3):
        house.clock.forward(minutes=7)
        await examined_after_asking(house, "d0")
        await run(house, most=10)
    assert refusals(samba, "safe-all") == REFUSALS_MAX


async def everybody_asks(
    house: House, settings: DirectorySettings, spellings: Sequence[str]
) -> None:
    """For each spelling a directory whose first server is away: the schedule, a Save & Sync, a test of it and of a form."""
    away = Server("127.0.0.1", free_port())
    await house.save_tenant(ad_domain.MAIL)
    for number, spelling in enumerate(spellings):
        spelled = replace(settings, bind_name=spelling, servers=(away, *settings.servers))
        directory = f"d{number}"
        await house.save_directory(spelled, directory=directory, password="old")
        await house.request(directory, trigger=Trigger.SCHEDULED)
        await house.save_directory(spelled, directory=directory, password="older", sync=True)
        await house.send(CheckDirectory(DirectoryId(directory), None))
        sealed = house.vault.seal(Secret(f"guess {number}"))
        await house.send(CheckDirectory(None, Form(spelled, sealed, None)))


async def examined_after_asking(house: House, directory: str) -> None:
    """One more press."""
    await house.send(CheckDirectory(DirectoryId(directory), None))
    assert await examined(house) == ["sign_in.waiting"]
