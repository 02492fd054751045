"""Random days of random directories through the real statements, held to the rule stated one address at a time.

The rule here is a second statement of the way of an address (missing, grace, removed, returned), of several
directories, of holds and of the guard's figures; where it and the store disagree, one of them is wrong.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.integration.postgres.house import House, check, removals, row
from worker.domain.guard import DomainCount, Evidence, Reason, Ruling
from worker.domain.model import Mode, RemovalPolicy


APART = timedelta(minutes=30)
GRACE = timedelta(hours=72)
WINDOW = timedelta(days=7)
DAY = timedelta(days=1)
NAMES = ["a@example.com", "b@example.com", "c@example.com", "a@example.net"]
DIRECTORIES = ("d0", "d1")
HOLD = Ruling((Reason("test", "held by the test", ()),))

Listing = dict[str, int]
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
class Place:
    """Where one address stands with one directory."""

    step: str = "present"
    left_at: datetime | None = None
    grace_until: datetime | None = None
    removed_at: datetime | None = None


@dataclass
class Rule:
    """What is known of every address, kept one at a time."""

    known: dict[tuple[str, str], Place] = field(default_factory=dict)
    """By directory and address."""

    def state(self, address: str) -> str | None:
        """What the tenant's list says: valid, grace, removed, or nothing."""
        return self._best(
            [place.step for (_, held), place in self.known.items() if held == address]
        )

    def elsewhere(self, directory: str, address: str) -> str | None:
        """What all but one directory say."""
        return self._best(
            [
                place.step
                for (holder, held), place in self.known.items()
                if held == address and holder != directory
            ]
        )

    @staticmethod
    def _best(steps: list[str]) -> str | None:
        if any(step in {"present", "missing"} for step in steps):
            return "valid"
        for step in ("grace", "removed"):
            if step in steps:
                return step
        return None

    def evidence(self, day: Day, now: datetime) -> dict[str, tuple[int, int, int]]:
        """Recipients, leaving and left by domain, as the guard is to see them."""
        found = {}
        for domain in ("example.com", "example.net"):
            mine = {
                address: place
                for (holder, address), place in self.known.items()
                if holder == day.directory
                and address.endswith("@" + domain)
                and self.elsewhere(day.directory, address) != "valid"
            }
            absent = {a: p for a, p in mine.items() if a not in day.listing}
            leaving = sum(
                p.step in {"present", "missing"}
                or (p.step == "grace" and p.left_at is not None and p.left_at > now - WINDOW)
                for p in absent.values()
            )
            not_valid = sum(
                p.step == "grace" and p.left_at is not None and p.left_at > now - WINDOW
                for p in absent.values()
            )
            left = sum(
                p.step == "removed" and p.removed_at is not None and p.removed_at > now - WINDOW
                for p in mine.values()
            )
            valid = sum(self.state(a) == "valid" for a in NAMES if a.endswith("@" + domain))
            if leaving or left:
                found[domain] = (valid + not_valid, leaving, left)
        return found

    def run(self, day: Day, now: datetime, policy: RemovalPolicy) -> dict[str, str]:
        """Take each address its one step; gives what the tenant's list sees."""
        before = {address: self.state(address) for address in NAMES}
        steps = {}
        for address in NAMES:
            place = self.known.get((day.directory, address))
            if address in day.listing:
                if place is None or place.step != "present":
                    steps[address] = ("present", place.step if place else None)
                self.known[day.directory, address] = Place()
            elif place is not None and (step := self._on(place, day, now, policy)):
                steps[address] = (step, place.step)
                place.step = step
        return {
            address: change
            for address, (step, was) in steps.items()
            if (change := self._change(address, step, was, before[address], day.directory))
        }

    @staticmethod
    def _on(place: Place, day: Day, now: datetime, policy: RemovalPolicy) -> str | None:
        if place.step == "present":
            place.left_at = now
            return "missing"
        if day.is_held or policy is RemovalPolicy.NEVER:
            return None
        if place.step == "missing" and place.left_at and now - place.left_at >= APART:
            place.grace_until = now + GRACE
            return "grace"
        if place.step == "grace" and place.grace_until and place.grace_until <= now:
            place.removed_at = now
            return "removed"
        return None

    def _change(
        self, address: str, step: str, was: str | None, before: str | None, directory: str
    ) -> str | None:
        others = self.elsewhere(directory, address)
        if others == "valid":
            return None
        if step == "present":
            return "added" if before is None else "returned"
        if step == "removed" and others == "grace":
            return None
        return step


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
    course: dict[tuple[str, str], Span], paces: list[tuple[int, str, bool, Mode]]
) -> list[Day]:
    """Each day of a course."""
    return [
        Day(minutes, place, _shown(course, place, number), is_held, mode)
        for number, (minutes, place, is_held, mode) in enumerate(paces)
    ]


def _shown(course: dict[tuple[str, str], Span], place: str, day: int) -> Listing:
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
    assert await _steps(house, tenant) == {key: place.step for key, place in rule.known.items()}


def _figures(evidence: Evidence) -> dict[str, tuple[int, int, int]]:
    def figures(count: DomainCount) -> tuple[int, int, int]:
        return count.recipients, count.leaving, count.left

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
