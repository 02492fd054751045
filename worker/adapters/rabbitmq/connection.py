"""Opens and closes one connection within deadlines, and says how long to wait before the next try.

Plain connections, opened again by whoever owns the loop, and not aio-pika's robust ones: those come
back silently (consumers are restored under a batch that is still in hand, old deliveries look alive),
wait in places that no deadline covers, and have no jitter (aio-pika issues 556, 636). Here one
connection is one scope: what was delivered in it can be acked in it, or comes again.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from worker.adapters.rabbitmq.topology import Broker
from worker.adapters.rabbitmq.translate import BAD_URL, translated
from worker.domain.failures import BrokerFailure


HEARTBEAT_S = 30
"""aiormq gives a silent peer up after three of them: a cut cable is noticed within 93 s."""

CLOSE_S = 5.0
"""A peer that is gone, frozen or blocked by an alarm must not hold a stop; closing is then left undone."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses with jitter, in seconds, so that many workers do not come back at one moment."""

    first_s: float = 0.2
    most_s: float = 15.0

    def pause_s(self, attempt: int) -> float:
        """Seconds to wait after failure number ``attempt`` (from 0): between half and all of the step."""
        step = min(self.most_s, self.first_s * 2.0 ** min(attempt, 16))
        return step * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


BACKOFF = Backoff()


@asynccontextmanager
async def connected(broker: Broker, *, name: str) -> AsyncIterator[AbstractConnection]:
    """Give an open connection, closed at the end. Raises BrokerFailure when it cannot be opened."""
    connection = await open_connection(broker, name=name)
    try:
        yield connection
    finally:
        await close_quietly(connection)


async def open_connection(broker: Broker, *, name: str) -> AbstractConnection:
    """Open a connection that shows as ``name`` on the broker. Raises BrokerFailure."""
    url = _url(broker.url)
    with translated(f"connect to {url.host}:{url.port or 'default port'}"):
        async with asyncio.timeout(broker.connect_s):
            return await aio_pika.connect(url, client_properties={"connection_name": name})


def is_open(connection: AbstractConnection) -> bool:
    """Whether it can still be used; asks the lower half, which knows at once, aio-pika some turns later."""
    transport = connection.transport
    return transport is not None and not transport.connection.is_closed


async def close_quietly(closable: AbstractConnection | AbstractChannel) -> None:
    """Close, within CLOSE_S; what cannot be closed any more is as good as closed."""
    with suppress(BrokerFailure), translated("close"):
        async with asyncio.timeout(CLOSE_S):
            await closable.close()


def _url(text: str) -> URL:
    """Read the URL. Raises BrokerFailure ``broker.bad_url`` that repeats no part of it.

    The cause is cut off on purpose: its text quotes what was wrong, which may be the password.
    """
    try:
        url = URL(text)
        _ = url.port
    except ValueError:
        raise BrokerFailure(BAD_URL) from None
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise BrokerFailure(BAD_URL)
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT_S)
