import re
import shlex
from base64 import b64decode
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from tests.unit.domain.test_quoting import HOSTILE, powershell_string, slapd_words
from worker.domain.cures import CURES, FILLED, NO_DN, Place, cures, place_of
from worker.domain.findings import FINDINGS
from worker.domain.model import DirectorySettings, Security, Server, Trust
from worker.domain.server import RootDse, ServerType
from worker.domain.told import Command


DN = "cn=sync,ou=Services,dc=example,dc=com"
PLACE = Place(
    DirectorySettings("HQ", "active_directory", (Server("dc1.example.com"),), "sync@example.com"),
    Server("dc1.example.com"),
    "dc=example,dc=com",
    ("mail", "proxyAddresses"),
)
OF_OPENLDAP = replace(PLACE, settings=replace(PLACE.settings, type="openldap", bind_name=DN))
ALL = frozenset(ServerType)
STAGES = {code.partition(".")[0] + "." for code in FINDINGS if "." in code}


def lines(code: str, *types: ServerType, place: Place = PLACE) -> list[str]:
    """The texts for a code."""
    return [each.text for each in cures(code, place, frozenset(types))]


def document(text: str) -> dict[str, str]:
    """The values of a change in a here-document, decoded; one of each name."""
    assert text.endswith("\nLDIF")
    found = {}
    for line in text.splitlines()[1:-1]:
        name, _, value = line.partition(":")
        is_coded = value.startswith(":")
        found[name] = b64decode(value[1:].strip()).decode() if is_coded else value.removeprefix(" ")
    return found


@pytest.mark.parametrize("cure", CURES, ids=lambda cure: cure.label)
def test_every_row_is_for_codes_that_exist(cure: object) -> None:
    """A line for a code that nobody raises would never be shown."""
    assert isinstance(cure, type(CURES[0]))
    assert cure.codes
    assert cure.codes <= FINDINGS.keys() | STAGES


@pytest.mark.parametrize("code", FINDINGS)
def test_every_blank_is_filled_in(code: str) -> None:
    """A line is copied as it stands."""
    for each in cures(code, replace(PLACE, egress=("192.0.2.1",)), ALL):
        assert not FILLED.search(each.text)
        assert each.label


@pytest.mark.parametrize(
    "stage", ["name", "reach", "secure", "base"], ids=lambda stage: f"{stage}.*"
)
def test_a_fault_before_the_sign_in_has_a_line_for_every_server(stage: str) -> None:
    """Whatever the server is, the admin can look for themselves."""
    code = {"name": "name.not_found", "reach": "reach.timed_out", "secure": "secure.expired"}.get(
        stage, "base.not_found"
    )

    assert all(cures(code, PLACE, frozenset({server})) for server in ServerType)


def test_only_the_lines_of_the_server_found_are_shown() -> None:
    """PowerShell on OpenLDAP helps nobody."""
    openldap = cures("read.size_limit", OF_OPENLDAP, frozenset({ServerType.OPENLDAP}))
    anything = cures("read.size_limit", OF_OPENLDAP, ALL)

    assert [each.label.partition(",")[0] for each in openldap] == ["OpenLDAP"]
    assert len(anything) > len(openldap)
    assert lines("sign_in.locked", ServerType.OPENLDAP) == []


@pytest.mark.parametrize(
    ("cause", "command"),
    [
        ("locked", "Unlock-ADAccount"),
        ("disabled", "Enable-ADAccount"),
        ("expired", "Clear-ADAccountExpiration"),
        ("password_expired", "Set-ADUser -PasswordNeverExpires $true"),
        ("must_change", "Set-ADUser -ChangePasswordAtLogon $false"),
        ("logon_hours", "Set-ADUser -Clear logonHours"),
        ("workstation", "Set-ADUser -Clear userWorkstations"),
    ],
)
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sync@example.com", "(userPrincipalName=sync@example.com)"),
        ("CORP\\sync", "(sAMAccountName=sync)"),
        (DN, f"(distinguishedName={DN})"),
    ],
)
def test_an_account_of_active_directory_is_put_right(
    cause: str, command: str, name: str, found: str
) -> None:
    """In whatever form the name was entered, the line finds the account."""
    place = replace(PLACE, settings=replace(PLACE.settings, bind_name=name))

    (line,) = lines(f"sign_in.{cause}", ServerType.ACTIVE_DIRECTORY, place=place)

    assert line == f"Get-ADUser -LDAPFilter '{found}' | {command}"


def test_samba_has_its_own_tool() -> None:
    """A domain controller on Linux has no PowerShell."""
    assert lines("sign_in.locked", ServerType.SAMBA_AD) == [
        "samba-tool user unlock --filter='(userPrincipalName=sync@example.com)'"
    ]


