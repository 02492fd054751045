"""Account safety: sign-ins recorded before they are made, counted per tenant and account over all hosts.

The decision itself is pure (``domain.sign_in``); here it is taken under one lock for all workers.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from worker.adapters.postgres import pool as db
from worker.domain.failures import Denied
from worker.domain.outcomes import RunStopped
from worker.domain.sign_in import (
    NEARBY,
    Account,
    Attempt,
    Sent,
    SignIn,
    Wait,
    may_be_same,
    may_sign_in,
)
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
    busy_tries: int = BUSY_TRIES
    """How often sign-ins under way elsewhere are looked at again, a tenth of a second apart."""

    def gate(self, sign_in: SignIn) -> Gate:
        """Return the gate of one sign-in."""
        return PostgresGate(self, sign_in)


class PostgresGate:
    """One sign-in: admitted and recorded, then settled."""

    def __init__(self, sign_ins: PostgresSignIns, sign_in: SignIn) -> None:
        self._sign_ins = sign_ins
        self._sign_in = sign_in
        self._sign_in_id: int | None = None

    async def admit(self) -> None:
        """Record the attempt.

        Raises Denied ``sign_in.known_refused``, ``sign_in.waiting`` or ``sign_in.under_way``, RunStopped when the
        tenant is gone.

        Sign-ins of the same account under way elsewhere are waited for, a bounded while.
        """
        answer = await self._ask()
        for _ in range(self._sign_ins.busy_tries):
            if answer is None or answer.code != "sign_in.under_way":
                break
            await asyncio.sleep(BUSY_PAUSE_S)
            answer = await self._ask()
        if answer is not None:
            raise Denied(answer.code, answer.detail, figure=answer.figure)

    async def _ask(self) -> Wait | None:
        asked, store = self._sign_in, self._sign_ins
        secret = asked.secret.reveal().encode() if asked.secret else b""
        fingerprints = store.vault.digests(secret)
        who = {"tenant": asked.tenant, "bind_name": asked.account.bind_name}
        now = await store.clock.now()
        async with db.transaction(store.pool) as connection:
            await db.run(connection, "lock_sign_ins", **who)
            known = await db.only(
                connection, "is_known_refused", fingerprints=list(fingerprints), **who
            )
            answer = may_sign_in(
                asked.trigger,
                await self._own(connection),
                others=await self._others(connection, now),
                is_known_refused=known["refused"],
                changed_at=asked.changed_at,
                now=now,
            )
            if answer is None:
                recorded = await db.row(
                    connection,
                    "record_sign_in",
                    fingerprint=fingerprints[0],
                    hosts=sorted(asked.account.hosts),
                    is_trial=asked.is_trial,
                    now=now,
                    **who,
                )
                if recorded is None:
                    raise RunStopped("deleted")
                self._sign_in_id = recorded["sign_in_id"]
        return answer

    async def _own(self, connection: db.Connection) -> list[Attempt]:
        """Return what became of the last sign-ins under this very name."""
        asked = self._sign_in
        name = asked.account.bind_name
        found = await db.rows(connection, "recent_sign_ins", tenant=asked.tenant, bind_name=name)
        return [
            Attempt(each["at"], Sent(each["outcome"]), name, each["is_trial"]) for each in found
        ]

    async def _others(self, connection: db.Connection, now: datetime) -> list[Attempt]:
        """Return the same of names that may stand for the same account."""
        asked = self._sign_in
        found = await db.rows(
            connection,
            "sign_ins_nearby",
            tenant=asked.tenant,
            bind_name=asked.account.bind_name,
            since=now - NEARBY,
        )
        return [
            Attempt(each["at"], Sent(each["outcome"]), each["bind_name"])
            for each in found
            if may_be_same(asked.account, Account(each["bind_name"], frozenset(each["hosts"])))
        ]

    async def settle(self, *, accepted: bool | None) -> None:
        """Record what the server said; None: it said nothing."""
        outcome = {True: Sent.ACCEPTED, False: Sent.REFUSED, None: Sent.BROKEN}[accepted]
        async with db.transaction(self._sign_ins.pool) as connection:
            await db.run(connection, "settle_sign_in", sign_in_id=self._sign_in_id, outcome=outcome)
