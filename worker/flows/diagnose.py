"""Settings to the doctor's stages: one whole reading that is looked at and forgotten. Writes nothing.

A reading of the first pages alone would be quicker and prove less: a size limit, a page that is refused or an
entry too large shows at the end. So all is read, within the same bounds as a sync.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from worker.domain import findings
from worker.domain.answer import Case, addresses_seen, answer, failed_by, is_worth_a_look
from worker.domain.failures import (
    DirectoryFailure,
    Failure,
    Finding,
    RequestFailure,
    Stage,
    StageResult,
    StageState,
    Unfinished,
)
from worker.domain.model import Credentials, DirectorySettings, Limits
from worker.domain.normalise import Normaliser
from worker.domain.plan import ReadPlan, make_plan
from worker.domain.preview import Collector, Preview
from worker.domain.report import FIRST_COUNT, Reading, report
from worker.domain.server import Detected, Profile
from worker.domain.survey import Survey
from worker.domain.told import Report
from worker.flows.around import looked_around
from worker.flows.reading import fit_learned
from worker.ports.directory import DirectoryReader, Gate, Surveyor
from worker.ports.telemetry import NoTelemetry, Telemetry


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be looked at."""

    settings: DirectorySettings
    credentials: Credentials
    domains: tuple[str, ...] | None
    """Lower-case A-labels; None: every domain that is met counts as ours."""
    most: int | None = 0
    """How many addresses are kept to be shown; None: all."""
    told_apart: int | None = None
    """How many addresses are told apart at most: one that comes again after those counts twice. None: all."""


@dataclass(frozen=True, slots=True)
class DiagnosePorts:
    """What the doctor needs of the world. ``tell`` hears how many entries were read so far.

    ``gate`` guards the account; without one, as at the command line, nothing is known of earlier refusals.
    """

    directory: DirectoryReader
    limits: Limits
    egress: tuple[str, ...] = ()
    tell: Callable[[int], None] = lambda _: None
    gate: Gate | None = None
    surveyor: Surveyor | None = None
    """Looks around where that has something to add; without one nobody does."""
    telemetry: Telemetry = field(default_factory=NoTelemetry)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found; ``preview`` only if the reading was whole."""

    finding: Finding
    preview: Preview | None
    refused_sign_ins: int
    """They count towards the account's lockout."""
    detail: str = ""
    """The server's own words. For whoever runs this program, never for its customers."""
    detected: Detected | None = None
    """What the server is; None if nobody came so far."""


class CountingGate:
    """Counts the sign-ins refused; asks a gate behind it, if there is one, whether one may be made at all."""

    def __init__(self, behind: Gate | None) -> None:
        self._behind = behind
        self.refused = 0

    async def admit(self) -> None:
        """Let it pass, if the gate behind does. Raises Denied."""
        if self._behind is not None:
            await self._behind.admit()

    async def settle(self, *, accepted: bool | None) -> None:
        """Count what the server refused."""
        self.refused += accepted is False
        if self._behind is not None:
            await self._behind.settle(accepted=accepted)


@dataclass(slots=True)
class Met:
    """What became known on the way, also when the reading failed later."""

    gate: CountingGate
    stages: list[StageResult] = field(default_factory=list)
    plan: ReadPlan | None = None
    preview: Preview | None = None
    """Only if the reading was whole."""
    profile: Profile | None = None
    groups: tuple[str, ...] = ()
    page_s: float = 0.0
    """Of the slowest page."""


async def diagnose(asked: Asked, *, ports: DiagnosePorts) -> Diagnosis:
    """Go through all stages and say what was found; raises no Failure but the gate's StoreFailure. Cancelled, it leaves nothing open."""
    met = Met(CountingGate(ports.gate))
    looked_at = await looked(asked, met, ports=ports)
    failure = looked_at if isinstance(looked_at, Failure) else None
    code = looked_at if isinstance(looked_at, str) else looked_at.code
    survey = Survey()
    if code == findings.OK or is_worth_a_look(code, asked.settings):
        survey = await looked_around(met.plan, ports.surveyor, ports.telemetry)
    case = Case(
        asked.settings,
        met.plan,
        met.stages,
        seen=seen(met.preview) if met.preview else "",
        survey=survey,
        profile=met.profile,
        egress=ports.egress,
        report=reported(asked, met, survey) if code == findings.OK else None,
    )
    found = answer(code, failed_by(failure, case) if failure else case)
    detail = failure.detail if failure else ""
    return Diagnosis(
        found, shown(met.preview, asked.most), met.gate.refused, detail, found.detected
    )


