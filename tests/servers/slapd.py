"""An OpenLDAP server of one's own: in one directory, on loopback, up in a fraction of a second.

Standard library only, because the private stack uses it before the project's environment exists.
Needs Debian's slapd and ldap-utils.
"""

import hashlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, starmap
from pathlib import Path
from typing import Self

from tests.servers import ldaptools, ldif
from tests.servers.daemon import Daemon, ServerError, free_port


HERE = Path(__file__).resolve().parent
SCHEMAS = ("core", "cosine", "inetorgperson", "nis", "misc")
INDEXES = "objectClass,cn,mail,proxyAddresses,objectGUID,mailLocalAddress,entryUUID,entryCSN"
READER = "cn=reader,ou=Service"
READER_PASSWORD = "reader-5ecret"
ADMIN_PASSWORD = "admin-5ecret"
START_WITHIN_S = 20
# slapd's own numbers for a whole mdb file: sparse, so it costs only what is written
MAP_BYTES = 4 << 30
# sun_path holds 108 bytes, the closing zero included
SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: what a server shows, its key, and the authority that vouches for it."""

    cert: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One naming context. Its base entry, ``ou=Service`` and the reader account are made for it.

    ``seed`` is LDIF, as text or as a file. ``access`` replaces the rules by which the reader may
    read everything but passwords; ``lines`` go into the database section as they are
    (``limits``, ``sizelimit``, ``security simple_bind=128`` ...).
    """

    base: str
    seed: str | Path = ""
    access: Sequence[str] = ()
    lines: Sequence[str] = ()
    admin_password: str = ADMIN_PASSWORD
    reader_password: str = READER_PASSWORD

    @property
    def admin(self) -> str:
        """Who may do everything."""
        return f"cn=admin,{self.base}"

    @property
    def reader(self) -> str:
        """The service account that syncs use."""
        return f"{READER},{self.base}"

    def first_entries(self) -> str:
        """The base, the place of service accounts and the reader."""
        attribute, _, value = self.base.partition(",")[0].partition("=")
        organisation = {"o": [value] if attribute == "o" else ["lab", value], attribute: value}
        classes = ["organization"] if attribute == "o" else ["organization", "dcObject"]
        account = ["person", "simpleSecurityObject"]
        return (
            ldif.record(self.base, {"objectClass": classes, **organisation})
            + ldif.record(f"ou=Service,{self.base}", {"objectClass": "organizationalUnit"})
            + ldif.record(
                self.reader,
                {"objectClass": account, "sn": "reader", "userPassword": self.reader_password},
            )
        )

    def access_rules(self) -> Sequence[str]:
        """Who may read what, in slapd.conf's words; the first rule that fits decides."""
        return self.access or (
            "to attrs=userPassword by anonymous auth by * none",
            f'to dn.subtree="ou=Service,{self.base}" by anonymous auth by * none',
            f'to * by dn.exact="{self.reader}" read by anonymous auth by * none',
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server's log says of the connections of one bind name."""

    connections: int
    binds: int
    searches: int
    entries: int
    refused: int


@dataclass(slots=True)
class Slapd:
    """A private slapd: a context manager, and start, stop, kill and restart for the rough tests.

    ``lines`` go into the global section, ``schemas`` after those that it always has. Ports are chosen when it is made and kept over restarts.
    """

    directory: Path
    trees: Sequence[Tree]
    certificate: Certificate | None = None
    lines: Sequence[str] = ()
    root_dse: str = ""
    host: str = "127.0.0.1"
    schemas: Sequence[Path] = ()
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
        return Daemon("slapd", self.directory, self.environment)

    @property
    def uri(self) -> str:
        """Plain and STARTTLS."""
        return f"ldap://{self.host}:{self.port}"

    @property
    def ldaps_uri(self) -> str:
        """TLS from the first byte; nobody listens there without a certificate."""
        return f"ldaps://{self.host}:{self.ldaps_port}"

    @property
    def socket(self) -> Path:
        """A unix socket for the test's own changes: no TLS, no rules about TLS."""
        path = self.directory / "ldapi"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return path
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"slapd-{name}"

    def start(self) -> None:
        """Start it and wait until it answers; seeds the trees the first time."""
        self.directory.mkdir(parents=True, exist_ok=True)
        conf = self.directory / "slapd.conf"
        conf.write_text(self._configuration(), encoding="utf-8")
        conf.chmod(0o600)
        for number in range(1, len(self.trees) + 1):
            # slapadd checks the whole configuration, so all of them stand before the first seed
            (self.directory / f"data{number}").mkdir(exist_ok=True)
        for number, tree in enumerate(self.trees, start=1):
            self._seed(number, tree)
        listeners = [self.uri, ldaptools.uri(self.socket)]
        listeners += [self.ldaps_uri] if self.certificate else []
        self.daemon.spawn(["/usr/sbin/slapd", "-f", str(conf), "-h", " ".join(listeners), "-d256"])
        self.daemon.wait_ready(self.answers, within_s=START_WITHIN_S)

    def answers(self) -> bool:
        """Whether a bind succeeds."""
        tree = self.trees[0]
        who = (tree.admin, tree.admin_password)
        return (
            ldaptools.run("ldapwhoami", [], url=ldaptools.uri(self.socket), as_=who).returncode == 0
        )

    def stop(self) -> None:
        """End it in order; what it holds stays for the next start."""
        self.daemon.stop(with_signal=signal.SIGINT)
        self.socket.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a crash would; connections are cut."""
        self.daemon.kill()

    def restart(self) -> None:
        """Stop and start; changes made in ``cn=config`` are lost, entries stay."""
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stand open and nothing answers."""
        self.daemon.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemon.send(signal.SIGCONT)

    def add(self, *records: str) -> None:
        """Add entries given as LDIF records (``ldif.record``)."""
        self._change("ldapadd", "".join(records), "-e", "relax")

    def modify(self, text: str) -> None:
        """Run LDIF change records (``changetype: ...``)."""
        self._change("ldapmodify", text)

    def set(self, dn: str, **attributes: ldif.Values) -> None:
        """Replace attributes of an entry; an empty sequence removes one."""
        for name, values in attributes.items():
            wanted = ldif.record(dn, {name: values}).rstrip("\n").split("\n")
            change = [wanted[0], "changetype: modify", f"replace: {name}", *wanted[1:]]
            self.modify("\n".join(change) + "\n")

    def rename(self, dn: str, new_rdn: str, *, under: str | None = None) -> None:
        """Rename an entry, and move it when ``under`` names another parent."""
        tail = [] if under is None else ["-s", under]
        self._checked("ldapmodrdn", ["-r", *tail, dn, new_rdn], dn=dn)

    def delete(self, *names: str, subtree: bool = False) -> None:
        """Delete entries, with all below them when ``subtree``."""
        for dn in names:
            self._checked("ldapdelete", [*(["-r"] if subtree else []), dn], dn=dn)

    def search(
        self,
        base: str,
        condition: str = "(objectClass=*)",
        attributes: Sequence[str] = ("*", "entryUUID"),
        *,
        scope: str = "sub",
        as_: tuple[str, str] | None = None,
    ) -> list[ldif.Entry]:
        """What ``ldapsearch`` finds, asked in pages; as the tree's admin unless ``as_`` says who."""
        paged = ["-E", "pr=500/noprompt", "-LLL", "-o", "ldif-wrap=no", "-s", scope, "-b", base]
        output = self._checked("ldapsearch", [*paged, condition, *attributes], dn=base, as_=as_)
        return list(ldif.parse(output))

    def configure(self, dn: str, **attributes: ldif.Values) -> None:
        """Replace attributes in ``cn=config`` while it runs, until the next start.

        ``dn`` is ``cn=config`` or what ``database`` gives.
        """
        self.set(dn, **attributes)

    def database(self, tree: Tree) -> str:
        """The entry in ``cn=config`` that rules a tree: olcAccess, olcLimits, olcSizeLimit ..."""
        return f"olcDatabase={{{self.trees.index(tree) + 1}}}mdb,cn=config"

    def seen(self, bind_dn: str) -> Seen:
        """Counts from the log of the connections that tried to bind with this name."""
        lines = self.daemon.log.read_text(encoding="utf-8", errors="replace").splitlines()
        wanted = f' bind dn="{bind_dn}" method='.lower()
        binds = [line for line in lines if wanted in line.lower()]
        mine = {_connection(line) for line in binds}
        own = [line for line in lines if _connection(line) in mine]
        return Seen(
            connections=len(mine),
            binds=len(binds),
            searches=sum(" SRCH base=" in line for line in own),
            entries=sum(
                int(count) for line in own for count in re.findall(r"nentries=(\d+)", line)
            ),
            refused=sum(" tag=97 " in line and " err=0 " not in line for line in own),
        )

    def _configuration(self) -> str:
        schemas = [f"include /etc/ldap/schema/{name}.schema" for name in SCHEMAS]
        head = [*schemas, f"include {HERE / 'lab.schema'}"]
        head += [f"include {path}" for path in self.schemas]
        head += ["modulepath /usr/lib/ldap", "moduleload back_mdb", "localSSF 128", "threads 4"]
        if self.certificate:
            head += [
                f"TLSCACertificateFile {self.certificate.ca}",
                f"TLSCertificateFile {self.certificate.cert}",
                f"TLSCertificateKeyFile {self.certificate.key}",
                "TLSProtocolMin 3.3",
            ]
        if self.root_dse:
            path = self.directory / "root-dse.ldif"
            path.write_text(self.root_dse, encoding="utf-8")
            head.append(f"rootDSE {path}")
        config = ["database config", "rootdn cn=config", f"rootpw {self.trees[0].admin_password}"]
        sections = starmap(self._database, enumerate(self.trees, start=1))
        return "\n".join([*head, *self.lines, *config, *chain.from_iterable(sections)]) + "\n"

    def _database(self, number: int, tree: Tree) -> list[str]:
        return [
            "database mdb",
            f'suffix "{tree.base}"',
            f'rootdn "{tree.admin}"',
            f'rootpw "{tree.admin_password}"',
            f"directory {self.directory}/data{number}",
            f"maxsize {MAP_BYTES}",
            "dbnosync",
            f"index {INDEXES} eq",
            *tree.lines,
            *(f"access {rule}" for rule in tree.access_rules()),
        ]

    def _seed(self, number: int, tree: Tree) -> None:
        data = self.directory / f"data{number}"
        if (data / "seeded").exists():
            return
        for half_done in data.iterdir():
            half_done.unlink()
        first = tree.first_entries()
        first += tree.seed if isinstance(tree.seed, str) else ""
        self._slapadd(tree, ["-l", "/dev/stdin"], text=first)
        if isinstance(tree.seed, Path):
            self._slapadd(tree, ["-l", str(tree.seed)])
        (data / "seeded").touch()

    def _slapadd(self, tree: Tree, arguments: list[str], *, text: str = "") -> None:
        conf = str(self.directory / "slapd.conf")
        command = ["/usr/sbin/slapadd", "-q", "-f", conf, "-b", tree.base, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(server="slapadd", why=done.stderr[-2000:])

    def _change(self, tool: str, text: str, *options: str) -> None:
        dn = text.partition("\n")[0].partition(":")[2].lstrip(": ")
        self._checked(tool, [*options], dn=dn, text=text)

    def _checked(
        self,
        tool: str,
        arguments: list[str],
        *,
        dn: str,
        text: str = "",
        as_: tuple[str, str] | None = None,
    ) -> str:
        who = as_ or self._owner(dn)
        return ldaptools.checked(
            tool, arguments, url=ldaptools.uri(self.socket), as_=who, text=text
        )

    def _owner(self, dn: str) -> tuple[str, str]:
        for tree in self.trees:
            if dn.lower().endswith(tree.base.lower()):
                return tree.admin, tree.admin_password
        return "cn=config", self.trees[0].admin_password


def _connection(line: str) -> str:
    found = re.search(r"\bconn=\d+", line)
    return found.group() if found else ""
