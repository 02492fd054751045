"""Tells from what a server says of itself which directory it is, and whether the type chosen fits it.

Proposes, never decides: a person chooses the type. Signs, in the order they are looked at: OIDs that one product
alone has, the vendor's name (RFC 3045), the rootDSE's class, and names in the schema.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from worker.domain.presets import PRESETS, Preset
from worker.domain.server import Detected, RootDse, ServerType


ACTIVE_DIRECTORY_OID = "1.2.840.113556.1.4.800"
"""``supportedCapabilities`` of every domain controller (MS-ADTS section 3.1.1.3.4.3.1); Samba's has it too."""
FREEIPA_OIDS = "2.16.840.1.113730.3.8.10."
"""Extended operations of FreeIPA's own plugins (enrolment, keytabs) begin with it."""
EDIRECTORY_OIDS = "2.16.840.1.113719.1.27.100."
"""Extended operations of Novell's (its LDAP developer documentation) begin with it."""
OPENLDAP_CLASS = "openldaprootdse"
GOOGLE_MECHANISMS = frozenset({"EXTERNAL", "PLAIN"})
"""All that ldap.google.com offers, and no other server known (Google's "Secure LDAP" pages)."""

VENDORS: tuple[tuple[str, ServerType], ...] = (
    ("389 project", ServerType.DS389),
    ("389-directory", ServerType.DS389),
    ("red hat", ServerType.DS389),
    ("edirectory", ServerType.EDIRECTORY),
    ("novell", ServerType.EDIRECTORY),
    ("netiq", ServerType.EDIRECTORY),
    ("domino", ServerType.DOMINO),
    ("lotus", ServerType.DOMINO),
    ("google", ServerType.GOOGLE),
    ("openldap", ServerType.OPENLDAP),
)
"""What stands somewhere in ``vendorName`` or ``vendorVersion``, in lower case. Seen on servers: 389-DS and Samba alone.

eDirectory's is "LDAP Agent for Novell eDirectory 8.8 SP7 (20703.00)" and "LDAP Agent for NetIQ eDirectory 9.0 (40002.38)" in published
scans; Domino's and Google's are after what their makers call them.
"""

FUNCTIONALITY: Mapping[str, str] = MappingProxyType(
    {
        "0": "Windows 2000 Server",
        "2": "Windows Server 2003",
        "3": "Windows Server 2008",
        "4": "Windows Server 2008 R2",
        "5": "Windows Server 2012",
        "6": "Windows Server 2012 R2",
        "7": "Windows Server 2016, 2019 or 2022",  # which all say 7
        "10": "Windows Server 2025",
    }
)
"""``domainControllerFunctionality`` (MS-ADTS section 3.1.1.3.2.25, values in 6.1.4.2, msDS-Behavior-Version)."""

NAMES: Mapping[ServerType, str] = MappingProxyType(
    {
        ServerType.ACTIVE_DIRECTORY: "Active Directory",
        ServerType.SAMBA_AD: "Samba Active Directory",
        ServerType.OPENLDAP: "OpenLDAP",
        ServerType.DS389: "389 Directory Server",
        ServerType.FREEIPA: "FreeIPA",
        ServerType.ZIMBRA: "Zimbra or Carbonio",
        ServerType.UCS: "Univention Corporate Server",
        ServerType.IREDMAIL: "iRedMail",
        ServerType.EDIRECTORY: "eDirectory",
        ServerType.DOMINO: "HCL Domino",
        ServerType.GOOGLE: "Google Secure LDAP",
        ServerType.UNKNOWN: "a server that does not say what it is",
    }
)

EXCHANGE_SIGN = "msExchRecipientTypeDetails"
"""Exists only where Exchange's setup has extended the schema."""
PROXY_ADDRESSES = "proxyAddresses"
EXCHANGE, NO_EXCHANGE = "active_directory", "active_directory_no_exchange"

SUITES: tuple[tuple[str, ServerType], ...] = (
    ("zimbra", ServerType.ZIMBRA),
    ("ucs", ServerType.UCS),
    ("iredmail", ServerType.IREDMAIL),
    ("kopano", ServerType.OPENLDAP),
    ("zarafa", ServerType.OPENLDAP),
    ("openldap_local_recipient", ServerType.OPENLDAP),
)
"""Presets that live on OpenLDAP and show by the schema, and what server that makes it when one alone shows."""

LOADED_UNUSED = "openldap_local_recipient"
"""Its class is in the misc.schema that OpenLDAP itself ships, so that it is there says nothing of who uses it."""

