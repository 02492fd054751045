"""A private Postgres: initdb, start, two roles, stop, crash."""

import os
import pwd
import signal
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.daemon import Daemon, ServerError, started_at, wait_until
from tests.stack.plan import Plan


START_WITHIN_S = 60
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
log_line_prefix = '%m [%p] %d '
"""
# What a crash of the machine would lose does not matter to a test; a benchmark pays the full price.
# A commit still reaches the kernel before it is answered: tests kill the server, and with
# synchronous_commit off it forgot what it had confirmed.
FORGETFUL = """
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
"""
SET_UP = """
CREATE ROLE rollcall LOGIN CREATEDB PASSWORD '{password}';
CREATE DATABASE rollcall OWNER rollcall;
"""


def server_uid() -> int | None:
    """Who Postgres runs as: it refuses root, so then the account its package made."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    return 65534


def programs() -> Path:
    """Where initdb and postgres are; the newest when there are several versions."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if not found:
        raise ServerError(server="postgres", why="not found below /usr/lib/postgresql")
    return found[-1].parent


def choose_home(home: Path) -> Path:
    """A directory that the server's user may walk to: inside the stack's if that can be."""
    uid = server_uid()
    if uid is None:
        data = home / "postgres"
        data.mkdir(mode=0o700, exist_ok=True)
        return data
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in home.parents):
        home.chmod(0o711)
        data = home / "postgres"
        data.mkdir(mode=0o700, exist_ok=True)
    else:
        # /var/tmp, for a /tmp in memory would make a benchmark of the disk a lie
        data = Path(tempfile.mkdtemp(prefix="rollcall-postgres-", dir="/var/tmp"))
    os.chown(data, uid, uid)
    return data


@dataclass(frozen=True, slots=True)
class Postgres:
    """The database server of a stack."""

    plan: Plan

    @property
    def daemon(self) -> Daemon:
        """The postmaster."""
        return Daemon("postgres", self.plan.run, self.plan.marks)

    def start(self) -> None:
        """Start it, the first time with an empty cluster and the program's own role and database."""
        if self.daemon.is_running:
            return
        data = self.plan.postgres_home
        if not (data / "ready").exists():
            self._initdb(data)
        self._configure(data)
        command = [str(programs() / "postgres"), "-D", str(data)]
        self.daemon.spawn(command, uid=server_uid(), cwd=data)
        self.daemon.wait_ready(self.is_ready, within_s=START_WITHIN_S)
        if not (data / "ready").exists():
            self._psql(SET_UP.format(password=self.plan.database_password))
            (data / "ready").touch()

    def stop(self) -> None:
        """Stop it at once but in order; open transactions are rolled back."""
        self.daemon.stop(with_signal=signal.SIGINT, within_s=20)

    def kill(self) -> None:
        """Crash all of it; a child that lives on would keep the next start from its memory."""
        children = _children_of(self.daemon.pid)
        self.daemon.kill()
        for pid in children:
            _kill(pid)
        wait_until(lambda: not any(map(started_at, children)), within_s=10)
        # In a container whose first process reaps nobody the dead postmaster stays a zombie, and the
        # next one takes it for alive.
        (self.plan.postgres_home / "postmaster.pid").unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Whether it answers a query."""
        return self._run("SELECT 1").returncode == 0

    def _initdb(self, data: Path) -> None:
        uid = server_uid()
        # a pipe, for arguments can be read by everyone on the machine; opened again by its name, so
        # it must belong to who opens it
        receiver, sender = os.pipe()
        os.fchown(receiver, -1 if uid is None else uid, -1)
        os.write(sender, self.plan.admin_password.encode() + b"\n")
        os.close(sender)
        command = [programs() / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256"]
        command += ["--no-sync", "--no-locale", "-E", "UTF8", f"--pwfile=/dev/fd/{receiver}"]
        done = subprocess.run(
            [str(part) for part in command],
            pass_fds=[receiver],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=self.plan.environment,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        os.close(receiver)
        if done.returncode:
            raise ServerError(server="initdb", why=(done.stderr or done.stdout)[-2000:])

    def _configure(self, data: Path) -> None:
        settings = SETTINGS.format(port=self.plan.postgres_port)
        settings += "" if self.plan.durable else FORGETFUL
        (data / "postgresql.auto.conf").write_text(settings, encoding="utf-8")

    def _psql(self, statements: str) -> None:
        done = self._run(statements)
        if done.returncode:
            raise ServerError(server="psql", why=done.stderr[-2000:])

    def _run(self, statements: str) -> subprocess.CompletedProcess[str]:
        where = ["-h", "127.0.0.1", "-p", str(self.plan.postgres_port), "-U", "postgres"]
        return subprocess.run(
            ["/usr/bin/psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *where, "postgres"],
            input=statements,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={
                **self.plan.environment,
                "PGPASSWORD": self.plan.admin_password,
                "PGCONNECT_TIMEOUT": "5",
            },
        )


def _children_of(parent: int | None) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in path.read_text(encoding="utf-8").split()] if parent else []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
