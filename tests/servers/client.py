"""A client that is not ours: ldapsearch over the network, as an oracle of what a server says."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ldif


WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """Result code (255: no connection, 1: no TLS), the entries that came, and what was said."""

    code: int
    entries: list[ldif.Entry]
    complaint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapSearch:
    """Where and as whom it asks; ``ca`` is the only authority it trusts."""

    uri: str
    bind_dn: str
    password: str
    ca: Path | None = None
    starttls: bool = False

    def __call__(
        self,
        base: str,
        condition: str = "(objectClass=*)",
        attributes: Sequence[str] = ("*", "entryUUID"),
        *,
        page: int = 500,
    ) -> Answer:
        """One search of a subtree, in pages."""
        done = subprocess.run(
            [
                *("/usr/bin/ldapsearch", "-x", "-H", self.uri, "-D", self.bind_dn),
                *("-w", self.password),
                *(["-ZZ"] if self.starttls else []),
                *("-LLL", "-o", "ldif-wrap=no", "-o", "nettimeout=5"),
                *("-E", f"pr={page}/noprompt", "-b", base, condition, *attributes),
            ],
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
            # nothing of the caller's own settings
            env={"LANG": "C.UTF-8", "LDAPTLS_CACERT": str(self.ca or "")},
            timeout=WITHIN_S,
        )
        return Answer(done.returncode, list(ldif.parse(done.stdout)), done.stderr)
