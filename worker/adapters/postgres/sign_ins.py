"""Account safety: sign-ins recorded before they are made, counted per tenant and bind name over all hosts.

The decision itself is pure (``domain.sign_in``); here it is taken under one lock for all workers.
"""

import asyncio
from dataclasses import dataclass

from worker.adapters.postgres import pool as db
from worker.domain.failures import Denied
from worker.domain.model import ClaimedRun
from worker.domain.outcomes import RunStopped
from worker.domain.sign_in import Attempt, Sent, Wait, may_sign_in
from worker.ports.directory import Gate
from worker.ports.vault import Clock, Vault


BUSY_PAUSE_S = 0.1
BUSY_TRIES = 100


@dataclass(frozen=True, slots=True)
class PostgresSignIns:
    """The SignIns port over Postgres."""

    pool: db.Pool
    clock: Clock
    vault: Vault

    def gate(self, run: ClaimedRun) -> Gate:
        """Return the gate of one run's sign-in."""
        return PostgresGate(self, run)


class PostgresGate:
    """One sign-in: admitted and recorded, then settled."""

    def __init__(self, sign_ins: PostgresSignIns, run: ClaimedRun) -> None:
        self._sign_ins = sign_ins
        self._run = run
        self._sign_in_id: int | None = None

    async def admit(self) -> None:
        """Record the attempt.

        Raises Denied ``sign_in.known_refused``, ``sign_in.waiting`` or ``sign_in.busy``, RunStopped when the tenant
        is gone.

        Sign-ins of the same account under way elsewhere are waited for, a bounded while.
        """
        answer = await self._ask()
        for _ in range(BUSY_TRIES):
            if answer is None or answer.code != "sign_in.busy":
                break
            await asyncio.sleep(BUSY_PAUSE_S)
            answer = await self._ask()
        if answer is not None:
            raise Denied(answer.code, answer.detail)

    async def _ask(self) -> Wait | None:
        run, store = self._run, self._sign_ins
        secret = run.credentials.password or run.credentials.client_key
        fingerprints = store.vault.digests(secret.reveal().encode() if secret else b"")
        # one account however it is typed: no directory minds the case
        who = {"tenant": run.lease.tenant, "bind_name": run.settings.bind_name.lower()}
        now = await store.clock.now()
        async with db.transaction(store.pool) as connection:
            await db.run(connection, "lock_sign_ins", **who)
            known = await db.only(
                connection, "is_known_refused", fingerprints=list(fingerprints), **who
            )
            recent = await db.rows(connection, "recent_sign_ins", **who)
            answer = may_sign_in(
                run.trigger,
                [Attempt(record["at"], Sent(record["outcome"])) for record in recent],
                is_known_refused=known["refused"],
                changed_at=run.saved_at,
                now=now,
            )
            if answer is None:
                recorded = await db.row(
                    connection, "record_sign_in", fingerprint=fingerprints[0], now=now, **who
                )
                if recorded is None:
                    raise RunStopped("deleted")
                self._sign_in_id = recorded["sign_in_id"]
        return answer

    async def settle(self, *, accepted: bool | None) -> None:
        """Record what the server said; None: it said nothing."""
        outcome = {True: Sent.ACCEPTED, False: Sent.REFUSED, None: Sent.BROKEN}[accepted]
        async with db.transaction(self._sign_ins.pool) as connection:
            await db.run(connection, "settle_sign_in", sign_in_id=self._sign_in_id, outcome=outcome)
