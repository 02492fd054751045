"""Random days of random directories through the real statements, held to the rule stated one address at a time.

The rule is ``domain.reconcile``; what the guard is to see is stated here a second time. Several directories of one
tenant, holds, previews, entries that share an address: where the store and the rule disagree, one of them is wrong.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.integration.postgres.house import House, check, removals, row
from worker.domain.guard import DomainCount, Evidence, Reason, Ruling
from worker.domain.model import Address, Change, Mode, RemovalPolicy
from worker.domain.reconcile import Reading, Standing, Step, reconcile


GRACE = timedelta(hours=72)
WINDOW = timedelta(days=7)
DAY = timedelta(days=1)
NAMES = [
    Address(name) for name in ("a@example.com", "b@example.com", "c@example.com", "a@example.net")
]
VALID = {Step.PRESENT, Step.MISSING}
DIRECTORIES = ("d0", "d1")
HOLD = Ruling((Reason("test", "held by the test", ()),))

Listing = dict[Address, int]
"""Each address shown, and which of three entries show it (a bit each)."""


@dataclass(frozen=True)
class Day:
    """One run: how long after the last, of which directory, what it shows, and whether the guard holds it."""

    minutes: int
    directory: str
    listing: Listing
    is_held: bool
    mode: Mode


@dataclass
class Rule:
    """What is known of every address, kept one at a time by ``domain.reconcile``."""

    known: dict[str, dict[Address, Standing]] = field(
        default_factory=lambda: {directory: {} for directory in DIRECTORIES}
    )
    removed_at: dict[tuple[str, Address], datetime] = field(default_factory=dict)
    since: dict[tuple[str, Address], datetime] = field(default_factory=dict)
    held_since: dict[str, datetime] = field(default_factory=dict)

    def best(self, address: Address, *, but: str = "") -> Step | None:
        """The best that any directory but one says of an address."""
        steps = {
            held[address].step
            for directory, held in self.known.items()
            if directory != but and address in held
        }
        return next((step for step in Step if step in steps), None)

    def run(self, day: Day, now: datetime, policy: RemovalPolicy) -> dict[Address, Change]:
        """Take each address its one step; gives what the tenant's list sees."""
        elsewhere = {name: step for name in NAMES if (step := self.best(name, but=day.directory))}
        reading = Reading(now, now, policy, GRACE, day.is_held)
        known = self.known[day.directory]
        after, changes = reconcile(known, day.listing, elsewhere, reading)
        for address, standing in after.items():
            was = known.get(address)
            if standing.step is Step.REMOVED and was and was.step is not Step.REMOVED:
                self.removed_at[day.directory, address] = now
            if was is None:
                self.since[day.directory, address] = self._valid_since(address) or now
            elif changes.get(address) is Change.RETURNED and was.step not in VALID:
                self.since[day.directory, address] = now
        self.known[day.directory] = after
        if day.is_held:
            self.held_since.setdefault(day.directory, now)
        else:
            self.held_since.pop(day.directory, None)
        return changes

    def _valid_since(self, address: Address) -> datetime | None:
        return min(
            (
                self.since[directory, address]
                for directory, held in self.known.items()
                if address in held and held[address].step in VALID
            ),
            default=None,
        )

    def _is_newcomer(self, address: Address, day: Day) -> bool:
        """Whether it became valid since the hold of this directory began, and stays."""
        held_since, since = self.held_since.get(day.directory), self._valid_since(address)
        if held_since is None or since is None or since < held_since:
            return False
        step = self._step(address, day)
        return address in day.listing or step is None or step is Step.REMOVED

    def evidence(self, day: Day, now: datetime) -> dict[str, tuple[int, int, int, int]]:
        """Recipients, leaving, left and lingering by domain, as the guard is to see them."""
        counts: dict[str, list[int]] = {}
        for name in NAMES:
            of_domain = counts.setdefault(name.partition("@")[2], [0, 0, 0, 0])
            figures = (self.best(name) in VALID, *self._gone(name, day, now))
            is_in_grace = figures[1] and self._step(name, day) is Step.GRACE
            of_domain[0] += figures[0] or is_in_grace
            of_domain[0] -= self._is_newcomer(name, day)
            of_domain[1] += figures[1]
            of_domain[2] += figures[2]
            of_domain[3] += self._lingers(name, day, now)
        return {
            domain: (valid, leaving, left, lingering)
            for domain, (valid, leaving, left, lingering) in counts.items()
            if leaving or left or lingering
        }

    def _step(self, address: Address, day: Day) -> Step | None:
        standing = self.known[day.directory].get(address)
        return standing.step if standing else None

    def _gone(self, address: Address, day: Day, now: datetime) -> tuple[bool, bool]:
        """Whether it leaves now, and whether it had left during the week."""
        standing = self.known[day.directory].get(address)
        if standing is None or self.best(address, but=day.directory) in VALID:
            return False, False
        if standing.step is Step.REMOVED:
            return False, self.removed_at[day.directory, address] > now - WINDOW
        is_recent = standing.step in VALID or (standing.left_at or now) > now - WINDOW
        return address not in day.listing and is_recent, False

    def _lingers(self, address: Address, day: Day, now: datetime) -> bool:
        """Whether it has been in grace for longer than the week, and is still to be removed."""
        standing = self.known[day.directory].get(address)
        if standing is None or standing.step is not Step.GRACE or address in day.listing:
            return False
        is_old = (standing.left_at or now) <= now - WINDOW
        return is_old and self.best(address, but=day.directory) not in VALID


