"""One history of one tenant: each act is done to the store and told to the truth, and then both are compared."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest

from tests.integration.postgres.house import HQ, TENANT, House, settings
from tests.model.truth import LoginsHeld, Reading, Recorded, Truth, replayed
from tests.model.watch import Keeper, Receiver, Seen, held_logins, look, sound
from tests.model.world import ADDRESSES, CROWD, DOMAIN, SPARE, Shelf
from worker.domain.commands import DeleteDirectory, RepublishRecipients
from worker.domain.events import HoldRef
from worker.domain.failures import LeaseLost, Superseded
from worker.domain.findings import finding
from worker.domain.guard import judge
from worker.domain.model import (
    ClaimedRun,
    DirectoryId,
    Logins,
    Mode,
    RemovalPolicy,
    Removals,
    RunId,
    Tier,
)
from worker.domain.outcomes import Failed, Held, Outcome, Previewed, RunStopped, Skipped
from worker.ports.runs import Snapshot


LAB = "lab"
DIRECTORIES = (HQ, LAB)
TICK = timedelta(seconds=1)
WATCHED = (*ADDRESSES, CROWD[0], CROWD[-1])
NUMBER = """
SELECT directory_id FROM rollcall.directory i JOIN rollcall.tenant t USING (tenant_id)
WHERE t.tenant = $1 AND i.directory = $2 AND i.deleted_at IS NULL
"""
LAPSE = "UPDATE rollcall.lease SET expires_at = '-infinity' WHERE run_id = $1"


class Killed(Exception):  # noqa: N818 - what happens to the worker, not what is wrong
    """The worker dies in the middle of its final transaction."""


@dataclass(slots=True)
class Directory:
    """What is known of a directory that was saved: its number, its forms, what is shown there."""

    number: int
    shelf: Shelf
    revision: int = 0
    in_force: tuple[int, Removals] | None = None
    pending: tuple[int, Removals] | None = None
    asks_logins: bool = False

    def save(self, removals: Removals, *, sync: bool) -> None:
        """A new revision, pending if it is to be synced first."""
        self.revision += 1
        saved = (self.revision, removals)
        self.in_force, self.pending = (self.in_force, saved) if sync else (saved, None)

    def prove(self, revision: int) -> None:
        """A complete run brings a pending revision into force."""
        if self.pending and self.pending[0] == revision:
            self.in_force, self.pending = self.pending, None

    @property
    def revisions(self) -> set[int]:
        """Those that a run may have."""
        return {each[0] for each in (self.in_force, self.pending) if each}

    @property
    def newest(self) -> Removals:
        """The settings saved last."""
        _, removals = self.pending or self.in_force or (0, Removals())
        return removals

    @property
    def applying(self) -> Removals:
        """The settings that count."""
        _, removals = self.in_force or self.pending or (0, Removals())
        return removals


@dataclass(frozen=True, slots=True)
class Reader:
    """A run under way: it has read, and not yet recorded."""

    run: ClaimedRun
    snapshot: Snapshot
    shown: frozenset[str]
    directory: Directory
    domain_revision: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that can be asked to be undone."""

    run: RunId
    directory: Directory
    did: Recorded | None
    """None: it changed nothing."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A hold as a person saw it."""

    ref: HoldRef
    addresses: frozenset[str]


