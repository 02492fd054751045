"""Decides of what a customer is warned ahead, once per cause, and when that is over.

Pure: a directory as it stands goes in, its warnings come out; who stores and tells them compares with what was told.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


AHEAD = timedelta(days=30)
"""So long before a certificate expires: time to find who renews it."""

INTERVALS = 3
"""A directory that was not read for so many is late: one failure passes, two may."""


class Cause(enum.StrEnum):
    """Why somebody is warned."""

    CERTIFICATE = "certificate_expiring"
    PASSWORD = "password_expiring"  # noqa: S105 - the name of a cause
    NOT_SYNCED = "not_synced"


TEXTS: Mapping[Cause, str] = {
    Cause.CERTIFICATE: "The certificate of the directory's server expires on {at:%Y-%m-%d}. "
    "After that no sync succeeds and the list stays as it is: have it renewed before.",
    Cause.PASSWORD: "The password of the bind account expires on {at:%Y-%m-%d}. After that no sync succeeds and the list stays "
    "as it is: change it before, and enter the new one in the form.",
    Cause.NOT_SYNCED: "Automatic sync has not succeeded since {at:%Y-%m-%d %H:%M} UTC, three times its interval or more. "
    "The list stays as it is; who is new is not in it yet. The last failed run says what to mend.",
}

RENEWED: Mapping[Cause, str] = {
    Cause.CERTIFICATE: "The certificate of the directory's server is valid until {at:%Y-%m-%d} now.",
    Cause.PASSWORD: "The password of the bind account is valid until {at:%Y-%m-%d} now.",
}

UNDATED: Mapping[Cause, str] = {
    Cause.CERTIFICATE: "The last complete sync went over no certificate whose expiry would end it.",
    Cause.PASSWORD: "The directory names no day any more on which the password of the bind account expires.",
}

READ_AGAIN = "The directory has been read whole again, the last time at {at:%Y-%m-%d %H:%M} UTC."

SWITCHED_OFF = (
    "Automatic sync has been switched off in the form, so nobody waits for it any more. It had not succeeded since "
    "{since:%Y-%m-%d %H:%M} UTC: the list stays as it is until a sync by hand."
)

NOTHING_TOLD: Mapping[str, datetime] = {}


@dataclass(frozen=True, slots=True)
class Watched:
    """What warnings go by, of a directory that is alive and has settings in force."""

    certificate_until: datetime | None
    """As the server showed it at the last complete run; None: it showed none that is checked."""
    password_until: datetime | None
    """Likewise, where the directory tells; None: it does not, or never expires."""
    last_good_at: datetime | None
    is_automatic: bool
    """The form in force asks for automatic sync, also while that is paused or the plan has none."""
    expected_since: datetime | None
    """When its schedule began as it stands; None: it is not synced by itself, or paused."""
    every_hours: int | None
    failed_in_a_row: int


def warnings(
    of: Watched, now: datetime, told: Mapping[str, datetime] = NOTHING_TOLD
) -> Mapping[Cause, datetime]:
    """Return what is to be warned of, each with its time: until when a thing is valid, since when nothing succeeded.

    ``told`` is what was warned of and is not over, with the times of then.
    """
    expiring = {Cause.CERTIFICATE: of.certificate_until, Cause.PASSWORD: of.password_until}
    found = {cause: at for cause, at in expiring.items() if at is not None and at - now <= AHEAD}
    since = _not_synced_since(of, now, told.get(Cause.NOT_SYNCED))
    if since is not None:
        found[Cause.NOT_SYNCED] = since
    return found


def over(cause: Cause, of: Watched, told_at: datetime) -> str:
    """Say to the customer why a warning with this time is over: what a person may rely on now, and no more."""
    if cause is Cause.NOT_SYNCED:
        return (READ_AGAIN if _is_read_since(of, told_at) else SWITCHED_OFF).format(
            at=of.last_good_at, since=told_at
        )
    until = of.certificate_until if cause is Cause.CERTIFICATE else of.password_until
    return UNDATED[cause] if until is None else RENEWED[cause].format(at=until)


def _not_synced_since(of: Watched, now: datetime, told_at: datetime | None) -> datetime | None:
    """Told once, it stands whatever becomes of the schedule: a pause or another interval brings nobody into the list."""
    if told_at is not None and of.is_automatic and not _is_read_since(of, told_at):
        return told_at
    return _late_since(of, now)


def _is_read_since(of: Watched, told_at: datetime) -> bool:
    """Whether a complete run ended after the last one that was known when the warning was told."""
    return of.last_good_at is not None and of.last_good_at > told_at


def _late_since(of: Watched, now: datetime) -> datetime | None:
    """Since when a schedule has come to nothing. Only where runs failed: when ours did not run, that is no fault of theirs."""
    if of.expected_since is None or of.every_hours is None or of.failed_in_a_row == 0:
        return None
    since = max(of.expected_since, of.last_good_at or of.expected_since)
    return since if now - since >= INTERVALS * timedelta(hours=of.every_hours) else None


def sentence(cause: Cause, at: datetime) -> str:
    """Say a warning to the customer."""
    return TEXTS[cause].format(at=at)
