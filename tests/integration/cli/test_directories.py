"""``preview`` and ``check`` on the stack's directories."""

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from jsonschema import Draft202012Validator

from tests.conftest import Servers
from tests.integration.cli.conftest import Program, Tree
from tests.servers import ldif
from tests.servers.certs import Authority
from tests.servers.daemon import PROJECT, free_port
from worker.cli.exits import Exit


pytestmark = pytest.mark.integration


def searched(servers: Servers, tmp_path: Path) -> set[str]:
    """Return what OpenLDAP's own client finds in the AD-flavoured tree, cleaned by hand-written rules."""
    secret = tmp_path / "secret"
    secret.write_text(servers["STACK_LDAP_AD_PASSWORD"], encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - the reference to compare with
        [
            *("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-x", "-y", secret),
            *("-H", servers["STACK_LDAPS_URI"]),
            *("-D", servers["STACK_LDAP_AD_BIND_DN"], "-b", servers["STACK_LDAP_AD_BASE"]),
            *("-E", "pr=500/noprompt", "(proxyAddresses=smtp:*)", "proxyAddresses"),
        ],
        env={"LDAPTLS_CACERT": servers["STACK_LDAP_CA"]},
        capture_output=True,
        text=True,
        check=True,
    )
    values = (
        value.strip().lower()
        for entry in ldif.parse(done.stdout)
        if not entry.dn.startswith("cn=HealthMailbox")
        for value in entry.texts("proxyaddresses")
    )
    smtp = (value.removeprefix("smtp:") for value in values if value.startswith("smtp:"))
    return {address for address in smtp if " " not in address and "@" in address}


def test_a_preview_shows_what_the_directory_holds(
    alone: Program, ad: Tree, servers: Servers, tmp_path: Path
) -> None:
    """The first thing a newcomer tries must be true to the last address."""
    ran = alone("preview", *ad.arguments, "--json", ROLLCALL_PASSWORD=ad.password)

    seen = ran.json["preview"]
    assert ran.code == Exit.OK
    assert {each["address"] for each in seen["recipients"]} == searched(servers, tmp_path)
    assert seen["addresses"] == len(seen["recipients"])
    assert seen["foreign_domains"] == {}
    assert {"mailbox", "group", "contact", "public_folder"} == seen["by_kind"].keys()
    assert seen["ignored"]["malformed"]["examples"][0]["value"] == "not an address"


def test_a_preview_for_people_says_what_was_left_out(alone: Program, ad: Tree) -> None:
    """An admin sees at a glance which domains, kinds and values there are."""
    ran = alone(
        "preview",
        *ad.arguments,
        *("--domain", "corp.example.com", "--limit", "3"),
        ROLLCALL_PASSWORD=ad.password,
    )

    assert ran.code == Exit.OK
    assert "119 addresses would be valid." in ran.out
    assert "… and 116 more (--limit 0 shows all)" in ran.out
    assert "brand.example.net" in ran.out
    assert "in none of your domains" in ran.out
    assert "user000@corp.example.com" in ran.out
    assert ran.err == ""


def test_starttls_works_as_well(alone: Program, plain: Tree, tmp_path: Path) -> None:
    """Plain OpenLDAP is usually reached so; the password comes from a file."""
    secret = tmp_path / "secret"
    secret.write_text(f"{plain.password}\n", encoding="utf-8")

    ran = alone("preview", *plain.arguments, "--password-file", str(secret), "--json")

    assert ran.code == Exit.OK
    assert list(ran.json["preview"]["by_domain"]) == ["example.org"]


def test_a_healthy_directory_checks_well(alone: Program, plain: Tree) -> None:
    """The answer says what was seen at every stage; the password comes by standard input."""
    ran = alone("check", *plain.arguments, "--password-stdin", stdin=f"{plain.password}\n")

    assert ran.code == Exit.OK
    assert ran.out.count(" ok ") == 8
    assert "Everything works." in ran.out
    assert "ldapsearch -LLL" in ran.out
    assert plain.password not in ran.out


def test_what_was_pasted_untidily_works_as_well(alone: Program, ad: Tree) -> None:
    """People paste what another program showed them: with a scheme, with spaces, over two lines."""
    given = dict(zip(ad.arguments[::2], ad.arguments[1::2], strict=True))

    ran = alone(
        "check",
        *ad.but(
            *("--server", f" LDAPS://{given['--server']}/ "),
            *("--bind-name", given["--bind-name"].replace(",", " ,\n  ").replace("=", " = ")),
            *("--base", given["--base"].replace(",", " , ").upper()),
        ),
        ROLLCALL_PASSWORD=ad.password,
    )

    assert ran.code == Exit.OK, ran.out


def test_the_answer_of_a_check_is_a_finding_of_the_contract(alone: Program, ad: Tree) -> None:
    """Whoever reads findings from messages reads this one too."""
    schema = orjson.loads(
        (PROJECT / "schemas" / "messages" / "sync.failed.v1.schema.json").read_bytes()
    )
    finding = {"$ref": "#/$defs/FindingFacts", "$defs": schema["$defs"]}

    for password in (ad.password, "wrong-password"):
        ran = alone("check", *ad.arguments, "--json", ROLLCALL_PASSWORD=password)
        Draft202012Validator(finding).validate(ran.json)


def states(ran: object) -> list[str]:
    """Return the states of the stages."""
    return [each["state"] for each in ran.json["stages"]]  # type: ignore[attr-defined]  # a Ran


