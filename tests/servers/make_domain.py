"""Makes an Active Directory domain as files, for ``tests.servers.samba``: what to make comes as JSON on standard input.

Run by Debian's own Python, which alone has Samba's modules, and as whoever will run the server. Nothing listens.
"""

import json
import logging
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ldb
import samba.dsdb
import samba.param
from samba.auth import system_session
from samba.provision import provision
from samba.samdb import SamDB
from samba.sd_utils import SDUtils


LONG_AGO = "125911584000000000"
"""The year 2000, in hundreds of nanoseconds since 1601."""
DENY_ALL_READING = "(D;CI;RPLCLORC;;;{sid})"
"""For one account, from here on down (MS-DTYP section 2.5.1)."""


def main() -> None:
    """Make the domain, extend its schema, fill it."""
    wanted = json.load(sys.stdin)
    target = Path(wanted["target"])
    parameters = load_parameters(target)
    make(target, parameters, wanted)
    directory = open_directory(target, parameters)
    for step in wanted["schema"]:
        # classes name attributes, so these have to be known first
        directory.modify_ldif(step)
        directory.set_schema_update_now()
    directory = open_directory(target, parameters)
    directory.transaction_start()
    directory.add_ldif(wanted["seed"])
    directory.modify_ldif(wanted["policy"])
    deny(directory, wanted["denied"])
    directory.transaction_commit()
    expire_passwords(target, wanted["base"], wanted["expired"])


def load_parameters(target: Path) -> samba.param.LoadParm:
    """Samba's settings, and none of this machine's."""
    empty = target / "empty.conf"
    empty.write_text("", encoding="utf-8")
    parameters = samba.param.LoadParm()
    parameters.load(str(empty))
    for name, value in {
        "posix:eadb": str(target / "private" / "eadb.tdb"),  # the file system may take no xattr
        "interfaces": "127.0.0.1/8",
        "bind interfaces only": "yes",
        "dsdb:schema update allowed": "yes",
    }.items():
        parameters.set(name, value)
    return parameters


def make(target: Path, parameters: samba.param.LoadParm, wanted: Mapping[str, Any]) -> None:
    """The empty domain. ``samba-tool`` does the same for root only: it wants to give files away."""
    logger = logging.getLogger("provision")
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.WARNING)
    provision(
        logger,
        system_session(),
        targetdir=str(target),
        lp=parameters,
        realm=wanted["realm"],
        domain=wanted["domain"],
        hostname="dc1",
        hostip="127.0.0.1",
        hostip6=None,
        serverrole="active directory domain controller",
        adminpass=wanted["password"],
        dns_backend="NONE",
        dom_for_fun_level=samba.dsdb.DS_DOMAIN_FUNCTION_2008_R2,
        use_ntvfs=True,
        skip_sysvolacl=True,
        root=pwd.getpwuid(os.geteuid()).pw_name,
        nobody="nobody",
        users="users",
        batch_mode=True,
    )


def open_directory(target: Path, parameters: samba.param.LoadParm) -> SamDB:
    """The whole directory, as the system itself."""
    url = str(target / "private" / "sam.ldb")
    return SamDB(url, session_info=system_session(parameters), lp=parameters)


def deny(directory: SamDB, denied: Sequence[Sequence[str]]) -> None:
    """Let an account see nothing in a container: pairs of the container's and the account's DN."""
    for container, account in denied:
        (found,) = directory.search(account, scope=ldb.SCOPE_BASE, attrs=["objectSid"])
        sid = directory.schema_format_value("objectSid", found["objectSid"][0]).decode()
        SDUtils(directory).dacl_add_ace(container, DENY_ALL_READING.format(sid=sid))


def expire_passwords(target: Path, base: str, accounts: Sequence[str]) -> None:
    """Past the directory's modules, straight into the partition's file: they refuse a date in the past."""
    partition = ldb.Ldb(str(target / "private" / "sam.ldb.d" / f"{base.upper()}.ldb"))
    for account in accounts:
        change = ldb.Message(ldb.Dn(partition, account))
        change["pwdLastSet"] = ldb.MessageElement(LONG_AGO, ldb.FLAG_MOD_REPLACE, "pwdLastSet")
        partition.modify(change)


if __name__ == "__main__":
    main()
