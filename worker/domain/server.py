"""What a directory server says of itself, as text, and the words for what that comes to.

Knows no product by its signs: telling them apart is ``detect``'s.
"""

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


PAGED_RESULTS = "1.2.840.113556.1.4.319"
"""RFC 2696."""
AGING = "1.3.6.1.4.1.42.2.27.8.5.1"
"""draft-behera-ldap-password-policy-10 section 6: who offers it knows how old passwords may grow."""
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"
"""RFC 4532."""

SERVICE_CONTEXTS = frozenset(
    {"cn=config", "cn=schema", "cn=monitor", "cn=changelog", "o=netscaperoot", "o=ipaca"}
)
DATA_CONTEXTS = ("dc=", "o=")


@dataclass(frozen=True, slots=True)
class RootDse:
    """The rootDSE (RFC 4512 section 5.1) as far as it is of use; all empty when the server does not say.

    OIDs and class names as the server wrote them; a set without members means that it named none.
    """

    default_context: str = ""
    """``defaultNamingContext``: Active Directory's own name for its data."""
    contexts: tuple[str, ...] = ()
    controls: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    """``supportedCapabilities``: how Active Directory tells what it is (MS-ADTS section 3.1.1.3.4.3)."""
    mechanisms: frozenset[str] = frozenset()
    """``supportedSASLMechanisms``."""
    object_classes: frozenset[str] = frozenset()
    vendor_name: str = ""
    """``vendorName`` and ``vendorVersion``: RFC 3045."""
    vendor_version: str = ""
    host_name: str = ""
    """``dnsHostName``: what an Active Directory server calls itself."""
    functionality: str = ""
    """``domainControllerFunctionality``: a number that grows with the release (MS-ADTS section 3.1.1.3.2.25)."""
    subschema: str = ""
    """``subschemaSubentry``: the DN of the entry that holds the schema."""
    schema_context: str = ""
    """``schemaNamingContext``: where Active Directory keeps an entry for each attribute."""

    @property
    def can_page(self) -> bool:
        """True unless the server lists its controls and paging is none of them."""
        return not self.controls or PAGED_RESULTS in self.controls

    @property
    def tells_who_we_are(self) -> bool:
        """Whether Who-am-I is offered."""
        return WHO_AM_I in self.extensions

    @property
    def data_contexts(self) -> tuple[str, ...]:
        """What the server calls its data: one context, several it could be, or none.

        389-DS and Active Directory say which is the one (``defaultNamingContext``). Else those that hold no data are left
        out: configuration, schema, statistics, changes, and the certificates of FreeIPA.
        """
        if self.default_context:
            return (self.default_context,)
        if len(self.contexts) == 1:
            return self.contexts
        return tuple(
            context
            for context in self.contexts
            if context.lower().startswith(DATA_CONTEXTS) and context.lower() not in SERVICE_CONTEXTS
        )


_NAME = re.compile(rb"\bNAME *").search
DEFINITION_BYTES = 2_000
"""Looked at of one definition: its names stand at the beginning."""
_CLOSED_BY = {b"'": b"'", b"(": b")"}


def schema_names(definitions: Iterable[bytes]) -> Iterator[str]:
    """Give the names in definitions of attributes and classes (RFC 4512 sections 4.1.1 and 4.1.2), in lower case."""
    for definition in definitions:
        names = _named(definition[:DEFINITION_BYTES]).replace(b"'", b" ")
        yield from names.decode("utf-8", "replace").lower().split()


def _named(definition: bytes) -> bytes:
    """Return what follows the first NAME, in quotes or brackets.

    Step by step: one expression for all of it takes the square of a hostile length, hours for megabytes.
    """
    found = _NAME(definition)
    at = found.end() if found else len(definition)
    closed_by = _CLOSED_BY.get(definition[at : at + 1])
    stop = definition.find(closed_by, at + 1) if closed_by else -1
    return definition[at + 1 : stop] if stop >= 0 else b""


class ServerType(enum.StrEnum):
    """Servers that can be told apart."""

    ACTIVE_DIRECTORY = "active_directory"
    SAMBA_AD = "samba_ad"
    OPENLDAP = "openldap"
    DS389 = "389ds"
    FREEIPA = "freeipa"
    ZIMBRA = "zimbra"
    UCS = "ucs"
    IREDMAIL = "iredmail"
    EDIRECTORY = "edirectory"
    DOMINO = "domino"
    GOOGLE = "google"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Profile:
    """All that was asked of a server besides its entries."""

    root: RootDse
    known: frozenset[str] | None = None
    """Lower-case names of attributes and classes that its schema has, of those asked for; None: not asked, or not told."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What kind of directory a server is, and what to enter for it."""

    server: ServerType
    version: str
    """In words, as far as the server tells: "Windows Server 2025"."""
    types: tuple[str, ...]
    """Names of the presets that may fit, the best first."""
    bases: tuple[str, ...]
    """Where that preset would search; several: the customer has to choose."""
    attributes: tuple[str, ...]
    """Where its entries keep addresses."""
    known: frozenset[str] | None = None
    """As in ``Profile``."""
