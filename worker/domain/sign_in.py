"""Decides whether a password may be sent once more, so that no number of runs locks a customer's account.

Design, account safety: a refused password is not sent again by anything automatic; at most two refusals in
30 minutes, presses included; a success resets.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.model import Trigger


WINDOW = timedelta(minutes=30)
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
    counted = [attempt for attempt in _since_success(recent) if now - attempt.at < WINDOW]
    if len(counted) < REFUSALS_MAX:
        return None
    if any(a.outcome is Sent.PENDING and now - a.at < UNANSWERED_FOR for a in counted):
        return Wait("sign_in.busy", "other sign-ins of this account are under way")
    free_at = counted[REFUSALS_MAX - 1].at + WINDOW
    return Wait("sign_in.waiting", f"{free_at:%Y-%m-%d %H:%M} UTC")


def _since_success(recent: Sequence[Attempt]) -> list[Attempt]:
    since: list[Attempt] = []
    for attempt in recent:
        if attempt.outcome is Sent.ACCEPTED:
            break
        since.append(attempt)
    return since


def _refused_in_a_row(recent: Sequence[Attempt]) -> bool:
    settled = [attempt for attempt in recent if attempt.outcome is not Sent.PENDING]
    return [attempt.outcome for attempt in settled[:2]] == [Sent.REFUSED, Sent.REFUSED]
