"""How the account that reads is found again, and how Active Directory writes times."""

from datetime import UTC, datetime

import pytest

from worker.adapters.directory.account import account_filter, moment


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
    ],
)
def test_a_time_of_active_directory_is_read(value: bytes, at: datetime | None) -> None:
    """Never is written in two ways, and neither is a date."""
    assert moment(value) == at
