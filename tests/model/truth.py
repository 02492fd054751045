"""What must be true of a tenant's list, kept in plain dictionaries from what happened alone. Never looks into the store.

The rule is written here a second time, one address at a time: who is shown is valid; who is not shown goes by two
complete runs half an hour apart, an apply verdict and grace, or because a person said so.
"""

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


APART = timedelta(minutes=30)
KEPT = timedelta(days=30)
DECIDED_GRACE = timedelta(hours=72)
HAND = 0
"""The source "by hand", where directories are numbered."""


class Step(enum.StrEnum):
    """How far an address is on its way out of one source."""

    PRESENT = "present"
    MISSING = "missing"
    GRACE = "grace"
    REMOVED = "removed"


VALID = frozenset({Step.PRESENT, Step.MISSING})


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete run that was recorded."""

    shown: frozenset[str]
    read_at: datetime
    now: datetime
    grace: timedelta
    is_held: bool
    is_never: bool


@dataclass(frozen=True, slots=True)
class Absence:
    """A complete run that did not show an address, and whether it might take it away."""

    read_at: datetime
    may_take: bool


@dataclass(slots=True)
class Stand:
    """Where an address stands with one source, and what speaks for its leaving."""

    step: Step = Step.PRESENT
    grace_until: datetime | None = None
    removed_at: datetime | None = None
    is_decided: bool = False
    is_approved: bool = False
    absences: list[Absence] = field(default_factory=list)
    """Since it was last shown or given back."""
    hand: str | None = None
    """Of "by hand" only: adopt, protect or neither."""
    left_with_domain: bool = False
    """Of "by hand" only: a person held it until its domain was taken off."""

    def come_back(self) -> None:
        """Be present again, with nothing that speaks against it."""
        self.step, self.grace_until, self.removed_at = Step.PRESENT, None, None
        self.is_decided = self.is_approved = self.left_with_domain = False
        self.absences = []

    def miss(self, run: Reading) -> None:
        """Take at most one step for a complete run that does not show the address."""
        if self.is_decided or self.step is Step.REMOVED:
            return
        may_take = not run.is_never and (self.is_approved or not run.is_held)
        self.absences.append(Absence(run.read_at, may_take))
        if self.step is Step.PRESENT:
            self.step = Step.MISSING
        elif self.step is Step.MISSING and self.may_be_in_grace and may_take:
            self.step, self.grace_until = Step.GRACE, run.now + run.grace
        elif self.step is Step.GRACE and may_take and self.may_be_gone(run.now):
            self.step, self.removed_at = Step.REMOVED, run.now

    def depart(self, now: datetime, grace: timedelta) -> None:
        """Leave because a person said so: grace at once, then the clock alone."""
        self.is_decided = True
        if self.step in VALID:
            self.step, self.grace_until = Step.GRACE, now + grace

    @property
    def may_be_in_grace(self) -> bool:
        """Whether a person let it go, or two complete runs far enough apart did, the later not held."""
        if self.is_decided or self.is_approved:
            return True
        return any(
            later.may_take and later.read_at >= self.absences[0].read_at + APART
            for later in self.absences[1:]
        )

    def may_be_gone(self, now: datetime) -> bool:
        """Whether its grace is over: by the clock if a person let it go, else by a complete run."""
        if self.grace_until is None:
            return False
        if self.is_decided:
            return self.grace_until <= now
        return any(each.may_take and each.read_at >= self.grace_until for each in self.absences)


@dataclass(slots=True)
class Recorded:
    """What one run did to the list as a whole."""

    source: int
    now: datetime
    taken: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo does."""

    given_back: frozenset[str]
    leaving: frozenset[str]
    not_touched: frozenset[str]


@dataclass(frozen=True, slots=True)
class LoginsHeld:
    """Whether the end of a login waited in the hold of a directory before an act, and whether one does after it."""

    waited: bool
    wait: bool


