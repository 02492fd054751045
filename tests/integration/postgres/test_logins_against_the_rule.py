"""Random days of a random directory through the real statements, held to the rule of logins stated one entry at a time.

The rule is ``domain.logins.settle``; the addresses are what the store says they are, which other tests hold to their own rule.
"""

from dataclasses import dataclass, field
from uuid import NAMESPACE_DNS, UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.integration.postgres.house import HQ, House, Row, check
from tests.integration.postgres.logins import WIDE, asking
from tests.integration.postgres.test_against_the_rule import DAY, HOLD, START_AFRESH
from worker.domain.guard import Ruling
from worker.domain.logins import Claims, Login, Shown, Terms, settle
from worker.domain.model import Address, LoginReason, LoginState, Mode


NAMES = [Address(f"{name}@example.com") for name in "abcd"]
ENTRIES = [uuid5(NAMESPACE_DNS, name) for name in ("one", "two", "three", "four")]
LENGTH = 8


@dataclass(frozen=True)
class Entry:
    """What an entry shows on a day."""

    addresses: tuple[Address, ...]
    primary: int
    """Of which address it says that it is the primary one; beyond the last: of none."""
    enabled: bool
    kind: int

    def rows(self, entry: UUID) -> list[Row]:
        """As the normaliser packs it."""
        return [
            Row(address, entry, self.kind, place == self.primary, self.enabled)
            for place, address in enumerate(self.addresses)
        ]


@dataclass(frozen=True)
class Day:
    """One run: how long after the last, who shows what, whether it is held, and whether it is for show only."""

    minutes: int
    listing: tuple[Entry | None, ...]
    is_held: bool
    mode: Mode


@dataclass(frozen=True)
class Story:
    """A directory's days; a name may be in use by hand."""

    directory_type: str
    by_hand: Address | None
    days: list[Day]


@dataclass
class Rule:
    """What every login is, kept by ``domain.logins.settle``."""

    terms_of: Story
    logins: dict[UUID, Login] = field(default_factory=dict)
    claims: Claims = field(default_factory=set)

    def run(self, shown: dict[UUID, Shown], day: Day, house: House) -> None:
        """Settle them."""
        story = self.terms_of
        terms = Terms(
            now=house.clock.at,
            is_held=day.is_held,
            may_end=True,
            primary_is_told=story.directory_type == "active_directory",
            names_by_hand=frozenset({story.by_hand} if story.by_hand else ()),
        )
        self.logins, self.claims = settle(self.logins, shown, terms)


entries = st.builds(
    Entry,
    addresses=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(tuple),
    primary=st.sampled_from([0, 0, 0, 1, 3]),
    enabled=st.sampled_from([True, True, True, False]),
    kind=st.sampled_from([0] * 6 + [1]),
)
listings = st.tuples(*(st.one_of(st.none(), entries, entries) for _ in ENTRIES)).filter(any)


@st.composite
def days(draw: st.DrawFn) -> list[Day]:
    """Days that often resemble the one before: most of what happens, happens to one entry."""
    told: list[Day] = []
    shown = list(draw(listings))
    for _ in range(LENGTH):
        if draw(st.booleans()):
            shown = list(shown)
            place = draw(st.integers(0, len(ENTRIES) - 1))
            shown[place] = draw(st.one_of(st.none(), entries, entries))
        if not any(shown):
            shown[0] = draw(entries)
        minutes = draw(st.sampled_from([31, 31, 31, 60 * 24, 60 * 73, 60 * 24 * 31]))
        is_held = draw(st.sampled_from([False] * 5 + [True]))
        mode = draw(st.sampled_from([Mode.APPLY] * 7 + [Mode.PREVIEW]))
        told.append(Day(minutes, tuple(shown), is_held, mode))
    return told


stories = st.builds(
    Story,
    directory_type=st.sampled_from(["active_directory", "openldap"]),
    by_hand=st.sampled_from([None, None, NAMES[0]]),
    days=days(),
)

BY_HAND = """
INSERT INTO rollcall.login (login_id, tenant_id, directory_id, username, role, state, since)
SELECT gen_random_uuid(), tenant_id, 0, $2, 'normal', 'active', now() FROM rollcall.tenant WHERE tenant = $1 AND deleted_at IS NULL
"""