def test_the_firewall_line_names_our_addresses_or_is_left_out() -> None:
    """A rule for nobody's addresses would let everybody in."""
    here = replace(PLACE, egress=("192.0.2.1", "192.0.2.2"))

    with_ours = lines("reach.timed_out", ServerType.ACTIVE_DIRECTORY, place=here)
    without = lines("reach.timed_out", ServerType.ACTIVE_DIRECTORY)

    (rule,) = set(with_ours) - set(without)
    assert "-LocalPort 636 -RemoteAddress '192.0.2.1','192.0.2.2' -Action Allow" in rule


@pytest.mark.parametrize(
    "server", [ServerType.OPENLDAP, ServerType.SAMBA_AD, ServerType.DS389, ServerType.FREEIPA]
)
def test_it_is_the_form_s_port_that_is_looked_for_on_the_server(server: ServerType) -> None:
    """A server that listens elsewhere than usual is no server that is down."""
    place = replace(PLACE, server=Server("dc1.example.com", 10389))

    (line,) = [each for each in lines("reach.refused", server, place=place) if "; ss " in each]

    assert line.endswith("; ss -ltn 'sport = :10389'")


def test_windows_is_asked_for_the_form_s_port_too() -> None:
    """Likewise."""
    place = replace(PLACE, server=Server("dc1.example.com", 3269))

    assert "Get-Service NTDS; Get-NetTCPConnection -State Listen -LocalPort 3269" in lines(
        "reach.refused", ServerType.ACTIVE_DIRECTORY, place=place
    )


def test_port_and_encryption_are_those_of_the_form() -> None:
    """The line looks at the very door that is shut."""
    starttls = replace(PLACE.settings, security=Security.STARTTLS, certificate_name="dc1.test")
    place = replace(PLACE, settings=starttls, server=Server("::1"))

    assert "Test-NetConnection 'dc1.example.com' -Port 636" in lines("reach.refused")
    (line,) = lines("secure.expired", ServerType.DOMINO, place=place)
    assert line.startswith(
        "openssl s_client -connect '[::1]:389' -starttls ldap -servername dc1.test <"
    )


@pytest.mark.parametrize(
    ("code", "security", "is_starttls"),
    [
        ("secure.tls_on_plain_port", Security.LDAPS, True),
        ("secure.plain_on_tls_port", Security.STARTTLS, False),
        ("secure.expired", Security.STARTTLS, True),
        ("secure.expired", Security.LDAPS, False),
    ],
)
def test_the_certificate_is_asked_for_as_the_port_speaks(
    code: str, security: Security, *, is_starttls: bool
) -> None:
    """Asked for as the form says it, the port that speaks otherwise shows none."""
    place = replace(PLACE, settings=replace(PLACE.settings, security=security))

    assert (" -starttls ldap " in lines(code, place=place)[0]) is is_starttls


def test_the_server_s_base_is_asked_for_as_the_form_encrypts() -> None:
    """Without its own authority a server is not believed, and the line would come back empty."""
    form = replace(PLACE.settings, security=Security.STARTTLS, trust=Trust(ca_pem="…"))

    (line, *_) = lines("base.unknown", place=replace(PLACE, settings=form))

    assert line == (
        "LDAPTLS_CACERT=ca.pem ldapsearch -LLL -x -H ldap://dc1.example.com:389 -ZZ"
        " -s base -b '' namingContexts defaultNamingContext"
    )


def test_the_server_s_base_is_asked_for_by_the_name_in_the_certificate() -> None:
    """As the search itself: by another, ldapsearch refuses the certificate."""
    form = replace(PLACE.settings, certificate_name="dc1.corp.example")

    (line, *_) = lines("base.unknown", place=replace(PLACE, settings=form))

    assert " -H ldaps://dc1.corp.example:636 " in line
    assert "defaultNamingContext  # works where dc1.corp.example leads to dc1.example.com: " in line


def test_openldap_s_limits_are_lifted_for_the_account() -> None:
    """What was tried on a server, with the account's own name."""
    (text,) = lines("read.size_limit", ServerType.OPENLDAP, place=OF_OPENLDAP)

    assert text.splitlines()[0] == "ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'LDIF'"
    assert document(text)["olcLimits"].startswith(f'{{0}}dn.exact="{DN}" size.soft=unlimited ')


def test_openldap_s_administrator_sets_a_password() -> None:
    """Root may not: Debian's own rules give it the configuration, and nobody else's password."""
    (line,) = lines("sign_in.wrong_password", ServerType.OPENLDAP, place=OF_OPENLDAP)

    assert line == f"ldappasswd -x -H ldapi:/// -D DN-OF-THE-ADMINISTRATOR -W -S {DN}"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("CORP\\jo", "(|(uid=jo)(cn=jo))"),
        ("jo@example.com", "(|(uid=jo)(cn=jo)(mail=jo@example.com))"),
        ("jo*", "(|(uid=jo\\2a)(cn=jo\\2a))"),
        ("cn=jo,dc=x", "(|(uid=jo)(cn=jo))"),
    ],
)
def test_openldap_tells_the_name_that_it_takes(name: str, found: str) -> None:
    """Whoever comes from Active Directory has no DN at hand, and a new password would not help."""
    place = replace(OF_OPENLDAP, settings=replace(OF_OPENLDAP.settings, bind_name=name))

    (line,) = lines("sign_in.bad_name", ServerType.OPENLDAP, place=place)

    assert shlex.split(line)[-2:] == [found, "1.1"]