LENGTH = 14
START_AFRESH = """
WITH gone AS (UPDATE rollcall.tenant SET deleted_at = now() WHERE deleted_at IS NULL)
UPDATE rollcall.domain SET removed_at = now() WHERE removed_at IS NULL
"""


@dataclass(frozen=True)
class Span:
    """When a directory shows an address, by which entries (a bit each); a later return may never come."""

    since: int
    days: int
    back_at: int
    entries: int

    def shows(self, day: int) -> int:
        """The entries that show it on a day, none or more."""
        is_shown = self.since <= day < self.since + self.days or day >= self.back_at
        return self.entries if is_shown else 0


spans = st.builds(
    Span,
    since=st.integers(0, 3),
    days=st.integers(0, 5),
    back_at=st.integers(5, 3 * LENGTH),
    entries=st.integers(1, 7),
)
courses = st.fixed_dictionaries({(place, name): spans for place in DIRECTORIES for name in NAMES})
steps = st.tuples(
    st.sampled_from([29, 30, 31, 60 * 24, 60 * 72, 60 * 72, 60 * 72, 60 * 24 * 8]),
    st.sampled_from(DIRECTORIES),
    st.sampled_from([False] * 6 + [True]),
    st.sampled_from([Mode.APPLY] * 6 + [Mode.PREVIEW]),
)


def story(
    course: dict[tuple[str, Address], Span], paces: list[tuple[int, str, bool, Mode]]
) -> list[Day]:
    """Each day of a course."""
    return [
        Day(minutes, place, _shown(course, place, number), is_held, mode)
        for number, (minutes, place, is_held, mode) in enumerate(paces)
    ]


def _shown(course: dict[tuple[str, Address], Span], place: str, day: int) -> Listing:
    shown = {name: course[place, name].shows(day) for name in NAMES}
    return {name: entries for name, entries in shown.items() if entries}


stories = st.tuples(
    st.sampled_from([RemovalPolicy.SAFE] * 5 + [RemovalPolicy.NEVER]),
    st.builds(story, courses, st.lists(steps, min_size=LENGTH, max_size=LENGTH)),
)


async def live(house: House, policy: RemovalPolicy, days: list[Day]) -> None:
    """Tell one story to the store and to the rule, and compare after each day."""
    await house.save_tenant("example.com", "example.net", tenant=(tenant := f"t{next(house.ids)}"))
    for directory in DIRECTORIES:
        await house.save_directory(removals(policy=policy), directory=directory, tenant=tenant)
    rule = Rule()
    for day in days:
        try:
            await _one_day(house, tenant, day, rule, policy)
        except AssertionError as exc:
            exc.add_note(f"{policy}, {days}, at {day}")
            raise
        await house.forget_events()


async def _one_day(house: House, tenant: str, day: Day, rule: Rule, policy: RemovalPolicy) -> None:
    now = house.clock.forward(minutes=day.minutes)
    await house.request(day.directory, tenant=tenant, mode=day.mode)
    run = await house.claim()
    listed = [
        row(address, f"{day.directory} {address} {entry}")
        for address, entries in day.listing.items()
        for entry in range(3)
        if entries & 1 << entry
    ]
    async with house.runs.final(run, house.snapshot(run, listed)) as final:
        evidence = await final.compare()
        await final.record(HOLD if day.is_held else Ruling())
    assert _figures(evidence) == rule.evidence(day, now)
    assert evidence.addresses == len(day.listing)
    told = dict(await _told(house, str(run.lease.run)))
    if day.mode is Mode.PREVIEW:
        assert told == {}
        return
    assert told == rule.run(day, now, policy)
    assert await _steps(house, tenant) == {
        (directory, address): standing.step
        for directory, held in rule.known.items()
        for address, standing in held.items()
    }


def _figures(evidence: Evidence) -> dict[str, tuple[int, int, int, int]]:
    def figures(count: DomainCount) -> tuple[int, int, int, int]:
        return count.recipients, count.leaving, count.left, count.lingering

    return {count.domain: figures(count) for count in evidence.domains}


async def _told(house: House, run: str) -> list[tuple[str, str]]:
    found = await house.fetch("SELECT address, change FROM rollcall.history WHERE run_id = $1", run)
    history = {(each["address"], each["change"]) for each in found}
    told = {
        (each["address"], each["change"])
        for event in await house.events("recipients.changed")
        for each in event["data"]["changes"]
    }
    assert told == history
    return sorted(told)


async def _steps(house: House, tenant: str) -> dict[tuple[str, str], str]:
    found = await house.fetch(
        """SELECT DISTINCT i.directory, h.address, coalesce(d.step, 'present') AS step
           FROM rollcall.holding h
           JOIN rollcall.directory i USING (tenant_id, directory_id)
           JOIN rollcall.tenant t USING (tenant_id)
           LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
           WHERE t.tenant = $1""",
        tenant,
    )
    return {(each["directory"], each["address"]): each["step"] for each in found}


@pytest.mark.timeout(90)
async def test_the_statements_and_the_rule_agree_on_any_story(house: House) -> None:
    """Whatever a directory shows and whenever, nobody leaves sooner or otherwise than the rule says."""
    told: list[tuple[RemovalPolicy, list[Day]]] = []

    @hypothesis_settings(
        max_examples=16, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(stories)
    def gather(each: tuple[RemovalPolicy, list[Day]]) -> None:
        told.append(each)

    gather()
    start = house.clock.at
    for months in (0, 2):
        await house.value("SELECT rollcall.make_history_partitions($1)", start + months * 31 * DAY)
    for policy, days in told:
        house.clock.at = start
        await house.pool.execute(START_AFRESH)
        await live(house, policy, days)
        await check(house)
