"""The way of an address out of the list and back, for one directory of one tenant: the rule, one address at a time.

The store does the same for all addresses at once, in sets; this is what it is tested against. It never asks why a
list is short: only listings proved complete come here, and the guard has judged them.
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.domain.model import Address, Change, RemovalPolicy


APART = timedelta(minutes=30)
"""Two complete runs count as two only if they began to read this far apart."""


class Step(enum.StrEnum):
    """How far an address is on its way out; the filter accepts mail for the first two, answers 450 at grace."""

    PRESENT = "present"
    MISSING = "missing"
    GRACE = "grace"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an address stands with one directory that holds it or held it."""

    step: Step = Step.PRESENT
    left_at: datetime | None = None
    """When the first complete run without it began to read, or when a person took it away."""
    grace_until: datetime | None = None
    is_decided: bool = False
    """A person took it away: it goes on by the clock alone, and runs without it change nothing."""
    is_approved: bool = False
    """A person let this removal happen: no hold stops it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete run, judged."""

    read_at: datetime
    """When it began to read."""
    now: datetime
    """When its outcome is recorded."""
    policy: RemovalPolicy
    grace: timedelta
    is_held: bool


PRESENT = Standing()


def reconcile(
    known: Mapping[Address, Standing],
    wanted: Collection[Address],
    elsewhere: Mapping[Address, Step],
    reading: Reading,
) -> tuple[dict[Address, Standing], dict[Address, Change]]:
    """Return where each address stands afterwards, and what the tenant's list as a whole sees of it.

    ``elsewhere`` is the best that any other source says of an address (present for one held by hand).
    """
    after = {
        address: PRESENT if address in wanted else _absent(known[address], reading)
        for address in {*known, *wanted}
    }
    changes = {
        address: change
        for address, standing in after.items()
        if (change := _change(known.get(address), standing.step, elsewhere.get(address)))
    }
    return after, changes


def _absent(was: Standing, reading: Reading) -> Standing:
    """Take at most one step a run."""
    if was.step is Step.PRESENT:
        return Standing(Step.MISSING, left_at=reading.read_at)
    may_go_on = was.is_approved or not reading.is_held
    if was.is_decided or reading.policy is RemovalPolicy.NEVER or not may_go_on:
        return was
    if (
        was.step is Step.MISSING
        and was.left_at is not None
        and was.left_at + APART <= reading.read_at
    ):
        return replace(was, step=Step.GRACE, grace_until=reading.now + reading.grace)
    if (
        was.step is Step.GRACE
        and was.grace_until is not None
        and was.grace_until <= reading.read_at
    ):
        return replace(was, step=Step.REMOVED)
    return was


def _change(was: Standing | None, step: Step, elsewhere: Step | None) -> Change | None:
    """An address that another source still holds as valid yields no change."""
    before = was.step if was else None
    if step is before or elsewhere in {Step.PRESENT, Step.MISSING}:
        return None
    if step is Step.PRESENT:
        return Change.RETURNED if before or elsewhere else Change.ADDED
    if step is Step.REMOVED and elsewhere is Step.GRACE:
        return None
    return Change(step.value)
