"""A private RabbitMQ: its own node name, cookie, epmd and ports, all on loopback."""

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.daemon import Daemon, ServerError
from tests.stack import leftovers
from tests.stack.plan import Plan


START_WITHIN_S = 120
# The package's own scripts; the wrapper on the PATH changes user and uses the system's directories.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
HEADER = b"AMQP\x00\x00\x09\x01"
# A node without these listens on all addresses for its cluster, and spins while it is idle:
# without busy waiting it starts 1.5 s sooner on two cores.
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
CONFIGURATION = """
listeners.tcp.default = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
loopback_users = none
disk_free_limit.absolute = 50MB
log.console = false
log.file.level = info
"""


@dataclass(frozen=True, slots=True)
class RabbitMQ:
    """The message broker of a stack."""

    plan: Plan

    @property
    def home(self) -> Path:
        """All it writes."""
        return self.plan.home / "rabbitmq"

    @property
    def daemon(self) -> Daemon:
        """The start script at first, the Erlang machine once it is up."""
        return Daemon("rabbitmq", self.plan.run, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """What the server and its command line tools must agree on."""
        home = self.home
        return {
            **self.plan.environment,
            "STACK_SERVICE": str(self.home),
            "HOME": str(home),
            "RABBITMQ_NODENAME": f"stack{self.plan.base_port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.plan.amqp_port),
            "RABBITMQ_DIST_PORT": str(self.plan.dist_port),
            "ERL_EPMD_PORT": str(self.plan.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(home / "erl_crash.dump"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "feature_flags"),
            "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        }

    def start(self) -> None:
        """Start it; what was declared and durable is still there."""
        if self.daemon.is_running:
            return
        self._configure()
        (self.home / "pid").unlink(missing_ok=True)
        self.daemon.spawn([str(PROGRAMS / "rabbitmq-server")], cwd=self.home)
        self.daemon.wait_ready(self.is_ready, within_s=START_WITHIN_S)
        self.daemon.adopt(int((self.home / "pid").read_text(encoding="utf-8")))

    def stop(self) -> None:
        """Stop it in order; clients are told. Its epmd stays until the stack goes."""
        self.daemon.stop(within_s=30)

    def kill(self) -> None:
        """End it as a crash would, and a start that is half done."""
        self.daemon.kill()
        leftovers.end("STACK_SERVICE", str(self.home), at_once=True)

    def is_ready(self) -> bool:
        """Whether it answers a protocol header; an open port comes seconds earlier."""
        if not self.daemon.is_running:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.plan.amqp_port), 2) as peer:
                peer.sendall(HEADER)
                # a Connection.Start method frame, not a header that says "speak another version"
                return peer.recv(1) == b"\x01"
        except OSError:
            return False

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run the command line tool against this node (0.6 s to 0.9 s each)."""
        done = subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "-q", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env=self.environment,
        )
        if done.returncode:
            raise ServerError(server="rabbitmqctl", why=done.stderr or done.stdout)
        return done.stdout

    def _configure(self) -> None:
        for name in ("mnesia", "log"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        (self.home / "enabled_plugins").write_text("[].\n", encoding="utf-8")
        conf = self.home / "rabbitmq.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            CONFIGURATION.format(
                port=self.plan.amqp_port,
                user=self.plan.broker_user,
                password=self.plan.broker_password,
            ),
            encoding="utf-8",
        )