async def looked(asked: Asked, met: Met, *, ports: DiagnosePorts) -> str | Failure:
    """Go through the stages as far as they go; return the code of what was found, or what ended it."""
    try:
        plan = met.plan = replace(planned(asked, ports.limits, met.stages), asks_schema=True)
        preview = met.preview = await read(plan, asked, met, ports=ports)
    except (DirectoryFailure, RequestFailure) as failure:
        return failure
    return judged(preview, met.stages)


def reported(asked: Asked, met: Met, survey: Survey) -> Report | None:
    """Return what a look that found nothing wrong has to tell."""
    if met.preview is None:
        return None
    root = met.profile.root if met.profile else None
    return report(met.preview, Reading(asked.settings, survey, root, met.groups, met.page_s))


def shown(preview: Preview | None, most: int | None) -> Preview | None:
    """Return a preview with as many addresses as were asked for: the report wants the first in any case."""
    if preview is None or most is None:
        return preview
    return replace(preview, recipients=preview.recipients[:most])


def planned(asked: Asked, limits: Limits, stages: list[StageResult]) -> ReadPlan:
    """Make the plan: the first stage. Raises RequestFailure ``settings.*``."""
    began = time.monotonic()
    try:
        plan = make_plan(asked.settings, asked.credentials, limits)
    except RequestFailure as failure:
        stages.append(result(Stage.SETTINGS, StageState.FAILED, began, failure.code))
        raise
    stages.append(result(Stage.SETTINGS, StageState.OK, began, plan.filter))
    return plan


async def read(
    plan: ReadPlan,
    asked: Asked,
    met: Met,
    *,
    ports: DiagnosePorts,
) -> Preview:
    """Read to the proved end. Raises a DirectoryFailure when the list is not whole."""
    most = None if asked.most is None else max(asked.most, FIRST_COUNT)
    normaliser = Normaliser(plan, asked.domains)
    collector = Collector(most, told_apart=asked.told_apart)
    try:
        async with (
            asyncio.timeout(plan.limits.run_s),
            ports.directory.listing(plan, gate=met.gate, stages=met.stages) as pages,
        ):
            began = time.monotonic()
            try:
                async with fit_learned(pages):
                    async for page in pages:
                        met.page_s = max(met.page_s, time.monotonic() - began)
                        collector.add(normaliser.page(page).rows)
                        ports.tell(normaliser.entries)
                        began = time.monotonic()
                proof, met.groups = pages.proof, await pages.groups()
            finally:
                met.profile = pages.profile
    except TimeoutError as exc:
        told = plan.limits.run_told
        raise Unfinished("read.run_deadline", told, figure=told) from exc
    return collector.preview(
        normaliser,
        server=proof.server,
        bases=proof.bases,
        references=proof.references,
        seconds=(proof.connect_s, proof.read_s),
    )


def judged(preview: Preview, stages: list[StageResult]) -> str:
    """Say what the addresses come to, the last stage: ``ok`` if there is one."""
    began = time.monotonic()
    code = findings.OK
    if preview.addresses == 0:
        code = "addresses.other_domains" if preview.foreign_domains else "addresses.none_valid"
    is_ok = code == findings.OK
    said = f"{preview.addresses} addresses" if is_ok else code
    state = StageState.OK if is_ok else StageState.FAILED
    stages.append(result(Stage.ADDRESSES, state, began, said))
    return code


def seen(preview: Preview) -> str:
    """Return what was seen, in figures and names of domains."""
    ignored = {why: each.count for why, each in preview.ignored.items()}
    return addresses_seen(preview.entries, preview.addresses, preview.foreign_domains, ignored)


def result(stage: Stage, state: StageState, began: float, detail: str) -> StageResult:
    """Return one stage of our own; the rest are told by the directory."""
    return StageResult(stage, state, round((time.monotonic() - began) * 1000), detail)