_ON_OPENLDAP = frozenset({"openldap", "synology", *(name for name, _ in SUITES)})
_MICROSOFT = frozenset({EXCHANGE, NO_EXCHANGE, "samba_ad"})
_ON_389 = frozenset(
    {"389ds", "freeipa", "openldap", "openldap_local_recipient", "kopano", "zarafa"}
)

FITS: Mapping[ServerType, frozenset[str]] = MappingProxyType(
    {
        ServerType.ACTIVE_DIRECTORY: _MICROSOFT,
        ServerType.SAMBA_AD: _MICROSOFT,
        ServerType.OPENLDAP: _ON_OPENLDAP,
        ServerType.ZIMBRA: _ON_OPENLDAP,
        ServerType.UCS: _ON_OPENLDAP,
        ServerType.IREDMAIL: _ON_OPENLDAP,
        ServerType.DS389: _ON_389,
        ServerType.FREEIPA: _ON_389,
        ServerType.EDIRECTORY: frozenset({"edirectory", "openldap"}),
        ServerType.DOMINO: frozenset({"domino"}),
        ServerType.GOOGLE: frozenset({"google", "openldap"}),
        ServerType.UNKNOWN: frozenset(PRESETS),
    }
)
"""Presets that can find something on a server of a type, if its schema has what they need."""

_OF_PRESETS = dict.fromkeys(
    name
    for preset in PRESETS.values()
    for name in (*preset.needs, *(address.name for address in preset.addresses))
)
BASES_MAX_COUNT = 20
BASE_MAX_CHARACTERS = 1_000
_NUMBER = re.compile(r"\d{1,5}(?:\.\d{1,5}){1,4}").search

SCHEMA_NAMES = (*_OF_PRESETS, EXCHANGE_SIGN)
"""What a server's schema is looked through for."""
_ASKED = frozenset(name.lower() for name in SCHEMA_NAMES)


def detect(root: RootDse, known: frozenset[str] | None = None) -> Detected:
    """Say what a server is, and what to enter for it.

    ``known`` are lower-case names of its schema, as far as ``SCHEMA_NAMES`` asks for them; None: the schema was not read.
    """
    server = _server(root, known)
    types = _types(server, known)
    preset = PRESETS[types[0]]
    return Detected(
        server=server,
        version=_version(server, root),
        types=types,
        bases=preset.bases_in(filter(is_fit_to_show, root.data_contexts[:BASES_MAX_COUNT])),
        attributes=tuple(
            address.name for address in preset.addresses if _has(known, address.name) is not False
        ),
        known=known,
    )


def misfit(chosen: Preset, detected: Detected) -> str | None:
    """Say in a sentence why the type chosen does not fit the server, and what to choose; None if nothing speaks against it."""
    lacking = next((name for name in chosen.needs if _has(detected.known, name) is False), None)
    if lacking is None:
        lacking = _no_attribute(chosen, detected)
    instead = _instead(chosen, detected)
    if lacking is not None:
        return f"This server has no {lacking}, which the type {chosen.name} reads; {instead}"
    if chosen.name != "custom" and chosen.name not in FITS[detected.server]:
        return f"This server is {NAMES[detected.server]}, which the type {chosen.name} is not for; {instead}"
    return _exchange_misfit(chosen, detected)


def _no_attribute(chosen: Preset, detected: Detected) -> str | None:
    """Return the first address attribute when the server has none of them."""
    names = [address.name for address in chosen.addresses]
    lacks_all = all(_has(detected.known, name) is False for name in names)
    return names[0] if names and lacks_all else None


def _instead(chosen: Preset, detected: Detected) -> str:
    """Name the best type, and the next best: a server may know a schema that nobody uses."""
    others = [name for name in detected.types if name not in {chosen.name, "custom"}][:2]
    if not others:
        return "look at filter and attributes again."
    named = [f"{name} ({PRESETS[name].title})" for name in others]
    beside = (
        f"; test {named[1]} as well, and compare both by their number of addresses"
        if named[1:]
        else ""
    )
    return f"choose {named[0]}{beside}."


def _exchange_misfit(chosen: Preset, detected: Detected) -> str | None:
    """Tell the two Active Directories apart, which look alike but for Exchange's extension."""
    has_exchange = _has(detected.known, EXCHANGE_SIGN)
    if chosen.name == EXCHANGE and has_exchange is False:
        return (
            f"This Active Directory was never extended for Exchange, and {chosen.name} finds only entries with "
            f"{PROXY_ADDRESSES}; if addresses are kept in the E-mail field (mail), choose {_without(detected)}."
        )
    if chosen.name in {NO_EXCHANGE, "samba_ad"} and has_exchange:
        return (
            f"This Active Directory was extended for Exchange; if Exchange is in use, choose {EXCHANGE}, "
            f"which also finds what has its addresses in {PROXY_ADDRESSES} alone."
        )
    return None


