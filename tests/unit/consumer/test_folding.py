"""What a receiver of events knows, whatever the way does to them: the reference consumer's pure core."""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import given, settings, strategies as st

from tests.consumer.core import NOWHERE, Place, State, asked, fold, replayed, started, states
from tests.contract.examples import EXAMPLES


Event = Mapping[str, Any]
ADDRESSES = [f"{name}@example.com" for name in ("ada", "bob", "cem", "dee", "jörg")]
PER_PART = 2


@dataclass(slots=True)
class Teller:
    """One tenant as Rollcall tells of it: the list, every event, and what the list was after each."""

    epoch: int = 1
    sequence: int = 0
    listed: dict[str, str] = field(default_factory=dict)
    after: dict[Place, dict[str, str]] = field(default_factory=lambda: {NOWHERE: {}})

    def tell(self, name: str, **data: object) -> Event:
        """Tell one event that has a place."""
        self.sequence += 1
        self.after[Place(self.epoch, self.sequence)] = dict(self.listed)
        placed = {"epoch": self.epoch, "sequence": self.sequence, **data}
        return {"type": f"rollcall.{name}.v1", "data": placed}

    def change(self, address: str, state: str) -> Event:
        """Tell one change, and make it."""
        if state == "removed":
            self.listed.pop(address, None)
        else:
            self.listed[address] = state
        return self.tell("recipients.changed", changes=[facts(address, state)])

    def republish(self) -> list[Event]:
        """Tell the whole list in parts."""
        ordered = sorted(self.listed.items(), key=lambda each: each[0].encode())
        lines = "".join(f"{address} {state}\n" for address, state in ordered)
        pages = [ordered[at : at + PER_PART] for at in range(0, max(1, len(ordered)), PER_PART)]
        return [
            self.tell(
                "recipients.snapshot",
                part=number,
                parts=len(pages),
                count=len(ordered),
                checksum="sha256:" + hashlib.sha256(lines.encode()).hexdigest(),
                recipients=[facts(address, state) for address, state in page],
            )
            for number, page in enumerate(pages, start=1)
        ]

    def restored(self, listed: dict[str, str]) -> list[Event]:
        """Go back to an older list, under an epoch of its own."""
        self.epoch, self.sequence, self.listed = self.epoch + 1000, 0, dict(listed)
        return self.republish()

    def made_anew(self) -> list[Event]:
        """Delete the tenant and make it again."""
        self.listed = {}
        deleted = self.tell("tenant.deleted")
        self.epoch, self.sequence = self.epoch + 1, 0
        return [deleted, self.tell("tenant.saved"), *self.republish()]


def facts(address: str, state: str) -> dict[str, object]:
    """One address as events have it."""
    return {
        "address": address,
        "state": state,
        "grace_until": None,
        "kind": "mailbox",
        "primary": True,
    }


def broken(event: Event) -> Event:
    """A part that has lost its recipients."""
    return {**event, "data": {**event["data"], "recipients": []}}


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"),
            st.sampled_from(ADDRESSES),
            st.sampled_from(("valid", "grace", "removed")),
        ),
        st.tuples(st.sampled_from(("sync", "republish", "restored", "made_anew"))),
    ),
    max_size=40,
)


def happen(teller: Teller, happening: tuple[str, ...], older: dict[str, str]) -> list[Event]:
    """Let one thing happen to the tenant."""
    match happening:
        case ("change", address, state):
            return [teller.change(address, state)]
        case ("republish",):
            return teller.republish()
        case ("restored",):
            return teller.restored(older)
        case ("made_anew",):
            return teller.made_anew()
        case _:
            return [teller.tell("sync.completed")]


@dataclass(slots=True)
class Way:
    """What lies between: events get lost, come again, come late, come broken; the receiver restarts."""

    chance: random.Random
    trouble: float
    late: list[Event] = field(default_factory=list)

    def carried(self, event: Event) -> Iterator[Event]:
        """Give what arrives when this is sent."""
        while self.late and self.chance.random() < 0.5:
            yield self.late.pop(self.chance.randrange(len(self.late)))
        fate = self.chance.random() / self.trouble if self.trouble else 1.0
        if fate < 0.2:
            return  # lost
        if fate < 0.4:
            self.late.append(event)  # comes after others, if at all
            return
        if fate < 0.6:
            self.late.append(event)  # comes again
        is_part = event["type"] == "rollcall.recipients.snapshot.v1"
        yield broken(event) if is_part and 0.6 <= fate < 0.7 else event


@dataclass(slots=True)
class Receiver:
    """The receiver under test at the end of the way, held at every event to what it says of itself."""

    teller: Teller
    way: Way
    state: State = field(default_factory=State)

    def send(self, events: Iterable[Event]) -> None:
        """Let these go the way, and take what arrives."""
        for event in events:
            for arrived in self.way.carried(event):
                self.take(arrived)

    def take(self, event: Event) -> None:
        """Fold one event."""
        before, self.state = self.state, fold(self.state, event)
        assert states(self.state.recipients) == self.teller.after[self.state.place]
        assert self.state.place >= before.place
        assert self.state.heard >= before.heard
        assert self.state.asks or self.state.is_in_step or not before.is_in_step

    def restart(self) -> None:
        """Keep what a receiver keeps on disk."""
        self.state = started(State(self.state.recipients, self.state.place, self.state.heard))

    def end(self) -> None:
        """What was late arrives, one more event shows what was lost, and a question is answered."""
        for event in [*self.way.late, self.teller.tell("sync.completed")]:
            self.take(event)
        self.state = started(self.state)  # the last question may have been lost, or its answer
        if self.state.asks:
            self.state = asked(self.state)
            for event in self.teller.republish():
                self.take(event)


