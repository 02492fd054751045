"""What a run came to, as values: an unwelcome answer is no exception."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.domain.events import Counts, Seconds
from worker.domain.failures import Failure, Finding
from worker.domain.guard import Ruling


@dataclass(frozen=True, slots=True)
class Tally:
    """What was read, before it is compared with anything."""

    entries: int = 0
    references: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Rejected values, each counted under one reason."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Complete, and applied."""

    counts: Counts
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Complete, and equal to what was applied last: nothing was compared, no recipient row was written."""

    counts: Counts
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Held:
    """Complete; additions applied, departures wait for a person."""

    counts: Counts
    seconds: Seconds
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Previewed:
    """Complete; nothing applied, the changes are kept a day."""

    counts: Counts
    seconds: Seconds
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing changed, and the finding says why. ``detail`` is for the operator only."""

    finding: Finding
    detail: str = ""
    seconds: Seconds = field(default_factory=Seconds)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Not run, or not to its end: paused, right lost, cancelled."""

    reason: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """Back in the queue: a scheduled run tries again, or its settings changed under it."""

    why: str


Outcome = Applied | Unchanged | Held | Previewed | Failed | Skipped | Postponed


class RunStopped(Failure):
    """The run was asked to end (cancelled, paused, deleted) while it was at work; ``code`` is the reason."""
