"""One fault, one answer: of the doctor, of a press and of the night's run; and when anybody looks around for it."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.around import SEEN, MemorySurveyor
from tests.fakes.clock import StandingClock
from tests.fakes.jumping import jumping
from tests.fakes.notebook import Notebook
from tests.fakes.runs import (
    NOW,
    Directory,
    MemoryRuns,
    OpenGate,
    claimed_run,
    memory_spool,
    person,
)
from worker.domain.failures import (
    BaseAsked,
    Denied,
    DirectoryFailure,
    Finding,
    LeaseLost,
    Misdirected,
    Retry,
    StageResult,
    StageState,
    Unfinished,
    Unreachable,
    Untrusted,
)
from worker.domain.findings import retry_of
from worker.domain.model import ClaimedRun, Limits, Server, Trigger
from worker.domain.outcomes import Failed, Outcome, Postponed, RunStopped, Skipped
from worker.domain.server import RootDse
from worker.flows.bell import Bell
from worker.flows.diagnose import Asked, DiagnosePorts, Diagnosis, diagnose
from worker.flows.sync import SyncPorts, sync
from worker.ports.directory import Entry


REFUSED = Unreachable("reach.refused")
FOREIGN = ("uid=x", {"mail": [b"x@elsewhere.example"]})
ODD = ("uid=x", {"mail": [b"not an address"]})
RETRIES = 2


async def synced(
    directory: Directory,
    surveyor: MemorySurveyor,
    run: ClaimedRun | None = None,
    runs: MemoryRuns | None = None,
) -> tuple[Outcome, Notebook]:
    """Let a run go to its end."""
    telemetry = Notebook()
    ports = SyncPorts(
        runs=runs or MemoryRuns(),
        directory=directory,
        sign_ins=OpenGate(),
        clock=StandingClock(NOW),
        telemetry=telemetry,
        spool=memory_spool,
        relay_bell=Bell(),
        limits=Limits(),
        egress=("192.0.2.99",),
        surveyor=surveyor,
        retries=RETRIES,
    )
    return await sync(run or claimed_run(), ports=ports), telemetry


async def finding_of(directory: Directory, surveyor: MemorySurveyor) -> Finding:
    """What is told of a run that fails."""
    outcome, _ = await synced(directory, surveyor)
    assert isinstance(outcome, Failed)
    return outcome.finding


async def diagnosed(
    directory: Directory, surveyor: MemorySurveyor, run: ClaimedRun | None = None
) -> Diagnosis:
    """What the doctor says of the same directory."""
    run = run or claimed_run()
    asked = Asked(run.settings, run.credentials, run.domains)
    ports = DiagnosePorts(
        directory, Limits(), ("192.0.2.99",), surveyor=surveyor, telemetry=Notebook()
    )
    return await diagnose(asked, ports=ports)


def base_not_found() -> Misdirected:
    """A base that the server has not, which says what it has."""
    failure = Misdirected("base.not_found", "result 32")
    failure.asked = BaseAsked(RootDse(contexts=("dc=example",)), "dc=elsewhere")
    return failure


def untimed(finding: Finding) -> Finding:
    """The same without what a clock says."""

    def at_once(stage: StageResult) -> StageResult:
        return replace(stage, milliseconds=0)

    return replace(finding, stages=tuple(map(at_once, finding.stages)))


@pytest.mark.parametrize(
    "fault",
    [
        REFUSED,
        Untrusted("secure.wrong_name", "Hostname mismatch"),
        Misdirected("reach.not_allowed", "10.0.0.1 is private", figure="a private address"),
        Unfinished("read.too_many_bytes", "more than 4 GiB", figure="4 GiB"),
        base_not_found(),
        Denied("sign_in.locked", "data 775"),
        Misdirected("base.ambiguous", "dc=a, dc=b"),
        Unfinished("read.size_limit", "result 4"),
    ],
    ids=lambda fault: fault.code,
)
@jumping
async def test_the_doctor_and_a_failed_run_give_the_same_answer(
    fault: DirectoryFailure,
) -> None:
    """Whoever presses the other button must not be told another story."""
    directory = Directory(fault=fault)

    of_the_run = await finding_of(directory, MemorySurveyor())
    of_the_doctor = (await diagnosed(directory, MemorySurveyor())).finding

    assert untimed(of_the_run) == untimed(of_the_doctor)


@pytest.mark.parametrize(
    ("entry", "seen"),
    [
        (FOREIGN, "1 entries, in elsewhere.example (1)"),
        (ODD, "1 entries, 0 addresses; not taken: no mail address (1)"),
    ],
)
@jumping
async def test_addresses_that_are_not_taken_are_told_alike(entry: Entry, seen: str) -> None:
    """What was found instead is the cure."""
    directory = Directory([[entry]])

    of_the_run = await finding_of(directory, MemorySurveyor())
    of_the_doctor = (await diagnosed(directory, MemorySurveyor())).finding

    assert of_the_run.seen == seen
    assert without_details(of_the_run) == without_details(of_the_doctor)


def without_details(finding: Finding) -> Finding:
    """The same without what only one of the two writes down of a stage."""
    stages = tuple(replace(stage, detail="") for stage in untimed(finding).stages)
    return replace(finding, stages=stages)


@pytest.mark.parametrize("code", ["name.not_found", "reach.timed_out", "secure.expired"])
@jumping
async def test_a_fault_before_the_sign_in_is_looked_into(code: str) -> None:
    """The answer names the port that is open, and the lines to copy."""
    found = await finding_of(Directory(fault=Unreachable(code)), MemorySurveyor())

    assert found.servers == SEEN.servers
    assert "389 is open, 636 is not." in found.seen
    assert found.commands


@pytest.mark.parametrize("code", ["sign_in.wrong_password", "base.not_found", "read.size_limit"])
@jumping
async def test_a_fault_after_it_is_not(code: str) -> None:
    """There is nothing to be seen from outside, and the customer's server has its rest."""
    surveyor = MemorySurveyor()

    found = await finding_of(Directory(fault=Denied(code)), surveyor)

    assert (surveyor.plans, found.servers) == ([], ())
    assert found.commands