@settings(max_examples=200, deadline=None)
@given(HAPPENINGS, st.randoms(use_true_random=False), st.sampled_from((0.0, 0.3, 1.0)))
def test_whatever_happens_on_the_way_a_receiver_ends_equal(
    happenings: list[tuple[str, ...]], chance: random.Random, trouble: float
) -> None:
    """Repeats, losses, late and broken messages, restores: once the way is good again the list is the tenant's."""
    teller = Teller()
    receiver, older = Receiver(teller, Way(chance, trouble)), dict[str, str]()
    for happening in happenings:
        receiver.send(happen(teller, happening, older))
        older = dict(teller.listed) if chance.random() < 0.2 else older
        if receiver.state.asks and chance.random() < 0.5:
            receiver.state = asked(receiver.state)
            receiver.send(teller.republish())
        if chance.random() < 0.1:
            receiver.restart()

    receiver.end()

    assert states(receiver.state.recipients) == teller.listed
    assert receiver.state.is_in_step
    assert not receiver.state.asks


def bootstrapped(teller: Teller) -> State:
    """A receiver in step."""
    state = State()
    for event in teller.republish():
        state = fold(asked(state), event)
    assert state.is_in_step
    return state


def test_a_receiver_begins_by_asking() -> None:
    """It knows nothing, and changes alone never tell it who was there before."""
    assert State().asks
    assert not State().is_in_step


def test_the_example_of_the_contract_is_a_whole_list() -> None:
    """The checksum is the one that the contract describes, written a second time."""
    event = orjson.loads((EXAMPLES / "valid" / "recipients.snapshot.json").read_bytes())

    state = fold(State(), event)

    assert states(state.recipients) == {"al@example.com": "valid", "jo@example.com": "grace"}
    assert state.is_in_step
    assert not state.asks


def test_a_gap_is_asked_about_once_and_the_old_list_served_meanwhile() -> None:
    """A receiver that asks at every event asks a thousand times while the answer is on its way."""
    teller = Teller()
    teller.change("ada@example.com", "valid")
    state = bootstrapped(teller)
    teller.change("bob@example.com", "valid")  # never arrives

    first = fold(state, teller.tell("sync.completed"))
    second = fold(asked(first), teller.change("cem@example.com", "valid"))

    assert first.asks
    assert not second.asks
    assert states(second.recipients) == {"ada@example.com": "valid"}


def test_a_broken_snapshot_is_dropped_and_asked_for_again() -> None:
    """Half a list taken for a whole one would refuse the other half's mail."""
    teller = Teller()
    for address in ADDRESSES:
        teller.change(address, "valid")
    first, second, third = teller.republish()

    state = asked(State())
    for event in (first, broken(second), third):
        state = fold(state, event)

    assert state.recipients == {}
    assert state.asks
    for event in teller.republish():
        state = fold(state, event)
    assert states(state.recipients) == teller.listed


def test_a_snapshot_that_lost_a_part_is_asked_for_again_by_what_follows() -> None:
    """Whoever waits for a part that never comes waits for ever."""
    teller = Teller()
    for address in ADDRESSES:
        teller.change(address, "valid")
    first, _, third = teller.republish()
    state = fold(fold(asked(State()), first), third)
    assert not state.asks

    state = fold(state, teller.tell("sync.completed"))

    assert state.asks


def test_a_snapshot_that_comes_late_is_no_answer_to_what_came_before_it() -> None:
    """What was passed over while its parts were awaited is in no list."""
    teller = Teller()
    for address in ADDRESSES:
        teller.change(address, "valid")
    first, second, third = teller.republish()
    state = replayed([first, third, teller.change("eve@example.com", "valid")])

    for event in (first, second, third):
        state = fold(asked(state), event)

    assert states(state.recipients) == dict.fromkeys(ADDRESSES, "valid")
    assert not state.is_in_step
    assert state.asks


def test_parts_may_come_in_any_order_and_repeat() -> None:
    """A redelivered part comes after later ones."""
    teller = Teller()
    for address in ADDRESSES:
        teller.change(address, "grace")
    first, second, third = teller.republish()

    state = replayed([third, first, first, third, second, second])

    assert states(state.recipients) == teller.listed
    assert state.is_in_step


def test_an_older_epoch_is_never_gone_back_to() -> None:
    """What was on its way before the restore arrives after it."""
    teller = Teller()
    late = teller.change("ada@example.com", "valid")
    old_list = teller.republish()
    state = replayed(teller.restored({"bob@example.com": "valid"}))

    for event in (late, *old_list):
        state = fold(state, event)

    assert states(state.recipients) == {"bob@example.com": "valid"}


def test_a_new_epoch_without_a_snapshot_is_asked_about() -> None:
    """Its sequence begins again: nothing of it follows on what was seen."""
    teller = Teller()
    teller.change("ada@example.com", "valid")
    state = bootstrapped(teller)
    teller.restored({})  # its snapshot is lost

    state = fold(state, teller.change("bob@example.com", "valid"))

    assert state.asks
    assert states(state.recipients) == {"ada@example.com": "valid"}


def test_a_tenant_that_is_deleted_has_no_list() -> None:
    """Its addresses are nobody's."""
    teller = Teller()
    teller.change("ada@example.com", "valid")
    state = bootstrapped(teller)

    assert fold(state, teller.tell("tenant.deleted")).recipients == {}
