"""A look around in memory: what it has seen is the test's."""

import asyncio
from dataclasses import dataclass, field

from worker.domain.plan import ReadPlan
from worker.domain.survey import AddressSeen, PortSeen, PortState, ServerSeen, Speech, Survey


SEEN = Survey(
    (
        ServerSeen(
            "ldap.example.com:636",
            "ok",
            1,
            (
                AddressSeen(
                    "192.0.2.1",
                    ports=(
                        PortSeen(636, PortState.REFUSED, 1),
                        PortSeen(389, PortState.OPEN, 1, configured=False, speaks=Speech.LDAP),
                    ),
                ),
            ),
        ),
    )
)


@dataclass(slots=True)
class MemorySurveyor:
    """The Surveyor port."""

    seen: Survey = SEEN
    fault: Exception | None = None
    takes_s: float = 0.0
    plans: list[ReadPlan] = field(default_factory=list)

    async def survey(self, plan: ReadPlan) -> Survey:
        """Remember who asked, take the time it takes, and give what was seen."""
        self.plans.append(plan)
        await asyncio.sleep(self.takes_s)
        if self.fault is not None:
            raise self.fault
        return self.seen