@jumping
async def test_nobody_looks_around_before_a_silent_retry() -> None:
    """Nobody is told of it, so nobody needs to know more."""
    surveyor, run = MemorySurveyor(), replace(claimed_run(), trigger=Trigger.SCHEDULED)

    for attempt in range(1, RETRIES + 1):
        await synced(Directory(fault=REFUSED), surveyor, replace(run, attempt=attempt))
    assert retry_of(REFUSED.code) is Retry.LATER
    assert surveyor.plans == []

    await synced(Directory(fault=REFUSED), surveyor, replace(run, attempt=RETRIES + 1))
    assert len(surveyor.plans) == 1


@jumping
async def test_what_no_retry_can_mend_is_looked_into_at_once() -> None:
    """An expired certificate is told the first time, by night as by day."""
    surveyor, run = MemorySurveyor(), replace(claimed_run(), trigger=Trigger.SCHEDULED)

    await synced(Directory(fault=Untrusted("secure.expired")), surveyor, run)

    assert len(surveyor.plans) == 1


@jumping
async def test_the_lease_is_kept_while_somebody_looks_around() -> None:
    """Else another worker would take the run meanwhile."""
    runs = MemoryRuns()

    await synced(Directory(fault=REFUSED), MemorySurveyor(takes_s=14), runs=runs)

    assert len(runs.progress) == 6


