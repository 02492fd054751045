"""The rules by which Hypothesis makes up histories; what each does is told in ``story``."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, TypeVar

import hypothesis
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from tests.integration.postgres.house import House
from tests.model.story import DIRECTORIES, Story
from tests.model.watch import BYSTANDER
from tests.model.world import ADDRESSES, CROWD, PERSONS
from worker.adapters.postgres.pool import Pool
from worker.domain.model import Address, Mode, RemovalPolicy, Removals
from worker.flows.carry import carry
from worker.ports.vault import Vault


T = TypeVar("T")
LENGTH = 40
"""Rules a history; most take two or three steps."""
MONTHS_AHEAD = 4
"""Of history's partitions; each call makes three more."""
FORGET = """
DO $$
DECLARE
    mine integer[] := ARRAY(SELECT tenant_id FROM rollcall.tenant WHERE tenant <> 'bystander');
BEGIN
    DELETE FROM rollcall.outbox;
    DELETE FROM rollcall.command;
    DELETE FROM rollcall.parked;
    DELETE FROM rollcall.change_set WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.hold WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.run WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.lease WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.holding WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.departure WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.history WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.login WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.login_address WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.login_conflict WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.login_history WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.directory_revision WHERE directory_id IN (
        SELECT directory_id FROM rollcall.directory WHERE tenant_id = ANY(mine));
    DELETE FROM rollcall.directory WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.domain WHERE tenant_id = ANY(mine);
    DELETE FROM rollcall.tenant WHERE tenant_id = ANY(mine);
END
$$
"""
"""All but the bystander; cheaper than to empty the tables."""
LONGEST = timedelta(days=300)
"""No history goes on longer: its partitions are made before."""

directories = st.sampled_from(DIRECTORIES)
persons = st.sampled_from(PERSONS)
some_addresses = st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=3, unique=True)
endings = st.sampled_from(["records"] * 8 + ["fails", "dies", "dies late", "loses its lease"])
modes = st.sampled_from([Mode.APPLY] * 7 + [Mode.PREVIEW])
forms = st.builds(
    Removals,
    policy=st.sampled_from(
        [RemovalPolicy.SAFE] * 5 + [RemovalPolicy.REVIEW] * 3 + [RemovalPolicy.NEVER]
    ),
    min_count=st.sampled_from([10, 10, 1, 1000]),
    max_count=st.sampled_from([500, 500, 2]),
    grace=st.sampled_from([timedelta(hours=72), timedelta(hours=72), timedelta(hours=1)]),
    canaries=st.sampled_from([(), (), (Address(ADDRESSES[0]),)]),
)
spans = st.sampled_from([31, 31, 31, 1, 29, 60 * 25, 60 * 73, 60 * 73, 60 * 24 * 8, 60 * 24 * 31])


@dataclass(frozen=True, slots=True)
class Run:
    """How long after the last act a run begins, and how it ends."""

    minutes: int
    mode: Mode
    how: str


decisions = st.sampled_from(["undoes", "approves", "discards"])
crowd_sizes = st.sampled_from([len(CROWD), 0, 6, 20, len(CROWD) - 1])
looks = st.sampled_from([True, True, False])
runs = st.builds(Run, minutes=spans, mode=modes, how=endings)
maybe_runs = st.one_of(runs, runs, runs, st.none())


@dataclass(slots=True)
class Stage:
    """The one database and loop that all histories share."""

    runner: asyncio.Runner
    pool: Pool
    vault: Vault
    acts: Counter[str] = field(default_factory=Counter)
    """How often each rule was used."""
    histories: int = 0

    @property
    def steps(self) -> int:
        """All of them."""
        return self.acts.total()

    def run(self, coroutine: Coroutine[None, None, T]) -> T:
        """Wait for it."""
        return self.runner.run(coroutine)

    async def open(self) -> House:
        """Return the store with nothing in it but another tenant."""
        house = await OneByOne.open(self.pool, self.vault)
        if not self.histories:
            await self._prepare(house)
        await self.pool.execute(FORGET)
        self.histories += 1
        return house

    async def _prepare(self, house: House) -> None:
        start = house.clock.at
        for months in range(0, 12, MONTHS_AHEAD - 1):
            ahead = start + months * timedelta(days=31)
            await house.value("SELECT rollcall.make_history_partitions($1)", ahead)
        await house.save_tenant("bystander.example", tenant=BYSTANDER)
        await house.save_directory(tenant=BYSTANDER, directory="theirs")
        names = [f"{each}@bystander.example" for each in ("ada", "bob", "info")]
        await house.sync(*names, tenant=BYSTANDER, directory="theirs")
        await house.sync_later(*names[1:], tenant=BYSTANDER, directory="theirs")
        house.clock.at = start


class OneByOne(House):
    """Carries each command out before the next comes."""

    @override
    async def carry(self) -> int:
        return int(await self.orders.carry_next(carry))


