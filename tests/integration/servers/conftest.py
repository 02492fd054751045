"""A small directory and a way to ask it as any client would."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import ldif
from tests.servers.certs import Authority
from tests.servers.client import Answer, LdapSearch
from tests.servers.slapd import Slapd, Tree


BASE = "dc=corp,dc=example,dc=com"
PEOPLE = 50


Ask = Callable[..., Answer]


def person(number: int) -> str:
    """One mailbox."""
    return ldif.record(
        f"cn=User {number:03d},ou=People,{BASE}",
        {
            "objectClass": "user",
            "sn": f"{number}",
            "objectGUID": ldif.guid(f"user {number}"),
            "entryUUID": ldif.entry_uuid(f"user {number}"),
            "msExchRecipientTypeDetails": "2147483648",
            "proxyAddresses": [f"SMTP:user{number}@corp.example.com", f"smtp:u{number}@b.example"],
        },
    )


@pytest.fixture
def tree() -> Tree:
    """Fifty mailboxes."""
    unit = ldif.record(f"ou=People,{BASE}", {"objectClass": "organizationalUnit"})
    return Tree(base=BASE, seed=unit + "".join(map(person, range(PEOPLE))))


@pytest.fixture
def slapd(tmp_path: Path, tree: Tree, authority: Authority) -> Iterator[Slapd]:
    """A running server with TLS."""
    with Slapd(tmp_path / "slapd", [tree], certificate=authority.issue("server")) as server:
        yield server


@pytest.fixture
def ask(tree: Tree, authority: Authority) -> Ask:
    """Search the people as the reader, in pages of ten."""

    def search(uri: str, *, starttls: bool = False) -> Answer:
        client = LdapSearch(
            uri=uri,
            bind_dn=tree.reader,
            password=tree.reader_password,
            ca=authority.ca,
            starttls=starttls,
        )
        return client(f"ou=People,{BASE}", "(objectClass=user)", page=10)

    return search