@jumping
async def test_a_look_around_that_breaks_costs_nobody_the_answer() -> None:
    """It adorns the answer, and is a bug to be told of."""
    surveyor = MemorySurveyor(fault=ZeroDivisionError("oh"))

    outcome, told = await synced(Directory(fault=REFUSED), surveyor)
    found = await diagnosed(Directory(fault=REFUSED), surveyor)

    assert isinstance(outcome, Failed)
    assert outcome.finding.code == found.finding.code == "reach.refused"
    assert len(told.said("survey_broke")) == 1


@jumping
async def test_who_cancels_meanwhile_is_heard() -> None:
    """A person need not wait for it."""
    runs = MemoryRuns(keep_faults=[RunStopped("cancelled")])

    outcome, _ = await synced(Directory(fault=REFUSED), MemorySurveyor(takes_s=14), runs=runs)

    assert outcome == Skipped("cancelled")


@jumping
async def test_a_lease_lost_meanwhile_ends_it() -> None:
    """Whoever has the directory now tells of it."""
    lost = LeaseLost("store.lease_lost")
    runs = MemoryRuns(keep_faults=[lost], end_faults=[lost])

    outcome, _ = await synced(Directory(fault=REFUSED), MemorySurveyor(takes_s=14), runs=runs)

    assert outcome == Postponed("lease lost")


@jumping
async def test_a_cancelled_look_gives_the_run_back() -> None:
    """A worker that stops leaves nothing behind that another must wait for."""
    runs, run = MemoryRuns(), claimed_run()

    async with asyncio.TaskGroup() as group:
        slow = MemorySurveyor(takes_s=14)
        task = group.create_task(synced(Directory(fault=REFUSED), slow, run, runs))
        await asyncio.sleep(5)
        task.cancel()

    assert runs.given_back == [run.lease.run]
    assert runs.ended == []


async def test_a_good_look_brings_a_report() -> None:
    """Success shows as much as a fault."""
    found = await diagnosed(Directory([[person("ada")]]), MemorySurveyor())

    told = found.finding.report
    assert found.finding.code == "ok"
    assert told is not None
    assert told.first_addresses == ("ada@example.com",)
    assert [each.code for each in told.warnings] == ["one_server", "server_unwell"]
    assert "ldap.example.com has 1 address: 192.0.2.1 port 636 refused" in found.finding.seen
    assert all(stage.state is not StageState.FAILED for stage in found.finding.stages)


async def test_a_list_of_servers_is_looked_at_whatever_went_wrong() -> None:
    """The one that works hides the one that does not."""
    run = claimed_run()
    servers = (Server("ldap.example.com"), Server("b.example"))
    two = replace(run, settings=replace(run.settings, servers=servers))
    one_surveyor, two_surveyor = MemorySurveyor(), MemorySurveyor()
    locked = Directory(fault=Denied("sign_in.locked"))

    await diagnosed(locked, one_surveyor)
    found = await diagnosed(locked, two_surveyor, two)

    assert (len(one_surveyor.plans), len(two_surveyor.plans)) == (0, 1)
    assert found.finding.servers == SEEN.servers


@jumping
async def test_a_failed_run_looks_at_a_list_of_servers_as_the_doctor_does() -> None:
    """Save & Sync tells no less than a test, whatever went wrong."""
    run = claimed_run()
    servers = (Server("ldap.example.com"), Server("b.example"))
    two = replace(run, settings=replace(run.settings, servers=servers))
    locked = Directory(fault=Denied("sign_in.locked"))

    outcome, _ = await synced(locked, MemorySurveyor(), two)
    found = await diagnosed(locked, MemorySurveyor(), two)

    assert isinstance(outcome, Failed)
    assert untimed(outcome.finding) == untimed(found.finding)


async def test_settings_that_cannot_be_planned_are_not_looked_at() -> None:
    """There is nowhere to look."""
    run, surveyor = claimed_run(), MemorySurveyor()
    wrong = replace(run, settings=replace(run.settings, type="nothing"))

    found = await diagnosed(Directory(), surveyor, wrong)

    assert (found.finding.code, surveyor.plans) == ("settings.unknown_type", [])
