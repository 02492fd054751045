"""What a look around tells of a directory's servers without signing in, and how it is said in plain words.

Knows addresses, ports, encryption and certificates as they were seen; looks at nothing itself. Names in a certificate
are the one thing here that a stranger wrote: ``clean`` makes them fit to be shown.
"""

import enum
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from worker.domain.server import RootDse


SHOWN_CHARACTERS = 100
NAMES_SHOWN_COUNT = 10
CERTIFICATES_COUNT = 4
"""Kept of one server: a farm behind one name may show many."""
ADDRESSES_COUNT = 6
"""Looked at of one name; the rest is counted."""
SEEN_CHARACTERS = 2_000
PLAIN_PORT = 389
TLS_PORT = 636
CATALOGUE_PORTS = (3268, 3269)
"""Active Directory's global catalogue, plain and TLS."""
TLS_PORTS = frozenset({TLS_PORT, 3269})
OK = "ok"


def usual_ports(type_name: str) -> tuple[int, ...]:
    """Return where a type of directory usually listens (IANA; Active Directory's catalogue: MS-ADTS section 5.1.1)."""
    is_ad = type_name.startswith(("active_directory", "samba"))
    return (PLAIN_PORT, TLS_PORT, *(CATALOGUE_PORTS if is_ad else ()))


class PortState(enum.StrEnum):
    """What became of a connection."""

    OPEN = "open"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    RESET = "reset"
    UNROUTABLE = "unroutable"


class Speech(enum.StrEnum):
    """What an open port speaks."""

    LDAP = "ldap"
    """Plain LDAP, whether or not StartTLS is offered."""
    TLS = "tls"
    OTHER = "other"
    NOTHING = "nothing"
    """It stays silent or hangs up, whatever it is asked."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate as it was shown; nothing of it is proved."""

    fingerprint: str
    """``sha256:`` and 64 hexadecimal digits over its DER form, as the settings take it."""
    subject: str = ""
    """RFC 4514."""
    names: tuple[str, ...] = ()
    """Host names and addresses it is for; the common name where there are no others."""
    issuer: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    self_signed: bool = False
    chain_length: int | None = None
    """Certificates that the server sent, its own included; None where it cannot be told."""
    key: str = ""
    """Such as ``RSA 2048``."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """What a handshake came to."""

    check: str
    """``ok``, or the code of what is wrong by the directory's own settings, such as ``secure.wrong_name``."""
    version: str = ""
    """The best that both sides know."""
    versions: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether each version is offered; None where it could not be asked. Empty where none was asked for."""
    certificate: str = ""
    """Its fingerprint."""


@dataclass(frozen=True, slots=True)
class PortSeen:
    """One port of one address."""

    port: int
    state: PortState
    milliseconds: int
    configured: bool = True
    """Whether it is the one in the settings; else it is a usual one, looked at because that one did not do."""
    speaks: Speech | None = None
    """None if it is not open."""
    starttls: bool | None = None
    """None if it does not speak plain LDAP."""
    tls: Encryption | None = None
    suits: bool = False
    """Whether it does what the settings want, as far as can be seen without signing in."""


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """One address of a name."""

    address: str
    forbidden: str = ""
    """Why it is not dialled from here, such as ``private``; empty if it may be."""
    ports: tuple[PortSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """One server of the list."""

    server: str
    """``host:port``."""
    name: str
    """``ok``, or the code of what became of the name."""
    milliseconds: int
    addresses: tuple[AddressSeen, ...] = ()
    more_addresses: int = 0
    """Of the same name, not looked at."""
    certificates: tuple[Certificate, ...] = ()
    """Each once."""

    @property
    def host(self) -> str:
        """The name without the port."""
        return self.server.rpartition(":")[0]

    @property
    def ports(self) -> tuple[PortSeen, ...]:
        """Return the ports of all addresses."""
        return tuple(port for address in self.addresses for port in address.ports)

    @property
    def is_well(self) -> bool:
        """Whether every address that may be dialled does what the settings want."""
        looked = [address.ports[0] for address in self.addresses if address.ports]
        return self.name == OK and bool(looked) and all(port.suits for port in looked)


@dataclass(frozen=True, slots=True)
class Survey:
    """All servers of a directory, in the order of its settings; empty if nobody looked."""

    servers: tuple[ServerSeen, ...] = ()
    root: RootDse | None = None
    """What the first server that answers strangers says of itself."""
    at: datetime | None = None
    """When it was made."""


# --- cleaning ----------------------------------------------------------------


def clean(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Return a stranger's text without control, format and line-breaking characters, cut to so many."""
    kept = "".join(
        sign if unicodedata.category(sign)[0] not in "CZ" or sign == " " else "\ufffd"
        for sign in text[: most + 1]
    )
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


# --- words -------------------------------------------------------------------

