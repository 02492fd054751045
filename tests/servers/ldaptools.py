"""The ldap-utils programs, as an administrator uses them: over the server's unix socket, or over TLS."""

import os
import subprocess
from pathlib import Path
from urllib.parse import quote


WITHIN_S = 120
"""For the longest of them, a large directory added entry by entry."""


class LdapToolError(RuntimeError):
    """A program refused; ``code`` is the LDAP result code."""

    def __init__(self, tool: str, code: int, text: str) -> None:
        super().__init__(f"{tool}: result {code}: {text.strip()}")
        self.code = code


def uri(socket: Path) -> str:
    """The address of a unix socket."""
    return f"ldapi://{quote(str(socket), safe='')}"


def run(
    tool: str,
    arguments: list[str],
    *,
    url: str,
    as_: tuple[str, str],
    text: str = "",
    ca: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one, bound with a name and a password, ``text`` on its standard input; ``ca`` is what TLS trusts."""
    name, password = as_
    # through a pipe: arguments can be read by everyone on the machine
    receiver, sender = os.pipe()
    os.write(sender, password.encode())
    os.close(sender)
    bound = ["-x", "-H", url, "-D", name, "-y", f"/dev/fd/{receiver}"]
    try:
        return subprocess.run(
            [f"/usr/bin/{tool}", *bound, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[receiver],
            timeout=WITHIN_S,
            # no ldaprc and no LDAPTLS_CACERT of whoever runs the tests
            env={"LANG": "C.UTF-8", **({"LDAPTLS_CACERT": str(ca)} if ca else {"LDAPNOINIT": "1"})},
        )
    finally:
        os.close(receiver)


def checked(
    tool: str,
    arguments: list[str],
    *,
    url: str,
    as_: tuple[str, str],
    text: str = "",
    ca: Path | None = None,
) -> str:
    """As ``run``, but its output, or an exception with its result code."""
    done = run(tool, arguments, url=url, as_=as_, text=text, ca=ca)
    if done.returncode:
        raise LdapToolError(tool, done.returncode, done.stderr)
    return done.stdout
