"""What the broker's library may raise is one tree of ours; what is a bug stays one."""

import asyncio

import aio_pika
import pytest

from worker.adapters.rabbitmq.translate import translated
from worker.domain.failures import BrokerFailure


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (aio_pika.exceptions.AMQPConnectionError("gone"), "broker.unreachable"),
        (ConnectionResetError("reset"), "broker.unreachable"),
        (TimeoutError(), "broker.timed_out"),
        (RuntimeError("closed"), "broker.lost"),
        (Exception(), "broker.lost"),
        (asyncio.CancelledError(), "broker.lost"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
async def test_a_connection_that_ends_is_a_failure_with_a_code(
    error: BaseException, code: str
) -> None:
    """Also where the library ends a wait with an error that says nothing, or as if we had been cancelled."""
    with pytest.raises(BrokerFailure) as raised, translated("ack"):
        raise error

    assert raised.value.code == code
    assert raised.value.__cause__ is error


async def test_a_bug_is_not_taken_for_a_broker_that_is_away() -> None:
    """No waiting would mend it."""
    with pytest.raises(KeyError), translated("ack"):
        raise KeyError
