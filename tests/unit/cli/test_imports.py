"""A command imports only what it needs: whoever types a command at the prompt waits for its imports."""

import re
import subprocess
import sys

from tests.conftest import PROGRAM


HEAVY = {
    "aio_pika",
    "asyncio",
    "asyncpg",
    "bonsai",
    "cryptography",
    "dns",
    "email_validator",
    "nacl",
    "orjson",
    "prometheus_client",
    "pydantic",
    "pydantic_settings",
    "ssl",
    "structlog",
}
"""Libraries that take long to import."""

OWN = {
    "worker",
    "worker.__main__",
    "worker.cli",
    "worker.cli.main",
    "worker.cli.options",
}


def imported(*arguments: str) -> set[str]:
    """Run the program in a fresh process, and return the names of all modules that it imported."""
    done = subprocess.run(  # noqa: S603 - the program under test
        [sys.executable, "-X", "importtime", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))


def test_help_imports_no_command_and_no_heavy_library() -> None:
    """The first thing that a newcomer types answers at once."""
    modules = imported("--help")

    assert "typer" in modules
    assert not modules & HEAVY
    assert {name for name in modules if name.partition(".")[0] == "worker"} == OWN
