"""What a sender hears when the database does not answer: come again later, and never that nobody is here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.integration.postfix.conftest import Lookup, postfix_at
from tests.integration.postfix.door import Door
from tests.integration.postfix.passage import Passage
from tests.integration.postfix.test_answers import ACCEPTED, JO, founded
from tests.integration.postgres.house import House
from tests.servers.daemon import wait_until
from tests.servers.postfix import Postfix


pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
ASKED = [JO, "nobody@example.com"]
WITHIN_S = 15
IMPATIENT = {
    "connect_timeout=5": "connect_timeout=2",
    "statement_timeout%3D5s": "statement_timeout%3D1s",
    "rollcall_patience = 30s": "rollcall_patience = 6s",
}
"""The example's waits, cut short."""


@dataclass(frozen=True, slots=True)
class Far:
    """A Postfix whose way to the database can be cut."""

    postfix: Postfix
    passage: Passage

    @property
    def door(self) -> Door:
        """Its SMTP side."""
        return Door(self.postfix.port)

    async def forgets(self) -> None:
        """Wait until Postfix has let go of what it knows of the database, as it does when it is quiet."""
        assert await asyncio.to_thread(
            wait_until, lambda: not self.postfix.parts("proxymap"), within_s=WITHIN_S
        )

    async def logs(self, words: str) -> bool:
        """Whether Postfix writes this to its log."""
        return await asyncio.to_thread(self.postfix.logs, words)


@pytest.fixture
async def far(lookup: Lookup, house: House) -> AsyncIterator[Far]:
    """Give one that knows jo, and nobody else, and has looked jo up."""
    await founded(house)
    async with far_from(lookup) as opened:
        assert (await opened.door.ask(JO)).code == ACCEPTED
        yield opened


@asynccontextmanager
async def far_from(lookup: Lookup, password: str | None = None) -> AsyncIterator[Far]:
    """A passage, and a Postfix behind it."""
    async with Passage.open_to(lookup.port) as passage:
        with postfix_at(lookup, port=passage.port, password=password, also=IMPATIENT) as postfix:
            yield Far(postfix, passage)


async def test_a_database_that_is_down_puts_mail_off(far: Far, lookup: Lookup) -> None:
    """Who is valid must not be refused, and who is not must wait; the password stays out of the log."""
    await far.passage.close()

    answers = await far.door.ask_all(ASKED)

    assert [each.code for each in answers] == [451, 451]
    assert await far.logs("Connection refused")
    assert lookup.password not in far.postfix.log


async def test_all_is_well_again_when_the_database_is(far: Far) -> None:
    """Nobody has to do anything about Postfix."""
    await far.passage.close()
    assert (await far.door.ask(JO)).code == 451
    await far.passage.open()
    await far.forgets()

    answers = await far.door.ask_all(ASKED)

    assert [each.code for each in answers] == [ACCEPTED, 550]


async def test_a_database_that_hangs_puts_mail_off_in_time(far: Far) -> None:
    """A sender waits for minutes and no longer, and Postfix has only so many ears."""
    far.passage.block()

    async with asyncio.timeout(WITHIN_S):
        answer = await far.door.ask(JO)

    assert answer.code == 451
    assert await far.logs("watchdog timeout")


async def test_a_list_that_is_locked_puts_mail_off_in_time(far: Far, house: House) -> None:
    """As during a migration: whose domain it is can still be read, who is there can not."""
    async with house.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE rollcall.holding IN ACCESS EXCLUSIVE MODE")

        async with asyncio.timeout(WITHIN_S):
            answers = await far.door.ask_all(ASKED)

    assert [each.code for each in answers] == [451, 451]
    assert await far.logs("statement timeout")


async def test_a_connection_that_broke_costs_nobody_anything(far: Far) -> None:
    """After a restart of the database the next sender is served, not put off for a minute."""
    await far.passage.cut()

    answers = await far.door.ask_all(ASKED)

    assert [each.code for each in answers] == [ACCEPTED, 550]


async def test_a_login_that_is_refused_puts_mail_off(house: House, lookup: Lookup) -> None:
    """A password changed on one side only is no reason to bounce everybody's mail."""
    await founded(house)

    async with far_from(lookup, password="not-the-password") as far:
        answers = await far.door.ask_all(ASKED)

    assert [each.code for each in answers] == [451, 451]


async def test_a_right_that_is_missing_puts_mail_off(
    far: Far, house: House, lookup: Lookup
) -> None:
    """An error of the database is no answer."""
    await house.pool.execute(
        "REVOKE EXECUTE ON FUNCTION api.lookup(text) FROM rollcall_read, PUBLIC"
    )
    try:
        answers = await far.door.ask_all(ASKED)
    finally:
        await house.pool.execute("GRANT EXECUTE ON FUNCTION api.lookup(text) TO rollcall_read")

    assert [each.code for each in answers] == [451, 451]


async def test_a_recipient_costs_one_query(far: Far) -> None:
    """And one for its domain: at the speed of SMTP nothing is asked in vain."""
    far.passage.asked.clear()

    await far.door.ask_all(["bo@example.com", "nobody@example.com", "jo+news@example.com"])

    assert far.passage.count(b"SELECT CASE") == 3
    assert far.passage.count(b"'postmaster@' || convert_from(convert_to('example.com'") == 3
