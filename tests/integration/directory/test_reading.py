from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.directory.conftest import (
    BASE,
    PEOPLE,
    TREE,
    Reading,
    people,
    plan_for,
)
from tests.servers.certs import Authority, expiry, fingerprint
from tests.servers.daemon import free_port
from tests.servers.slapd import Slapd, Tree
from worker.domain.failures import Stage, StageState
from worker.domain.model import Security, Server, Trust


pytestmark = pytest.mark.integration


async def test_a_plain_directory_is_read_whole(slapd: Slapd, plain: Server) -> None:
    """What the customer's own tool finds is what we find."""
    reading = Reading(plan_for(plain))

    names = await reading.names()

    expected = [entry.dn for entry in slapd.search(BASE, "(mail=*)")]
    assert sorted(names) == sorted(expected)
    assert len(names) == PEOPLE


async def test_ldaps_with_the_customers_own_authority(secured: Server, own_ca: Trust) -> None:
    """Most directories have a certificate of a private authority."""
    reading = Reading(plan_for(secured, security=Security.LDAPS, trust=own_ca))

    assert len(await reading.names()) == PEOPLE


async def test_the_proof_says_until_when_the_certificate_is_valid(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """By LDAPS and STARTTLS alike; who pins a certificate or reads in clear is told nothing."""
    soon = authority.issue("soon", lasts=timedelta(days=9))
    until = expiry(soon.cert)
    seen: dict[str, datetime | None] = {}

    with Slapd(tmp_path, [TREE], certificate=soon) as server:
        secured, plain = (Server("127.0.0.1", port) for port in (server.ldaps_port, server.port))
        pinned = Trust(fingerprint=fingerprint(soon.cert))
        for name, plan in {
            "ldaps": plan_for(secured, security=Security.LDAPS, trust=own_ca),
            "starttls": plan_for(plain, security=Security.STARTTLS, trust=own_ca),
            "pinned": plan_for(secured, security=Security.LDAPS, trust=pinned),
            "plain": plan_for(plain),
        }.items():
            reading = Reading(plan)
            await reading.names()
            assert reading.proof is not None
            seen[name] = reading.proof.certificate_until

    assert seen == {"ldaps": until, "starttls": until, "pinned": None, "plain": None}


async def test_starttls_secures_the_plain_port(plain: Server, own_ca: Trust) -> None:
    """Where only port 389 is open, passwords still do not cross the network in clear."""
    reading = Reading(plan_for(plain, security=Security.STARTTLS, trust=own_ca))

    assert len(await reading.names()) == PEOPLE
    assert "TLSv1" in next(r.detail for r in reading.stages if r.stage is Stage.SECURE)


async def test_a_pinned_fingerprint_is_enough(slapd: Slapd, secured: Server) -> None:
    """A customer without an authority can pin the very certificate, whatever its name says."""
    assert slapd.certificate is not None
    pinned = Trust(fingerprint=fingerprint(slapd.certificate.cert))
    reading = Reading(plan_for(secured, security=Security.LDAPS, trust=pinned))

    assert len(await reading.names()) == PEOPLE


async def test_the_expected_name_may_differ_from_the_host(secured: Server, own_ca: Trust) -> None:
    """Domain controllers carry their internal name, while we dial a public address."""
    plan = plan_for(secured, security=Security.LDAPS, trust=own_ca, certificate_name="localhost")

    assert len(await Reading(plan).names()) == PEOPLE


async def test_a_client_certificate_alone_signs_in(
    tmp_path: Path, authority: Authority, own_ca: Trust
) -> None:
    """Some directories (Google's) know their clients by certificate."""
    client = authority.client("sync")
    lines = [
        "TLSVerifyClient demand",
        f'authz-regexp "cn=sync" "cn=reader,ou=Service,{BASE}"',
    ]
    key = (client.cert.read_text(encoding="ascii"), client.key.read_text(encoding="ascii"))
    with Slapd(tmp_path, [TREE], certificate=authority.issue("tls"), lines=lines) as server:
        plan = plan_for(
            Server("127.0.0.1", server.ldaps_port),
            security=Security.LDAPS,
            trust=own_ca,
            password=None,
            client=key,
        )
        reading = Reading(plan)

        names = await reading.names()

    assert len(names) == PEOPLE
    assert reading.gate.events == ["admit", "settle True"]


async def test_the_whole_attempt_is_recorded_stage_by_stage(plain: Server) -> None:
    """The doctor shows how far it got, with times."""
    reading = Reading(plan_for(plain))

    await reading.entries()

    assert reading.states() == [
        (Stage.NAME, StageState.OK),
        (Stage.REACH, StageState.OK),
        (Stage.SECURE, StageState.NOT_TRIED),
        (Stage.SIGN_IN, StageState.OK),
        (Stage.BASE, StageState.OK),
        (Stage.READ, StageState.OK),
    ]


async def test_the_proof_tells_what_was_read(plain: Server) -> None:
    """Whoever removes an address relies on this."""
    reading = Reading(plan_for(plain))

    await reading.entries()

    assert reading.proof is not None
    assert (reading.proof.server, reading.proof.bases) == (f"127.0.0.1:{plain.port}", (BASE,))
    assert (reading.proof.entries, reading.proof.references) == (PEOPLE, 0)


@pytest.mark.parametrize("page_size", [1, 7, 8, PEOPLE, PEOPLE * 2])
async def test_no_page_size_loses_or_repeats_an_entry(plain: Server, page_size: int) -> None:
    """Also when the last page is full, or empty: the library's own iterator fails there."""
    names = await Reading(plan_for(plain, page_size=page_size)).names()

    assert len(names) == len(set(names)) == PEOPLE


async def test_a_legal_name_with_a_sharp_is_read(plain: Server) -> None:
    """One team called C# must not cost the whole page its mail."""
    names = await Reading(plan_for(plain)).names()

    assert f"cn=C# team,ou=People,{BASE}" in names


async def test_values_come_as_the_bytes_that_were_sent(plain: Server) -> None:
    """A value that looks like a number or a truth is text all the same."""
    plan = plan_for(plain, attributes=("sn", "employeeNumber", "MAIL"), wanted="(cn=p000)")

    entries = await Reading(plan).entries()

    name = f"cn=p000,ou=People,{BASE}"
    values = {"sn": [b"TRUE"], "employeeNumber": [b"0x10"], "MAIL": [b"p000@hq.test"]}
    assert entries == [(name, values)]


async def test_a_blank_base_is_asked_of_the_server(plain: Server) -> None:
    """Customers who do not know their base need not."""
    reading = Reading(plan_for(plain, bases=()))

    assert len(await reading.names()) == PEOPLE
    assert reading.proof is not None
    assert reading.proof.bases == (BASE,)


async def test_two_bases_are_read_one_after_another(tmp_path: Path) -> None:
    """A merger leaves two trees on one server; with no base said, the customer is asked."""
    other = Tree(base="dc=branch,dc=test", seed=people("dc=branch,dc=test", 5))
    access = ("to * by * read",)
    trees = [replace(TREE, access=access), replace(other, access=access)]
    with Slapd(tmp_path, trees) as server:
        target = Server("127.0.0.1", server.port)
        both = await Reading(plan_for(target, bases=(BASE, other.base))).names()
        neither = await Reading(plan_for(target, bases=())).code()

    assert len(both) == PEOPLE + 5
    assert neither == "base.ambiguous"


async def test_a_server_that_allows_only_small_pages_is_read_in_small_pages(
    tmp_path: Path,
) -> None:
    """OpenLDAP's size.pr refuses a page that is too large instead of making it smaller."""
    tree = replace(
        TREE, lines=[f'limits dn.exact="{TREE.reader}" size.pr=12 size.prtotal=unlimited']
    )
    with Slapd(tmp_path, [tree]) as server:
        plan = plan_for(Server("127.0.0.1", server.port), page_size=100)

        names = await Reading(plan).names()

    assert len(names) == PEOPLE


async def test_the_next_server_is_tried_when_the_first_cannot_be_reached(plain: Server) -> None:
    """That is what the second domain controller is for."""
    dead = Server("127.0.0.1", free_port())
    reading = Reading(plan_for(dead, plain))

    names = await reading.names()

    assert len(names) == PEOPLE
    assert reading.states()[:2] == [(Stage.NAME, StageState.OK), (Stage.REACH, StageState.FAILED)]
    assert reading.gate.events == ["admit", "settle True"]


async def test_when_no_server_can_be_reached_the_first_ones_fault_is_told(secured: Server) -> None:
    """The preferred server is the one to repair; the others stand in the detail."""
    dead = Server("127.0.0.1", free_port())
    failure = await Reading(plan_for(dead, secured, security=Security.LDAPS)).failure()

    assert failure.code == "reach.refused"
    assert "secure." in failure.detail


async def test_contexts_of_two_directories_know_nothing_of_each_other(
    secured: Server, own_ca: Trust, slapd: Slapd
) -> None:
    """Trap: libldap keeps one certificate policy for the process, so one tenant's pin opened all doors."""
    assert slapd.certificate is not None
    lax = Trust(fingerprint=fingerprint(slapd.certificate.cert))
    outcomes = [
        await Reading(plan_for(secured, security=Security.LDAPS, trust=lax)).names(),
        await Reading(plan_for(secured, security=Security.LDAPS)).code(),
        await Reading(plan_for(secured, security=Security.LDAPS, trust=own_ca)).names(),
    ]

    assert [len(outcomes[0]), outcomes[1], len(outcomes[2])] == [
        PEOPLE,
        "secure.untrusted_root",
        PEOPLE,
    ]
