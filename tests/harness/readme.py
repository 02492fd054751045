"""The README as data: its terminal sessions, its tables, what it names."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.servers.daemon import ENVIRONMENT, PROJECT


README = PROJECT / "README.md"
WITHIN_S = 100
RUNBOOK = PROJECT / "deploy" / "runbook.md"
_CONSOLE = re.compile(r"^```console\n\$ (.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = re.compile(r"\b\d+\.\d+\b")
_SEQUENCE = re.compile(r"^\d+ (?=[a-z]+\.[a-z]+ )")
_RULE = re.compile(r"─{2,}")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Session:
    """One command as it stands in the README, and what it printed there."""

    command: tuple[str, ...]
    output: str


def sessions() -> Iterator[Session]:
    """The blocks marked ``console``."""
    for block in _CONSOLE.findall(README.read_text(encoding="utf-8")):
        typed, output = re.split(r"(?<!\\)\n", block, maxsplit=1)
        yield Session(tuple(typed.replace("\\\n", " ").split()), output)


def masked(output: str) -> list[str]:
    """The lines without times, places in an order, and widths; sorted, since three runs end in any order."""
    lines = (_SPACE.sub(" ", _SECONDS.sub("0.0", line)).strip() for line in output.splitlines())
    return sorted(_RULE.sub("─", _SEQUENCE.sub("0 ", line)) for line in lines if line)


def played(command: Sequence[str], environment: Mapping[str, str], *, code: int = 0) -> str:
    """Run a command and return what it prints. Fails unless it ends with this exit code."""
    done = subprocess.run(
        command,
        env={**ENVIRONMENT, **environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout
