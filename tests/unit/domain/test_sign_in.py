"""When a password may be sent once more: no number of runs may lock a customer's account."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.model import Trigger
from worker.domain.sign_in import UNANSWERED_FOR, WINDOW, Attempt, Sent, may_sign_in


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=365)
MANUAL, SCHEDULED = Trigger.MANUAL, Trigger.SCHEDULED


def ago(outcome: Sent, **how_long: float) -> Attempt:
    """One attempt, so long ago."""
    return Attempt(NOW - timedelta(**how_long), outcome)


def answer(
    trigger: Trigger, *recent: Attempt, known_refused: bool = False, changed_at: datetime = LONG_AGO
) -> str | None:
    """Why not, or None."""
    wait = may_sign_in(
        trigger, recent, is_known_refused=known_refused, changed_at=changed_at, now=NOW
    )
    return wait.code if wait else None


R, A, P = Sent.REFUSED, Sent.ACCEPTED, Sent.PENDING
TABLE = [
    (MANUAL, [], None),
    (MANUAL, [(R, 1)], None),
    (MANUAL, [(R, 1), (R, 2)], "sign_in.waiting"),
    (MANUAL, [(R, 1), (R, 29)], "sign_in.waiting"),
    (
        MANUAL,
        [(R, 1), (R, 30)],
        "sign_in.waiting",
    ),  # not half an hour apart: the directory counts both
    (MANUAL, [(R, 1), (R, 31)], None),
    (MANUAL, [(R, 29), (R, 58), (R, 87)], "sign_in.waiting"),
    (MANUAL, [(R, 30), (R, 31)], None),
    (MANUAL, [(R, 1), (A, 2), (R, 3)], None),
    (MANUAL, [(A, 1), (R, 2), (R, 3)], None),
    (MANUAL, [(P, 1), (R, 2)], "sign_in.busy"),
    (MANUAL, [(P, 1), (P, 1)], "sign_in.busy"),
    (MANUAL, [(P, 3), (P, 4)], "sign_in.waiting"),
    (MANUAL, [(P, 1)], None),
    (SCHEDULED, [], None),
    (SCHEDULED, [(R, 1_000)], None),
    (SCHEDULED, [(R, 1_000), (R, 2_000)], "sign_in.known_refused"),
    (SCHEDULED, [(P, 1_000), (R, 2_000), (R, 3_000)], "sign_in.known_refused"),
    (SCHEDULED, [(R, 1_000), (A, 2_000), (R, 3_000)], None),
    (SCHEDULED, [(A, 1_000), (R, 2_000), (R, 3_000)], None),
]


@pytest.mark.parametrize(("trigger", "recent", "code"), TABLE)
def test_the_table_of_answers(
    trigger: Trigger, recent: list[tuple[Sent, float]], code: str | None
) -> None:
    """Two refusals in half an hour, whoever caused them; two in a row stop what nobody watches; a success resets."""
    assert answer(trigger, *[ago(outcome, minutes=age) for outcome, age in recent]) == code


def test_a_refused_password_is_not_sent_again_by_itself() -> None:
    """A person may try it again: it may have been put right in the directory."""
    assert answer(SCHEDULED, known_refused=True) == "sign_in.known_refused"
    assert answer(MANUAL, known_refused=True) is None


def test_settings_saved_since_may_be_tried_by_themselves() -> None:
    """What was refused before says nothing of a new password."""
    refused = [ago(R, hours=2), ago(R, hours=3)]

    assert answer(SCHEDULED, *refused, changed_at=NOW - timedelta(hours=1)) is None
    assert answer(SCHEDULED, *refused, changed_at=NOW - timedelta(hours=2.5)) is None
    assert (
        answer(SCHEDULED, *refused, changed_at=NOW - timedelta(hours=3)) == "sign_in.known_refused"
    )


def test_settings_saved_since_do_not_shorten_the_half_hour() -> None:
    """The directory counts refusals, not forms."""
    refused = [ago(R, minutes=2), ago(R, minutes=3)]

    assert answer(MANUAL, *refused, changed_at=NOW) == "sign_in.waiting"
    assert answer(SCHEDULED, *refused, changed_at=NOW) == "sign_in.waiting"


def test_the_answer_says_until_when() -> None:
    """Until the directory has forgotten: half an hour after the last refusal."""
    recent = [ago(R, minutes=5), ago(R, minutes=12), ago(R, minutes=20)]

    wait = may_sign_in(MANUAL, recent, is_known_refused=False, changed_at=LONG_AGO, now=NOW)

    assert wait is not None
    assert wait.detail == f"{NOW - timedelta(minutes=5) + WINDOW:%Y-%m-%d %H:%M} UTC"


def test_an_attempt_without_an_answer_is_under_way_for_a_bounded_while() -> None:
    """Later its worker has died, and the server may have counted it."""
    under_way = UNANSWERED_FOR - timedelta(seconds=1)
    first = ago(R, minutes=10)

    assert answer(MANUAL, Attempt(NOW - under_way, P), first) == "sign_in.busy"
    assert answer(MANUAL, Attempt(NOW - UNANSWERED_FOR, P), first) == "sign_in.waiting"
