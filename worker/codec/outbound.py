"""Events to the bytes that are published: CloudEvents 1.0, structured JSON. Sends nothing, numbers nothing."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from worker.codec.envelope import TYPE_VERSION
from worker.domain.events import Event
from worker.domain.model import DirectoryId, Mode, TenantId, Trigger


CONTENT_TYPE = "application/cloudevents+json"
SOURCE = "rollcall"
SCHEDULER = "rollcall.scheduler"
"""The source of the commands that Rollcall sends to itself."""

_OPTIONS = orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class Stamp:
    """What sending adds to an event: its own id and time, and for a sequenced one its place in the tenant's order."""

    id: str
    time: datetime
    epoch: int | None = None
    sequence: int | None = None
    traceparent: str | None = None


class UnorderedError(ValueError):
    """A sequenced event without epoch and sequence, or the reverse: a receiver could not tell what it missed."""


def message_type(name: str) -> str:
    """Return the CloudEvents type of an event by its name."""
    return f"rollcall.{name}.v{TYPE_VERSION}"


def render_data(event: Event) -> bytes:
    """Return the JSON of an event's ``data``, without epoch and sequence: the form in which it can wait."""
    return orjson.dumps(dict(event.data), option=_OPTIONS)


def render(event: Event, stamp: Stamp) -> bytes:
    """Return the whole message. Raises UnorderedError if stamp and event disagree on being sequenced."""
    is_placed = stamp.epoch is not None and stamp.sequence is not None
    if event.sequenced != is_placed:
        raise UnorderedError(event.name)
    return render_raw(event.name, event.tenant, render_data(event), stamp)


def render_raw(name: str, tenant: TenantId | None, data_json: bytes, stamp: Stamp) -> bytes:
    """Put the JSON object of an event, rendered elsewhere, into its envelope; it is passed on as it is.

    An ``epoch`` and ``sequence`` in the stamp become its first members, so it must not hold them itself then.
    """
    envelope: dict[str, object] = {
        "specversion": "1.0",
        "id": stamp.id,
        "source": SOURCE,
        "type": message_type(name),
        "time": stamp.time,
        "datacontenttype": "application/json",
    }
    if tenant is not None:
        envelope["subject"] = tenant
    if stamp.traceparent is not None:
        envelope["traceparent"] = stamp.traceparent
    envelope["data"] = orjson.Fragment(_placed(data_json, stamp))
    return orjson.dumps(envelope, option=_OPTIONS)


def _placed(data_json: bytes, stamp: Stamp) -> bytes:
    if stamp.sequence is None:
        return data_json
    place = orjson.dumps({"epoch": stamp.epoch, "sequence": stamp.sequence})
    inner = data_json.strip()[1:]
    return place[:-1] + (b"" if inner.lstrip() == b"}" else b",") + inner


def render_request(tenant: TenantId, directory: DirectoryId, *, id: str, time: datetime) -> bytes:  # noqa: A002 - CloudEvents' word
    """Return a scheduled ``sync.request``, as any other scheduler would send it."""
    message = {
        "specversion": "1.0",
        "id": id,
        "source": SCHEDULER,
        "type": message_type("sync.request"),
        "subject": tenant,
        "time": time,
        "datacontenttype": "application/json",
        "data": {"directory": directory, "trigger": Trigger.SCHEDULED, "mode": Mode.APPLY},
    }
    return orjson.dumps(message, option=_OPTIONS)
