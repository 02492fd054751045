"""The servers of this checkout as one thing: up, down, and each of them for rough tests.

Standard library only: it runs before the project's environment exists.
"""

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from tests.servers import ad_domain
from tests.servers.daemon import ServerError
from tests.servers.samba import Samba, missing
from tests.servers.slapd import Slapd, Tree
from tests.stack import leftovers
from tests.stack.openldap import openldap
from tests.stack.plan import HOME, Plan, choose_ports, ports_are_free, write_private
from tests.stack.postgres import Postgres, choose_home
from tests.stack.rabbitmq import RabbitMQ
from tests.stack.samba import samba


SAMBA = "samba"
NAMES = ("rabbitmq", "postgres", "openldap", SAMBA)
TRIES = 3


class Service(Protocol):
    """What the stack asks of each of its servers."""

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it in order."""
        ...

    def kill(self) -> None:
        """End it as a crash would."""
        ...


@dataclass(frozen=True, slots=True)
class Stack:
    """The servers of one plan. Usable from any process: what runs is read from pid files."""

    plan: Plan

    @classmethod
    def load(cls, home: Path = HOME) -> Self | None:
        """The stack that was started in this checkout."""
        plan = Plan.load(home)
        return None if plan is None else cls(plan)

    @property
    def rabbitmq(self) -> RabbitMQ:
        """The broker; has ``rabbitmqctl`` too."""
        return RabbitMQ(self.plan)

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return Postgres(self.plan)

    @property
    def openldap(self) -> Slapd:
        """The directory server; ``trees[0]`` is AD-flavoured, ``trees[1]`` plain."""
        return openldap(self.plan)

    @property
    def samba(self) -> Samba:
        """The Active Directory, where there is one."""
        return samba(self.plan)

    @property
    def without_samba(self) -> str:
        """Why this stack has no Active Directory, or nothing: it is the one server that others can do without."""
        with contextlib.suppress(FileNotFoundError):
            return self._without_samba.read_text(encoding="utf-8")
        return ""

    @property
    def names(self) -> Sequence[str]:
        """Those of NAMES that this stack has."""
        return [name for name in NAMES if name != SAMBA or not self.without_samba]

    def service(self, name: str) -> Service:
        """One of NAMES."""
        services: Mapping[str, Service] = {
            "rabbitmq": self.rabbitmq,
            "postgres": self.postgres,
            "openldap": self.openldap,
            SAMBA: self.samba,
        }
        return services[name]

    def state(self) -> dict[str, bool]:
        """Which servers answer."""
        asked: dict[str, Callable[[], bool]] = {
            "rabbitmq": self.rabbitmq.is_ready,
            "postgres": self.postgres.is_ready,
            "openldap": self.openldap.answers,
            SAMBA: self.samba.answers,
        }
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda name: asked[name](), self.names)
        return dict(zip(self.names, answers, strict=True))

    def leave_out_samba(self, why: str) -> None:
        """Do without it from now on."""
        self._without_samba.write_text(why, encoding="utf-8")

    @property
    def _without_samba(self) -> Path:
        return self.plan.home / "without-samba"

    def start(self) -> None:
        """Start what does not answer, all at once; nothing of it stays when one fails."""
        waiting = [name for name, answers in self.state().items() if not answers]
        with ThreadPoolExecutor() as pool:
            starts = {name: pool.submit(_start_afresh, self.service(name)) for name in waiting}
            try:
                for name, start in starts.items():
                    self._started(name, start)
            except BaseException:
                # the other threads wait for servers that will not come now
                leftovers.end("STACK_OWNER", str(self.plan.home), at_once=True)
                raise

    def _started(self, name: str, start: "Future[None]") -> None:
        try:
            start.result()
        except ServerError as problem:
            if name != SAMBA:
                raise
            self.samba.stop()
            self.leave_out_samba(str(problem))

    def environment(self) -> dict[str, str]:
        """What programs and tests are told."""
        plan, (ad, plain) = self.plan, self.openldap.trees
        amqp = f"{plan.broker_user}:{plan.broker_password}@127.0.0.1:{plan.amqp_port}"
        database = f"127.0.0.1:{plan.postgres_port}"
        tls = self.openldap.certificate
        return {
            "ROLLCALL_AMQP_URL": f"amqp://{amqp}/",
            "ROLLCALL_DATABASE_URL": f"postgresql://rollcall:{plan.database_password}@{database}/rollcall",
            "STACK_DATABASE_ADMIN_URL": f"postgresql://postgres:{plan.admin_password}@{database}/postgres",
            # by number: libldap compares a certificate for "localhost" with the machine's own name
            "STACK_LDAP_URI": self.openldap.uri,
            "STACK_LDAPS_URI": self.openldap.ldaps_uri,
            "STACK_LDAP_CA": str(tls.ca) if tls else "",
            **_tree_environment("AD", ad),
            **_tree_environment("PLAIN", plain),
            **(
                {"STACK_AD_MISSING": self.without_samba}
                if self.without_samba
                else self._ad_environment()
            ),
        }

    def _ad_environment(self) -> dict[str, str]:
        return {
            "STACK_AD_URI": self.samba.uri,
            "STACK_AD_LDAPS_URI": self.samba.ldaps_uri,
            "STACK_AD_CA": str(self.samba.certificate.ca),
            "STACK_AD_BASE": ad_domain.BASE,
            "STACK_AD_BIND_NAME": ad_domain.upn("svc-sync"),
            "STACK_AD_PASSWORD": ad_domain.PASSWORD,
            "STACK_AD_ADMIN_DN": ad_domain.ADMIN,
            "STACK_AD_ADMIN_PASSWORD": ad_domain.ADMIN_PASSWORD,
        }


def _tree_environment(kind: str, tree: Tree) -> dict[str, str]:
    return {
        f"STACK_LDAP_{kind}_BASE": tree.base,
        f"STACK_LDAP_{kind}_BIND_DN": tree.reader,
        f"STACK_LDAP_{kind}_PASSWORD": tree.reader_password,
        f"STACK_LDAP_{kind}_ADMIN_DN": tree.admin,
        f"STACK_LDAP_{kind}_ADMIN_PASSWORD": tree.admin_password,
    }


def _start_afresh(service: Service) -> None:
    """A server that runs but does not answer is no use: end it first."""
    service.kill()
    service.start()


def up(*, home: Path = HOME, durable: bool = False) -> Stack:
    """Bring the stack up, or find it so. A server that was stopped is started with what it held."""
    stack = Stack.load(home)
    if stack is not None and (home / "env").exists() and any(stack.state().values()):
        with contextlib.suppress(ServerError):
            return _mended(stack, durable=durable)
    return _made_anew(home, durable=durable)


def _mended(stack: Stack, *, durable: bool) -> Stack:
    if stack.plan.durable != durable:
        stack.postgres.stop()
        stack = Stack(stack.plan.with_durable(durable))
    stack.start()
    return stack


def _made_anew(home: Path, *, durable: bool) -> Stack:
    for tries_left in reversed(range(TRIES)):
        down(home=home)
        base_port = choose_ports(home)
        home.mkdir(mode=0o700)
        plan = Plan.make(
            home=home, base_port=base_port, postgres_home=choose_home(home), durable=durable
        )
        stack = Stack(plan)
        why_not = "STACK_AD=0" if os.environ.get("STACK_AD") == "0" else missing()
        if why_not:
            stack.leave_out_samba(why_not)
        try:
            stack.start()
        except ServerError:
            down(home=home)
            # unless somebody took a port between the look and the start, it would fail again
            if not tries_left or ports_are_free(plan.base_port):
                raise
            continue
        # last, for it says that the start was whole
        exports = (
            f"export {name}={shlex.quote(text)}" for name, text in stack.environment().items()
        )
        write_private(home / "env", "\n".join(exports) + "\n")
        return stack
    raise AssertionError


def down(*, home: Path = HOME) -> None:
    """End everything that was started here, also by a start or a run that crashed, and forget it."""
    stack = Stack.load(home)
    if stack is not None:
        with ThreadPoolExecutor() as pool:
            for name in NAMES:
                pool.submit(stack.service(name).stop)
    for mark in ("STACK_RUN", "STACK_OWNER"):
        leftovers.end(mark, str(home))
    if stack is not None:
        shutil.rmtree(stack.plan.postgres_home, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
