"""How the account that reads is found again, and how Active Directory writes times."""

from datetime import UTC, datetime

import pytest

from worker.adapters.directory.account import account_filter, generalized, later, moment


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sync@corp.example", "(userPrincipalName=sync@corp.example)"),
        ("CORP\\sync", "(sAMAccountName=sync)"),
        ("CN=sync,DC=corp,DC=example", "(distinguishedName=CN=sync,DC=corp,DC=example)"),
        ("CN=Wed\\, Ada (IT),DC=x", "(distinguishedName=CN=Wed\\5c, Ada \\28IT\\29,DC=x)"),
        ("any*one", "(userPrincipalName=any\\2aone)"),
    ],
)
def test_an_account_is_found_by_the_name_it_signs_in_with(name: str, text: str) -> None:
    """Whatever stands in it, it is a value and no filter."""
    assert account_filter(name) == text


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (b"133497504000000000", datetime(2024, 1, 15, 0, 0, tzinfo=UTC)),
        (b"9223372036854775807", None),
        (b"0", None),
        (b"", None),
        (b"never", None),
        (b"99999999999999999999999999", None),
        (b"9" * 5000, None),
    ],
)
def test_a_time_of_active_directory_is_read(value: bytes, at: datetime | None) -> None:
    """Never is written in two ways, and neither is a date."""
    assert moment(value) == at


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (b"20380119031407Z", datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
        (b"20380119031407.123Z", datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
        (b"19700101000000Z", None),
        (b"20381319031407Z", None),
        (b"00000000000000Z", None),
        (b"2038", None),
        (b"", None),
    ],
)
def test_a_time_of_other_directories_is_read(value: bytes, at: datetime | None) -> None:
    """1970 is how 389 Directory Server says that a password has to be changed."""
    assert generalized(value) == at


@pytest.mark.parametrize(
    ("seconds", "at"),
    [
        (b"86400", datetime(2026, 1, 16, tzinfo=UTC)),
        (b"0", None),
        (b"-1", None),
        (b"", None),
        (b"9" * 30, None),
        (b"9" * 5000, None),
    ],
)
def test_a_policy_s_age_is_counted_from_the_change(seconds: bytes, at: datetime | None) -> None:
    """None, and one beyond all calendars, is for ever."""
    assert later(datetime(2026, 1, 15, tzinfo=UTC), seconds) == at
