"""Daemons and leftovers: nothing that a run started may outlive it, and nothing else may be ended."""

import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from tests.servers.daemon import Daemon, ServerError, wait_until
from tests.stack import leftovers


pytestmark = pytest.mark.integration
SLEEPER = ["/bin/sleep", "60"]
DEAF = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"]


@pytest.fixture
def mark() -> str:
    """A mark that no other process carries."""
    return uuid.uuid4().hex


def test_a_reused_pid_is_not_the_daemon(tmp_path: Path) -> None:
    """After a crash and a reboot the old pid may be somebody's editor."""
    daemon = Daemon("sleeper", tmp_path)
    tmp_path.joinpath("sleeper.pid").write_text(f"{os.getpid()} 1", encoding="utf-8")

    daemon.kill()

    assert not daemon.is_running


def test_a_daemon_is_found_by_another_object(tmp_path: Path) -> None:
    """Tests and the command line stop what another process started."""
    first, second = (Daemon("sleeper", tmp_path) for _ in range(2))
    first.spawn(SLEEPER)
    assert second.is_running

    second.stop()

    assert not first.is_running
    assert not first.pid_file.exists()


def test_a_daemon_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """A server that hangs in its shutdown must not hang the run."""
    daemon = Daemon("deaf", tmp_path)
    daemon.spawn(DEAF)

    daemon.stop(within_s=0.2)

    assert not daemon.is_running


def test_a_daemon_that_dies_says_its_last_words(tmp_path: Path) -> None:
    """A server that did not start, without saying why, costs a person half an hour."""
    daemon = Daemon("broken", tmp_path)
    daemon.spawn(["/bin/sh", "-c", "echo no such schema; exit 1"])

    with pytest.raises(ServerError, match="no such schema"):
        daemon.wait_ready(lambda: False, within_s=5)


def test_leftovers_are_found_by_their_mark(tmp_path: Path, mark: str) -> None:
    """Of a start that was cut, no pid file need exist."""
    daemon = Daemon("sleeper", tmp_path, {"STACK_OWNER": mark})
    other = Daemon("other", tmp_path, {"STACK_OWNER": f"{mark}-other"})
    for one in (daemon, other):
        one.spawn(SLEEPER)
    daemon.pid_file.unlink()

    ended = leftovers.end("STACK_OWNER", mark)

    assert len(ended) == 1
    assert leftovers.marked("STACK_OWNER", mark) == []
    assert other.is_running
    other.kill()


def test_a_leftover_that_does_not_listen_is_killed(tmp_path: Path, mark: str) -> None:
    """One deaf process would keep its ports for the next run."""
    daemon = Daemon("deaf", tmp_path, {"STACK_OWNER": mark})
    daemon.spawn(DEAF)
    assert wait_until(lambda: leftovers.marked("STACK_OWNER", mark) != [], within_s=5)

    leftovers.end("STACK_OWNER", mark, at_once=True)

    assert not daemon.is_running


def test_frozen_is_still_running(tmp_path: Path) -> None:
    """A server that is stopped by a signal holds its connections; it is not down."""
    daemon = Daemon("sleeper", tmp_path)
    daemon.spawn(SLEEPER)

    daemon.send(signal.SIGSTOP)

    assert daemon.is_running
    daemon.kill()
