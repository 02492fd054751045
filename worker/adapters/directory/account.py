"""What a directory tells of the account that reads it: until when its password is valid. Only Active Directory does.

Asked after a list has been read whole, so that no answer, and none at all, can spoil the reading.
"""

from datetime import UTC, datetime, timedelta

from worker.adapters.directory.session import Session
from worker.domain.server import RootDse


EXPIRY = "msDS-UserPasswordExpiryTimeComputed"
"""Worked out by the server from the password's age and the policy that applies to the account (MS-ADTS section 3.1.1.4.5.32)."""

BEGIN = datetime(1601, 1, 1, tzinfo=UTC)
"""Times are counted in tenths of a microsecond from here (MS-DTYP section 2.3.3); 0 and the largest number mean never."""

LATEST = datetime(9999, 1, 1, tzinfo=UTC)


async def password_until(session: Session, bind_name: str, root: RootDse) -> datetime | None:
    """Return when the password of the account expires; None: never, or it is not told. Raises DirectoryFailure."""
    if not (root.capabilities and root.default_context):
        return None
    values = await session.values(root.default_context, account_filter(bind_name), EXPIRY)
    return moment(values[0]) if len(values) == 1 else None


def account_filter(bind_name: str) -> str:
    """Return the filter that finds an account by the name it signs in with: a DN, a UPN, or domain and user with a backslash."""
    domain, is_down_level, user = bind_name.partition("\\")
    if is_down_level and "=" not in domain:
        return f"(sAMAccountName={escaped(user)})"
    if "=" in bind_name:
        return f"(distinguishedName={escaped(bind_name)})"
    return f"(userPrincipalName={escaped(bind_name)})"


def escaped(value: str) -> str:
    """Return a value as it stands in a filter (RFC 4515 section 3)."""
    return "".join(f"\\{ord(sign):02x}" if sign in "\\*()\0" else sign for sign in value)


def moment(value: bytes) -> datetime | None:
    """Read a time as Active Directory writes it; None for never, and for what is none."""
    if not value.isdigit():
        return None
    try:
        at = BEGIN + timedelta(microseconds=int(value) // 10)
    except OverflowError:
        return None
    return at if BEGIN < at < LATEST else None