@pytest.mark.parametrize("command", ["preview", "check"])
def test_a_wrong_password_is_a_finding(alone: Program, ad: Tree, command: str) -> None:
    """The most usual fault of all, and it counts towards a lockout."""
    ran = alone(command, *ad.arguments, ROLLCALL_PASSWORD="wrong-password")

    assert ran.code == Exit.NO
    assert "[sign_in.wrong_password]" in ran.out
    assert "counted a failed sign-in" in ran.out
    assert "Check, in this order:" in ran.out
    assert '-w "$LDAP_PASSWORD"' in ran.out


def test_another_authority_is_a_finding(
    alone: Program, ad: Tree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A certificate that proves nothing must not get the password."""
    stranger = Authority.create(tmp_path_factory.mktemp("stranger")).issue("x").ca

    ran = alone(
        "check", *ad.but("--ca-file", str(stranger)), "--json", ROLLCALL_PASSWORD=ad.password
    )

    assert ran.code == Exit.NO
    assert ran.json["stage"] == "secure"
    assert states(ran)[3:5] == ["failed", "not_tried"]


def test_a_port_where_nobody_listens_is_a_finding(alone: Program, ad: Tree) -> None:
    """A failure to reach names port, server and firewall."""
    nobody = f"127.0.0.1:{free_port()}"

    ran = alone(
        "check",
        *ad.but("--server", nobody),
        ROLLCALL_PASSWORD=ad.password,
        ROLLCALL_EGRESS_IPS="192.0.2.7",
    )

    assert ran.code == Exit.NO
    assert "[reach.refused]" in ran.out
    assert "389" in ran.out
    assert "192.0.2.7" in ran.out


def test_tls_on_a_plain_port_is_a_finding(alone: Program, ad: Tree, servers: Servers) -> None:
    """LDAPS on port 389 is the usual mix-up, and looks like anything but that."""
    port = urlsplit(servers["STACK_LDAP_URI"]).port

    ran = alone(
        "check",
        *ad.but("--server", f"127.0.0.1:{port}"),
        "--json",
        ROLLCALL_PASSWORD=ad.password,
    )

    assert ran.code == Exit.NO
    assert ran.json["stage"] == "secure"


def test_the_next_server_is_tried(alone: Program, ad: Tree) -> None:
    """Two servers are named so that one may be down; the answer tells of both."""
    nobody = f"127.0.0.1:{free_port()}"
    given = ["--server", nobody, *ad.arguments]

    ran = alone("check", *given, "--json", ROLLCALL_PASSWORD=ad.password)

    assert ran.code == Exit.OK
    assert [each["state"] for each in ran.json["stages"] if each["stage"] == "reach"] == [
        "failed",
        "ok",
    ]


def test_what_was_seen_of_a_server_that_is_down_ends_its_sentence(alone: Program, ad: Tree) -> None:
    """It stands behind the figures of the one that was read, and the line to copy is for that one."""
    given = ["--server", f"127.0.0.1:{free_port()}", *ad.arguments]

    ran = alone("check", *given, ROLLCALL_PASSWORD=ad.password)

    (headline,) = (line for line in ran.out.splitlines() if line.startswith("Everything works."))
    assert headline.endswith(" refused.")
    assert ".." not in headline


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("--base", "dc=nowhere,dc=example"), "base.not_found"),
        (("--filter", "(mail=nobody-at-all@example.org)"), "read.nothing_found"),
        (("--attribute", "description"), "addresses.none_valid"),
        (("--domain", "elsewhere.example"), "addresses.other_domains"),
    ],
)
def test_what_is_wrong_has_a_name(
    alone: Program, plain: Tree, change: tuple[str, str], code: str
) -> None:
    """Each fault leads to its own cure."""
    ran = alone("check", *plain.but(*change), "--json", ROLLCALL_PASSWORD=plain.password)

    assert ran.json["code"] == code
    assert ran.code == Exit.NO
    assert "failed" in states(ran)


def test_a_kind_that_the_type_does_not_have_is_refused_with_the_form(
    alone: Program, plain: Tree
) -> None:
    """Nothing is dialled, and the answer says what to enter."""
    ran = alone("check", *plain.but("--kind", "public_folder"), ROLLCALL_PASSWORD=plain.password)

    assert ran.code == Exit.USAGE
    assert "Enter mailbox or group as well" in ran.out


def test_a_preview_that_finds_only_other_domains_lists_them(alone: Program, ad: Tree) -> None:
    """The list of domains found is the cure, so a preview shows it with the finding."""
    ran = alone(
        "preview", *ad.arguments, "--domain", "nowhere.example", ROLLCALL_PASSWORD=ad.password
    )

    assert ran.code == Exit.NO
    assert "corp.example.com (" in ran.out
    assert "[addresses.other_domains]" in ran.out


def test_nothing_is_read_without_a_password(alone: Program, ad: Tree) -> None:
    """An empty password would be an anonymous bind, and that an empty list."""
    ran = alone("preview", *ad.arguments)

    assert ran.code == Exit.USAGE
    assert "--password-stdin" in ran.err


def test_bad_settings_are_named(alone: Program, ad: Tree) -> None:
    """A setting that is misspelt must not be passed over in silence."""
    ran = alone("check", *ad.arguments, ROLLCALL_PAGE_SIZE="many", ROLLCALL_PASSWORD=ad.password)

    assert ran.code == Exit.USAGE
    assert ran.err.startswith("ROLLCALL_PAGE_SIZE: ")