@pytest.mark.parametrize(
    ("name", "user"), [("CORP\\jo", "jo"), ("jo@x.example", "jo"), ("uid=jo,dc=x", "jo")]
)
def test_freeipa_is_asked_for_the_bare_name(name: str, user: str) -> None:
    """Its tools know no other."""
    place = replace(OF_OPENLDAP, settings=replace(OF_OPENLDAP.settings, bind_name=name))

    assert lines("sign_in.wrong_password", ServerType.FREEIPA, place=place) == [
        f"ipa user-status {user}; ipa passwd {user}"
    ]


def test_rights_are_given_for_what_is_read_and_no_more() -> None:
    """Never the password's attribute."""
    (access,) = lines("read.not_allowed", ServerType.OPENLDAP, place=OF_OPENLDAP)
    (aci,) = lines("read.not_allowed", ServerType.DS389, place=OF_OPENLDAP)

    assert "attrs=entry,children,objectClass,uid,cn,displayName,mail,proxyAddresses,entryUUID" in (
        access
    )
    assert f'userdn="ldap:///{DN}"' in aci
    assert "assword" not in access + aci


def test_a_name_that_is_no_dn_is_left_to_be_filled_in() -> None:
    """OpenLDAP knows no user@domain; a rule for it would be refused."""
    (text,) = lines("read.size_limit", ServerType.OPENLDAP)

    assert f'dn.exact="{NO_DN}"' in text


def test_what_the_form_leaves_blank_comes_from_the_server() -> None:
    """The base is usually the server's own."""
    root = RootDse(default_context="DC=corp,DC=example")

    assert place_of(PLACE.settings, None, root, ()).base == "DC=corp,DC=example"


def test_a_name_with_quotes_stays_the_same_name() -> None:
    """In slapd's words a quote has only its other form."""
    form = replace(OF_OPENLDAP.settings, bind_name='cn=a \\"b\\" \\\\,dc=x')
    place = replace(OF_OPENLDAP, settings=form)

    (text,) = lines("read.size_limit", ServerType.OPENLDAP, place=place)

    assert 'dn.exact="cn=a \\22b\\22 \\\\,dc=x" ' in document(text)["olcLimits"]


@settings(deadline=None, max_examples=60)
@given(name=HOSTILE, host=HOSTILE, base=HOSTILE, as_dn=st.booleans())
def test_nothing_in_a_form_can_break_out_of_a_line(
    name: str, host: str, base: str, *, as_dn: bool
) -> None:
    """Who fills in the form is not who pastes the line on the domain controller."""
    named = re.sub(r'[",+<>;\\=#\x00]', "x", name).strip() or "x"
    form = replace(
        PLACE.settings, bind_name=f"cn={named},dc=x" if as_dn else name, certificate_name=host
    )
    place = Place(form, Server(host), f"dc={base}", (name,), ("192.0.2.1",))

    for code in FINDINGS:
        for each in cures(code, place, ALL):
            check_shape(each)


def check_shape(command: Command) -> None:
    """A line has the form it has in the table, whatever is filled in; a document ends where it should."""
    first, *rest = command.text.split("\n")
    assert command.text.replace("\n", "").isprintable() or not set("\r\0\x1b") & set(command.text)
    if "<<'LDIF'" in first:
        assert rest[-1] == "LDIF"
        assert "LDIF" not in rest[:-1]
        found = document(command.text)
        if "olcLimits" in found:
            assert len(slapd_words(found["olcLimits"])) == 6
        if "olcAccess" in found:
            assert slapd_words(found["olcAccess"])[-4:] == ["read", "by", "*", "break"]
        return
    assert not rest
    if "-LDAPFilter" in first:
        value, after = powershell_string(first.partition("-LDAPFilter ")[2])
        assert value.startswith("(")
        assert after.startswith((" |", " -Properties"))
    elif not re.search(r"PowerShell|Active Directory,|certification", command.label):
        words = shlex.split(first.replace("</dev/null", "").replace("$", "\\$"))
        assert words[0] in PROGRAMS


PROGRAMS = frozenset(
    {
        "cat",
        "certutil",
        "dig",
        "dsacls",
        "dsidm",
        "getcert",
        "ipa",
        "ipactl",
        "ldappasswd",
        "ldapsearch",
        "nc",
        "openssl",
        "samba-tool",
        "systemctl",
    }
)
