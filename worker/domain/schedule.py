"""Decides when a directory is synced by itself: which times are its own, what a failure and a missed time do to them.

Times are those of a fixed grid, counted in UTC from 1970: every so many hours, moved by a phase that is the
directory's own for ever. No calendar, no time zone, no randomness: the same facts give the same time in every
worker, so a time can be worked out anew whenever something happens and does not move by that.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from worker.domain.model import DirectoryId, Schedule, TenantId, Tier
from worker.domain.plans import Right, allows


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LATE = timedelta(minutes=2)
"""A time further back than this was missed; a restart takes less. What is less late is caught up at once."""

CATCH_UP = timedelta(minutes=15)
"""Missed times are spread over so long: after a day's outage 10,000 directories are 11 a second."""

BACK_OFF_HOURS_MAX = 24
"""A directory that keeps failing is still tried once a day, and one that is read once a day as often as ever."""

_DOUBLINGS_MAX = 5  # 2**5 hours are more than a day

_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Appointment:
    """When a directory is due next, and what that was counted from."""

    next_sync_at: datetime
    since: datetime
    """The last trigger, or when its schedule began: times before this are done with."""
    every_hours: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A living directory as its schedule sees it."""

    tenant: TenantId
    directory: DirectoryId
    tier: Tier
    """The plan that counts: the tenant's own, or its reseller's if that is higher."""
    schedule: Schedule | None
    """Of the settings in force; None: none are yet."""
    is_paused: bool
    failed_in_a_row: int
    """Scheduled runs since the last complete one, or since people last set it going."""
    appointment: Appointment | None
    """As it was worked out last; None: it was not due by itself."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of a directory whose time has come."""

    is_triggered: bool
    appointment: Appointment | None


def is_automatic(standing: Standing) -> bool:
    """Whether a directory is synced by itself: asked for, in force, not paused, and the plan has it."""
    return (
        standing.schedule is not None
        and standing.schedule.automatic
        and not standing.is_paused
        and allows(standing.tier, Right.AUTOMATIC_SYNC)
    )


def is_stopped_by_plan(standing: Standing) -> bool:
    """Whether a directory would be synced by itself if only the plan had that."""
    schedule = standing.schedule
    is_wanted = schedule is not None and schedule.automatic
    return is_wanted and not allows(standing.tier, Right.AUTOMATIC_SYNC)


def arranged(standing: Standing, now: datetime) -> Appointment | None:
    """Return when the directory is due next; None if not by itself. Nothing new gives what was there.

    A schedule that begins, or begins to count by other hours, has its first time after now.
    """
    known, schedule = standing.appointment, standing.schedule
    if schedule is None or not is_automatic(standing):
        return None
    if known is None or known.every_hours != schedule.every_hours:
        return _counted_from(standing, now, every_hours=schedule.every_hours)
    counted = _counted_from(standing, known.since, every_hours=known.every_hours)
    if not _is_missed(counted.next_sync_at, now):
        return counted
    if not _is_missed(known.next_sync_at, now) and known.next_sync_at <= now + CATCH_UP:
        return known  # spread already
    return _caught_up(standing, counted, now)


def turn(standing: Standing, now: datetime) -> Turn:
    """Decide about a directory whose time has come: trigger it once, or spread what was missed, or neither."""
    known, schedule = standing.appointment, standing.schedule
    if known is None or schedule is None or not is_automatic(standing):
        return Turn(is_triggered=False, appointment=arranged(standing, now))
    if _is_missed(known.next_sync_at, now):
        return Turn(is_triggered=False, appointment=_caught_up(standing, known, now))
    following = _counted_from(standing, now, every_hours=schedule.every_hours)
    return Turn(is_triggered=True, appointment=following)


def failed(standing: Standing) -> Standing:
    """Return how a directory stands after one more scheduled run that failed."""
    return replace(standing, failed_in_a_row=standing.failed_in_a_row + 1)


def recovered(standing: Standing) -> Standing:
    """Return how a directory stands when it works again, or people have set it going: if it failed, counted from now."""
    if standing.failed_in_a_row == 0:
        return standing
    return replace(standing, failed_in_a_row=0, appointment=None)


def periods(every_hours: int, failed_in_a_row: int) -> int:
    """Return how many intervals lie between two triggers: 1, 1, 2, 4 … with each failure in a row, a day at most."""
    doublings = min(max(0, failed_in_a_row - 1), _DOUBLINGS_MAX)
    return int(min(2**doublings, max(1, BACK_OFF_HOURS_MAX // every_hours)))


def phase(tenant: TenantId, directory: DirectoryId, *, every_hours: int) -> timedelta:
    """Return where in its interval a directory's time lies, in whole seconds: even over all, the same for ever."""
    return _share(f"{tenant}/{directory}", timedelta(hours=every_hours))


def _counted_from(standing: Standing, since: datetime, *, every_hours: int) -> Appointment:
    """Take the first time of the directory's own after ``since``, later ones while it keeps failing."""
    interval = timedelta(hours=every_hours)
    first = EPOCH + phase(standing.tenant, standing.directory, every_hours=every_hours)
    gone_by = (since - first) // interval + 1
    number = gone_by + periods(every_hours, standing.failed_in_a_row) - 1
    return Appointment(first + number * interval, since, every_hours)


def _is_missed(due_at: datetime, now: datetime) -> bool:
    return now - due_at > LATE


def _caught_up(standing: Standing, missed: Appointment, now: datetime) -> Appointment:
    """Spread a missed time: by another share than the phase, for those missed together have phases alike."""
    share = _share(f"missed {standing.tenant}/{standing.directory}", CATCH_UP)
    return Appointment(now + share, missed.since, missed.every_hours)


def _share(text: str, of: timedelta) -> timedelta:
    digest = hashlib.blake2b(text.encode(), digest_size=_HASH_BITS // 8).digest()
    return timedelta(seconds=int.from_bytes(digest) * int(of.total_seconds()) >> _HASH_BITS)
