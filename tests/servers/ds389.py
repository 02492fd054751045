"""A 389 Directory Server of one's own: on loopback, no root, up in some three seconds. Needs Debian's 389-ds-base.

``dscreate`` would write below /etc, so the instance is made here, from the package's own template.
Standard library only.
"""

import base64
import hashlib
import os
import pwd
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.servers import ldaptools
from tests.servers.daemon import Daemon, free_port
from tests.servers.ldif import record


PROGRAM = Path("/usr/sbin/ns-slapd")
TEMPLATE = Path("/usr/share/dirsrv/data/template-dse.ldif")
CONFIGURATION = Path("/etc/dirsrv/config")
ADMIN, ADMIN_PASSWORD = "cn=Directory Manager", "admin-5ecret"
BASE = "dc=ds"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reader-5ecret"
START_WITHIN_S = 60
FOLDERS = ("conf/schema", "db", "dbhome", "ldif", "bak", "log", "lock", "run", "tmp")
OWN_SCHEMA = """\
dn: cn=schema
objectClass: top
objectClass: ldapSubentry
objectClass: subschema
cn: schema
"""
"""What is added while it runs; it does not start without the file."""
DATABASE = r"""
dn: cn=dc\3Dds,cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: dc=ds
nsslapd-state: backend
nsslapd-backend: userroot

dn: cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: userroot
nsslapd-suffix: dc=ds
"""
READERS_SEE_ALL = '(targetattr="*")(version 3.0; acl "readers"; allow (read,search,compare) userdn="ldap:///all";)'
"""To whoever has signed in."""


def missing() -> str | None:
    """What this machine lacks to run one, or None."""
    is_there = PROGRAM.exists() and TEMPLATE.exists() and CONFIGURATION.exists()
    return None if is_there else "not installed: 389-ds-base (Debian's package)"


@dataclass(slots=True)
class Ds389:
    """A running server with one naming context: a context manager. ``seed`` is LDIF below ``BASE``."""

    home: Path
    seed: str = ""
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon("ns-slapd", self.home)

    @property
    def uri(self) -> str:
        """Plain; nobody listens elsewhere."""
        return f"ldap://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Make the instance, start it, wait until it answers, and fill it."""
        for folder in FOLDERS:
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "conf/dse.ldif").write_text(self._configuration(), encoding="utf-8")
        (self.home / "conf/schema/99user.ldif").write_text(OWN_SCHEMA, encoding="utf-8")
        where = ["-D", str(self.home / "conf"), "-i", str(self.home / "run/pid")]
        self.daemon.spawn([str(PROGRAM), *where, "-d", "0"])
        self.daemon.wait_ready(self.answers, within_s=START_WITHIN_S)
        self.add(first_entries(), self.seed)

    def answers(self) -> bool:
        """Whether an administrator can sign in."""
        who = (ADMIN, ADMIN_PASSWORD)
        return ldaptools.run("ldapwhoami", [], url=self.uri, as_=who).returncode == 0

    def add(self, *records: str) -> None:
        """Add entries given as LDIF records."""
        who = (ADMIN, ADMIN_PASSWORD)
        ldaptools.checked("ldapadd", [], url=self.uri, as_=who, text="".join(records))

    def _configuration(self) -> str:
        template = TEMPLATE.read_text(encoding="utf-8")
        values = {
            "schema_dir": "conf/schema",
            "lock_dir": "lock",
            "tmp_dir": "tmp",
            "cert_dir": "conf",
            "ldif_dir": "ldif",
            "bak_dir": "bak",
            "run_dir": "run",
            "inst_dir": "conf",
            "log_dir": "log",
            "db_dir": "db",
            "db_home_dir": "dbhome",
            "ldapi": "run/ldapi",
        }
        told = {name: str(self.home / place) for name, place in values.items()} | {
            "fqdn": "localhost",
            "ds_port": f"{self.port}\nnsslapd-listenhost: 127.0.0.1",
            "ds_user": pwd.getpwuid(os.geteuid()).pw_name,
            "rootdn": ADMIN,
            "ds_passwd": hashed(ADMIN_PASSWORD),
            "ldapi_enabled": "off",
            "ldapi_autobind": "off",
            "ds_suffix": BASE,
            "config_dir": str(CONFIGURATION),
            "db_lib": "bdb",
        }
        filled = re.sub(r"%(\w+)%", lambda found: told.get(found[1], found[0]), template)
        return filled.rstrip() + "\n" + DATABASE


def hashed(password: str) -> str:
    """The form in which its configuration takes a password."""
    salt = b"0123456789abcdef"
    digest = hashlib.sha512(password.encode() + salt).digest()
    return "{SSHA512}" + base64.b64encode(digest + salt).decode("ascii")


def first_entries() -> str:
    """The base, which those who have signed in may read, and an account to sign in with."""
    base = {"objectClass": ["domain"], "dc": "ds", "aci": READERS_SEE_ALL}
    account = {"objectClass": "person", "sn": "reader", "userPassword": READER_PASSWORD}
    return record(BASE, base) + record(READER, account)
