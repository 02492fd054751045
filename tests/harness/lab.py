"""Small directories for the tests: one server, one branch of its tree and one mail domain for each test."""

import itertools
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import ldif
from tests.servers.certs import Authority
from tests.servers.slapd import Slapd, Tree


BASE = "dc=lab,dc=example"
PREFIX = "branch"
NUMBERS = itertools.count(1)
PAGED = 'limits dn.exact="cn=reader,ou=Service,{base}" size.soft=unlimited size.hard=unlimited'
ACCESS = (
    "to attrs=userPassword by anonymous auth by * none",
    "to * by users read by anonymous auth by * none",
)


@dataclass(frozen=True, slots=True)
class Branch:
    """A part of the tree that stands for one customer's directory."""

    slapd: Slapd
    name: str

    @property
    def base(self) -> str:
        """Where it begins."""
        return f"ou={self.name},{BASE}"

    @property
    def domain(self) -> str:
        """The customer's mail domain."""
        return f"{self.name}.example.com"

    def address(self, login: str) -> str:
        """Return the address of a person."""
        return f"{login}@{self.domain}"

    def addresses(self, *logins: str) -> dict[str, str]:
        """Return what the list says of these people when all is well."""
        return {self.address(login): "valid" for login in logins}

    def dn(self, login: str, *, under: str = "") -> str:
        """Return the name of a person's entry."""
        return f"cn={login},{under or self.base}"

    def add(self, *logins: str) -> None:
        """Add people."""
        self.slapd.add(*(self.person(login) for login in logins))

    def crowd(self, count: int) -> list[str]:
        """Add that many people; gives their logins in order."""
        logins = [f"p{number:03d}" for number in range(count)]
        self.add(*logins)
        return logins

    def remove(self, *logins: str) -> None:
        """Delete people."""
        self.slapd.delete(*map(self.dn, logins))

    def unit(self, name: str) -> str:
        """Add an organisational unit; gives its name."""
        dn = f"ou={name},{self.base}"
        self.slapd.add(ldif.record(dn, {"objectClass": "organizationalUnit"}))
        return dn

    def account(self, login: str, *, password: str) -> None:
        """Add an account without an address, which may read what the reader may."""
        classes = ["person", "simpleSecurityObject"]
        told = {"objectClass": classes, "sn": login, "userPassword": password}
        self.slapd.add(ldif.record(self.dn(login), told))

    def form(self, *, port: int | None = None, **changes: object) -> dict[str, Any]:
        """Return a form for directory.save that reads this branch, by default as Save & Sync."""
        tree = self.slapd.trees[0]
        return {
            "directory": "hq",
            "type": "openldap",
            "servers": [f"127.0.0.1:{port or self.slapd.port}"],
            "security": "none",
            "bind_name": tree.reader,
            "password": tree.reader_password,
            "search_bases": [self.base],
            "sync": True,
            **changes,
        }

    def person(self, login: str, *, under: str = "") -> str:
        """Return the entry of a person, not yet added."""
        told = {"sn": login, "mail": self.address(login), "displayName": f"Person {login}"}
        return ldif.record(self.dn(login, under=under), {"objectClass": "inetOrgPerson", **told})


@dataclass(frozen=True, slots=True)
class Lab:
    """The server; every branch has a name that no other test uses."""

    slapd: Slapd
    authority: Authority
    seed: str = field(default_factory=lambda: secrets.token_hex(3))

    def branch(self) -> Branch:
        """Make a branch without people."""
        made = Branch(self.slapd, f"b{self.seed}{next(NUMBERS)}")
        self.slapd.add(ldif.record(made.base, {"objectClass": "organizationalUnit"}))
        return made


@contextmanager
def open_lab(directory: Path, authority: Authority, *, lines: Sequence[str] = ()) -> Iterator[Lab]:
    """Run a server with an empty tree."""
    tree = Tree(base=BASE, lines=[PAGED.format(base=BASE), *lines], access=ACCESS)
    with Slapd(directory, [tree], certificate=authority.issue("lab")) as slapd:
        yield Lab(slapd, authority)
