"""Decides what the undo of a run does to one address. The store does the same in sets; this is what it is tested against.

An undo gives back what the run took, and lets go what the run gave. Nothing it does takes an address from the list:
what is let go is *missing*, and leaves only by a later complete run, guard and grace.
"""

import enum
from collections.abc import Mapping

from worker.domain.model import Change
from worker.domain.reconcile import Standing, Step


TAKEN = frozenset({Change.MISSING, Change.GRACE, Change.REMOVED})
"""What a run does to an address that it did not find."""


class Fate(enum.StrEnum):
    """What becomes of an address that the undone run had changed; all but the first two leave it as it is."""

    GIVEN_BACK = "given_back"
    LEAVING = "leaving"
    CAME_BACK = "came_back"
    DECIDED = "decided"
    FORGOTTEN = "forgotten"
    LEFT_SINCE = "left_since"
    HELD_ELSEWHERE = "held_elsewhere"


UNTOUCHED: Mapping[Fate, str] = {
    Fate.CAME_BACK: "The run took it, and a later run found it again.",
    Fate.DECIDED: "A person took it away, or its domain; that stands.",
    Fate.FORGOTTEN: "It was removed more than 30 days ago: add it by hand if it is to be valid again.",
    Fate.LEFT_SINCE: "The run gave it, and it is on its way out already.",
    Fate.HELD_ELSEWHERE: "The run gave it, and another source holds it too.",
}
"""Why an address is left as it is."""


def fate(change: Change, standing: Standing | None, elsewhere: Step | None) -> Fate:
    """Return what becomes of an address.

    ``standing``: where it stands now with the run's directory, None if nothing of it is left. ``elsewhere``: the
    best that any other source says of it.
    """
    if change in TAKEN:
        return _of_taken(standing)
    if standing is None or standing.step is not Step.PRESENT:
        return Fate.LEFT_SINCE
    return Fate.HELD_ELSEWHERE if elsewhere in {Step.PRESENT, Step.MISSING} else Fate.LEAVING


def _of_taken(standing: Standing | None) -> Fate:
    if standing is None:
        return Fate.FORGOTTEN
    if standing.is_decided:
        return Fate.DECIDED
    return Fate.CAME_BACK if standing.step is Step.PRESENT else Fate.GIVEN_BACK