@dataclass
class Story:
    """The store, the truth, and what was told so far."""

    house: House
    truth: Truth = field(default_factory=lambda: Truth({DOMAIN, SPARE}))
    directories: dict[str, Directory] = field(default_factory=dict)
    shelves: dict[str, Shelf] = field(default_factory=lambda: {HQ: Shelf.busy(HQ), LAB: Shelf(LAB)})
    readers: dict[int, Reader] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    undone: set[RunId] = field(default_factory=set)
    domain_revision: int = 1
    receiver: Receiver = field(default_factory=Receiver)
    keeper: Keeper = field(default_factory=Keeper)
    tier: Tier = Tier.ENTERPRISE
    sights: dict[str, Sight] = field(default_factory=dict)
    """The hold that a person saw last, by directory."""
    discarded: set[HoldRef] = field(default_factory=set)
    before: dict[str, str] = field(default_factory=dict)
    """The list as it was seen last."""
    bystander: dict[str, str] = field(default_factory=dict)
    recorded: list[tuple[str, str]] = field(default_factory=list)
    """The whole history."""
    looked_at: datetime | None = None
    lines: list[str] = field(default_factory=list)
    """What happened, for people."""

    # --- the frame -----------------------------------------------------------

    async def begin(self, removals: Removals) -> None:
        """A tenant with two domains and two directories, one of them read once."""
        self.looked_at = self.now - TICK
        await self.house.save_tenant(DOMAIN, SPARE)
        for name in DIRECTORIES:
            await self.save(name, removals)
        await self.read(HQ, Mode.APPLY)
        await self.record(self.directories[HQ].number, "records")
        found = await look(self.house, WATCHED, since=self.now)
        self.bystander = dict(found.bystander)
        await self.settle(f"begins: {removals}")

    @property
    def now(self) -> datetime:
        """The time."""
        return self.house.clock.at

    def tick(self) -> None:
        """Let no two acts happen at once."""
        self.house.clock.at += TICK

    async def settle(self, line: str) -> None:
        """Compare store and truth after an act."""
        self.lines.append(f"{self.now:%d %H:%M:%S}  {line}")
        seen = await look(self.house, WATCHED, since=self.looked_at or self.now)
        await self.receiver.follow(self.house)
        self._compare(seen)
        self._compare_holds(seen)
        self._compare_history(seen)
        await sound(self.house)
        await self.receiver.compare_logins(self.house)
        await self.keeper.look(self.house, looks_after=self.tier is Tier.ENTERPRISE)
        self.before, self.looked_at = dict(seen.listed), self.now

    def _compare(self, seen: Seen) -> None:
        must = self.truth.must_be_valid()
        lost = {a: seen.listed.get(a, "absent") for a in must if seen.listed.get(a) != "valid"}
        assert not lost, f"shown or held by hand, and not valid: {lost}"
        for address, was in self.before.items():
            state = seen.listed.get(address)
            if state not in {was, "valid"}:
                why = f"{address} went from {was} to {state} without a reason"
                assert self.truth.may_leave(address, for_good=state is None, now=self.now), why
        same("the list", seen.listed, self.truth.listed())
        same("the steps", seen.steps, self.truth.steps())
        same("another tenant's list", seen.bystander, self.bystander)
        self._compare_lookups(seen)

    def _compare_lookups(self, seen: Seen) -> None:
        for address, said in seen.lookups.items():
            state = seen.listed.get(address)
            if address.rpartition("@")[2] not in self.truth.domains:
                assert said == "not_authoritative", address
            elif state is None:
                assert said in {"unknown", "not_authoritative"}, address
            else:
                assert said == state, address

    def _compare_holds(self, seen: Seen) -> None:
        assert len(seen.open_holds) == len(set(seen.open_holds)), "two open holds of a directory"
        same("who waits", seen.held, self.truth.holds)
        for number, held in seen.in_holds.items():
            shown = held & self.truth.shown.get(number, frozenset())
            assert not shown, f"held and shown: {sorted(shown)}"

    def _compare_history(self, seen: Seen) -> None:
        same("the history replayed", replayed(seen.history, self.before), seen.listed)
        same("the list of a receiver of events", self.receiver.listed, seen.listed)
        self.recorded += seen.history

    def end(self) -> None:
        """Replay the whole history from the start."""
        same("the whole history replayed", replayed(self.recorded, {}), self.before)

    async def act(self, line: str, act: Awaitable[object]) -> None:
        """Do one act and compare."""
        self.tick()
        try:
            came = await act
            await self.settle(line if came is None else f"{line}: {came}")
        except AssertionError as exc:
            exc.add_note("\n".join(["the story:", *self.lines, f"then: {line}"]))
            raise

    async def _sent(self, sending: Awaitable[object]) -> tuple[str | None, list[dict[str, Any]]]:
        """Give the code of the refusal, if it is refused, and the events it brought about."""
        await sending
        told = await self.receiver.follow(self.house)
        codes = [
            error["code"]
            for event in told
            if event["type"] == "rollcall.command.rejected.v1"
            for error in event["data"]["errors"]
        ]
        return (codes[0] if codes else None), told

    # --- runs ----------------------------------------------------------------

    async def read(self, name: str, mode: Mode) -> None:
        """Ask for a run, and read with every run that is due."""
        await self.house.request(name, mode=mode)
        for run in await self.house.runs.claim(10):
            directory = self.directories[run.lease.directory]
            assert set(run.domains) == self.truth.domains
            listed = directory.shelf.rows(run.domains)
            self.readers[directory.number] = Reader(
                run=run,
                snapshot=self.house.snapshot(run, listed, scope=directory.shelf.scope),
                shown=frozenset(each.address for each in listed),
                directory=directory,
                domain_revision=self.domain_revision,
            )

    async def record(self, number: int, how: str) -> str:
        """End a run that has read."""
        reader = self.readers.pop(number)
        match how:
            case "fails":
                await self.house.runs.end(reader.run, Failed(finding("read.size_limit")))
                self.ended.append(Ended(reader.run.lease.run, reader.directory, None))
                return how
            case "dies":
                return await self._die(reader, records=False)
            case "dies late":
                return await self._die(reader, records=True)
            case "loses its lease":
                await self._lose_lease(reader)
                await self._records_nothing(reader)
                return how
            case _:
                return await self._conclude(reader)

    async def _conclude(self, reader: Reader) -> str:
        try:
            outcome = await self.house.conclude(reader.run, reader.snapshot)
        except Superseded:
            assert self._is_stale(reader)
            await self.house.runs.give_back(reader.run, superseded=True)
            return "superseded"
        except RunStopped as stopped:
            assert self._is_deleted(reader.directory)
            await self.house.runs.end(reader.run, Skipped(stopped.code))
            return stopped.code
        assert not self._is_stale(reader)
        assert not self._is_deleted(reader.directory)
        self._recorded(reader, outcome)
        await self._records_nothing(reader)
        return _said(outcome)

    def _recorded(self, reader: Reader, outcome: Outcome) -> None:
        directory, run = reader.directory, reader.run
        did = None
        if not isinstance(outcome, Previewed):
            removals = run.settings.removals
            reading = Reading(
                shown=reader.shown,
                read_at=reader.snapshot.read_at,
                now=self.now,
                grace=removals.grace,
                is_held=isinstance(outcome, Held),
                is_never=removals.policy is RemovalPolicy.NEVER,
            )
            did = self.truth.read(directory.number, reading)
            directory.prove(run.revision)
            if self.tier is Tier.ENTERPRISE and run.settings.logins.create:
                self.keeper.ran(directory.number, ends=not reading.is_never)
        self.ended.append(Ended(run.lease.run, directory, did))

    def _is_deleted(self, directory: Directory) -> bool:
        return self.directories.get(directory.shelf.name) is not directory

    def _is_stale(self, reader: Reader) -> bool:
        """Whether form or domains changed while it read."""
        is_moved = reader.domain_revision != self.domain_revision
        return is_moved or reader.run.revision not in reader.directory.revisions

    async def _die(self, reader: Reader, *, records: bool) -> str:
        """Roll the final transaction back, and let the lease lapse as it would."""
        try:
            async with self.house.runs.final(reader.run, reader.snapshot) as final:
                evidence = await final.compare()
                if records:
                    await final.record(judge(evidence, reader.run.settings.removals))
                _die()
        except (Killed, Superseded, RunStopped):
            await self._lose_lease(reader)
        return "died late" if records else "died"

    async def _lose_lease(self, reader: Reader) -> None:
        await self.house.pool.execute(LAPSE, reader.run.lease.run)
        await self.house.sweeper.sweep()

    async def _records_nothing(self, reader: Reader) -> None:
        """A worker whose run is over, or another's, writes nothing."""
        with pytest.raises(LeaseLost):
            await self.house.conclude(reader.run, reader.snapshot)

    # --- people --------------------------------------------------------------

    async def see(self, name: str) -> str:
        """A person looks at the hold of a directory."""
        ref = await self.house.hold(name)
        waiting = frozenset(self.truth.holds[self.directories[name].number])
        self.sights[name] = Sight(ref, waiting)
        return f"version {ref.version}"

    async def _refusal(self, name: str) -> str | None:
        """Why what the person saw cannot be decided any more."""
        sight, directory = self.sights[name], self.directories.get(name)
        if directory is None or directory.number not in self.truth.holds:
            return "hold.ended"
        stands = await self.house.hold(name)
        if stands.id != sight.ref.id:
            return "hold.ended"
        return None if stands.version == sight.ref.version else "hold.changed"

    async def approve(self, name: str) -> str | None:
        """Approve the hold as it was seen."""
        sight, expected = self.sights[name], await self._refusal(name)
        refused, _ = await self._sent(self.house.approve(sight.ref))
        assert refused == expected
        if refused:
            return refused
        directory = self.directories[name]
        assert sight.addresses == self.truth.holds[directory.number], "approved unseen"
        removals = directory.applying
        self.truth.approve(
            directory.number,
            now=self.now,
            grace=removals.grace,
            is_never=removals.policy is RemovalPolicy.NEVER,
        )
        return None

    async def discard(self, name: str) -> str | None:
        """Discard the hold as it was seen."""
        sight, expected = self.sights[name], await self._refusal(name)
        if expected is None and sight.ref in self.discarded:
            expected = "hold.discarded"
        refused, _ = await self._sent(self.house.discard(sight.ref))
        assert refused == expected
        self.discarded.add(sight.ref)
        return refused

    async def undo(self, place: int) -> str:
        """Undo a run, the youngest by default."""
        ended = self.ended[-1 - place % len(self.ended)]
        waited = ended.directory.number in await held_logins(self.house)
        expected = self._undo_refusal(ended)
        refused, told = await self._sent(self.house.undo(ended.run))
        assert refused == expected
        if refused or ended.did is None:
            return str(refused)
        self.undone.add(ended.run)
        wait = ended.directory.number in await held_logins(self.house)
        undone = self.truth.undo(ended.did, self.now, LoginsHeld(waited=waited, wait=wait))
        (data,) = (each["data"] for each in told if each["type"] == "rollcall.run.undone.v1")
        assert data["given_back"] == _sample(undone.given_back)
        assert data["leaving"] == _sample(undone.leaving)
        assert sum(each["count"] for each in data["not_touched"]) == len(undone.not_touched)
        return f"run {self.ended.index(ended)}"

    def _undo_refusal(self, ended: Ended) -> str | None:
        if ended.run in self.undone:
            return "run.undone"
        if self._is_deleted(ended.directory):
            return "run.directory_deleted"
        return "run.changed_nothing" if ended.did is None else None

    async def add(self, addresses: Sequence[str], how: str | None) -> str | None:
        """Hold addresses by hand."""
        is_ours = all(each.rpartition("@")[2] in self.truth.domains for each in addresses)
        adding = self.house.add(*addresses, adopt=how == "adopt", protect=how == "protect")
        refused, _ = await self._sent(adding)
        assert refused == (None if is_ours else "recipient.other_domain")
        if is_ours:
            self.truth.add(addresses, how)
        return refused

    async def remove(self, addresses: Sequence[str]) -> str | None:
        """Let go what is held by hand."""
        is_unknown = self.truth.not_by_hand(addresses)
        refused, _ = await self._sent(self.house.remove(*addresses))
        assert refused == ("recipient.not_by_hand" if is_unknown else None)
        if not is_unknown:
            self.truth.remove(addresses, self.now)
        return refused

    async def republish(self) -> None:
        """Tell the whole list; the receiver compares it with its own."""
        _, told = await self._sent(self.house.send(RepublishRecipients()))
        assert told[-1]["type"] == "rollcall.recipients.snapshot.v1"

    async def move_domain(self) -> str:
        """Take the spare domain off, or add it again."""
        takes_off = SPARE in self.truth.domains
        refused, _ = await self._sent(
            self.house.save_tenant(DOMAIN) if takes_off else self.house.save_tenant(DOMAIN, SPARE)
        )
        assert refused is None
        self.domain_revision += 1
        if takes_off:
            self.truth.take_off(SPARE, self.now)
            return "off"
        self.truth.put_back(SPARE)
        return "on"

    async def save(self, name: str, removals: Removals, *, sync: bool = False) -> None:
        """Save a directory, anew or again; without the plan it asks for logins only if it did before."""
        before = self.directories.get(name)
        asks = self.tier is Tier.ENTERPRISE or (before is not None and before.asks_logins)
        form = settings(removals=removals, type="active_directory", logins=Logins(create=asks))
        refused, _ = await self._sent(self.house.save_directory(form, directory=name, sync=sync))
        assert refused is None
        known = self.directories.get(name)
        if known is None:
            number = await self.house.value(NUMBER, TENANT, name)
            known = self.directories[name] = Directory(number, self.shelves[name])
            self.truth.sources[number] = {}
        known.asks_logins = asks
        known.save(removals, sync=sync)

    async def delete(self, name: str, *, keep: bool) -> None:
        """Delete a directory."""
        directory = self.directories.pop(name)
        command = DeleteDirectory(DirectoryId(name), keep_by_hand=keep)
        refused, _ = await self._sent(self.house.send(command))
        assert refused is None
        self.truth.delete(directory.number, now=self.now, grace=directory.newest.grace, keep=keep)

    async def change_plan(self) -> str:
        """Lose the right to logins, or get it back."""
        self.tier = Tier.STANDARD if self.tier is Tier.ENTERPRISE else Tier.ENTERPRISE
        refused, _ = await self._sent(self.house.save_tenant(tier=self.tier))
        assert refused is None
        return self.tier

    # --- time ----------------------------------------------------------------

    async def keep_house(self) -> None:
        """What time alone brings about."""
        await self.house.sweeper.housekeep()
        self.truth.lapse(self.now)


def _die() -> NoReturn:
    raise Killed


def same(what: str, seen: Mapping[Any, object], wanted: Mapping[Any, object]) -> None:
    """Compare two of a kind, and name what differs."""
    differing = {
        key: (seen.get(key), wanted.get(key))
        for key in [*seen, *(key for key in wanted if key not in seen)]
        if key not in seen or key not in wanted or seen[key] != wanted[key]
    }
    assert not differing, f"{what}: is, and should be: {differing}"


def _sample(addresses: frozenset[str]) -> dict[str, object]:
    return {"count": len(addresses), "addresses": sorted(addresses)[:20]}


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, Held | Previewed):
        codes = ", ".join(reason.code for reason in outcome.ruling.reasons)
        return f"{type(outcome).__name__} ({codes})"
    return type(outcome).__name__
