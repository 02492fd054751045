"""Decides whether a password may be sent once more, so that no number of runs locks a customer's account.

Design, account safety: a refused password is not sent again by anything automatic; at most two refusals in
30 minutes, presses included; a success resets. Counted as a directory counts them: Active Directory's counter starts
anew only when the last refusal is as old as its window (lockOutObservationWindow; seen with Samba 4.17), so refusals a
quarter of an hour apart add up to any number.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.model import Trigger


WINDOW = timedelta(minutes=30)
"""How long a directory remembers a refusal, by default."""
REFUSALS_MAX = 2
UNANSWERED_FOR = timedelta(minutes=2)
"""How long a sign-in without a recorded answer may still be under way; later its worker has died."""


class Sent(enum.StrEnum):
    """What became of a sign-in that was recorded."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in of a tenant's bind name, whatever the host."""

    at: datetime
    outcome: Sent


@dataclass(frozen=True, slots=True)
class Wait:
    """The password must not be sent now; ``detail`` says until when, or why."""

    code: str
    detail: str


def may_sign_in(
    trigger: Trigger,
    recent: Sequence[Attempt],
    *,
    is_known_refused: bool,
    changed_at: datetime,
    now: datetime,
) -> Wait | None:
    """Return None if the password may be sent, else why not.

    ``recent`` is the youngest first; ``changed_at`` is when the settings were last saved.

    A sign-in whose answer was never recorded counts as refused: its worker may have died after the server
    counted it.
    """
    if trigger is Trigger.SCHEDULED and (
        is_known_refused
        or _refused_in_a_row([attempt for attempt in recent if attempt.at >= changed_at])
    ):
        return Wait("sign_in.known_refused", "this password was refused before")
    counted = _remembered(recent, now)
    if len(counted) < REFUSALS_MAX:
        return None
    if any(a.outcome is Sent.PENDING and now - a.at < UNANSWERED_FOR for a in counted):
        return Wait("sign_in.busy", "other sign-ins of this account are under way")
    free_at = counted[0].at + WINDOW
    return Wait("sign_in.waiting", f"{free_at:%Y-%m-%d %H:%M} UTC")


def _remembered(recent: Sequence[Attempt], now: datetime) -> list[Attempt]:
    """Return what a directory still counts: since the last success, and since the last half hour without a refusal."""
    counted: list[Attempt] = []
    followed_at = now
    for attempt in recent:
        if attempt.outcome is Sent.ACCEPTED or followed_at - attempt.at >= WINDOW:
            break
        counted.append(attempt)
        followed_at = attempt.at
    return counted


def _refused_in_a_row(recent: Sequence[Attempt]) -> bool:
    settled = [attempt for attempt in recent if attempt.outcome is not Sent.PENDING]
    return [attempt.outcome for attempt in settled[:2]] == [Sent.REFUSED, Sent.REFUSED]
