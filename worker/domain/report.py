"""What is told when all went well: figures, and what works and might be better. Decides nothing about a sync."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from worker.domain.detect import NAMES, detect
from worker.domain.model import DirectorySettings, Security
from worker.domain.preview import Preview
from worker.domain.server import RootDse
from worker.domain.survey import Survey, listed, soonest_expiry
from worker.domain.syntax import normal_dn
from worker.domain.told import Caution, Report


FIRST_COUNT = 10
DOMAINS_COUNT = 50
EXPIRES_SOON = timedelta(days=30)
LARGE_COUNT = 1_000
"""Addresses from which on somebody should name one that must always be found."""

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


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a reading besides what it found."""

    settings: DirectorySettings
    survey: Survey
    root: RootDse | None = None
    groups: tuple[str, ...] = ()
    """SIDs of what the account is, where the server tells (Active Directory)."""
    page_s: float = 0.0
    """Of the slowest page."""


def report(preview: Preview, reading: Reading) -> Report:
    """Return what a whole reading has to tell."""
    root = reading.root or reading.survey.root
    detected = detect(root or RootDse())
    name = f"{NAMES[detected.server]} {detected.version}".strip()
    return Report(
        server=preview.server,
        server_type=detected.server.value,
        server_name=detected.version
        if detected.version.startswith(NAMES[detected.server])
        else name,
        bases=preview.bases,
        entries=preview.entries,
        addresses=preview.addresses,
        kinds=dict(preview.by_kind),
        domains=dict(list(preview.by_domain.items())[:DOMAINS_COUNT]),
        other_domains=dict(preview.foreign_domains),
        first_addresses=tuple(each.address for each in preview.recipients[:FIRST_COUNT]),
        references=preview.references,
        certificate_until=soonest_expiry(reading.survey.servers),
        entries_per_second=round(preview.entries / max(preview.read_s, 0.001)),
        page_milliseconds=round(reading.page_s * 1000),
        warnings=tuple(_cautions(preview, reading)),
    )


def _cautions(preview: Preview, reading: Reading) -> Iterator[Caution]:
    settings, survey = reading.settings, reading.survey
    if settings.security is Security.NONE:
        yield Caution(
            "plain_ldap",
            "The connection is not encrypted: the password and all addresses can be read on the way. Choose LDAPS, or else STARTTLS.",
        )
    might = mighty(settings.bind_name, reading.groups)
    if might:
        yield Caution(
            "mighty_account",
            f"The account is {might}: more than is needed, and what it may do others may who learn its password. "
            "Enter an ordinary account that may only read.",
        )
    yield from _expiry(survey)
    if preview.addresses >= LARGE_COUNT and not settings.removals.canaries:
        yield Caution(
            "no_canary",
            f"There are {preview.addresses:,} addresses and none is named that must always be found. "
            "Name one or two (canaries), and a list without them changes nothing.",
        )
    yield from _servers(survey)
    if preview.references:
        places = "one place" if preview.references == 1 else f"{preview.references:,} places"
        yield Caution(
            "references",
            f"The server refers to other servers in {places}, which are not followed. "
            "If people are missing, they may be there: enter those servers as a directory of their own.",
        )


def _expiry(survey: Survey) -> Iterator[Caution]:
    until = soonest_expiry(survey.servers)
    if until is None or survey.at is None or until - survey.at > EXPIRES_SOON:
        return
    yield Caution(
        "certificate_expiring",
        f"The certificate ends on {until:%Y-%m-%d}. Renew it before, or syncs will fail from then on.",
    )


def _servers(survey: Survey) -> Iterator[Caution]:
    addresses = {each.address for server in survey.servers for each in server.addresses}
    if len(survey.servers) == 1:
        yield Caution(
            "one_server",
            "Only one server is entered: while it is down nothing is read. Enter a second one if there is one.",
        )
    elif len(addresses) == 1:
        yield Caution(
            "one_server",
            f"All servers entered have the same address, {addresses.pop()}: while it is down nothing is read.",
        )
    bad = [server.server for server in survey.servers if not server.is_well]
    if bad:
        yield Caution(
            "server_unwell",
            f"{listed(bad)} would not do if needed. See what was seen of each.",
        )


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
    if parts:
        return parts[0][0][1].lower()
    return bind_name.rpartition("\\")[2].partition("@")[0].lower()
