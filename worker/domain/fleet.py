"""Decides whether so many directories are in trouble at once that ours is the likelier fault. Sees counts only."""

from dataclasses import dataclass
from datetime import timedelta

from worker.domain.events import FleetFigures


SHRINK_SHARE = 0.01
SHRINK_COUNT = 2
"""A directory shrinks when a run newly misses this share of what it held, and this many at least: a leaver a day is none."""


@dataclass(frozen=True, slots=True)
class FleetLimits:
    """How many at once are too many."""

    customers: int = 5
    """Distinct tenants in trouble, at least."""
    share: float = 0.20
    """Of the directories that had a run, more than this."""
    window: timedelta = timedelta(hours=1)


def is_alarming(figures: FleetFigures, limits: FleetLimits) -> bool:
    """Whether removals of all directories are to be held until the operator has looked."""
    in_trouble = figures.failing + figures.shrinking
    return figures.customers >= limits.customers and in_trouble > limits.share * figures.directories
