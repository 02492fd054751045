"""Settings to the doctor's stages: one whole reading that is looked at and forgotten. Writes nothing.

A reading of the first pages alone would be quicker and prove less: a size limit, a page that is refused or an
entry too large shows at the end. So all is read, within the same bounds as a sync.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from worker.domain import findings
from worker.domain.addresses import display_domain
from worker.domain.detect import detect, misfit
from worker.domain.failures import (
    DirectoryFailure,
    Finding,
    RequestFailure,
    Stage,
    StageResult,
    StageState,
    Unfinished,
)
from worker.domain.ldapsearch import ldapsearch_line
from worker.domain.model import Credentials, DirectorySettings, Limits
from worker.domain.normalise import Normaliser
from worker.domain.plan import ReadPlan, make_plan
from worker.domain.preview import Collector, Preview
from worker.domain.server import Detected, Profile
from worker.ports.directory import DirectoryReader, Gate


DOMAINS_NAMED_COUNT = 10
"""Foreign domains named in a finding; a preview lists more."""

FIT_MATTERS = frozenset(
    {findings.OK, "read.nothing_found", "addresses.none_valid", "addresses.other_domains"}
)
"""Findings whose first check is whether the type chosen fits the server."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be looked at."""

    settings: DirectorySettings
    credentials: Credentials
    domains: tuple[str, ...] | None
    """Lower-case A-labels; None: every domain that is met counts as ours."""
    most: int | None = 0
    """How many addresses are kept to be shown; None: all."""


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


@dataclass(slots=True)
class Met:
    """What became known of the server on the way, also when the reading failed later."""

    profile: Profile | None = None


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


async def diagnose(asked: Asked, *, ports: DiagnosePorts) -> Diagnosis:
    """Go through all stages and say what was found; raises no Failure but the gate's StoreFailure. Cancelled, it leaves nothing open."""
    stages: list[StageResult] = []
    gate = CountingGate(ports.gate)
    plan: ReadPlan | None = None
    preview: Preview | None = None
    met = Met()
    code, detail = findings.OK, ""
    try:
        plan = replace(planned(asked, ports.limits, stages), asks_schema=True)
        preview = await read(plan, asked, met, gate=gate, stages=stages, ports=ports)
        code = judged(preview, stages)
    except (DirectoryFailure, RequestFailure) as failure:
        code, detail = failure.code, failure.detail
    found = findings.finding(
        code,
        seen=seen(preview) if preview else "",
        until=detail,
        stages=completed(stages),
        ldapsearch=ldapsearch_line(plan, asked.settings.servers[0]) if plan else "",
        egress=ports.egress,
    )
    detected = detect(met.profile.root, met.profile.known) if met.profile else None
    if plan and detected:
        found = fitted(found, plan, detected)
    return Diagnosis(found, preview, gate.refused, detail, detected)


def fitted(found: Finding, plan: ReadPlan, detected: Detected) -> Finding:
    """Add what the server is and, where it matters, why the type chosen does not fit it: the first thing to look at."""
    advice = misfit(plan.preset, detected) if found.code in FIT_MATTERS else None
    checks = (advice, *found.checks) if advice else found.checks
    return replace(found, checks=checks, detected=detected)


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


async def read(  # noqa: PLR0913 -- what comes in, what is noted on the way, and the world
    plan: ReadPlan,
    asked: Asked,
    met: Met,
    *,
    gate: CountingGate,
    stages: list[StageResult],
    ports: DiagnosePorts,
) -> Preview:
    """Read to the proved end. Raises a DirectoryFailure when the list is not whole."""
    normaliser, collector = Normaliser(plan, asked.domains), Collector(asked.most)
    try:
        async with (
            asyncio.timeout(plan.limits.run_s),
            ports.directory.listing(plan, gate=gate, stages=stages) as pages,
        ):
            try:
                async for page in pages:
                    collector.add(normaliser.page(page).rows)
                    ports.tell(normaliser.entries)
                proof = pages.proof
            finally:
                met.profile = pages.profile
    except TimeoutError as exc:
        raise Unfinished(code="read.run_deadline", detail=f"{plan.limits.run_s} s") from exc
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
    if preview.addresses or not preview.foreign_domains:
        return f"{preview.entries} entries, {preview.addresses} addresses"
    most_first = sorted(preview.foreign_domains.items(), key=lambda each: (-each[1], each[0]))
    named = [f"{display_domain(name)} ({count})" for name, count in most_first]
    more = ["…"] if len(named) > DOMAINS_NAMED_COUNT else []
    return f"{preview.entries} entries, in " + ", ".join(named[:DOMAINS_NAMED_COUNT] + more)


def completed(stages: list[StageResult]) -> list[StageResult]:
    """Add the stages that nobody came to, so that the answer always tells of all."""
    tried = {each.stage for each in stages}
    missing = [stage for stage in Stage if stage not in tried]
    return [*stages, *(StageResult(stage, StageState.NOT_TRIED, 0) for stage in missing)]


def result(stage: Stage, state: StageState, began: float, detail: str) -> StageResult:
    """Return one stage of our own; the rest are told by the directory."""
    return StageResult(stage, state, round((time.monotonic() - began) * 1000), detail)
