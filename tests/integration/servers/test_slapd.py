"""The directory server that other tests start."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.servers.conftest import BASE, PEOPLE, Ask, person
from tests.servers import ldif
from tests.servers.certs import Authority, fingerprint, self_signed
from tests.servers.ldaptools import LdapToolError
from tests.servers.slapd import Certificate, Slapd, Tree


pytestmark = pytest.mark.integration
PEOPLE_OU = f"ou=People,{BASE}"


def test_the_seed_is_what_a_client_reads(slapd: Slapd, ask: Ask) -> None:
    """Identifiers and 64-bit numbers must come back as they were given, or a test proves nothing."""
    answer = ask(slapd.ldaps_uri)

    assert answer.code == 0
    assert len(answer.entries) == PEOPLE
    first = next(entry for entry in answer.entries if entry.text("sn") == "0")
    assert first.attributes["objectguid"] == (ldif.guid("user 0"),)
    assert first.text("msExchRecipientTypeDetails") == "2147483648"


def test_changes_behind_the_back_of_a_sync(slapd: Slapd, tree: Tree) -> None:
    """Joiners, leavers, renames and moves are what a second sync is about."""
    slapd.add(person(900))
    slapd.set(f"cn=User 900,{PEOPLE_OU}", displayName="Zoë ", mail=[])
    slapd.rename(f"cn=User 900,{PEOPLE_OU}", "cn=Zoë", under=BASE)
    slapd.delete(f"cn=User 000,{PEOPLE_OU}", f"cn=User 001,{PEOPLE_OU}")

    found = slapd.search(BASE, "(objectClass=user)", as_=(tree.reader, tree.reader_password))

    assert len(found) == PEOPLE - 1
    moved = next(entry for entry in found if entry.text("sn") == "900")
    assert moved.dn == f"cn=Zoë,{BASE}"
    assert moved.text("displayName") == "Zoë "
    assert moved.text("entryUUID") == ldif.entry_uuid("user 900")


def test_limits_and_rights_change_while_it_runs(slapd: Slapd, tree: Tree, ask: Ask) -> None:
    """A size limit or a lost right in the middle of a night is what must not cost recipients."""
    slapd.configure(slapd.database(tree), olcLimits="{0}* size.prtotal=15 size.pr=10")
    limited = ask(slapd.ldaps_uri)
    slapd.configure(
        slapd.database(tree), olcLimits=[], olcAccess="{0}to * by anonymous auth by * none"
    )
    blind = ask(slapd.ldaps_uri)

    assert (limited.code, len(limited.entries)) == (4, 15)
    assert (blind.code, len(blind.entries)) == (32, 0)


def test_what_it_holds_survives_a_crash(slapd: Slapd, ask: Ask) -> None:
    """A directory that was killed comes back with the same people on the same port."""
    slapd.add(person(901))
    slapd.kill()
    refused = ask(slapd.ldaps_uri)
    slapd.start()

    assert refused.code == 255
    assert len(ask(slapd.ldaps_uri).entries) == PEOPLE + 1


def test_the_log_tells_who_did_what(slapd: Slapd, tree: Tree, ask: Ask) -> None:
    """How often an account signs in, and that it only reads, is a promise to customers."""
    ask(slapd.ldaps_uri)
    with pytest.raises(LdapToolError, match="49"):
        slapd.search(BASE, as_=(tree.reader, "wrong"))

    seen = slapd.seen(tree.reader)

    assert (seen.connections, seen.binds, seen.refused) == (2, 2, 1)
    assert (seen.searches, seen.entries) == (5, PEOPLE)


def test_a_tree_may_demand_tls_and_another_not(
    tmp_path: Path, authority: Authority, ask: Ask
) -> None:
    """Active Directory refuses a password in the clear (13); a plain OpenLDAP often does not."""
    strict = Tree(base=BASE, lines=["security simple_bind=128"])
    loose = Tree(base="dc=example,dc=org")
    with Slapd(tmp_path / "two", [strict, loose], certificate=authority.issue("two")) as slapd:
        in_the_clear, started = ask(slapd.uri), ask(slapd.uri, starttls=True)
        plain = slapd.search(loose.base, as_=(loose.reader, loose.reader_password))

    assert (in_the_clear.code, started.code) == (13, 32)
    assert [entry.dn for entry in plain] == [loose.base]


def test_a_root_dse_like_active_directory(tmp_path: Path) -> None:
    """Where a customer gives no search base, AD is asked for its own."""
    said = ldif.record("", {"defaultNamingContext": BASE, "dnsHostName": "dc1.corp.example.com"})
    with Slapd(tmp_path / "ad", [Tree(base=BASE)], root_dse=said) as slapd:
        (root,) = slapd.search("", attributes=["*", "+"], scope="base")

    assert root.text("defaultNamingContext") == BASE


@pytest.mark.parametrize("flaw", ["expired", "wrong_name", "self_signed"])
def test_a_flawed_certificate_is_refused(
    flaw: str, tmp_path: Path, tree: Tree, authority: Authority, ask: Ask
) -> None:
    """Each way a certificate can be bad must be bad for every client, or tests of it are void."""
    makers: dict[str, Callable[[], Certificate]] = {
        "expired": authority.expired,
        "wrong_name": authority.wrong_name,
        "self_signed": lambda: self_signed(tmp_path),
    }
    flawed = makers[flaw]()
    with Slapd(tmp_path / "flawed", [tree], certificate=flawed) as slapd:
        answer = ask(slapd.ldaps_uri)

    assert answer.code == 255
    assert len(fingerprint(flawed.cert)) == 64


def test_a_client_certificate_can_be_demanded(
    tmp_path: Path, tree: Tree, authority: Authority, ask: Ask
) -> None:
    """Some directories let nobody in who shows no certificate."""
    lines = ["TLSVerifyClient demand"]
    with Slapd(
        tmp_path / "mutual", [tree], certificate=authority.issue("mutual"), lines=lines
    ) as slapd:
        refused = ask(slapd.ldaps_uri)

    # TLS 1.3 tells the client after its first request, 1.2 before
    assert refused.code in {254, 255}
