"""Turns what aio-pika and its lower half raise into BrokerFailure, once, by type and never by text."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed
from pamqp.exceptions import PAMQPException

from worker.domain.failures import BrokerFailure


BAD_URL = "broker.bad_url"
UNREACHABLE = "broker.unreachable"
SIGN_IN_REFUSED = "broker.sign_in_refused"
LOST = "broker.lost"
TIMED_OUT = "broker.timed_out"
REFUSED = "broker.refused"  # a negative confirm
DIFFERS = "broker.differs"  # 406
NOT_FOUND = "broker.not_found"  # 404
NO_RIGHT = "broker.no_right"  # 403, 530

TRANSLATION: tuple[tuple[type[BaseException], str], ...] = (  # most special class first
    (ChannelPreconditionFailed, DIFFERS),
    (ChannelNotFoundEntity, NOT_FOUND),
    (ChannelAccessRefused, NO_RIGHT),
    (ConnectionNotAllowed, NO_RIGHT),  # 530: no such virtual host, or not for this user
    (AuthenticationError, SIGN_IN_REFUSED),
    (ProbableAuthenticationError, SIGN_IN_REFUSED),
    (DeliveryError, REFUSED),
    (ConnectionClosed, LOST),
    (AMQPConnectionError, UNREACHABLE),
    (AMQPError, LOST),
    (TimeoutError, TIMED_OUT),
    (OSError, UNREACHABLE),
    (PAMQPException, LOST),
    # aiormq says "closed" with a bare RuntimeError (its ChannelInvalidStateError is one as well),
    # and its frame reader ends a dead stream with StopAsyncIteration.
    (RuntimeError, LOST),
    (StopAsyncIteration, LOST),
)

LIBRARY_ERRORS = tuple(error for error, _ in TRANSLATION)


def broker_failure(error: BaseException, *, step: str) -> BrokerFailure:
    """Give the failure that stands for a library's error; ``step`` says what was being done."""
    code = next(code for kind, code in TRANSLATION if isinstance(error, kind))
    return BrokerFailure(code, f"{step}: {type(error).__name__}: {error}")


def is_unreadable(error: BaseException | None) -> bool:
    """Whether a connection ended because the library choked on what it read, not by a fault of the line.

    A sender's property can do that: a timestamp in nanoseconds, a correlation id that is not UTF-8.
    pamqp 4.0 decodes properties with the frame, so it is the whole connection that ends.
    """
    return isinstance(error, InvalidFrameError)


@contextmanager
def translated(step: str) -> Iterator[None]:
    """Raise BrokerFailure in place of any library error; put deadlines inside, not around.

    A connection that dies of missed heartbeats ends its waiters with CancelledError, although nobody
    cancelled them (aiormq 7.2 rejects its futures with it). Passed on, it would end the task that
    waits as if it had been asked to stop, without a word; so it is told apart here.
    """
    try:
        yield
    except asyncio.CancelledError as ended:
        if _is_cancelled():
            raise
        raise BrokerFailure(LOST, f"{step}: the connection stopped answering") from ended
    except LIBRARY_ERRORS as error:
        raise broker_failure(error, step=step) from error
    except Exception as error:
        # aiormq 7.2 rejects what waits with a bare Exception when a connection ends without a reason
        if type(error) is not Exception:
            raise
        raise BrokerFailure(LOST, f"{step}: the connection ended") from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
