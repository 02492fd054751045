"""Tells an account that may do more than read, as far as its name and its groups show."""

from collections.abc import Mapping
from types import MappingProxyType

from worker.domain.survey import listed
from worker.domain.syntax import bare_login, normal_dn


MIGHTY_NAMES = frozenset(
    {
        "admin",  # OpenLDAP as Debian sets it up, FreeIPA
        "administrator",
        "directory manager",  # 389-DS
        "diradmin",
        "manager",  # OpenLDAP as its own documents set it up
        "root",  # Synology
        "zimbra",  # uid=zimbra,cn=admins,cn=zimbra
    }
)
"""Names of accounts that may do everything, in lower case: the one of a DN's first part, or a login."""

MIGHTY_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "500": "the built-in Administrator",
        "512": "Domain Admins",
        "518": "Schema Admins",
        "519": "Enterprise Admins",
        "544": "Administrators",
        "548": "Account Operators",
        "549": "Server Operators",
        "551": "Backup Operators",
    }
)
"""Last parts of well-known SIDs (MS-DTYP section 2.4.2.4)."""
BUILTIN = "S-1-5-32-"
DOMAIN = "S-1-5-21-"
BUILTIN_FROM = 544


def mighty(bind_name: str, groups: tuple[str, ...]) -> str:
    """Say why an account may do more than read, as far as it can be seen; else nothing."""
    names = [found for sid in groups if (found := _mighty_group(sid))]
    if names:
        return listed(
            list(dict.fromkeys(f"in {name}" if name[0].isupper() else name for name in names))
        )
    name = _login(bind_name)
    return f"called {name}, which may usually do everything" if name in MIGHTY_NAMES else ""


def _mighty_group(sid: str) -> str:
    last = sid.rpartition("-")[2]
    is_builtin = last.isdigit() and int(last) >= BUILTIN_FROM
    return MIGHTY_GROUPS.get(last, "") if sid.startswith(BUILTIN if is_builtin else DOMAIN) else ""


def _login(bind_name: str) -> str:
    """Return the bare name of an account, in lower case."""
    parts = normal_dn(bind_name)
    return (parts[0][0][1] if parts else bare_login(bind_name)).lower()
