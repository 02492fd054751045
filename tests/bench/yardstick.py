"""The reference: what a good shell pipeline needs for the same directory, ``reference/sync.sh``."""

import asyncio
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from tests.bench.directories import Directory
from tests.servers.daemon import ServerError
from worker.domain.model import Credentials, DirectorySettings, Limits, Secret, Security, Server
from worker.domain.plan import ReadPlan, make_plan


HERE = Path(__file__).with_name("reference")
WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Lap:
    """One run of the pipeline, in seconds."""

    total_s: float
    read_s: float
    """Until the last row of the directory had been copied; the rest is comparing, writing and the commit."""


def plan_of(directory: Directory) -> ReadPlan:
    """Return what the worker makes of this directory's form, so that both ask for the same."""
    settings = DirectorySettings(
        name="hq",
        type="active_directory",
        servers=(Server("127.0.0.1", directory.slapd.port),),
        security=Security.NONE,
        bind_name=directory.tree.reader,
        search_bases=(directory.tree.base,),
    )
    return make_plan(settings, Credentials(Secret(directory.tree.reader_password)), Limits())


class Yardstick:
    """Runs the pipeline into a schema of its own in the database that the worker uses."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._url = database_url
        self._folder = folder

    async def prepare(self) -> None:
        """Make its tables."""
        connection = await asyncpg.connect(self._url, timeout=WITHIN_S)
        try:
            await connection.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
        finally:
            await connection.close()

    async def sync(self, directory: Directory, tenant: int) -> Lap:
        """Sync a directory into one tenant's addresses. Raises ServerError when any part of the pipe fails."""
        environment = self._environment(directory, tenant)
        began_at, began = time.time(), time.perf_counter()
        async with asyncio.timeout(WITHIN_S):
            child = await asyncio.create_subprocess_exec(
                HERE / "sync.sh", stdout=asyncio.subprocess.PIPE, env=environment
            )
            output, _ = await child.communicate()
        total_s = time.perf_counter() - began
        if child.returncode:
            raise ServerError(server="reference/sync.sh", why=f"exit {child.returncode}")
        return Lap(total_s, read_s=float(output.split()[-1]) - began_at)

    def _environment(self, directory: Directory, tenant: int) -> dict[str, str]:
        plan, to = plan_of(directory), urlsplit(self._url)
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(directory.tree.reader_password, encoding="utf-8")
        return {
            "PATH": os.environ["PATH"],
            "LDAP_URI": directory.slapd.uri,
            "BASE": directory.tree.base,
            "READER": directory.tree.reader,
            "PASSWORD_FILE": str(password),
            "FILTER": plan.filter,
            "ATTRIBUTES": " ".join(plan.attributes),
            "PAGE": str(plan.limits.page_size),
            "TENANT": str(tenant),
            "RUN": str(uuid.uuid4()),
            "PGHOST": to.hostname or "",
            "PGPORT": str(to.port or ""),
            "PGUSER": unquote(to.username or ""),
            "PGPASSWORD": unquote(to.password or ""),
            "PGDATABASE": to.path.removeprefix("/"),
            "PGOPTIONS": "-c jit=off -c client_min_messages=warning",
        }
