"""How one tenant's events become its list of recipients. Pure: it neither talks to a broker nor keeps anything.

The reference for whoever follows ``recipients.changed``; made to be copied, so it imports nothing of Rollcall. Every event of
a tenant with an ``epoch`` and a ``sequence`` is folded into the state, whatever its name, since any of them fills a
place in the order. What may happen on the way, and what becomes of it:

===============================  =====================================================================
an event that was seen           nothing, however often it comes
an event out of its turn         the list stays as it is, and a republish is asked for
a new epoch                      the same: the list of the epoch before is served until a snapshot is whole
a snapshot's part                kept until all are there; count and checksum are checked; then they are the list
a snapshot that is not whole     dropped, and a republish is asked for
``tenant.deleted``               the list is empty
===============================  =====================================================================
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A place in a tenant's order; greater is later."""

    epoch: int
    sequence: int


class Recipient(NamedTuple):
    """What is known of an address that is in the list."""

    state: str
    """valid or grace."""
    grace_until: str | None
    kind: str | None
    primary: bool


Recipients = Mapping[str, Recipient]

NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole list on its way: parts 1 to ``parts``, one after another in the sequence."""

    first: Place
    parts: int
    count: int
    checksum: str
    seen: Mapping[int, Recipients] = field(default_factory=dict)

    @classmethod
    def begun_by(cls, place: Place, data: Mapping[str, Any]) -> "Snapshot":
        """Return the snapshot that a part belongs to, with none of its parts."""
        first = Place(place.epoch, place.sequence - data["part"] + 1)
        return cls(first, data["parts"], data["count"], data["checksum"])

    @property
    def last(self) -> Place:
        """Where its last part stands."""
        return Place(self.first.epoch, self.first.sequence + self.parts - 1)

    @property
    def is_whole(self) -> bool:
        """Whether every part has come."""
        return len(self.seen) == self.parts

    def recipients(self) -> dict[str, Recipient] | None:
        """Return the list, or None if it is not what was sent."""
        told = [each for part in sorted(self.seen) for each in self.seen[part].items()]
        listed = dict(told)
        is_sound = self.count == len(listed) and self.checksum == checksum(listed)
        return listed if is_sound else None


@dataclass(frozen=True, slots=True)
class State:
    """The list that is served, and how it stands in the order of events."""

    recipients: Recipients = field(default_factory=dict)
    place: Place = NOWHERE
    """Of the last event that is in the list."""
    heard: Place = NOWHERE
    """Of the latest event that came; later than ``place`` while events in between are missing."""
    snapshot: Snapshot | None = None
    asks: bool = True
    """A republish is wanted and has not been asked for yet."""

    @property
    def is_in_step(self) -> bool:
        """Whether the list is what the latest event left."""
        return self.place == self.heard != NOWHERE


def checksum(recipients: Recipients) -> str:
    """Return the sum that a snapshot of this list carries."""
    ordered = sorted(recipients, key=str.encode)
    lines = "".join(f"{address} {recipients[address].state}\n" for address in ordered)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def asked(state: State) -> State:
    """Return the state once a republish was asked for."""
    return replace(state, asks=False)


def started(state: State) -> State:
    """Return a state that was kept over a restart or a lost connection: what was asked for then may never have gone out."""
    return replace(state, asks=not state.is_in_step)


def fold(state: State, event: Mapping[str, Any]) -> State:
    """Return the state after one event (a CloudEvent as a dict)."""
    data = event["data"]
    if data.get("sequence") is None:
        return state  # outside the order
    place = Place(data["epoch"], data["sequence"])
    if place <= state.place:
        return state  # seen
    is_next = place == Place(state.place.epoch, state.place.sequence + 1)
    was_in_step = state.is_in_step
    state = replace(state, heard=max(place, state.heard))
    if is_next:
        state = replace(state, place=place, recipients=_changed(state.recipients, event))
    state = _collected(state, place, event)
    return replace(state, asks=state.asks or (was_in_step and not state.is_in_step))


def _changed(recipients: Recipients, event: Mapping[str, Any]) -> Recipients:
    """Return the list after the event whose turn it is."""
    if event["type"] == "rollcall.tenant.deleted.v1":
        return {}
    if event["type"] != "rollcall.recipients.changed.v1":
        return recipients
    changed = dict(recipients)
    for change in event["data"]["changes"]:
        if change["state"] == "removed":
            changed.pop(change["address"], None)
        else:
            changed[change["address"]] = _recipient(change)
    return changed


def _collected(state: State, place: Place, event: Mapping[str, Any]) -> State:
    """Take a snapshot's part; or note that what a snapshot still lacks has been passed over."""
    if event["type"] != "rollcall.recipients.snapshot.v1":
        is_passed = state.snapshot is not None and place > state.snapshot.last
        return _without(state) if is_passed else state
    data = event["data"]
    begun = Snapshot.begun_by(place, data)
    if state.snapshot is not None and state.snapshot.first >= begun.first:
        begun = state.snapshot
    if place > begun.last or place < begun.first:
        return state  # of one before it
    part = {each["address"]: _recipient(each) for each in data["recipients"]}
    begun = replace(begun, seen={**begun.seen, data["part"]: part})
    state = replace(state, snapshot=begun)
    return _swapped(state, begun) if begun.is_whole else state


def _swapped(state: State, whole: Snapshot) -> State:
    """Serve a snapshot that is sound from now on; drop one that is not."""
    recipients = whole.recipients()
    if recipients is None:
        return replace(state, snapshot=None, asks=True)
    state = replace(state, snapshot=None, recipients=recipients, place=whole.last, asks=False)
    return replace(state, asks=not state.is_in_step)


def _without(state: State) -> State:
    return replace(state, snapshot=None, asks=state.asks or not state.is_in_step)


def _recipient(told: Mapping[str, Any]) -> Recipient:
    return Recipient(told["state"], told["grace_until"], told["kind"], told["primary"])


def states(recipients: Recipients) -> dict[str, str]:
    """Return addresses with their states, as ``api.recipient`` has them."""
    return {address: known.state for address, known in recipients.items()}


def replayed(events: Iterable[Mapping[str, Any]]) -> State:
    """Return what a receiver knows that starts with nothing and takes these."""
    state = State()
    for event in events:
        state = fold(state, event)
    return state
