"""A Postfix of one's own, with the example of ``deploy/postfix``: own queue, own port on loopback, nothing goes out.

Its master needs root, as Postfix's parts are run by accounts of their own. Needs Debian's postfix and postfix-pgsql.
"""

import grp
import os
import pwd
import smtplib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.servers.daemon import MARKS, PROJECT, Daemon, ServerError, free_port, wait_until


EXAMPLE = PROJECT / "deploy" / "postfix"
PROGRAMS = Path("/usr/lib/postfix/sbin")
ACCOUNT = "postfix"
START_WITHIN_S = 20
LOG_WITHIN_S = 5
# What the example leaves to whoever installs it: here, nothing may leave the machine or ask a name server
OWN_SETTINGS = """
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file_prefixes = {home}
maillog_file = {home}/mail.log
import_environment = MAIL_CONFIG MAIL_LOGTAG LANG=C {marks}
myhostname = door.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
relay_transport = discard:
default_transport = discard:
local_transport = discard:
alias_maps =
ipc_idle = 1s
max_idle = 1s
"""
OWN_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""
QUEUES = ("private", "public", "incoming", "active", "deferred", "hold", "defer", "bounce", "trace")


def missing() -> str | None:
    """What this machine lacks to run one, or None."""
    if os.geteuid() != 0:
        return "Postfix's master runs as root only"
    if not (PROGRAMS / "master").exists() or not Path("/usr/lib/postfix/postfix-pgsql.so").exists():
        return "Debian's postfix and postfix-pgsql are not installed"
    return None


@dataclass(slots=True)
class Postfix:
    """A running Postfix: a context manager.

    ``home`` is a directory that every account may walk to. ``filled_in`` is put into the files of the
    example, word for word; ``password`` goes into the file that they name.
    """

    home: Path
    filled_in: Mapping[str, str]
    password: str
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        try:
            self.start()
        except ServerError:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def daemon(self) -> Daemon:
        """The master; its parts end with it."""
        return Daemon("master", self.home)

    @property
    def config(self) -> Path:
        """Where ``postmap`` and ``postconf`` find it with ``-c``."""
        return self.home / "etc"

    @property
    def log(self) -> str:
        """What it has written to the mail log."""
        path = self.home / "mail.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def logs(self, words: str) -> bool:
        """Whether this is in the mail log, or comes within seconds: it is written by a process of its own."""
        return wait_until(lambda: words in self.log, within_s=LOG_WITHIN_S)

    def start(self) -> None:
        """Write what an operator would install, start it and wait until it greets."""
        self._install()
        self._make_places()
        # not "postfix start", which would go away into a session of its own
        self.daemon.spawn([str(PROGRAMS / "master"), "-c", str(self.config), "-d"])
        self.daemon.wait_ready(self.greets, within_s=START_WITHIN_S)

    def stop(self) -> None:
        """End all of it."""
        self.daemon.stop()

    def greets(self) -> bool:
        """Whether an SMTP client is welcomed."""
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=START_WITHIN_S):
                return True
        except OSError:
            return False

    def look_up(self, key: str, *, table: str = "rollcall-recipients.cf") -> str | None:
        """What ``postmap -q`` prints for a key, None when it finds nothing."""
        done = self._tool("postmap", "-q", key, f"pgsql:{self.config / table}")
        if done.stderr:
            raise ServerError(server="postmap", why=done.stderr[-2000:])
        return done.stdout.rstrip("\n") or None

    def complaints(self) -> str:
        """What ``postconf`` has to say against the settings."""
        return self._tool("postconf", "-n").stderr

    def parts(self, name: str) -> list[int]:
        """The pids of the master's children of a name, ``proxymap`` for one."""
        master = self.daemon.pid
        path = Path(f"/proc/{master}/task/{master}/children")
        children = path.read_text(encoding="utf-8").split()
        return [int(pid) for pid in children if _name(pid) == name]

    def _install(self) -> None:
        owner = pwd.getpwnam(ACCOUNT)
        self.home.chmod(0o755)
        for directory in (self.config, self.home / "queue", self.home / "data"):
            directory.mkdir(exist_ok=True)
        os.chown(self.home / "data", owner.pw_uid, owner.pw_gid)
        own_places = {"/etc/postfix/": f"{self.config}/", "/var/lib/postfix/": f"{self.home}/data/"}
        for source in EXAMPLE.iterdir():
            text = source.read_text(encoding="utf-8")
            for example, own in {**self.filled_in, **own_places}.items():
                text = text.replace(example, own)
            (self.config / source.name).write_text(text, encoding="utf-8")
        self._append("main.cf", OWN_SETTINGS.format(home=self.home, marks=" ".join(MARKS)))
        self._append("master.cf", OWN_SERVICES.format(port=self.port))
        for written in self.config.iterdir():
            # Postfix waits for two seconds until it believes that a file is not being edited any more
            os.utime(written, (0, 0))
        secret = self.home / "data" / "rollcall.pgpass"
        secret.touch(mode=0o400)
        os.chown(secret, owner.pw_uid, owner.pw_gid)
        secret.write_text(f"*:*:*:*:{self.password}\n", encoding="utf-8")

    def _make_places(self) -> None:
        # as "postfix check" would, which takes two seconds to look at all of the system's Postfix as well
        queue, owner = self.home / "queue", pwd.getpwnam(ACCOUNT)
        for name in QUEUES:
            (queue / name).mkdir(mode=0o700, exist_ok=True)
            os.chown(queue / name, owner.pw_uid, -1)
        (queue / "public").chmod(0o710)
        os.chown(queue / "public", -1, grp.getgrnam("postdrop").gr_gid)
        (queue / "pid").mkdir(exist_ok=True)

    def _append(self, name: str, text: str) -> None:
        with (self.config / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def _tool(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [f"/usr/sbin/{tool}", "-c", str(self.config), *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_WITHIN_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
