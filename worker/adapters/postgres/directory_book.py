"""The directories of the tenant in hand: their revisions, secrets, pauses, and their end."""

from dataclasses import dataclass

import asyncpg

from worker.adapters.postgres import decisions, pool as db
from worker.adapters.postgres.directory_tests import stop_tests
from worker.adapters.postgres.hand import Hand
from worker.adapters.postgres.login_decisions import end_directory
from worker.adapters.postgres.run_book import stop_runs
from worker.adapters.postgres.schedule import Concerned, rearrange, resume_refused, settle_plan
from worker.codec.stored import dump_settings, load_or_blank
from worker.domain import events
from worker.domain.commands import CheckDirectory, DeleteDirectory, SaveDirectory
from worker.domain.events import Event
from worker.domain.model import DirectoryId, Secret
from worker.domain.rulings import (
    OPEN_TESTS_MAX,
    DirectoryRecord,
    as_saved,
    keeps_client_key,
    keeps_password,
)
from worker.domain.schedule import recovered
from worker.ports.desk import Done


@dataclass(frozen=True, slots=True)
class PostgresDirectories:
    """The DirectoryBook port."""

    hand: Hand

    async def _found(self, directory: DirectoryId) -> asyncpg.Record | None:
        return await db.row(
            self.hand.connection,
            "find_directory",
            tenant_id=self.hand.tenant_id,
            directory=directory,
        )

    async def find(self, directory: DirectoryId) -> DirectoryRecord | None:
        """Return and lock the living directory, with the settings of its newest revision."""
        found = await self._found(directory)
        return None if found is None else _directory(found)

    async def save(self, command: SaveDirectory, *, revision: int, pending: bool) -> Event:
        """Write a new revision, with the secrets given or those kept from the newest one."""
        on = self.hand.connection
        found = await self._found(command.directory)
        password, client_key = _secrets(command, found)
        standing = {
            "revision": revision,
            "asked_revision": command.revision,
            "in_force": None if pending else revision,
            "pending": revision if pending else None,
        }
        if found is None:
            made = await db.only(
                on,
                "insert_directory",
                tenant_id=self.hand.tenant_id,
                directory=command.directory,
                **standing,
            )
            directory_id = made["directory_id"]
        else:
            directory_id = found["directory_id"]
            await db.run(on, "save_directory", directory_id=directory_id, **standing)
        await db.run(
            on,
            "insert_revision",
            directory_id=directory_id,
            revision=revision,
            asked_revision=command.revision,
            settings=dump_settings(command.settings).decode(),
            password_sealed=password,
            client_key_sealed=client_key,
            now=self.hand.now,
        )
        if not pending:
            await self._begin(directory_id, command.directory)
        return events.directory_saved(
            self.hand.stored.envelope.tenant,
            command.directory,
            causes=self.hand.causes,
            revision=command.revision if command.revision is not None else revision,
            in_force=not pending,
        )

    async def _begin(self, directory_id: int, directory: DirectoryId) -> None:
        """Count the schedule by the settings that are in force now; what stopped it may be mended."""
        this = self._concerned(directory_id)
        await resume_refused(
            this, self.hand.stored.envelope.tenant, directory, causes=self.hand.causes
        )
        await rearrange(this, recovered)
        await settle_plan(this, self.hand.stored.envelope.tenant, causes=self.hand.causes)

    def _concerned(self, directory_id: int) -> Concerned:
        return Concerned(self.hand.connection, self.hand.tenant_id, directory_id, self.hand.now)

    async def test(self, command: CheckDirectory) -> bool:
        """Queue a test, with the secrets given or those kept from the newest revision."""
        found = None if command.directory is None else await self._found(command.directory)
        if command.form is not None:
            settings = dump_settings(command.form.settings).decode()
            password, client_key = _secrets(as_saved(command.form, command.directory), found)
        elif found is not None:
            settings = found["settings"]
            password, client_key = found["password_sealed"], found["client_key_sealed"]
        else:
            raise LookupError(command.directory)
        queued = await db.run(
            self.hand.connection,
            "insert_test",
            most=OPEN_TESTS_MAX,
            number=self.hand.stored.number,
            tenant_id=self.hand.tenant_id,
            directory_id=None if found is None else found["directory_id"],
            is_saved=command.form is None,
            settings=settings,
            password_sealed=password,
            client_key_sealed=client_key,
            asked_at=self.hand.stored.received_at,
        )
        return queued > 0

    async def pause(self, directory: DirectoryId, reason: str | None) -> Event:
        """Pause scheduled runs, or let them go on."""
        found = await self._found(directory)
        if found is None:
            raise LookupError(directory)
        await db.run(
            self.hand.connection,
            "pause_directory",
            directory_id=found["directory_id"],
            reason=reason,
        )
        await rearrange(self._concerned(found["directory_id"]), recovered)
        tenant, causes = self.hand.stored.envelope.tenant, self.hand.causes
        if reason is None:
            return events.directory_resumed(tenant, directory, causes=causes)
        return events.directory_paused(tenant, directory, causes=causes, reason=reason)

    async def delete(self, command: DeleteDirectory) -> Done:
        """Delete a directory; what it held departs by decision or stays by hand."""
        on, found = self.hand.connection, await self._found(command.directory)
        if found is None:
            raise LookupError(command.directory)
        directory_id = found["directory_id"]
        await stop_runs(self.hand, directory_id, command.directory)
        await stop_tests(self.hand, directory_id)
        if command.keep_by_hand:
            await self._hand_over(directory_id)
        settings = load_or_blank(found["settings"].encode())[0]
        decision = self.hand.decision(command.directory)
        departing = decisions.Departing(directory_id=directory_id)
        await decisions.depart(decision, departing, grace=settings.removals.grace)
        await end_directory(decision, directory_id, keep_by_hand=command.keep_by_hand)
        await db.run(on, "end_hold", directory_id=directory_id, now=self.hand.now, how="deleted")
        await db.run(on, "forget_ignored", tenant_id=self.hand.tenant_id, directory_id=directory_id)
        await db.run(on, "delete_directory", directory_id=directory_id, now=self.hand.now)
        return Done(
            events.directory_deleted(
                self.hand.stored.envelope.tenant,
                command.directory,
                causes=self.hand.causes,
                keep_by_hand=command.keep_by_hand,
            )
        )

    async def _hand_over(self, directory_id: int) -> None:
        """Let "by hand" hold what is valid now; what is on its way out goes on, by the clock."""
        here = {"tenant_id": self.hand.tenant_id, "directory_id": directory_id}
        await db.run(self.hand.connection, "plan_for_many")
        await db.run(self.hand.connection, "keep_by_hand", **here)
        await db.run(self.hand.connection, "stay_by_hand", **here)
        await db.run(self.hand.connection, "delete_handed_over", **here)


def _directory(found: asyncpg.Record) -> DirectoryRecord:
    return DirectoryRecord(
        last_revision=found["last_revision"],
        asked_revision=found["asked_revision"],
        in_force=found["revision_in_force"],
        pending=found["revision_pending"],
        settings=load_or_blank(found["settings"].encode())[0],
        has_password=found["password_sealed"] is not None,
        has_client_key=found["client_key_sealed"] is not None,
        paused=found["paused"],
    )


def _secrets(
    command: SaveDirectory, found: asyncpg.Record | None
) -> tuple[Secret | bytes | None, Secret | bytes | None]:
    """Return password and client key of a new revision: those given, or those that may be kept."""
    password: Secret | bytes | None = command.password
    client_key: Secret | bytes | None = command.client_key
    if found is None:
        return password, client_key
    known = _directory(found)
    if keeps_password(command, known):
        password = found["password_sealed"]
    if keeps_client_key(command, known):
        client_key = found["client_key_sealed"]
    return password, client_key
