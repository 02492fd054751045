"""A RabbitMQ of the tests' own, on loopback, in a temporary directory; restarts and alarms harm nobody else."""

import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import monotonic


START_S = 60.0
STOP_S = 30.0
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"  # AMQP 0-9-1, section 4.2.2
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Ports:
    """Three free ports: clients, Erlang distribution, its port mapper."""

    amqp: int
    distribution: int
    mapper: int


class RabbitMQ:
    """One node, started by the script of the installed package (the wrapper on PATH changes user)."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._ports = free_ports()
        self._scripts = scripts()
        self._node: subprocess.Popen[bytes] | None = None
        (base / "enabled_plugins").write_text("[].\n")
        (base / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self._ports.amqp}\n"
            "loopback_users = none\n"
            "disk_free_limit.absolute = 50MB\n"
        )

    @property
    def url(self) -> str:
        """For the default user."""
        return f"amqp://guest:guest@127.0.0.1:{self._ports.amqp}/"

    def start(self) -> None:
        """Start, and return when the broker answers a protocol header (about 10 s)."""
        with (self._base / "out.log").open("ab") as log:
            self._node = subprocess.Popen(  # noqa: S603 - our own words, no shell
                [self._scripts / "rabbitmq-server"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = monotonic() + START_S
        while not self._answers():
            if monotonic() > deadline or self._node.poll() is not None:
                log_text = (self._base / "out.log").read_text()
                message = f"RabbitMQ did not start: {log_text[-2000:]}"
                raise TimeoutError(message)
            try:
                self._node.wait(0.2)
            except subprocess.TimeoutExpired:
                continue

    def stop(self) -> None:
        """Stop in order; queues stay on disk."""
        if self._node is not None:
            os.kill(self._pid, signal.SIGTERM)
            self._node.wait(STOP_S)
            self._node = None

    def end(self) -> None:
        """Stop for good, the port mapper as well."""
        self.stop()
        subprocess.run(  # noqa: S603 - our own words, no shell
            ["/usr/bin/epmd", "-port", str(self._ports.mapper), "-kill"],
            check=False,
            capture_output=True,
        )

    def freeze(self) -> None:
        """Stop answering without closing anything, as a cut cable does."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        os.kill(self._pid, signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """Run one rabbitmqctl command (about 0.8 s) and give what it printed."""
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            [self._scripts / "rabbitmqctl", "--quiet", *arguments],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout

    @property
    def _pid(self) -> int:
        return int((self._base / "pid").read_text())

    @property
    def _environment(self) -> dict[str, str]:
        base = self._base
        return {
            "PATH": SYSTEM_PATH,
            "HOME": str(base),  # the Erlang cookie is made there
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._ports.mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"t{self._ports.amqp}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._ports.amqp),
            "RABBITMQ_DIST_PORT": str(self._ports.distribution),
            # Without it the distribution port listens on every interface.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(base / "mnesia"),
            "RABBITMQ_LOG_BASE": str(base / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(base / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(base / "pid"),
            "RABBITMQ_CONFIG_FILE": str(base / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(base / "env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(base / "advanced.config"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(base / "feature_flags"),
            "RABBITMQ_SCHEMA_DIR": str(base / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(base / "generated"),
        }

    def _answers(self) -> bool:
        """The port opens seconds before the broker speaks."""
        with socket.socket() as probe:
            probe.settimeout(2)
            if probe.connect_ex(("127.0.0.1", self._ports.amqp)) != 0:
                return False
            probe.sendall(PROTOCOL_HEADER)
            try:
                return len(probe.recv(8)) == 8
            except OSError:
                return False


def scripts() -> Path:
    """Where the package keeps its scripts: found by version-independent glob of Debian's layout."""
    found = sorted(Path("/usr/lib/rabbitmq").glob("**/rabbitmq-server"))
    return next(path.parent for path in found if path.parent.name in {"bin", "sbin"})


def free_ports() -> Ports:
    """Ask the system for three ports nobody has."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    numbers = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return Ports(*numbers)
