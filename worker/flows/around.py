"""A look around for an answer that is about to be given. Whatever goes wrong with it costs nobody the answer."""

from worker.domain.plan import ReadPlan
from worker.domain.survey import Survey
from worker.ports.directory import Surveyor
from worker.ports.telemetry import Telemetry


async def looked_around(
    plan: ReadPlan | None, surveyor: Surveyor | None, telemetry: Telemetry
) -> Survey:
    """Return what a survey has seen; nothing without a plan, without a surveyor, or if it broke."""
    if plan is None or surveyor is None:
        return Survey()
    try:
        return await surveyor.survey(plan)
    except Exception as bug:  # noqa: BLE001 - the answer matters more than what adorns it
        telemetry.event("survey_broke", level="error", error=bug)
        return Survey()
