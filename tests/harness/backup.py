"""A backup of a test's database, and what an operator does when it has to be put back."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from tests.conftest import PROGRAM
from tests.harness.worker import Worker


WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Backup:
    """Copies a database while its one worker is stopped: copying files needs a database that nobody is connected to."""

    admin_url: str
    environment: Mapping[str, str]
    worker: Worker

    @property
    def _database(self) -> str:
        return urlsplit(self.environment["ROLLCALL_DATABASE_URL"]).path.strip("/")

    @property
    def _copy(self) -> str:
        return f"{self._database}_backup"

    async def make(self) -> None:
        """Back up."""
        self.worker.terminate()
        await self._run(
            f"CREATE DATABASE {self._copy} TEMPLATE {self._database} STRATEGY file_copy"
        )
        self.worker.start()

    async def put_back(self) -> None:
        """Stop the worker, lose what happened since, and run the command, which has the database alone."""
        self.worker.terminate()
        await self._run(
            f"DROP DATABASE {self._database} WITH (FORCE)",
            f"CREATE DATABASE {self._database} TEMPLATE {self._copy} STRATEGY file_copy",
        )
        restored(self.environment)

    async def forget(self) -> None:
        """Drop the copy."""
        await self._run(f"DROP DATABASE IF EXISTS {self._copy}")

    async def _run(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.admin_url, timeout=WITHIN_S)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close(timeout=WITHIN_S)


def restored(environment: Mapping[str, str]) -> None:
    """Run ``rollcall restored`` as the operator does."""
    given = {"ROLLCALL_DATABASE_URL": environment["ROLLCALL_DATABASE_URL"]}
    done = subprocess.run(
        [PROGRAM, "restored"], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