async def live(house: House, story: Story) -> None:
    """Tell one story to the store and to the rule, and compare after each day."""
    await house.save_tenant("example.com", tenant=(tenant := f"t{next(house.ids)}"))
    await house.save_directory(asking(WIDE, type=story.directory_type), tenant=tenant)
    if story.by_hand:
        await house.pool.execute(BY_HAND, tenant, story.by_hand)
    rule = Rule(story)
    for day in story.days:
        try:
            await _one_day(house, tenant, day, rule)
        except AssertionError as exc:
            exc.add_note(f"{story}, at {day}")
            raise
        await house.forget_events()


async def _one_day(house: House, tenant: str, day: Day, rule: Rule) -> None:
    house.clock.forward(minutes=day.minutes)
    await house.request(HQ, tenant=tenant, mode=day.mode)
    run = await house.claim()
    listed = [
        row
        for entry, each in zip(ENTRIES, day.listing, strict=True)
        if each is not None
        for row in each.rows(entry)
    ]
    async with house.runs.final(run, house.snapshot(run, listed)) as final:
        await final.compare()
        await final.record(HOLD if day.is_held else Ruling())
    if day.mode is Mode.APPLY:
        rule.run(await _shown(house, tenant), day, house)
    assert await _logins(house, tenant) == rule.logins
    assert await _claims(house, tenant) == {
        (entry, address, str(code)) for entry, address, code in rule.claims
    }


async def _shown(house: House, tenant: str) -> dict[UUID, Shown]:
    found = await house.fetch(
        """SELECT h.entry_id, h.address, h.is_primary, h.enabled, h.kind, d.step
           FROM rollcall.holding h JOIN rollcall.tenant t USING (tenant_id)
           LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id) WHERE t.tenant = $1""",
        tenant,
    )
    shown = {}
    for entry in {each["entry_id"] for each in found}:
        own = [each for each in found if each["entry_id"] == entry]
        present = [each for each in own if each["step"] is None]
        missing = [each for each in own if each["step"] == "missing"]
        telling = present or missing
        shown[entry] = Shown(
            {Address(each["address"]): each["is_primary"] for each in present},
            frozenset(Address(each["address"]) for each in missing),
            is_enabled=any(each["enabled"] for each in telling),
            is_wanted=min((each["kind"] for each in telling), default=0) == 0,
        )
    return shown


async def _logins(house: House, tenant: str) -> dict[UUID, Login]:
    found = await house.fetch(
        """SELECT l.*, ARRAY(SELECT a.address FROM rollcall.login_address a WHERE a.login_id = l.login_id) AS addresses
           FROM rollcall.login l JOIN rollcall.tenant t USING (tenant_id) WHERE t.tenant = $1 AND l.directory_id <> 0""",
        tenant,
    )
    return {
        each["entry_id"]: Login(
            Address(each["username"]),
            each["since"],
            LoginState(each["state"]),
            LoginReason(each["reason"]) if each["reason"] else None,
            frozenset(map(Address, each["addresses"])),
        )
        for each in found
    }


async def _claims(house: House, tenant: str) -> set[tuple[UUID, str, str]]:
    found = await house.fetch(
        "SELECT entry, address, code FROM api.login_conflict WHERE tenant = $1", tenant
    )
    return {(each["entry"], each["address"], each["code"]) for each in found}


@pytest.mark.timeout(120)
async def test_the_statements_and_the_rule_of_logins_agree_on_any_story(house: House) -> None:
    """Whatever a directory shows and whenever, no login goes to another person and nobody loses theirs otherwise than the rule says."""
    told: list[Story] = []

    @hypothesis_settings(
        max_examples=12, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(stories)
    def gather(each: Story) -> None:
        told.append(each)

    gather()
    start = house.clock.at
    for months in range(0, 12, 2):
        await house.value("SELECT rollcall.make_history_partitions($1)", start + months * 31 * DAY)
    for story in told:
        house.clock.at = start
        await house.pool.execute(START_AFRESH)
        await live(house, story)
        await check(house)
