"""Decides whether an address may be dialled: hosts come from customers, our own network is not theirs.

Tables after the IANA special-purpose address registries (RFC 6890 and its updates), written out
because the standard library's reading of them changes between releases. Pure; resolves nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from worker.domain.model import Limits


Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Special:
    """A network that is not the public Internet. ``at_home``: an admin's own program may dial it."""

    network: Network
    why: str
    at_home: bool = False


def _special(network: str, why: str, *, at_home: bool = False) -> Special:
    return Special(ip_network(network), why, at_home)


SPECIAL = (
    _special("168.63.129.16/32", "cloud platform"),  # Azure's own services, reached from inside
    _special("fd00:ec2::/32", "cloud metadata"),  # Amazon's, inside the private range
    _special("fd20:ce::/32", "cloud metadata"),  # Google's
    _special("10.0.0.0/8", "private", at_home=True),
    _special("172.16.0.0/12", "private", at_home=True),
    _special("192.168.0.0/16", "private", at_home=True),
    _special("fc00::/7", "private", at_home=True),
    _special("127.0.0.0/8", "loopback", at_home=True),
    _special("::1/128", "loopback", at_home=True),
    _special("100.100.100.200/32", "cloud metadata"),  # Alibaba's, inside the shared range
    _special("100.64.0.0/10", "shared by a provider's customers", at_home=True),
    _special("0.0.0.0/8", "unspecified"),
    _special("::/128", "unspecified"),
    _special("169.254.0.0/16", "link-local"),  # the usual cloud metadata address is here
    _special("fe80::/10", "link-local"),
    _special("192.0.0.0/24", "reserved"),
    _special("192.0.2.0/24", "documentation"),
    _special("198.51.100.0/24", "documentation"),
    _special("203.0.113.0/24", "documentation"),
    _special("2001:db8::/32", "documentation"),
    _special("3fff::/20", "documentation"),
    _special("192.88.99.0/24", "6to4 relay"),
    _special("198.18.0.0/15", "benchmarking"),
    _special("2002::/16", "6to4"),
    _special("64:ff9b::/96", "NAT64"),
    _special("64:ff9b:1::/48", "NAT64"),
    _special("2001::/23", "protocol assignments"),  # Teredo is here
    _special("224.0.0.0/4", "multicast"),
    _special("ff00::/8", "multicast"),
    _special("240.0.0.0/4", "reserved"),
)
"""First match decides, so a smaller network stands before the one around it."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


def vet(address: Address, limits: Limits) -> str | None:
    """Return why this address must not be dialled, or None if it may be."""
    address = plain(address)
    disguised = inner(address)
    if disguised is not None and (reason := vet(disguised, limits)):
        return reason
    special = next((entry for entry in SPECIAL if address in entry.network), None)
    is_own = is_in(address, limits.own_networks)
    if special is None and in_public_space(address) and not is_own:
        return None
    if is_in(address, limits.allow_networks):
        return None
    if limits.allow_private and special is not None and special.at_home:
        return None
    return special.why if special else "our own" if is_own else "reserved"


def is_in(address: Address, networks: Iterable[str]) -> bool:
    """Tell whether one of these networks (CIDR) holds the address."""
    return any(address in ip_network(network) for network in networks)


def verdicts(addresses: Iterable[Address], limits: Limits) -> dict[str, str | None]:
    """Return each address as it is to be dialled, with why it must not be; None: it may."""
    return {str(address): vet(address, limits) for address in addresses}


def plain(address: Address) -> Address:
    """Return the IPv4 address inside an IPv4-mapped one (the kernel dials exactly that), else itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def inner(address: Address) -> IPv4Address | None:
    """Return the IPv4 address a gateway would dial for this one: 6to4 (RFC 3056), NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def in_public_space(address: Address) -> bool:
    """Tell whether the address can be public at all. A scope id makes it a local one."""
    if isinstance(address, IPv4Address):
        return True
    return address in GLOBAL_UNICAST and address.scope_id is None
