"""Generated directories, each served by an OpenLDAP of its own and kept between runs."""

import hashlib
import inspect
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench import people
from tests.servers import ldif, slapd as server
from tests.servers.certs import Authority
from tests.servers.daemon import PROJECT
from tests.servers.slapd import Slapd, Tree


CACHE = PROJECT / ".cache" / "bench"
BASE = "dc=big,dc=example"
UNLIMITED = ("sizelimit unlimited", "timelimit unlimited")


@dataclass(frozen=True, slots=True)
class Directory:
    """One generated directory on a running server."""

    slapd: Slapd
    tree: Tree
    entries: int
    ca_pem: str

    def form(self, *, encrypted: bool = False) -> dict[str, Any]:
        """Return what ``directory.save`` is told: Save & Sync of all of it."""
        chosen: dict[str, Any] = {"servers": [f"127.0.0.1:{self.slapd.port}"], "security": "none"}
        if encrypted:
            chosen = {
                "servers": [f"127.0.0.1:{self.slapd.ldaps_port}"],
                "security": "ldaps",
                "trust": {"ca_pem": self.ca_pem},
            }
        return {
            "directory": "hq",
            "type": "active_directory",
            "bind_name": self.tree.reader,
            "password": self.tree.reader_password,
            "search_bases": [self.tree.base],
            "sync": True,
            **chosen,
        }


@contextmanager
def served(entries: int) -> Iterator[Directory]:
    """Serve a directory of that many entries; the first time they are made, some 20 s per 100,000."""
    home = CACHE / f"{entries}-{_stamp()}"
    for outdated in set(CACHE.glob(f"{entries}-*")) - {home}:
        shutil.rmtree(outdated)
    home.mkdir(parents=True, exist_ok=True)
    seed = home / "company.ldif"
    tree = Tree(base=BASE, seed=seed)
    with TemporaryDirectory(prefix="rollcall-bench-") as folder:
        authority = Authority.create(Path(folder))
        slapd = Slapd(home, [tree], certificate=authority.issue("bench"), lines=UNLIMITED)
        slapd.daemon.log.unlink(missing_ok=True)
        if not (home / "data1" / "seeded").exists():
            with seed.open("w", encoding="utf-8") as file:
                file.writelines(people.company(entries, BASE))
        with slapd:
            seed.unlink(missing_ok=True)
            yield Directory(slapd, tree, entries, authority.ca.read_text(encoding="utf-8"))


def _stamp() -> str:
    """Name the cache by what decides its content."""
    sources = [inspect.getsource(module) for module in (people, server, ldif)]
    sources.append((server.HERE / "lab.schema").read_text(encoding="utf-8"))
    return hashlib.sha256("".join(sources).encode()).hexdigest()[:16]
