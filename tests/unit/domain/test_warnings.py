"""Of what a customer is warned ahead, and since when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.warnings import AHEAD, SWITCHED_OFF, Cause, Watched, over, sentence, warnings


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
HOUR, A_MOMENT = timedelta(hours=1), timedelta(seconds=1)
WELL = Watched(
    certificate_until=NOW + timedelta(days=300),
    password_until=None,
    last_good_at=NOW - HOUR,
    is_automatic=True,
    expected_since=NOW - timedelta(days=40),
    every_hours=6,
    failed_in_a_row=0,
)
LATE = replace(WELL, last_good_at=NOW - 18 * HOUR, failed_in_a_row=2)


def test_a_directory_that_is_well_warns_of_nothing() -> None:
    """Mails that mean nothing are not read when they do."""
    assert warnings(WELL, NOW) == {}


@pytest.mark.parametrize(
    ("until", "is_told"),
    [
        (NOW + AHEAD, True),
        (NOW + AHEAD + A_MOMENT, False),
        (NOW - HOUR, True),
        (None, False),
    ],
)
def test_certificate_and_password_are_warned_of_thirty_days_ahead(
    until: datetime | None,
    is_told: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Also once it has expired; never where none was seen."""
    of_certificate = warnings(replace(WELL, certificate_until=until), NOW)
    of_password = warnings(replace(WELL, password_until=until), NOW)

    assert of_certificate == ({Cause.CERTIFICATE: until} if is_told else {})
    assert of_password == ({Cause.PASSWORD: until} if is_told else {})


@pytest.mark.parametrize(
    ("standing", "since"),
    [
        (LATE, LATE.last_good_at),
        (replace(LATE, last_good_at=NOW - 18 * HOUR + A_MOMENT), None),
        (replace(LATE, last_good_at=None), LATE.expected_since),
        (replace(LATE, expected_since=NOW - 17 * HOUR), None),
        (replace(LATE, expected_since=None), None),
        (replace(LATE, failed_in_a_row=0), None),
        (replace(LATE, every_hours=24), None),
    ],
)
def test_a_schedule_that_came_to_nothing_for_three_intervals_is_warned_of(
    standing: Watched, since: datetime | None
) -> None:
    """Not before; not what nobody expects; and not what our own outage kept from running."""
    assert warnings(standing, NOW) == ({} if since is None else {Cause.NOT_SYNCED: since})


SINCE = NOW - 30 * HOUR
TOLD: dict[str, datetime] = {Cause.NOT_SYNCED: SINCE}
STALE = replace(LATE, last_good_at=SINCE)


@pytest.mark.parametrize(
    ("standing", "since"),
    [
        (replace(STALE, expected_since=None, every_hours=None), SINCE),
        (replace(STALE, expected_since=NOW, failed_in_a_row=0), SINCE),
        (replace(STALE, expected_since=NOW - 20 * HOUR), SINCE),
        (replace(STALE, last_good_at=None, expected_since=None), SINCE),
        (replace(STALE, last_good_at=SINCE + A_MOMENT, failed_in_a_row=0), None),
        (replace(STALE, last_good_at=NOW, expected_since=None, every_hours=None), None),
        (replace(STALE, is_automatic=False, expected_since=None, every_hours=None), None),
        (LATE, LATE.last_good_at),
    ],
    ids=[
        "paused",
        "begun anew",
        "late anew",
        "never read",
        "read",
        "read while paused",
        "switched off",
        "read, and late again",
    ],
)
def test_a_told_lateness_stands_until_a_complete_run_or_until_nobody_wants_it(
    standing: Watched, since: datetime | None
) -> None:
    """A schedule that stands still, or begins anew, has brought nobody into the list."""
    assert warnings(standing, NOW, TOLD) == ({} if since is None else {Cause.NOT_SYNCED: since})


@pytest.mark.parametrize(
    ("cause", "of", "text"),
    [
        (
            Cause.CERTIFICATE,
            WELL,
            "The certificate of the directory's server is valid until 2026-11-11 now.",
        ),
        (
            Cause.CERTIFICATE,
            replace(WELL, certificate_until=None),
            "The last complete sync went over no certificate whose expiry would end it.",
        ),
        (
            Cause.PASSWORD,
            replace(WELL, password_until=NOW + AHEAD + HOUR),
            "The password of the bind account is valid until 2026-02-14 now.",
        ),
        (
            Cause.PASSWORD,
            WELL,
            "The directory names no day any more on which the password of the bind account expires.",
        ),
        (
            Cause.NOT_SYNCED,
            WELL,
            "The directory has been read whole again, the last time at 2026-01-15 08:30 UTC.",
        ),
        (
            Cause.NOT_SYNCED,
            replace(STALE, is_automatic=False),
            SWITCHED_OFF.format(since=SINCE),
        ),
    ],
)
def test_what_is_over_says_why(cause: Cause, of: Watched, text: str) -> None:
    """Not more than is known: a customer who reads that all is well looks no further."""
    assert over(cause, of, SINCE) == text


def test_each_warning_says_what_to_do() -> None:
    """In words for somebody who never saw LDAP."""
    for cause in Cause:
        assert "2026-01-15" in sentence(cause, NOW)
