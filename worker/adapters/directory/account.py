"""What a directory tells of the account that reads it: until when its password is valid.

Active Directory works it out; 389 Directory Server keeps it in the account's entry; OpenLDAP keeps there when the password was changed, and
in a policy for how long it is good. Asked after a list has been read whole, so that no answer, and none at all, can spoil the reading.
"""

import re
from datetime import UTC, datetime, timedelta

from worker.adapters.directory.session import Session
from worker.domain.server import AGING, RootDse


EXPIRY = "msDS-UserPasswordExpiryTimeComputed"
"""Worked out by the server from the password's age and the policy that applies to the account (MS-ADTS section 3.1.1.4.5.32)."""

BEGIN = datetime(1601, 1, 1, tzinfo=UTC)
"""Times are counted in tenths of a microsecond from here (MS-DTYP section 2.3.3); 0 and the largest number mean never."""

LATEST = datetime(9999, 1, 1, tzinfo=UTC)

EXPIRES = "passwordExpirationTime"
"""In the entry of an account of 389 Directory Server whose password expires (Red Hat Directory Server, Configuration, Command, and File Reference).
1970 there means that it has to be changed at the next sign-in."""

CHANGED, POLICY, GOOD_FOR = "pwdChangedTime", "pwdPolicySubentry", "pwdMaxAge"
"""Of OpenLDAP with its password policy (slapo-ppolicy(5)): when it was changed; the policy, named in the entry only if it is
not the default one; for how many seconds it is good, 0 for ever."""

NUMBER = re.compile(rb"\d{1,30}")
"""Python refuses to read one of thousands of digits, which a server may well send."""
UNIX = datetime(1970, 1, 1, tzinfo=UTC)
GENERALIZED = re.compile(rb"(\d{14})([.,]\d+)?Z")
"""As servers write it (RFC 4517 section 3.3.13)."""


async def password_until(session: Session, bind_name: str, root: RootDse) -> datetime | None:
    """Return when the password of the account expires; None: never, or it is not told. Raises DirectoryFailure."""
    if root.capabilities and root.default_context:
        values = await session.values(root.default_context, account_filter(bind_name), EXPIRY)
        return moment(values[0]) if len(values) == 1 else None
    if AGING in root.controls and "=" in bind_name:
        return await _by_policy(session, bind_name)
    return None


async def _by_policy(session: Session, bind_dn: str) -> datetime | None:
    """Look into the account's own entry, and into the policy that it names."""
    own = await session.entry(bind_dn, (EXPIRES, CHANGED, POLICY))
    if EXPIRES in own:
        return generalized(own[EXPIRES][0])
    changed = generalized(own[CHANGED][0]) if CHANGED in own else None
    if changed is None or POLICY not in own:
        return None
    policy = await session.entry(own[POLICY][0].decode(errors="replace"), (GOOD_FOR,))
    seconds = policy.get(GOOD_FOR, [b"0"])[0]
    return later(changed, seconds)


def later(changed: datetime, seconds: bytes) -> datetime | None:
    """Return the time so many seconds later; None for 0, and for what is no number."""
    if not NUMBER.fullmatch(seconds) or int(seconds) == 0:
        return None
    try:
        return changed + timedelta(seconds=int(seconds))
    except OverflowError:
        return None


def generalized(value: bytes) -> datetime | None:
    """Read a time as directories write it, in UTC; None for what is none."""
    found = GENERALIZED.fullmatch(value)
    if found is None:
        return None
    try:
        at = datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return at if UNIX < at < LATEST else None


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
    if not NUMBER.fullmatch(value):
        return None
    try:
        at = BEGIN + timedelta(microseconds=int(value) // 10)
    except OverflowError:
        return None
    return at if BEGIN < at < LATEST else None
