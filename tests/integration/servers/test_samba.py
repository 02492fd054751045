"""The domain controller that other tests start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ad_domain, samba
from tests.servers.ad_domain import BASE, WITH_ADDRESSES
from tests.servers.certs import Authority
from tests.servers.client import LdapSearch
from tests.servers.samba import Samba


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
WANTED = "(proxyAddresses=smtp:*)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is too deep for the name of a socket in it."""
    if lacks := samba.missing():
        pytest.skip(lacks)
    deep = tmp_path / ("deep" * 20)
    deep.mkdir()
    return deep


@pytest.fixture
def server(home: Path, authority: Authority) -> Iterator[Samba]:
    """A running one."""
    with Samba(home, authority.issue("dc")) as running:
        yield running


@pytest.mark.parametrize("starttls", [True, False])
def test_any_client_reads_it_over_tls(server: Samba, authority: Authority, starttls: bool) -> None:  # noqa: FBT001 - a parameter
    """On its own ports, with its own certificate, as an ordinary account."""
    answer = LdapSearch(
        uri=server.uri if starttls else server.ldaps_uri,
        bind_dn=ad_domain.upn("svc-sync"),
        password=ad_domain.PASSWORD,
        ca=authority.ca,
        starttls=starttls,
    )(BASE, WANTED)

    assert (answer.code, len(answer.entries)) == (0, WITH_ADDRESSES)


def test_what_it_holds_survives_a_crash(server: Samba) -> None:
    """Tests of outages need a server that really goes and really returns."""
    name = f"CN=Late,OU=People,{BASE}"
    server.add(ad_domain.mailbox(name, "late"))

    server.kill()
    assert not server.answers()
    server.start()

    assert [entry.dn for entry in server.search(BASE, "(cn=Late)", "cn")] == [name]


def test_each_server_has_a_copy_of_a_domain_made_once(server: Samba) -> None:
    """Making one takes ten seconds, and no test may see what another did."""
    made = samba.kept()
    before = (made / "private" / "sam.ldb").stat().st_mtime_ns

    server.delete(ad_domain.person(0))

    assert samba.kept() == made
    assert (made / "private" / "sam.ldb").stat().st_mtime_ns == before
    assert len(server.search(BASE, WANTED, "cn")) == WITH_ADDRESSES - 1