@dataclass
class Truth:
    """One tenant, seen from outside."""

    domains: set[str]
    sources: dict[int, dict[str, Stand]] = field(default_factory=lambda: {HAND: {}})
    shown: dict[int, frozenset[str]] = field(default_factory=dict)
    """The latest complete snapshot of each living directory, without what a person took off since."""
    holds: dict[int, set[str]] = field(default_factory=dict)
    """Who waits for a person, by directory; no key: no hold."""

    def best(self, address: str, *, but: int | None = None) -> Step | None:
        """The best that any source, or any but one, says of an address."""
        steps = {
            stands[address].step
            for source, stands in self.sources.items()
            if source != but and address in stands
        }
        return next((step for step in Step if step in steps), None)

    def listed(self) -> dict[str, str]:
        """The list as the filter is to see it."""
        known = {address for stands in self.sources.values() for address in stands}
        best = {address: self.best(address) for address in known}
        return {
            address: "valid" if step in VALID else "grace"
            for address, step in best.items()
            if step is not None and step is not Step.REMOVED
        }

    def must_be_valid(self) -> set[str]:
        """Whom a living directory showed last, and whom people hold."""
        by_hand = {a for a, stand in self.sources[HAND].items() if stand.step is Step.PRESENT}
        return by_hand.union(*self.shown.values())

    def may_leave(self, address: str, *, for_good: bool, now: datetime) -> bool:
        """Whether every source that ever held it has a reason to let it go."""
        stands = [stands[address] for stands in self.sources.values() if address in stands]
        return all(_may_leave(stand, for_good=for_good, now=now) for stand in stands)

    def steps(self) -> dict[tuple[int, str], str]:
        """How far each address is with each source."""
        return {
            (source, address): stand.step.value
            for source, stands in self.sources.items()
            for address, stand in stands.items()
        }

    # --- runs ----------------------------------------------------------------

    def read(self, source: int, run: Reading) -> Recorded:
        """A complete run was recorded, applied or held."""
        stands, did = self.sources[source], Recorded(source, run.now)
        for address in sorted({*stands, *run.shown}):
            elsewhere = self.best(address, but=source)
            was = stands[address].step if address in stands else None
            stand = stands.setdefault(address, Stand())
            if address in run.shown:
                stand.come_back()
            else:
                stand.miss(run)
            if elsewhere in VALID or stand.step is was:
                continue
            if stand.step is Step.PRESENT:
                did.given.add(address)
            elif stand.step is not Step.REMOVED or elsewhere is not Step.GRACE:
                did.taken.add(address)
        self._adopt(run)
        self.shown[source] = run.shown
        self._hold(source, run)
        return did

    def _adopt(self, run: Reading) -> None:
        for address in run.shown & self.sources[HAND].keys():
            stand = self.sources[HAND][address]
            if stand.hand == "adopt" and stand.step is Step.PRESENT:
                stand.step, stand.removed_at = Step.REMOVED, run.now

    def _hold(self, source: int, run: Reading) -> None:
        self.holds.pop(source, None)
        if run.is_held:
            self.holds[source] = {
                address
                for address, stand in self.sources[source].items()
                if stand.step in {Step.MISSING, Step.GRACE}
                and not (stand.is_decided or stand.is_approved)
                and self.best(address, but=source) not in VALID
            }

    # --- people --------------------------------------------------------------

    def approve(self, source: int, *, now: datetime, grace: timedelta, is_never: bool) -> None:
        """A person lets the departures of a hold happen."""
        for address in () if is_never else self.holds[source]:
            stand = self.sources[source].get(address)
            if stand is None or stand.is_decided or stand.step not in {Step.MISSING, Step.GRACE}:
                continue
            stand.step, stand.is_approved = Step.GRACE, True
            stand.grace_until = stand.grace_until or now + grace
        del self.holds[source]

    def undo(self, did: Recorded, now: datetime, logins: LoginsHeld) -> Undone:
        """Give back what a run took, let go what it gave; a hold in which logins wait stands without any address."""
        stands = self.sources[did.source]
        back = {
            a
            for a in did.taken
            if a in stands and not stands[a].is_decided and stands[a].step is not Step.PRESENT
        }
        leaving = {
            a
            for a in did.given
            if a in stands
            and stands[a].step is Step.PRESENT
            and self.best(a, but=did.source) not in VALID
        }
        for address in back:
            stands[address].come_back()
        for address in leaving:
            stands[address].step = Step.MISSING
            stands[address].absences = [Absence(now, may_take=False)]
        for stand in self.sources[HAND].values():
            if stand.removed_at == did.now and not stand.is_decided:
                stand.come_back()
        self._leave_hold(did.source, back, logins)
        every = did.taken | did.given
        return Undone(frozenset(back), frozenset(leaving), frozenset(every - back - leaving))

    def _leave_hold(self, source: int, back: Collection[str], logins: LoginsHeld) -> None:
        held = self.holds.get(source)
        if held is None or not (held.intersection(back) or (logins.waited and not logins.wait)):
            return
        held.difference_update(back)
        if not held and not logins.wait:
            del self.holds[source]

    def add(self, addresses: Iterable[str], how: str | None) -> None:
        """People hold these."""
        for address in addresses:
            stand = self.sources[HAND].setdefault(address, Stand())
            stand.come_back()
            stand.hand = "protect" if stand.hand == "protect" else how

    def not_by_hand(self, addresses: Iterable[str]) -> bool:
        """Whether anybody among these is held by no person, and was not let go by one."""
        hand = self.sources[HAND]
        return any(
            a not in hand or (hand[a].step is not Step.PRESENT and not hand[a].is_decided)
            for a in addresses
        )

    def remove(self, addresses: Iterable[str], now: datetime) -> None:
        """People let these go."""
        for address in addresses:
            self.sources[HAND][address].depart(now, DECIDED_GRACE)

    def take_off(self, domain: str, now: datetime) -> None:
        """The tenant has a domain no more."""
        for source, stands in self.sources.items():
            for address in (each for each in stands if each.endswith(f"@{domain}")):
                was = stands[address].step
                stands[address].depart(now, DECIDED_GRACE)
                stands[address].left_with_domain |= source == HAND and was is Step.PRESENT
        for source, shown in self.shown.items():
            self.shown[source] = frozenset(a for a in shown if not a.endswith(f"@{domain}"))
        self.domains.discard(domain)

    def put_back(self, domain: str) -> None:
        """The tenant has it again, and people hold what they held in it."""
        self.domains.add(domain)
        for address, stand in self.sources[HAND].items():
            if stand.left_with_domain and address.endswith(f"@{domain}"):
                stand.come_back()

    def delete(self, source: int, *, now: datetime, grace: timedelta, keep: bool) -> None:
        """A directory is gone; its addresses are kept by hand, or leave."""
        stands = self.sources[source]
        for address in [a for a, stand in stands.items() if keep and stand.step in VALID]:
            del stands[address]
            self.sources[HAND].setdefault(address, Stand()).come_back()
        for stand in stands.values():
            stand.depart(now, grace)
        self.shown.pop(source, None)
        self.holds.pop(source, None)

    # --- time ----------------------------------------------------------------

    def lapse(self, now: datetime) -> None:
        """The housekeeper has been: whom a person let go is gone after grace, and after 30 days forgotten."""
        for stands in self.sources.values():
            for address, stand in list(stands.items()):
                if stand.is_decided and stand.step is Step.GRACE and stand.may_be_gone(now):
                    stand.step, stand.removed_at = Step.REMOVED, now
                if stand.removed_at is not None and stand.removed_at < now - KEPT:
                    del stands[address]


def _may_leave(stand: Stand, *, for_good: bool, now: datetime) -> bool:
    if stand.step in VALID:
        return False
    if stand.hand == "adopt" and not stand.is_decided:
        return True  # a directory took it over, and has a stand of its own
    return stand.may_be_in_grace and (not for_good or stand.may_be_gone(now))


def replayed(changes: Iterable[tuple[str, str]], before: Mapping[str, str]) -> dict[str, str]:
    """The list after these changes, in order. Raises AssertionError where one cannot follow the other."""
    after = dict(before)
    for address, change in changes:
        was = after.get(address)
        assert was in MAY_FOLLOW[change], f"{address} {change} after {was}"
        if change == "removed":
            del after[address]
        else:
            after[address] = "grace" if change == "grace" else "valid"
    return after


MAY_FOLLOW: Mapping[str, Collection[str | None]] = {
    "added": {None},
    "returned": {None, "grace", "valid"},
    "missing": {"valid"},
    "grace": {"valid"},
    "removed": {"grace"},
}
"""What an address may be when a change of it is told; who was missing is valid, and may return."""
