"""What a person at a terminal sees: a question for the password, progress, a table that fits."""

import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import PROGRAM
from tests.integration.cli.conftest import Tree
from worker.cli.exits import Exit


pytestmark = pytest.mark.integration

WITHIN_S = 20
COLUMNS = 80


class Terminal:
    """A pseudo-terminal with the program on its other side."""

    def __init__(self, arguments: list[str], *, directory: Path) -> None:
        self.shown = ""
        self._mine, theirs = os.openpty()
        environment: Mapping[str, str] = {"TERM": "xterm", "COLUMNS": str(COLUMNS)}
        self.program = subprocess.Popen(  # noqa: S603 - the program under test
            [PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._mine, f"{text}\n".encode())

    def wait_for(self, text: str) -> None:
        """Read until a text is shown."""
        deadline = time.monotonic() + WITHIN_S
        while text not in self.shown and time.monotonic() < deadline:
            assert self._read(deadline), self.shown
        assert text in self.shown

    def end(self) -> int:
        """Read to the end; gives the exit code."""
        deadline = time.monotonic() + WITHIN_S
        while self._read(deadline):
            pass
        os.close(self._mine)
        return self.program.wait(timeout=WITHIN_S)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._mine], [], [], max(0.0, deadline - time.monotonic()))
        try:
            more = os.read(self._mine, 4096) if ready else b""
        except OSError:  # Linux says so when the other side is closed
            return False
        self.shown += more.decode(errors="replace")
        return bool(more)


def test_a_password_is_asked_for_and_never_shown(ad: Tree, tmp_path: Path) -> None:
    """A newcomer needs no file and no variable, and whoever looks on sees nothing."""
    terminal = Terminal(["preview", *ad.arguments, "--limit", "2"], directory=tmp_path)

    terminal.wait_for("Password of cn=reader")
    terminal.type(ad.password)

    assert terminal.end() == Exit.OK
    assert "166 addresses would be valid." in terminal.shown
    assert "reading" in terminal.shown
    assert ad.password not in terminal.shown