ADDRESS_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "private": "an address inside a private network",
        "loopback": "a loopback address, by which a machine reaches itself",
        "link-local": "a link-local address, known to its own network segment alone",
        "shared by a provider's customers": "an address shared by a provider's customers",
        "cloud platform": "a cloud platform's own address",
        "cloud metadata": "an address of a cloud's metadata service",
        "unspecified": "the unspecified address, which is no machine's",
        "documentation": "an address reserved for documentation",
        "benchmarking": "an address reserved for benchmarks",
        "reserved": "a reserved address",
        "protocol assignments": "an address reserved for protocols",
        "multicast": "a multicast address, which is no single machine's",
        "6to4": "a 6to4 address",
        "6to4 relay": "a 6to4 relay's address",
        "NAT64": "a NAT64 address",
        "our own": "an address inside this service's own network",
    }
)
"""Why an address is not dialled, as the surveyor says it, to what kind of address it is."""


def kind_of_address(why: str) -> str:
    """Say what kind of address one is that is not dialled."""
    return ADDRESS_KINDS.get(why, why)


_STATES: Mapping[PortState, str] = MappingProxyType(
    {
        PortState.OPEN: "open",
        PortState.REFUSED: "refused",
        PortState.TIMED_OUT: "no answer",
        PortState.RESET: "cut at once",
        PortState.UNROUTABLE: "no way there",
    }
)
_SPEECHES: Mapping[Speech, str] = MappingProxyType(
    {
        Speech.LDAP: "plain LDAP",
        Speech.TLS: "TLS",
        Speech.OTHER: "something else than LDAP",
        Speech.NOTHING: "silent",
    }
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "name.not_found": "its name is not known",
        "name.failed": "its name could not be looked up",
        "name.timed_out": "its name could not be looked up in time",
    }
)


def told(servers: Sequence[ServerSeen]) -> str:
    """Return what was seen as sentences, each server's after the other's; empty if nothing was."""
    text = " ".join(sentence for server in servers for sentence in _sentences(server))
    return text if len(text) <= SEEN_CHARACTERS else f"{text[: SEEN_CHARACTERS - 1]}…"


def _sentences(server: ServerSeen) -> Iterator[str]:
    if server.name != OK:
        yield f"{server.host}: {_NAMES.get(server.name, 'its name could not be looked up')}."
        return
    yield _addresses(server)
    yield from _open_instead(server)
    for certificate in server.certificates:
        yield certificate_told(certificate)
    yield from _versions(server)


def _addresses(server: ServerSeen) -> str:
    count = len(server.addresses) + server.more_addresses
    seen = "; ".join(map(_address, server.addresses))
    more = f"; {server.more_addresses} more were not looked at" if server.more_addresses else ""
    if count == 1 and server.host.strip("[]") == server.addresses[0].address:
        return f"{seen}."
    return f"{server.host} has {count} {'address' if count == 1 else 'addresses'}: {seen}{more}."


def _address(seen: AddressSeen) -> str:
    if seen.forbidden:
        return f"{seen.address} is {kind_of_address(seen.forbidden)}: not dialled from here"
    if not seen.ports:
        return f"{seen.address} was not reached in time"
    return f"{seen.address} " + ", ".join(map(port_told, seen.ports))


def port_told(port: PortSeen) -> str:
    """Return ``port 389 open (plain LDAP, StartTLS offered)``."""
    said = f"port {port.port} {_STATES[port.state]}"
    if port.speaks is None:
        return said
    offers = {True: ", StartTLS offered", False: ", no StartTLS", None: ""}[port.starttls]
    return f"{said} ({_SPEECHES[port.speaks]}{offers})"


def _open_instead(server: ServerSeen) -> Iterator[str]:
    """Say that another port does it: the commonest slip of all."""
    wanted = next((port.port for port in server.ports if port.configured), None)
    opened = {port.port for port in server.ports if port.state is PortState.OPEN}
    others = sorted(opened - {wanted})
    if wanted is not None and wanted not in opened and others:
        are = "is" if len(others) == 1 else "are"
        yield f"{listed([str(port) for port in others])} {are} open, {wanted} is not."


def certificate_told(certificate: Certificate) -> str:
    """Return one sentence on a certificate; the fingerprint is whole, so that it can be compared and pinned."""
    said = [f"is for {listed(certificate.names) or certificate.subject or 'nobody'}"]
    if certificate.valid_until is not None:
        said.append(f"valid until {certificate.valid_until:%Y-%m-%d}")
    if certificate.self_signed:
        said.append("issued by itself")
    elif certificate.issuer:
        said.append(f"issued by {certificate.issuer}")
    if certificate.key:
        said.append(f"key {certificate.key}")
    return f"The certificate {', '.join(said)}, fingerprint {certificate.fingerprint}."


def _versions(server: ServerSeen) -> Iterator[str]:
    asked = next((port.tls.versions for port in server.ports if port.tls and port.tls.versions), {})
    offered = [version for version, is_offered in asked.items() if is_offered]
    unasked = [version for version, is_offered in asked.items() if is_offered is None]
    if offered:
        yield f"It offers {listed(offered)}."
    if unasked:
        yield f"Whether it offers {listed(unasked)} could not be asked from here."


def listed(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    if len(words) < 2:  # noqa: PLR2004 - one word needs no "and"
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def soonest_expiry(servers: Sequence[ServerSeen]) -> datetime | None:
    """Return until when the certificates seen are valid, the first that ends."""
    ends = [
        certificate.valid_until
        for server in servers
        for certificate in server.certificates
        if certificate.valid_until is not None
    ]
    return min(ends, default=None)