class Machine(RuleBasedStateMachine):
    """One history."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.house = self.stage.run(self.stage.open())
        self.story = Story(self.house)
        self.until = self.house.clock.at + LONGEST

    @initialize(form=forms)
    def begins(self, form: Removals) -> None:
        """A tenant, its directories, a first run."""
        self.stage.run(self.story.begin(form))

    @override
    def teardown(self) -> None:
        self.house.stack.close()
        self.story.end()

    def act(self, line: str, coroutine: Coroutine[None, None, object]) -> None:
        """Do it, compare, and count it."""
        self.stage.acts[line.partition(":")[0]] += 1
        self.stage.run(self.story.act(line, coroutine))

    def change(self, line: str) -> None:
        """Note what happens behind the store's back."""
        self.stage.acts[line.partition(":")[0]] += 1
        self.story.lines.append(line)

    def pass_time(self, minutes: int) -> None:
        """Wait, unless the history has gone on for long enough."""
        if self.house.clock.at + timedelta(minutes=minutes) < self.until:
            self.house.clock.forward(minutes=minutes)

    def sync(self, name: str, run: Run | None) -> None:
        """One run from request to outcome, if there is to be one and such a directory."""
        if run is None or name not in self.story.directories:
            return
        self.pass_time(run.minutes)
        self.act(f"reads: {name} {run.mode}", self.story.read(name, run.mode))
        for number in list(self.story.readers):
            self.act(f"records: {number} {run.how}", self.story.record(number, run.how))

    # --- directories ---------------------------------------------------------

    @rule(name=directories, person=persons, addresses=some_addresses, run=maybe_runs)
    def comes(self, name: str, person: str, addresses: list[str], run: Run | None) -> None:
        """An entry comes, or has other addresses, perhaps another's, too."""
        self.change(f"comes: {person} of {name} with {' '.join(addresses)}")
        self.story.shelves[name].entries[person].addresses = tuple(addresses)
        self.sync(name, run)

    @rule(name=directories, person=persons, run=maybe_runs)
    def goes(self, name: str, person: str, run: Run | None) -> None:
        """An entry is deleted."""
        self.change(f"goes: {person} of {name}")
        self.story.shelves[name].entries[person].addresses = ()
        self.sync(name, run)

    @rule(name=directories, person=persons, run=maybe_runs)
    def returns(self, name: str, person: str, run: Run | None) -> None:
        """An entry shows the address it had at first."""
        self.change(f"returns: {person} of {name}")
        self.story.shelves[name].welcome(person)
        self.sync(name, run)

    @rule(name=directories, person=persons, run=maybe_runs)
    def renews(self, name: str, person: str, run: Run | None) -> None:
        """An entry is made again: the same addresses under a new id."""
        self.change(f"renews: {person} of {name}")
        self.story.shelves[name].entries[person].renewals += 1
        self.sync(name, run)

    @rule(name=directories, person=persons, run=maybe_runs)
    def alters(self, name: str, person: str, run: Run | None) -> None:
        """An entry is moved, renamed, disabled, given another kind or first address."""
        self.change(f"alters: {person} of {name}")
        self.story.shelves[name].entries[person].changes += 1
        self.sync(name, run)

    @rule(name=directories, number=crowd_sizes, run=maybe_runs)
    def crowds(self, name: str, number: int, run: Run | None) -> None:
        """So many of the crowd are shown from now on."""
        self.change(f"crowds: {name} shows {number}")
        self.story.shelves[name].crowd = number
        self.sync(name, run)

    @rule(name=directories, run=maybe_runs)
    def rescopes(self, name: str, run: Run | None) -> None:
        """What is read of a directory changes."""
        self.change(f"rescopes: {name}")
        self.story.shelves[name].scope += "'"
        self.sync(name, run)

    @rule(name=directories, run=runs)
    def syncs(self, name: str, run: Run) -> None:
        """One run of a directory as it stands."""
        self.sync(name, run)

    @rule(name=directories, span=spans, run=runs)
    def goes_on(self, name: str, span: int, run: Run) -> None:
        """Two runs of a directory as it stands."""
        self.sync(name, Run(span, Mode.APPLY, "records"))
        self.sync(name, run)

    @rule(name=directories, mode=modes)
    def reads(self, name: str, mode: Mode) -> None:
        """A run begins, and has read; whatever comes next happens meanwhile."""
        if name in self.story.directories:
            self.act(f"reads: {name} {mode}", self.story.read(name, mode))

    @precondition(lambda self: bool(self.story.readers))
    @rule(how=endings)
    def records(self, how: str) -> None:
        """A run that has read ends."""
        number = min(self.story.readers)
        self.act(f"records: {number} {how}", self.story.record(number, how))

    # --- people --------------------------------------------------------------

    @precondition(lambda self: bool(self.story.truth.holds))
    @rule(name=directories)
    def sees(self, name: str) -> None:
        """A person looks at a hold."""
        self.act(f"sees: {name}", self.story.see(self._held(name)))

    @precondition(lambda self: bool(self.story.truth.holds or self.story.sights))
    @rule(name=directories, looks=looks)
    def approves(self, name: str, looks: bool) -> None:  # noqa: FBT001 - Hypothesis passes by name
        """A person approves the hold that was seen last."""
        self._decide(name, "approves", self.story.approve, looks=looks)

    @precondition(lambda self: bool(self.story.truth.holds or self.story.sights))
    @rule(name=directories, looks=looks)
    def discards(self, name: str, looks: bool) -> None:  # noqa: FBT001 - as above
        """A person discards the hold that was seen last."""
        self._decide(name, "discards", self.story.discard, looks=looks)

    def _held(self, name: str) -> str:
        """Return the directory, or the other one if only that is held."""
        held = self._held_names()
        return name if name in held else held[0]

    def _held_names(self) -> list[str]:
        return [
            each
            for each, directory in self.story.directories.items()
            if directory.number in self.story.truth.holds
        ]

    def _decide(
        self,
        name: str,
        word: str,
        decide: Callable[[str], Coroutine[None, None, object]],
        *,
        looks: bool,
    ) -> None:
        if self.story.truth.holds and (looks or name not in self.story.sights):
            name = self._held(name)
            self.act(f"sees: {name}", self.story.see(name))
        if name in self.story.sights:
            self.act(f"{word}: {name}", decide(name))

    @precondition(lambda self: bool(self.story.ended))
    @rule(place=st.sampled_from([0, 0, 0, 1, 2, 3, 5, 8]))
    def undoes(self, place: int) -> None:
        """A person undoes one of the last runs, perhaps again."""
        self.act(f"undoes: {place}", self.story.undo(place))

    @rule(name=directories, person=persons, minutes=spans, then=decisions)
    def leaves(self, name: str, person: str, minutes: int, then: str) -> None:
        """An entry goes, and a person decides at once about the run that saw it."""
        self.goes(name, person, Run(minutes, Mode.APPLY, "records"))
        self._react(name, then)

    @rule(name=directories, person=persons, number=crowd_sizes)
    def fades(self, name: str, person: str, number: int) -> None:
        """An entry is gone through two runs and grace; the run after it shows so many of the crowd."""
        for minutes in (1, 31):
            self.goes(name, person, Run(minutes, Mode.APPLY, "records"))
        self.crowds(name, number, Run(60 * 73, Mode.APPLY, "records"))

    @rule(name=directories, number=st.sampled_from([0, 6, 12]), minutes=spans, then=decisions)
    def panics(self, name: str, number: int, minutes: int, then: str) -> None:
        """Half of a directory or more is gone, and a person decides at once."""
        self.crowds(name, number, Run(minutes, Mode.APPLY, "records"))
        self._react(name, then)

    def _react(self, name: str, then: str) -> None:
        if then == "undoes" and self.story.ended:
            self.act("undoes: the run", self.story.undo(0))
        elif then != "undoes" and name in self._held_names():
            decide = self.story.approve if then == "approves" else self.story.discard
            self._decide(name, then, decide, looks=True)

    @rule(addresses=some_addresses, how=st.sampled_from([None, "adopt", "protect"]))
    def adds(self, addresses: list[str], how: str | None) -> None:
        """A person holds addresses by hand."""
        self.act(f"adds: {' '.join(addresses)} {how or ''}", self.story.add(addresses, how))

    @rule(addresses=some_addresses)
    def removes(self, addresses: list[str]) -> None:
        """A person lets addresses go."""
        self.act(f"removes: {' '.join(addresses)}", self.story.remove(addresses))

    @rule(name=directories, form=forms, sync=st.booleans())
    def saves(self, name: str, form: Removals, sync: bool) -> None:  # noqa: FBT001 - as above
        """A directory is saved, or saved again."""
        self.act(f"saves: {name} {form} sync={sync}", self.story.save(name, form, sync=sync))

    @rule(name=directories, keep=st.booleans())
    def deletes(self, name: str, keep: bool) -> None:  # noqa: FBT001 - as above
        """A directory is deleted."""
        if name in self.story.directories:
            self.act(f"deletes: {name} keep={keep}", self.story.delete(name, keep=keep))

    @rule()
    def moves_domain(self) -> None:
        """A domain is taken off, or added again."""
        self.act("moves_domain:", self.story.move_domain())

    @rule()
    def changes_plan(self) -> None:
        """The tenant loses the plan that has logins, or has it again."""
        self.act("changes_plan:", self.story.change_plan())

    @rule()
    def republishes(self) -> None:
        """Somebody wants the whole list."""
        self.act("republishes:", self.story.republish())

    @rule(minutes=spans)
    def keeps_house(self, minutes: int) -> None:
        """Time passes, and the housekeeper comes."""
        self.pass_time(minutes)
        self.act("keeps_house:", self.story.keep_house())


def play(stage: Stage, *, histories: int, seed: int | None = None) -> None:
    """Make up histories and play them: without a seed always the same. Raises what the shortest that fails raises."""
    machine = type("Play", (Machine,), {"stage": stage})
    how = settings(
        max_examples=histories,
        stateful_step_count=LENGTH,
        deadline=None,
        database=None,
        derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(machine) if seed else machine, settings=how)
