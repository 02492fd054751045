"""A real Active Directory of one's own: Samba as a domain controller, its LDAP service only, on loopback.

The domain is made once and kept in ``.cache``; each server gets a copy. Runs as whoever starts it, root or not.
Standard library only. Needs Debian's samba, samba-ad-provision, samba-dsdb-modules and gcc.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.servers import ad_domain, ldaptools, ldif
from tests.servers.daemon import PROJECT, Daemon, ServerError, free_port
from tests.servers.slapd import Certificate


HERE = Path(__file__).resolve().parent
MAKER, PORTS = HERE / "make_domain.py", HERE / "samba_ports.c"
PROGRAM, PYTHON, COMPILER = Path("/usr/sbin/samba"), Path("/usr/bin/python3"), Path("/usr/bin/gcc")
NEEDED = {
    PROGRAM: "samba",
    PYTHON: "python3",
    COMPILER: "gcc",
    Path("/usr/share/samba/setup/provision.ldif"): "samba-ad-provision",
}
MAKE_WITHIN_S = 180
START_WITHIN_S = 60
# sun_path holds 108 bytes, the closing zero included
SOCKET_PATH_BYTES = 107
LONGEST_NAME = "/domain/lock/msg.sock/1234567890"
CONFIGURATION = """
[global]
  netbios name = DC1
  realm = {realm}
  workgroup = {domain}
  server role = active directory domain controller
  server services = ldap
  interfaces = 127.0.0.1/8
  bind interfaces only = yes
  ldap server require strong auth = yes
  private dir = {place}/domain/private
  state directory = {place}/domain/state
  cache directory = {place}/domain/cache
  lock directory = {place}/domain/lock
  binddns dir = {place}/domain/bind-dns
  pid directory = {place}/own
  ncalrpc dir = {place}/own/ncalrpc
  usershare path =
  log file = {place}/own/log
  max log size = 0
  posix:eadb = {place}/domain/private/eadb.tdb
  tls cafile = {tls.ca}
  tls certfile = {tls.cert}
  tls keyfile = {tls.key}