def _without(detected: Detected) -> str:
    return "samba_ad" if detected.server is ServerType.SAMBA_AD else NO_EXCHANGE


def lacks(known: frozenset[str] | None, name: str) -> bool:
    """Whether a server's schema is known not to have a name."""
    return _has(known, name) is False


def _has(known: frozenset[str] | None, name: str) -> bool | None:
    """Whether the schema has a name; None when that is not known."""
    if known is None or name.lower() not in _ASKED:
        return None
    return name.lower() in known


# --- the server ---------------------------------------------------------------


def _server(root: RootDse, known: frozenset[str] | None) -> ServerType:
    if ACTIVE_DIRECTORY_OID in root.capabilities:
        is_samba = "samba" in root.vendor_name.lower()
        return ServerType.SAMBA_AD if is_samba else ServerType.ACTIVE_DIRECTORY
    by_oid = _by_extension(root)
    if by_oid is not None:
        return by_oid
    vendor = f"{root.vendor_name} {root.vendor_version}".lower()
    told = next((server for sign, server in VENDORS if sign in vendor), ServerType.UNKNOWN)
    if told is ServerType.UNKNOWN and OPENLDAP_CLASS in map(str.lower, root.object_classes):
        told = ServerType.OPENLDAP
    if told is ServerType.OPENLDAP:
        return _suite(known)
    if told is ServerType.UNKNOWN and root.mechanisms == GOOGLE_MECHANISMS:
        return ServerType.GOOGLE
    return told


def _by_extension(root: RootDse) -> ServerType | None:
    if any(oid.startswith(FREEIPA_OIDS) for oid in root.extensions):
        return ServerType.FREEIPA
    if any(oid.startswith(EDIRECTORY_OIDS) for oid in root.extensions):
        return ServerType.EDIRECTORY
    return None


def _suite(known: frozenset[str] | None) -> ServerType:
    """Say whose OpenLDAP it is; where several schemas are loaded, nobody's."""
    servers = {server for name, server in SUITES if _shows(name, known)} - {ServerType.OPENLDAP}
    return servers.pop() if len(servers) == 1 else ServerType.OPENLDAP


def _shows(name: str, known: frozenset[str] | None) -> bool:
    return all(_has(known, each) for each in PRESETS[name].needs)


def _types(server: ServerType, known: frozenset[str] | None) -> tuple[str, ...]:
    if server in {ServerType.ACTIVE_DIRECTORY, ServerType.SAMBA_AD}:
        return _microsoft_types(server, has_exchange=_has(known, EXCHANGE_SIGN))
    if server is ServerType.FREEIPA:
        return ("freeipa", "389ds")
    if FITS[server] is not _ON_OPENLDAP and server is not ServerType.UNKNOWN:
        return (server.value,)
    shown = [name for name, _ in SUITES if _shows(name, known)]
    # what comes with every server says least: where it is loaded and not used, its type would lose people
    suites = [name for name in shown if name != LOADED_UNUSED]
    others = [name for name in shown if name == LOADED_UNUSED]
    return (*suites, "openldap", *others, *(("custom",) if server is ServerType.UNKNOWN else ()))


def _microsoft_types(server: ServerType, *, has_exchange: bool | None) -> tuple[str, ...]:
    """Exchange is the rule on Microsoft's own, the exception on Samba's; the schema knows better."""
    other = "samba_ad" if server is ServerType.SAMBA_AD else NO_EXCHANGE
    is_first = has_exchange is not False if server is ServerType.ACTIVE_DIRECTORY else has_exchange
    return (EXCHANGE, other) if is_first else (other, EXCHANGE)


def _version(server: ServerType, root: RootDse) -> str:
    """Return the version in words of ours: a server may write anything, so of its own only a number is taken."""
    if server is ServerType.ACTIVE_DIRECTORY:
        return FUNCTIONALITY.get(root.functionality, "")
    number = _NUMBER(root.vendor_version)
    return f"{NAMES[server]} {number[0]}" if number and server is not ServerType.UNKNOWN else ""


def is_fit_to_show(base: str) -> bool:
    """Whether a base that a server names can stand in a line or on a page."""
    return base.isprintable() and len(base) <= BASE_MAX_CHARACTERS
