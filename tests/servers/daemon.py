"""One server process with a pid file: start it, look at it, stop it, kill it, also from another process.

Standard library only: it runs before the project's own environment exists.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


PROJECT = Path(__file__).resolve().parents[2]
POLL_S = 0.02
TAIL_LINES = 25
PORT_TRIES = 100

# A server gets a known environment, not the caller's: a stray RABBITMQ_NODENAME or LDAPTLS_CACERT of
# a developer's shell would change what is tested. Only the marks by which leftovers are found pass.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
MARKS = ("STACK_OWNER", "STACK_RUN")

# Popen objects by pid: one that is dropped while its process runs warns, and one that is never
# polled leaves a zombie, which looks alive to everyone else.
_children: dict[int, subprocess.Popen[bytes]] = {}

# Ports handed out by this process: the kernel may offer one twice in a row, and a server with two
# listeners asks twice before it takes either.
_given: set[int] = set()


class ServerError(RuntimeError):
    """A server or one of its tools failed; the text ends with its last words."""

    def __init__(self, *, server: str, why: str) -> None:
        super().__init__(f"{server}: {why}")


def wait_until(holds: Callable[[], bool], *, within_s: float) -> bool:
    """Poll until ``holds`` or the time is over; says which."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def free_port(address: str = "127.0.0.1") -> int:
    """A port nobody listens on now, and none that was given before; others may still take it before you do."""
    for _ in range(PORT_TRIES):
        with socket.socket() as probe:
            probe.bind((address, 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
    raise ServerError(server=address, why="no port is free that was not given before")


def inherited_marks() -> dict[str, str]:
    """The marks that this process carries itself."""
    return {name: os.environ[name] for name in MARKS if name in os.environ}


def started_at(pid: int) -> str | None:
    """The kernel's start time of a live process, so that a reused pid is not mistaken for it."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process known by ``<name>.pid`` in a directory; its output goes to ``<name>.log``."""

    name: str
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Where its output goes; grows over restarts."""
        return self.directory / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Its pid and that process's start time."""
        return self.directory / f"{self.name}.pid"

    @property
    def pid(self) -> int | None:
        """The pid if it runs."""
        try:
            pid, _, birth = self.pid_file.read_text(encoding="utf-8").partition(" ")
        except FileNotFoundError:
            return None
        return int(pid) if pid and started_at(int(pid)) == birth else None

    @property
    def is_running(self) -> bool:
        """Whether the process lives, which is less than being ready."""
        return self.pid is not None

    def spawn(
        self, command: Sequence[str], *, uid: int | None = None, cwd: Path | None = None
    ) -> None:
        """Start it in a session of its own, so that a Ctrl-C at the terminal does not reach it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.directory,
                env={**ENVIRONMENT, **inherited_marks(), **self.environment},
                start_new_session=True,
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            )
        _children[child.pid] = child
        self.adopt(child.pid)

    def adopt(self, pid: int) -> None:
        """Take this process as the one that is meant from now on."""
        self.pid_file.write_text(f"{pid} {started_at(pid) or '-'}", encoding="utf-8")

    def wait_ready(self, is_ready: Callable[[], bool], *, within_s: float) -> None:
        """Return when it answers; raise with its last words when it died or took too long."""
        if not wait_until(lambda: not self.is_running or is_ready(), within_s=within_s):
            raise self._complaint(what=f"did not answer within {within_s:g} s")
        if not self.is_running:
            raise self._complaint(what="ended while starting")

    def stop(self, *, with_signal: signal.Signals = signal.SIGTERM, within_s: float = 10) -> None:
        """Ask it to end and wait; a process that does not listen is killed."""
        self.send(with_signal)
        if not wait_until(lambda: not self.is_running, within_s=within_s):
            self.kill()
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send(signal.SIGKILL)
        if not wait_until(lambda: not self.is_running, within_s=10):
            raise self._complaint(what="survived SIGKILL")

    def send(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _complaint(self, *, what: str) -> ServerError:
        return ServerError(server=self.name, why=f"{what}; the end of {self.log}:\n{self.tail()}")
