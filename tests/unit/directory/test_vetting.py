from dataclasses import replace
from ipaddress import ip_address

import pytest

from worker.adapters.directory.dial import not_allowed
from worker.adapters.directory.vetting import SPECIAL, verdicts, vet
from worker.domain.findings import finding
from worker.domain.model import Limits
from worker.domain.survey import ADDRESS_KINDS


SERVICE = Limits()
AT_HOME = Limits(allow_private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "193.99.144.80", "2606:4700::1111", "2a00::1"])
def test_public_addresses_may_be_dialled(address: str) -> None:
    """That is where customers' directories are."""
    assert vet(ip_address(address), SERVICE) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "100.100.100.200", "168.63.129.16", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1",  # noqa: S104 -- an address that must be refused
        "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%2", "2a00::1%2", "fc00::1", "fd00:ec2::254",
        "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "2002:0a00:1::1",
        "2002:0808:808::1", "64:ff9b::a00:1", "64:ff9b::808:808", "2001:0:1::1", "2001:db8::1",
        "fec0::1", "4000::1",
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_every_disguise(address: str) -> None:
    """A customer's form must not be a way into the provider's network."""
    assert vet(ip_address(address), SERVICE)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd12::1"])
def test_at_home_private_networks_may_be_dialled(address: str) -> None:
    """An admin who tries the program reads a directory next door."""
    assert vet(ip_address(address), AT_HOME) is None


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "0.0.0.0"],  # noqa: S104 -- an address that must be refused
)
def test_some_are_refused_even_at_home(address: str) -> None:
    """No directory lives there, but cloud credentials may."""
    assert vet(ip_address(address), AT_HOME)


def test_a_network_can_be_allowed_by_name() -> None:
    """A provider with customers on its own network says which."""
    limits = replace(SERVICE, allow_networks=("10.9.0.0/16",))

    assert vet(ip_address("10.9.1.1"), limits) is None
    assert vet(ip_address("::ffff:10.9.1.1"), limits) is None
    assert vet(ip_address("10.8.1.1"), limits)


def test_our_own_public_networks_are_not_dialled() -> None:
    """What listens beside us trusts its neighbours; in no disguise, and unless it is allowed."""
    limits = replace(SERVICE, own_networks=("8.8.8.0/24", "2a00:1::1"))

    for address in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00:1::1"):
        assert vet(ip_address(address), limits)
    assert vet(ip_address("8.8.4.4"), limits) is None
    assert vet(ip_address("8.8.8.8"), replace(limits, allow_networks=("8.8.8.8/32",))) is None


def test_allowing_a_gateway_allows_nothing_behind_it() -> None:
    """A host on IPv6 alone may need NAT64, not the private networks it could reach."""
    limits = replace(SERVICE, allow_networks=("64:ff9b::/96",))

    assert vet(ip_address("64:ff9b::808:808"), limits) is None
    assert vet(ip_address("64:ff9b::a00:1"), limits)


def test_every_kind_of_address_has_its_words() -> None:
    """An admin is told what is the matter with the address, and not always that it is private."""
    assert {each.why for each in SPECIAL} | {"our own", "reserved"} == ADDRESS_KINDS.keys()


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (["192.168.0.9"], "an address inside a private network"),
        (["192.0.2.1", "2001:db8::1"], "an address reserved for documentation"),
        (["224.0.0.1"], "a multicast address, which is no single machine's"),
        (["240.0.0.1"], "a reserved address"),
        (
            ["10.0.0.1", "127.0.0.1"],
            "an address inside a private network and a loopback address, by which a machine reaches itself",
        ),
    ],
)
def test_a_server_that_is_not_dialled_is_told_for_what_it_is(
    addresses: list[str], said: str
) -> None:
    """Nobody looks for a private network where there is none."""
    failure = not_allowed(verdicts(map(ip_address, addresses), SERVICE))

    told = finding(failure.code, address=failure.figure)

    assert told.headline == f"The server is at {said}; this service does not connect there."
    assert failure.detail.startswith(f"{addresses[0]} is a")
