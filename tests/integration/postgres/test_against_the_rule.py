"""Random days of random directories through the real statements, held to the rule stated one address at a time.

The rule here is a second statement of the way of an address (missing, grace, removed, returned), of several
directories, of holds and of the guard's figures; where it and the store disagree, one of them is wrong.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.integration.postgres.house import House, check, removals, row
from worker.domain.guard import DomainCount, Evidence, Reason, Ruling
from worker.domain.model import Mode, RemovalPolicy


APART = timedelta(minutes=30)
GRACE = timedelta(hours=72)
WINDOW = timedelta(days=7)
NAMES = [f"{name}@{domain}" for domain in ("example.com", "example.net") for name in "abcd"]
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
        return self._best([place.step for (_, held), place in self.known.items() if held == address])

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


listings = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 7))
days = st.builds(
    Day,
    minutes=st.sampled_from([1, 29, 30, 31, 60 * 24, 60 * 72, 60 * 24 * 8]),
    directory=st.sampled_from(DIRECTORIES),
    listing=listings,
    is_held=st.sampled_from([False, False, False, True]),
    mode=st.sampled_from([Mode.APPLY, Mode.APPLY, Mode.APPLY, Mode.PREVIEW]),
)
stories = st.tuples(
    st.sampled_from([RemovalPolicy.SAFE, RemovalPolicy.SAFE, RemovalPolicy.NEVER]),
    st.lists(days, min_size=3, max_size=9),
    st.lists(st.booleans(), min_size=9, max_size=9),
)


async def live(house: House, policy: RemovalPolicy, story: list[Day], repeats: list[bool]) -> None:
    """Tell one story to the store and to the rule, and compare after each day."""
    await house.save_tenant("example.com", "example.net", tenant=(tenant := f"t{next(house.ids)}"))
    for directory in DIRECTORIES:
        await house.save_directory(removals(policy=policy), directory=directory, tenant=tenant)
    rule, last = Rule(), dict[str, Listing]()
    for day, is_repeat in zip(story, repeats, strict=False):
        shown = last.get(day.directory, day.listing) if is_repeat else day.listing
        last[day.directory] = shown
        await _one_day(house, tenant, replace(day, listing=shown), rule, policy)


async def _one_day(
    house: House, tenant: str, day: Day, rule: Rule, policy: RemovalPolicy
) -> None:
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
    events = {
        (each["address"], each["change"])
        for event in await house.events("recipients.changed")
        if event["data"]["run"] == run
        for each in event["data"]["changes"]
    }
    assert events == {(each["address"], each["change"]) for each in found}
    return sorted(events)


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


async def test_the_statements_and_the_rule_agree_on_any_story(house: House) -> None:
    """Whatever a directory shows and whenever, nobody leaves sooner or otherwise than the rule says."""
    told: list[tuple[RemovalPolicy, list[Day], list[bool]]] = []

    @hypothesis_settings(
        max_examples=25, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(stories)
    def gather(story: tuple[RemovalPolicy, list[Day], list[bool]]) -> None:
        told.append(story)

    gather()
    start = house.clock.at
    for policy, story, repeats in told:
        house.clock.at = start
        await house.forget_events()
        await house.pool.execute("UPDATE rollcall.tenant SET deleted_at = now() WHERE deleted_at IS NULL")
        await house.pool.execute("UPDATE rollcall.domain SET removed_at = now() WHERE removed_at IS NULL")
        await live(house, policy, story, repeats)
        await check(house)
