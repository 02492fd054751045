"""The lines to copy, tried: they mend on a real server the very fault that they were shown for."""

import asyncio
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.directory.conftest import BASE, LOOPBACK, TREE
from tests.servers import ad_domain, ldif
from tests.servers.certs import Authority
from tests.servers.samba import Samba
from tests.servers.slapd import Slapd
from tests.unit.domain.test_quoting import powershell_string
from worker.adapters.directory.reader import LdapReader
from worker.adapters.directory.survey import LdapSurveyor
from worker.domain.failures import Finding
from worker.domain.model import (
    Credentials,
    DirectorySettings,
    Secret,
    Security,
    Server,
    Trust,
)
from worker.flows.diagnose import Asked, DiagnosePorts, diagnose


pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ACCOUNT = f'cn=O\'Neil \\"two\\" \\+ $(three)\\\\,ou=Service,{BASE}'
"""A name with all that a shell, slapd and LDIF could stumble over; legal in RFC 4514."""
PASSWORD = "acc0unt-5ecret"
DOCUMENT = re.compile(r"<<'LDIF'\n(.*)\nLDIF\Z", re.DOTALL)


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)  # noqa: TID251 -- decides nothing here


async def answer(form: DirectorySettings, password: str = PASSWORD) -> Finding:
    """What the doctor says."""
    asked = Asked(form, Credentials(Secret(password)), None)
    ports = DiagnosePorts(LdapReader(), LOOPBACK, surveyor=LdapSurveyor(now=now))
    return (await diagnose(asked, ports=ports)).finding


def form_of(slapd: Slapd, bind_name: str = ACCOUNT) -> DirectorySettings:
    """The form as an admin fills it in."""
    return DirectorySettings(
        "HQ",
        "openldap",
        (Server("127.0.0.1", slapd.port),),
        bind_name,
        security=Security.NONE,
        search_bases=(BASE,),
    )


def add_account(slapd: Slapd) -> None:
    """Add an account with an awkward name."""
    classes = ["person", "simpleSecurityObject"]
    slapd.add(ldif.record(ACCOUNT, {"objectClass": classes, "sn": "x", "userPassword": PASSWORD}))


def document(finding: Finding, label: str) -> str:
    """The one change offered for this kind of server."""
    (text,) = (each.text for each in finding.commands if each.label.startswith(label))
    found = DOCUMENT.search(text)
    assert found is not None
    return found.group(1) + "\n"


async def test_the_limits_that_are_copied_let_the_whole_list_through(tmp_path: Path) -> None:
    """OpenLDAP's own default stops at 500; the admin pastes eight words and is done."""
    tree = replace(TREE, lines=["sizelimit 20"], access=["to * by * read"])
    with Slapd(tmp_path, [tree]) as slapd:
        add_account(slapd)
        before = await answer(form_of(slapd))

        slapd.modify(document(before, "OpenLDAP"))

        after = await answer(form_of(slapd))

    assert before.code == "read.size_limit"
    assert {each.label.partition(",")[0] for each in before.commands} == {"OpenLDAP"}
    assert after.code == "ok"


async def test_the_rights_that_are_copied_let_the_account_read(tmp_path: Path) -> None:
    """Just what is read, and no password."""
    hidden = [
        "to attrs=userPassword by anonymous auth by * none",
        "to * by anonymous auth by * none",
    ]
    with Slapd(tmp_path, [replace(TREE, access=hidden)]) as slapd:
        add_account(slapd)
        before = await answer(form_of(slapd))

        slapd.modify(document(before, "OpenLDAP"))

        after = await answer(form_of(slapd))
        shown = slapd.search(BASE, "(cn=p001)", ["*", "+"], as_=(ACCOUNT, PASSWORD))
        secrets = slapd.search(BASE, "(userPassword=*)", ["*"], as_=(ACCOUNT, PASSWORD))

    assert before.code == "base.not_found"
    assert after.code == "ok"
    assert [entry.texts("sn") for entry in shown] == [()] or not shown[0].texts("sn")
    assert secrets == []


async def test_the_name_that_openldap_takes_is_found_by_the_line(tmp_path: Path) -> None:
    """An account as Active Directory names it is refused as no name at all."""
    with Slapd(tmp_path, [replace(TREE, access=["to * by * read"])]) as slapd:
        found = await answer(form_of(slapd, "CORP\\reader"))
        (line,) = (each.text for each in found.commands if each.label.endswith("the account's DN"))
        base, condition, attribute = shlex.split(line)[-3:]
        entries = slapd.search(base, condition, [attribute])

    assert found.code == "sign_in.bad_name"
    assert [entry.dn for entry in entries] == [f"cn=reader,ou=Service,{BASE}"]


