import re

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.cli.exits import Exit
from worker.cli.main import COMMANDS as TABLE, load


COMMANDS = (
    "run",
    "scheduler",
    "migrate",
    "preview",
    "check",
    "sync",
    "history",
    "status",
    "why",
    "logins",
    "restored",
    "holds",
    "approve",
    "discard",
    "undo",
    "pause",
    "resume",
    "add",
    "remove",
    "republish",
    "fleet",
    "fleet show",
    "fleet release",
    "keys",
    "keys generate",
    "keys show-public",
    "keys rotate",
    "settings",
)
ANSWERING = tuple(name for name in COMMANDS if name not in {"run", "scheduler", "keys", "fleet"})


def shown(*arguments: str) -> str:
    """Run with a wide screen, and return what was shown without colours."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == Exit.OK, done.output
    return re.sub(r"\x1b\[[0-9;]*m", "", done.output)


def test_every_command_is_known_here() -> None:
    """A command that is added without a test of its help would be shown to nobody."""
    inner = {f"{name} {each}" for name in TABLE for each in getattr(load(name), "commands", ())}

    assert {*TABLE, *inner} == set(COMMANDS)


@pytest.mark.parametrize("command", TABLE)
def test_the_list_of_commands_quotes_each_command_s_own_help(command: str) -> None:
    """The list is shown without importing the commands, so the sentence stands in two places."""
    paragraph = str(load(command).help).partition("\n\n")[0]

    assert TABLE[command].summary == paragraph.replace("\n", " ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_its_exit_codes(command: str) -> None:
    """Whoever scripts a command must know what its exit code means."""
    told = shown(*command.split(), "--help")

    assert "Usage:" in told
    for code in Exit:
        assert re.search(rf"\b{code.value} \w", told[told.index("Exit codes:") :])


@pytest.mark.parametrize("command", ANSWERING)
def test_every_answer_can_be_had_as_json(command: str) -> None:
    """Programs read answers too."""
    assert "--json" in shown(*command.split(), "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_takes_a_password(command: str) -> None:
    """Anybody on the machine can read another program's arguments."""
    options = set(re.findall(r"--[a-z-]+", shown(*command.split(), "--help")))

    assert not options & {"--password", "--secret", "--key", "--keys"}
    assert {each for each in options if "password" in each} <= {
        "--password-file",
        "--password-stdin",
    }


def test_the_settings_are_a_table_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is pasted into a ticket must hold no password."""
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", "postgresql://rollcall:correct-horse@db/rollcall")
    monkeypatch.setenv("ROLLCALL_PASSWORD", "battery-staple")

    told = shown("settings") + shown("settings", "--json")

    assert "ROLLCALL_LEASE_S" in told
    assert "correct-horse" not in told
    assert "battery-staple" not in told


def test_a_new_key_is_one_that_the_settings_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing an operator does must work at once."""
    monkeypatch.setenv("ROLLCALL_KEYS", shown("keys", "generate").strip())

    public = shown("keys", "show-public").strip()

    assert len(public) == 44
    assert public not in shown("keys", "generate")


@pytest.mark.parametrize("arguments", [("nonsense",), ("preview", "--nonsense"), ("sync",)])
def test_wrong_usage_has_an_exit_code_of_its_own(arguments: tuple[str, ...]) -> None:
    """A script can tell a slip of its own from an answer."""
    assert CliRunner().invoke(app, arguments).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("migrate",),
        ("sync", "t1", "hq"),
        ("history", "t1"),
        ("status",),
        ("why", "jo@example.com"),
        ("logins", "t1"),
        ("restored",),
        ("keys", "show-public"),
        ("keys", "rotate"),
    ],
)
def test_what_is_not_set_is_named(arguments: tuple[str, ...]) -> None:
    """The first start says all that it needs, without a traceback."""
    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == Exit.USAGE
    assert "ROLLCALL_" in done.stderr
    assert "Traceback" not in done.output


def test_an_address_that_is_none_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slip is told at once, also while the database is away."""
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/x")

    done = CliRunner().invoke(app, ["history", "t1", "--address", "nobody"])

    assert done.exit_code == Exit.USAGE
    assert "--address" in done.stderr
