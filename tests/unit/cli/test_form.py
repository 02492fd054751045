import io
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.cli.exits import Exit
from worker.cli.form import FormOptions, read_options
from worker.domain.commands import FieldError
from worker.domain.model import Kind, Secret, Security, Server
from worker.flows.diagnose import Asked
from worker.settings import load


PASSWORD = "correct-horse battery "


def options(**given: object) -> FormOptions:
    """Return options that are right as far as they go, changed."""
    chosen = {
        "type": "openldap",
        "server": ["ldap.example.org"],
        "bind_name": "cn=reader,dc=example,dc=org",
        **given,
    }
    return FormOptions(**chosen)  # type: ignore[arg-type]  # each test knows its own


def asked(given: FormOptions) -> Asked:
    """Read options that are right."""
    read = read_options(given, load(needs=()), most=0)
    assert isinstance(read, Asked), read
    return read


def faults(given: FormOptions) -> list[tuple[str, str]]:
    """Read options that are wrong; gives field and code of each fault."""
    read = read_options(given, load(needs=()), most=0)
    assert isinstance(read, tuple)
    assert all(isinstance(each, FieldError) for each in read)
    return sorted((each.field, each.code) for each in read)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """Give a file as editors write it."""
    written = tmp_path / "password"
    written.write_text(f"{PASSWORD}\r\n", encoding="utf-8")
    return written


def test_the_options_make_the_form_of_a_save(password_file: Path) -> None:
    """What works here works when it is pasted into the platform's page."""
    read = asked(
        options(
            password_file=password_file,
            server=["dc1.example.org:636", "dc2.example.org"],
            security=Security.STARTTLS,
            kind=[Kind.GROUP],
            base=["dc=example,dc=org"],
            filter="(mail=*)",
            attribute=["mail"],
            leave_out=["*@internal.example.org"],
            domain=["Example.ORG", "bücher.example"],
        )
    )

    assert read.settings.servers == (Server("dc1.example.org", 636), Server("dc2.example.org"))
    assert read.settings.security is Security.STARTTLS
    assert read.settings.kinds == (Kind.GROUP,)
    assert read.settings.filter == "(mail=*)"
    assert read.domains == ("example.org", "xn--bcher-kva.example")


def test_without_domains_every_domain_counts(password_file: Path) -> None:
    """A newcomer sees everything, before saying what is theirs."""
    assert asked(options(password_file=password_file)).domains is None


def test_a_password_file_is_read_to_the_end_of_its_line(password_file: Path) -> None:
    """Blanks belong to a password, the end of the line does not."""
    assert asked(options(password_file=password_file)).credentials.password == Secret(PASSWORD)


def test_a_password_may_come_by_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a password store can give it."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))

    assert asked(options(password_stdin=True)).credentials.password == Secret(PASSWORD)


def test_a_password_may_come_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a container can be given it."""
    monkeypatch.setenv("ROLLCALL_PASSWORD", PASSWORD)

    assert asked(options()).credentials.password == Secret(PASSWORD)


def test_a_file_brings_the_form_and_options_go_before_it(tmp_path: Path) -> None:
    """A form that the platform sent can be tried, and one thing in it changed."""
    form = tmp_path / "form.json"
    form.write_bytes(
        orjson.dumps(
            {
                "directory": "hq",
                "type": "openldap",
                "servers": ["a.example.org"],
                "bind_name": "cn=reader",
                "password": PASSWORD,
                "sync": True,
            }
        )
    )

    read = asked(FormOptions(file=form, server=["b.example.org"]))

    assert read.settings.servers == (Server("b.example.org"),)
    assert read.credentials.password == Secret(PASSWORD)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """One round of corrections, not ten."""
    no_certificate = tmp_path / "ca.pem"
    no_certificate.write_bytes(b"\xff\xfe nothing")

    assert faults(
        options(
            type="openlap",
            server=["host:99999"],
            ca_file=no_certificate,
            filter="(mail=*",
            base=["nonsense"],
            domain=["nodots"],
        )
    ) == [
        ("domains.0", "domain.syntax"),
        ("filter", "filter.syntax"),
        ("password", "value.missing"),
        ("search_bases.0", "dn.syntax"),
        ("servers.0", "server.port"),
        ("trust.ca_pem", "certificate.not_pem"),
        ("type", "value.not_allowed"),
    ]


def test_two_ways_to_give_a_password_are_one_too_many(password_file: Path) -> None:
    """Which one was meant cannot be guessed."""
    assert faults(options(password_file=password_file, password_stdin=True)) == [
        ("password", "secret.two_ways")
    ]


def test_a_sealed_password_cannot_be_opened_here(tmp_path: Path) -> None:
    """Only a worker has the key."""
    form = tmp_path / "form.json"
    form.write_bytes(orjson.dumps({"password_sealed": "A" * 100}))

    assert ("password_sealed", "secret.sealed") in faults(options(file=form))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{" * 100, b" " * 300_000])
def test_a_file_that_is_no_form_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the file is, the answer is a sentence."""
    form = tmp_path / "form.json"
    form.write_bytes(content)

    [(field, _)] = faults(options(file=form))

    assert field == "--file"


@pytest.mark.parametrize("command", ["preview", "check"])
def test_faults_are_shown_with_their_options(command: str) -> None:
    """A person looks for the option, a program for the field."""
    wrong = [command, "--type", "openldap", "--server", "host:99999"]

    shown = CliRunner().invoke(app, wrong)
    told = CliRunner().invoke(app, [*wrong, "--json"])

    assert shown.exit_code == told.exit_code == Exit.USAGE
    assert "servers.0 (--server)" in shown.output
    assert {each["field"] for each in orjson.loads(told.stdout)["errors"]} == {
        "servers.0",
        "bind_name",
        "password",
    }


def test_a_check_of_a_wrong_form_still_tells_of_every_stage() -> None:
    """Whoever reads the ticket sees how far it came."""
    told = orjson.loads(CliRunner().invoke(app, ["check", "--json"]).stdout)

    states = [(each["stage"], each["state"]) for each in told["stages"]]
    assert states[0] == ("settings", "failed")
    assert len(states) == 8
    assert {state for _, state in states[1:]} == {"not_tried"}
