"""One delivery to one durable intent, or parked with a reason. Touches no directory, acks nothing."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from worker.codec import checks
from worker.codec.inbound import decode
from worker.codec.mistakes import FormError, mistake
from worker.domain.commands import (
    CheckDirectory,
    Command,
    FieldError,
    Form,
    Received,
    Refused,
    SaveDirectory,
    Sealed,
)
from worker.domain.failures import RequestFailure
from worker.domain.model import Secret
from worker.flows.bell import Bell
from worker.ports.broker import Delivery
from worker.ports.desk import Intake
from worker.ports.telemetry import Telemetry
from worker.ports.vault import Vault


LARGE_BYTES = 16 * 1024
"""A list of thousands of addresses takes long enough to check (0.03 to 0.3 ms each) that the loop must turn meanwhile."""


OTHER_KEY = "Fetch the worker's public key again and seal with that: this was sealed for a key it does not have."

Entered = TypeVar("Entered", SaveDirectory, Form)


@dataclass(frozen=True, slots=True)
class Accept:
    """The Accept port: decode, seal, store the batch in one commit."""

    intake: Intake
    vault: Vault
    telemetry: Telemetry
    carry_bell: Bell
    reply_prefixes: tuple[str, ...]

    async def __call__(self, batch: Sequence[Delivery]) -> None:
        """Make the batch durable. Raises StoreFailure: then nothing of it may be acked."""
        read = [await self._read(delivery) for delivery in batch]
        await self.intake.store(read)
        for item in read:
            if isinstance(item, Refused):
                self.telemetry.count("commands_parked", code=item.errors[0].code)
            else:
                self.telemetry.count("commands", name=item.envelope.name)
        self.carry_bell.ring()

    async def _read(self, delivery: Delivery) -> Received | Refused:
        if len(delivery.body) > LARGE_BYTES:
            return await asyncio.to_thread(self._decoded, delivery)
        return self._decoded(delivery)

    def _decoded(self, delivery: Delivery) -> Received | Refused:
        read = decode(
            delivery.body,
            reply_to=delivery.reply_to,
            correlation_id=delivery.correlation_id,
            traceparent=delivery.traceparent,
            reply_prefixes=self.reply_prefixes,
        )
        if isinstance(read, Refused):
            return read
        wrong = tuple(self._wrongly_sealed(read.command))
        return _refused(read, wrong, body=delivery.body) if wrong else self.sealed(read)

    def _wrongly_sealed(self, command: Command) -> Iterator[FieldError]:
        """Find what was sealed for another key, or is no better for being sealed; this worker's keys tell.

        Each worker holds every key before anybody seals for it (the runbook's "Keys"), so that one that none of ours
        opens would fail each run.
        """
        form = command.form if isinstance(command, CheckDirectory) else command
        if not isinstance(form, SaveDirectory | Form):
            return
        inside = "form." if isinstance(command, CheckDirectory) else ""
        for field, secret, check in (
            ("password_sealed", form.password, checks.password),
            ("client_key_sealed", form.client_key, checks.private_key),
        ):
            if secret is not None and not isinstance(secret, Secret):
                yield from self._faults(f"{inside}{field}", secret, check)

    def _faults(
        self, field: str, secret: Sealed, check: Callable[[object], Secret]
    ) -> Iterator[FieldError]:
        try:
            check(self.vault.unseal(secret).reveal())
        except RequestFailure:
            yield FieldError(field, "secret.other_key", OTHER_KEY)
        except FormError as wrong:
            yield mistake(field, wrong.code)

    def sealed(self, received: Received) -> Received:
        """Return the command as it may be stored: its secrets in sealed boxes."""
        command = received.command
        if isinstance(command, SaveDirectory):
            return replace(received, command=self._shut(command))
        if isinstance(command, CheckDirectory) and command.form is not None:
            return replace(received, command=replace(command, form=self._shut(command.form)))
        return received

    def _shut(self, form: Entered) -> Entered:
        return replace(
            form, password=self._seal(form.password), client_key=self._seal(form.client_key)
        )

    def _seal(self, secret: Secret | Sealed | None) -> Sealed | None:
        return self.vault.seal(secret) if isinstance(secret, Secret) else secret


def _refused(read: Received, errors: tuple[FieldError, ...], *, body: bytes) -> Refused:
    told = read.envelope
    return Refused(
        errors=errors,
        size=len(body),
        body=body,
        source=told.source,
        id=told.id,
        tenant=told.tenant,
        name=told.name,
        reply_to=told.reply_to,
        correlation_id=told.correlation_id,
    )
