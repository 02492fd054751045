"""Ways to write down what must not be dialled, as somebody might enter them for a server.

For tests of whatever opens connections for a customer: the reader, the doctor's looks around. ``NAMES`` are
names that lead there; the tests answer for them, by a hosts file and a name server.
"""

from collections.abc import Mapping


PUBLIC = "93.184.216.34"
"""An address that may be dialled; no test ever does."""

IN_HOSTS: Mapping[str, tuple[str, ...]] = {
    "localhost": ("127.0.0.1", "::1"),
    "metadata.google.internal": ("169.254.169.254",),
    "rabbit.inside.example": ("10.0.0.5",),
}
"""Names that our own machine knows."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "loop.attacker.example": ("127.0.0.1",),
    "loop6.attacker.example": ("::1",),
    "mapped.attacker.example": ("::ffff:127.0.0.1",),
    "meta.attacker.example": ("169.254.169.254",),
    "private.attacker.example": ("192.168.0.10",),
    "nat64.attacker.example": ("64:ff9b::7f00:1",),
    "both.attacker.example": (PUBLIC, "127.0.0.1"),
    "both6.attacker.example": (PUBLIC, "::1", "fd00:ec2::254"),
    "many.attacker.example": tuple(f"10.0.0.{last}" for last in range(1, 40)),
}
"""Names that a name server of the attacker's knows."""

LOOPBACK = (
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 -- an address that must be refused
    "0",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.000.000.001",
    "１２７.０.０.１",  # noqa: RUF001 -- full-width digits
    "127。0。0。1",
    "127．0．0．1",  # noqa: RUF001 -- full-width dots
    "①②⑦.⓪.⓪.①",
    "١٢٧.٠.٠.١",  # noqa: RUF001 -- Arabic-Indic digits
    "localhost",
    "localhost.",
    "LOCALHOST",
    "ｌｏｃａｌｈｏｓｔ",  # noqa: RUF001 -- full-width letters
    "loc\u00adalhost",
    "%6c%6f%63alhost",
    "[::1]",
    "::1",
    "0:0:0:0:0:0:0:1",
    "[::]",
    "::",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::1%lo]",
    "[::1%1]",
    "a@127.0.0.1",
    "directory.example@127.0.0.1",
    "user:password@127.0.0.1",
    "127.0.0.1#directory.example",
    "127.0.0.1\\@directory.example",
    "ldap://127.0.0.1",
    "LDAPS://127.0.0.1/",
    "ldap://directory.example@127.0.0.1",
    "ldap://127.0.0.1/dc=x??sub",
    "ldapi://%2frun%2fldapi",
    "unix:/run/ldapi",
    "/run/ldapi",
    "http://127.0.0.1",
    "loop.attacker.example",
    "loop6.attacker.example",
    "mapped.attacker.example",
)
"""This very machine."""

ELSEWHERE = (
    "10.0.0.5",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.10",
    "100.64.0.1",
    "3232235530",
    "0xc0a8000a",
    "rabbit.inside.example",
    "private.attacker.example",
    "many.attacker.example",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fec0::1]",
    "[fe80::1]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "169.254.1.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "[::ffff:0:169.254.169.254]",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "metadata.google.internal",
    "metadata.google.internal.",
    "meta.attacker.example",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a00:5]",
    "nat64.attacker.example",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::1]",
    "[2002:0a00:5::]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[ff02::1]",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "[2001:db8::1]",
    "[100::1]",
    "both.attacker.example",
    "both6.attacker.example",
)
"""Private networks, the clouds' own services, and what is nobody's."""

SPELLINGS = LOOPBACK + ELSEWHERE


def hosts_file() -> str:
    """The text of a hosts file with ``IN_HOSTS``."""
    return "".join(
        f"{address} {name}\n" for name, addresses in IN_HOSTS.items() for address in addresses
    )
