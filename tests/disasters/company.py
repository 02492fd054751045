"""A company as its own story tells it: who is there, who left when, and the tree that shows it.

Knows nothing of the worker: what is said here of the living is the truth that its answers are held to.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tests.servers import ldif
from tests.servers.slapd import Slapd


BASE = "dc=lab,dc=example"


@dataclass(slots=True)
class Company:
    """Its people, each with one address, spread evenly over the units of its part of the tree."""

    slapd: Slapd
    name: str
    units: list[str] = field(default_factory=list)
    living: dict[str, int] = field(default_factory=dict)
    """Who works there, eldest first, and the number of their unit."""
    others: set[str] = field(default_factory=set)
    """Addresses that receive mail and are nobody's main one."""
    left: dict[str, datetime] = field(default_factory=dict)
    """Addresses of those who left, and when."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def base(self) -> str:
        """Where its part of the tree begins."""
        return f"ou={self.name},{BASE}"

    @property
    def domain(self) -> str:
        """Its mail domain."""
        return f"{self.name}.example.com"

    def address(self, login: str) -> str:
        """Return somebody's address."""
        return f"{login}@{self.domain}"

    def addresses(self) -> set[str]:
        """Return the addresses that receive mail."""
        return {self.address(login) for login in self.living} | self.others

    def dn(self, login: str) -> str:
        """Return the name of the entry of somebody who works there."""
        return f"cn={login},{self.units[self.living[login]]}"

    def found(self, count: int) -> None:
        """Plant the tree: two units, and so many people."""
        self.units = [f"ou={unit},{self.base}" for unit in ("East", "West")]
        self.slapd.add(*map(unit_record, (self.base, *self.units)))
        self.join(count)

    def join(self, count: int) -> list[str]:
        """Let so many people join; gives their logins."""
        numbers = itertools.islice(self._numbers, count)
        joined = {f"p{number:05}": number % len(self.units) for number in numbers}
        self.living |= joined
        self.plant(joined)
        return list(joined)

    def leave(self, count: int, at: datetime) -> None:
        """Let the eldest leave, for good and for true."""
        for login in list(itertools.islice(self.living, count)):
            self.uproot([login])
            del self.living[login]
            self.left[self.address(login)] = at

    # --- what befalls the tree and is not true -------------------------------

    def record(self, login: str) -> str:
        """Return the entry of somebody."""
        return entry_record(self.dn(login), self.address(login))

    def plant(self, logins: Iterable[str]) -> None:
        """Make the tree show these people."""
        self.slapd.add(*map(self.record, logins))

    def uproot(self, logins: Iterable[str]) -> None:
        """Make the tree show them no more."""
        self.slapd.modify(
            "".join(f"dn: {self.dn(login)}\nchangetype: delete\n\n" for login in logins)
        )

    def move(self, dn: str, rdn: str, *, under: str | None = None) -> None:
        """Rename a part of the tree, or move it to another place; who is below goes along."""
        self.slapd.rename(dn, rdn, under=under)
        moved = f"{rdn},{under or dn.partition(',')[2]}"
        self.units = [
            unit.removesuffix(dn) + moved if unit.endswith(dn) else unit for unit in self.units
        ]

    def readdress(self, *domains: str) -> None:
        """Give everybody an address in each of these domains, and in no other."""
        self.slapd.modify("".join(self._readdressed(login, domains) for login in self.living))

    def _readdressed(self, login: str, domains: Iterable[str]) -> str:
        mail = "".join(f"mail: {login}@{domain}\n" for domain in domains)
        return f"dn: {self.dn(login)}\nchangetype: modify\nreplace: mail\n{mail}\n"


def entry_record(dn: str, address: str) -> str:
    """Return an entry with an address."""
    name = address.partition("@")[0]
    told = {"sn": name, "displayName": f"Person {name}", "mail": address}
    return ldif.record(dn, {"objectClass": "inetOrgPerson", **told})


def unit_record(dn: str) -> str:
    """Return the entry of an organisational unit."""
    return ldif.record(dn, {"objectClass": "organizationalUnit"})