"""


def missing() -> str | None:
    """What this machine lacks to run one, or None."""
    lacks = [package for path, package in NEEDED.items() if not path.exists()]
    lacks += [] if any(Path("/usr/lib").glob("*/samba/ldb/samldb.so")) else ["samba-dsdb-modules"]
    return f"not installed: {', '.join(lacks)} (Debian's packages)" if lacks else None


def kept(cache: Path = PROJECT / ".cache") -> Path:
    """The folder of the finished domain; made, if there is none yet. Two that make it at once do no harm."""
    domain = cache / f"samba-{_digest()}"
    if domain.exists():
        return domain
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="samba-making-", dir=cache) as half:
        making = Path(half) / "domain"
        making.mkdir(mode=0o700)
        _make(making)
        # whole or not at all; who comes second finds it there
        with contextlib.suppress(OSError):
            making.rename(domain)
    return domain


@dataclass(slots=True)
class Samba:
    """A running domain controller: a context manager. The domain is that of ``ad_domain``."""

    home: Path
    certificate: Certificate
    port: int = field(default_factory=free_port)
    ldaps_port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon("samba", self.home / "run", {**self._ports(), **self.environment})

    @property
    def uri(self) -> str:
        """Plain and STARTTLS; without TLS nobody signs in there."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ldaps_uri(self) -> str:
        """TLS from the first byte."""
        return f"ldaps://127.0.0.1:{self.ldaps_port}"

    @property
    def place(self) -> Path:
        """Where Samba believes to be: its sockets' names are longer than the system takes in a deep folder."""
        if len(os.fsencode(self.home)) + len(LONGEST_NAME) <= SOCKET_PATH_BYTES:
            return self.home
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"samba-{name}"

    def start(self) -> None:
        """Start it and wait until it answers; the first time with a fresh copy of the domain."""
        self._take_domain()
        if self.place != self.home:
            self.place.unlink(missing_ok=True)
            self.place.symlink_to(self.home)
        (self.home / "own").mkdir(exist_ok=True)
        conf = self.home / "smb.conf"
        conf.write_text(self._configuration(), encoding="utf-8")
        self.daemon.spawn([str(PROGRAM), "-i", "-M", "single", "-s", str(conf), "-d1"])
        self.daemon.wait_ready(self.answers, within_s=START_WITHIN_S)

    def stop(self) -> None:
        """End it in order; what it holds stays for the next start."""
        self.daemon.stop()
        if self.place != self.home:
            self.place.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a crash would."""
        self.daemon.kill()

    def answers(self) -> bool:
        """Whether an administrator can sign in."""
        who = (ad_domain.ADMIN, ad_domain.ADMIN_PASSWORD)
        asked = ["-s", "base", "-b", ""]
        found = ldaptools.run(
            "ldapsearch", asked, url=self.ldaps_uri, as_=who, ca=self.certificate.ca
        )
        return found.returncode == 0

    def set(self, dn: str, **attributes: ldif.Values) -> None:
        """Replace attributes of an entry; an empty sequence removes one."""
        changes = "-\n".join(_replaced(name, values) for name, values in attributes.items())
        self._checked("ldapmodify", [], f"dn: {dn}\nchangetype: modify\n{changes}")

    def add(self, *records: str) -> None:
        """Add entries given as LDIF records (``ldif.record``)."""
        self._checked("ldapadd", [], "".join(records))

    def delete(self, *names: str) -> None:
        """Delete entries."""
        self._checked("ldapdelete", [*names])

    def rename(self, dn: str, new_rdn: str, *, under: str | None = None) -> None:
        """Rename an entry, and move it when ``under`` names another parent."""
        tail = [] if under is None else ["-s", under]
        self._checked("ldapmodrdn", ["-r", *tail, dn, new_rdn])

    def search(
        self, base: str, condition: str = "(objectClass=*)", *attributes: str, scope: str = "sub"
    ) -> list[ldif.Entry]:
        """What an administrator's ldapsearch finds."""
        how = ["-LLL", "-o", "ldif-wrap=no", "-E", "pr=1000/noprompt", "-s", scope, "-b", base]
        return list(ldif.parse(self._checked("ldapsearch", [*how, condition, *attributes])))

    def number(self, dn: str, attribute: str) -> int:
        """A number of one entry, such as badPwdCount; 0 when it has none."""
        (entry,) = self.search(dn, "(objectClass=*)", attribute, scope="base")
        return int((*entry.texts(attribute), "0")[0])

    def _checked(self, tool: str, arguments: list[str], text: str = "") -> str:
        return ldaptools.checked(
            tool,
            arguments,
            url=self.ldaps_uri,
            as_=(ad_domain.ADMIN, ad_domain.ADMIN_PASSWORD),
            text=text,
            ca=self.certificate.ca,
        )

    def _take_domain(self) -> None:
        domain, half = self.home / "domain", self.home / "copying"
        if not domain.exists():
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(kept(), half)
            half.rename(domain)

    def _configuration(self) -> str:
        realm = ad_domain.REALM.upper()
        return CONFIGURATION.format(
            place=self.place, tls=self.certificate, realm=realm, domain=ad_domain.DOMAIN
        )

    def _ports(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(self.home / "domain" / "ports.so"),
            "SAMBA_LDAP_PORT": str(self.port),
            "SAMBA_LDAPS_PORT": str(self.ldaps_port),
            "HOME": str(self.home),
        }


def _make(target: Path) -> None:
    schema = ad_domain.schema()
    wanted = {
        "target": str(target),
        "realm": ad_domain.REALM,
        "domain": ad_domain.DOMAIN,
        "base": ad_domain.BASE,
        "password": ad_domain.ADMIN_PASSWORD,
        "schema": schema,
        "policy": ad_domain.policy(),
        "seed": ad_domain.seed(),
        "denied": ad_domain.denied(),
        "expired": [ad_domain.account("svc-old-password")],
    }
    # isolated: beside it lies a samba.py that is not Samba's
    _run([str(PYTHON), "-IB", str(MAKER)], text=json.dumps(wanted), home=target)
    library = str(target / "ports.so")
    _run([str(COMPILER), "-shared", "-fPIC", "-O1", "-o", library, str(PORTS)], home=target)


def _run(command: list[str], *, home: Path, text: str = "") -> None:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=MAKE_WITHIN_S,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(home)},
    )
    if done.returncode:
        raise ServerError(server=Path(command[-1]).name, why=done.stderr[-2000:])


def _digest() -> str:
    """Of all that a finished domain depends on: what makes it, who, and with which Samba."""
    version = subprocess.run(
        [str(PROGRAM), "--version"], capture_output=True, text=True, check=True
    )
    sources = [
        path.read_bytes() for path in (Path(__file__), Path(ad_domain.__file__), MAKER, PORTS)
    ]
    whole = hashlib.sha256(version.stdout.encode() + b" %d " % os.geteuid())
    for source in sources:
        whole.update(hashlib.sha256(source).digest())
    return whole.hexdigest()[:16]


def _replaced(name: str, values: ldif.Values) -> str:
    _, *lines = ldif.record("", {name: values}).rstrip("\n").split("\n")
    return "\n".join([f"replace: {name}", *lines]) + "\n"