@pytest.mark.parametrize(
    "named",
    [ad_domain.upn, lambda name: f"LAB\\{name}", ad_domain.account],
    ids=["upn", "domain", "dn"],
)
async def test_the_account_of_active_directory_is_found_by_the_line(
    samba: Samba, own_ca: Trust, named: Callable[[str], str]
) -> None:
    """It is the very account that is to be enabled, whatever the form of its name."""
    form = DirectorySettings(
        "HQ",
        "active_directory",
        (Server("127.0.0.1", samba.ldaps_port),),
        named("svc-disabled"),
        trust=own_ca,
    )

    found = await answer(form, ad_domain.PASSWORD)

    assert found.code == "sign_in.disabled"
    (line,) = (each.text for each in found.commands if each.text.startswith("Get-ADUser"))
    condition, rest = powershell_string(line.removeprefix("Get-ADUser -LDAPFilter "))
    assert rest == " | Enable-ADAccount"
    entries = samba.search(ad_domain.BASE, condition, "cn")
    assert [entry.dn.lower() for entry in entries] == [ad_domain.account("svc-disabled").lower()]


async def pasted(
    line: str, folder: Path, own_ca: Trust, *, password: str = ad_domain.PASSWORD
) -> str:
    """What a shell prints when somebody pastes a line, beside the files it names."""
    (folder / "ca.pem").write_text(own_ca.ca_pem or "")
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        line,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LDAP_PASSWORD": password},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        printed, _ = await shell.communicate()
    return printed.decode()


async def test_the_search_that_is_copied_finds_what_was_read(
    samba: Samba, own_ca: Trust, tmp_path: Path
) -> None:
    """With the base left blank too: the server named it, and ldapsearch does not ask."""
    form = DirectorySettings(
        "HQ",
        "samba_ad",
        (Server("127.0.0.1", samba.ldaps_port),),
        ad_domain.upn("svc-sync"),
        trust=own_ca,
    )

    found = await answer(form, ad_domain.PASSWORD)

    printed = await pasted(found.ldapsearch, tmp_path, own_ca)
    assert found.report is not None
    assert len(re.findall("^dn:", printed, re.MULTILINE)) == found.report.entries > 0


async def test_the_search_that_is_copied_believes_a_certificate_for_another_name(
    tmp_path: Path,
) -> None:
    """It connects by that name, since ldapsearch knows no other way; so it works as our own check does."""
    authority = Authority.create(tmp_path, name="Example CA")
    shown = authority.issue("ldap", hosts=["127.0.0.1"])
    own_ca = Trust(ca_pem=authority.ca.read_text("ascii"))
    with Slapd(tmp_path, [replace(TREE, access=["to * by * read"])], shown) as slapd:
        add_account(slapd)
        form = replace(
            form_of(slapd),
            servers=(Server("localhost", slapd.ldaps_port),),
            security=Security.LDAPS,
            trust=own_ca,
        )

        unnamed = await answer(form)
        named = await answer(replace(form, certificate_name="127.0.0.1"))

        printed = await pasted(named.ldapsearch, tmp_path, own_ca, password=PASSWORD)

    assert unnamed.code == "secure.wrong_name"
    assert named.report is not None
    assert len(re.findall("^dn:", printed, re.MULTILINE)) == named.report.entries > 0


async def test_the_line_that_asks_for_the_base_names_it(
    samba: Samba, own_ca: Trust, tmp_path: Path
) -> None:
    """A server with a certificate of its own authority answers it."""
    form = DirectorySettings(
        "HQ",
        "samba_ad",
        (Server("127.0.0.1", samba.ldaps_port),),
        ad_domain.upn("svc-sync"),
        trust=own_ca,
        search_bases=("DC=nowhere,DC=example",),
    )

    found = await answer(form, ad_domain.PASSWORD)

    assert found.code == "base.not_found"
    assert (
        ad_domain.BASE.lower() in (await pasted(found.commands[0].text, tmp_path, own_ca)).lower()
    )


@pytest.mark.parametrize(
    ("account", "password", "is_mighty"),
    [
        ("svc-sync", ad_domain.PASSWORD, False),
        ("Administrator", ad_domain.ADMIN_PASSWORD, True),
    ],
)
async def test_an_account_that_may_too_much_shows_by_its_groups(
    samba: Samba, own_ca: Trust, account: str, password: str, *, is_mighty: bool
) -> None:
    """Active Directory tells who signed in, whatever the account is called."""
    form = DirectorySettings(
        "HQ",
        "active_directory",
        (Server("127.0.0.1", samba.ldaps_port),),
        ad_domain.upn(account),
        trust=own_ca,
    )

    found = await answer(form, password)

    assert found.report is not None
    assert found.report.server_type == "samba_ad"
    warnings = {each.code: each.text for each in found.report.warnings}
    assert ("mighty_account" in warnings) is is_mighty
    assert "Domain Admins" in warnings.get("mighty_account", "Domain Admins")
    assert ("no_canary" in warnings) is (found.report.addresses >= 1000)
