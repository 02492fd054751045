"""The private stack: found again, crashed and brought back, and not in anyone's way."""

import socket
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import Servers
from tests.servers.ad_domain import WITH_ADDRESSES
from tests.servers.client import LdapSearch
from tests.stack.plan import Plan, choose_ports
from tests.stack.stack import Stack


pytestmark = pytest.mark.integration


def test_two_checkouts_do_not_meet_on_their_ports(tmp_path: Path) -> None:
    """Several checkouts on one machine are the rule, not the exception."""
    base = choose_ports(tmp_path)
    with socket.create_server(("127.0.0.1", base + 2)):
        assert choose_ports(tmp_path) != base

    assert choose_ports(tmp_path) == base


def test_a_plan_is_found_again_and_kept_private(tmp_path: Path) -> None:
    """Its passwords open a database server to whoever reads them."""
    made = Plan.make(home=tmp_path, base_port=20000, postgres_home=tmp_path / "postgres")

    assert Plan.load(tmp_path) == made
    assert tmp_path.joinpath("plan.json").stat().st_mode & 0o077 == 0


def test_both_trees_are_read_with_what_the_environment_says(servers: Servers) -> None:
    """Whoever sources .stack/env must be able to read both directories, over TLS and STARTTLS."""
    counts = {
        kind: len(
            LdapSearch(
                uri=servers[uri],
                bind_dn=servers[f"STACK_LDAP_{kind}_BIND_DN"],
                password=servers[f"STACK_LDAP_{kind}_PASSWORD"],
                ca=Path(servers["STACK_LDAP_CA"]),
                starttls=uri == "STACK_LDAP_URI",
            )(servers[f"STACK_LDAP_{kind}_BASE"], "(mail=*)").entries
        )
        for kind, uri in (("AD", "STACK_LDAPS_URI"), ("PLAIN", "STACK_LDAP_URI"))
    }

    assert counts == {"AD": 100, "PLAIN": 31}


def test_the_active_directory_is_read_with_what_the_environment_says(servers: Servers) -> None:
    """It answers next to the AD-flavoured OpenLDAP, and is another server."""
    answer = LdapSearch(
        uri=servers["STACK_AD_LDAPS_URI"],
        bind_dn=servers["STACK_AD_BIND_NAME"],
        password=servers["STACK_AD_PASSWORD"],
        ca=Path(servers["STACK_AD_CA"]),
    )(servers["STACK_AD_BASE"], "(proxyAddresses=smtp:*)")

    assert len(answer.entries) == WITH_ADDRESSES


@pytest.mark.timeout(60)
async def test_a_crashed_database_comes_back_with_what_was_committed(
    stack: Stack, servers: Servers
) -> None:
    """Tests of outages need a server that really goes and really returns."""
    await _run(servers.database_url, "CREATE TABLE IF NOT EXISTS kept (number integer)")
    stack.postgres.kill()
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncpg.connect(servers.database_url)
    stack.postgres.start()

    await _run(servers.database_url, "DROP TABLE kept")


def test_a_crashed_directory_comes_back(stack: Stack) -> None:
    """On the same ports, with the same people."""
    directory = stack.openldap
    before = len(directory.search(directory.trees[0].base))

    directory.kill()
    assert not stack.state()["openldap"]
    directory.start()

    assert len(directory.search(directory.trees[0].base)) == before


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
