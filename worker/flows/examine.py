"""One claimed test to one recorded answer: what the doctor says of a directory, or of a form before it is saved.

Nothing of a customer's list is touched. No database connection is held while the directory is read.
"""

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from worker.domain.answer import Case, answer
from worker.domain.failures import Finding, LeaseLost, StoreFailure
from worker.domain.findings import INTERNAL
from worker.domain.model import ClaimedTest, Limits, Trigger
from worker.domain.outcomes import RunStopped
from worker.domain.sign_in import sign_in_of
from worker.flows import leased
from worker.flows.bell import Bell
from worker.flows.diagnose import Asked, DiagnosePorts, diagnose
from worker.flows.leased import alongside, given_back
from worker.ports.directory import DirectoryReader, Surveyor
from worker.ports.directory_tests import DirectoryTests
from worker.ports.runs import SignIns
from worker.ports.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class ExaminePorts:
    """What one test needs of the world."""

    tests: DirectoryTests
    directory: DirectoryReader
    sign_ins: SignIns
    telemetry: Telemetry
    relay_bell: Bell
    limits: Limits
    """As a sync's, but that a person waits for the whole of it."""
    beat_s: float = 2.0
    """How often the lease is renewed."""
    told_apart: int = 500_000
    """Addresses of one test: a customer's directory may mean harm, and several are tested at once."""
    egress: tuple[str, ...] = ()
    surveyor: Surveyor | None = None


async def examine(test: ClaimedTest, *, ports: ExaminePorts) -> str:
    """Take one claimed test to its recorded answer; gives its code, or what became of it.

    Cancelled, it gives the test back.
    """
    with ports.telemetry.bind(tenant=test.tenant, directory=test.directory):
        ports.telemetry.observe("test_queue_seconds", test.queue_s)
        try:
            told = await told_of(test, ports=ports)
        except asyncio.CancelledError:
            giving = partial(ports.tests.give_back, test)
            within_s = ports.beat_s * 5
            await asyncio.shield(given_back(giving, ports.telemetry, within_s=within_s))
            raise
        except Exception as bug:  # noqa: BLE001 - not even recording may end the worker: the lease lapses
            ports.telemetry.event("test_recording_broke", level="error", error=bug)
            told = "postponed"
        ports.telemetry.event("test_ended", code=told)
        ports.telemetry.count("tests", code=told)
    ports.relay_bell.ring()
    return told


async def told_of(test: ClaimedTest, *, ports: ExaminePorts) -> str:
    """Have the doctor look and record what was found; a store that is away leaves the test to its lease."""
    try:
        found = await alongside(look_at(test, ports=ports), beat(test, ports=ports))
    except (LeaseLost, RunStopped) as gone:
        ports.telemetry.event("test_gone", detail=gone.detail)
        return "gone"
    except StoreFailure as away:
        ports.telemetry.event("store_away", code=away.code, detail=away.detail)
        return "postponed"
    except Exception as bug:  # noqa: BLE001 - the one place where a bug in a test ends: recorded, not spread
        ports.telemetry.event("test_broke", level="error", error=bug)
        found = answer(INTERNAL, Case(test.settings))
    return await recorded(test, found, ports=ports)


async def look_at(test: ClaimedTest, *, ports: ExaminePorts) -> Finding:
    """Go through all stages, the sign-in through the gate that runs go through. Raises StoreFailure, RunStopped."""
    if test.fault is not None:
        return answer(test.fault, Case(test.settings))
    sign_in = replace(
        sign_in_of(
            test.tenant,
            test.settings,
            test.credentials,
            trigger=Trigger.MANUAL,  # a person asked, just now
            changed_at=test.asked_at,
        ),
        is_trial=not test.is_saved,
    )
    diagnosis = await diagnose(
        Asked(test.settings, test.credentials, test.domains, told_apart=ports.told_apart),
        ports=DiagnosePorts(
            ports.directory,
            ports.limits,
            ports.egress,
            gate=ports.sign_ins.gate(sign_in),
            surveyor=ports.surveyor,
            telemetry=ports.telemetry,
        ),
    )
    if diagnosis.detail:
        # the server's own words: for the operator, in no answer
        ports.telemetry.event("test_found", code=diagnosis.finding.code, detail=diagnosis.detail)
    return diagnosis.finding


async def beat(test: ClaimedTest, *, ports: ExaminePorts) -> None:
    """Renew the lease until cancelled. Raises LeaseLost; a store that is away for a while stops nobody."""
    while True:
        await asyncio.sleep(ports.beat_s)
        try:
            async with asyncio.timeout(ports.beat_s * 5):
                await ports.tests.keep(test)
        except LeaseLost:
            raise
        except (StoreFailure, TimeoutError) as away:
            ports.telemetry.event("beat_missed", detail=str(away))


async def recorded(test: ClaimedTest, found: Finding, *, ports: ExaminePorts) -> str:
    """Record the answer, again while the store is away. One whose commit was not heard of is found gone."""

    async def answered() -> str:
        await ports.tests.end(test, found)
        return found.code

    try:
        return await leased.recorded(answered, ports.telemetry) or "postponed"
    except LeaseLost as gone:
        ports.telemetry.event("test_gone", detail=gone.detail)
        return "gone"
