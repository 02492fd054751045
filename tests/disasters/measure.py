"""What is measured while a disaster runs its course: the company's truth held against what SMTP is told."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


WEEK = timedelta(days=7)
PUT_OFF = "grace"
REFUSED = "unknown"
ACCEPTED = frozenset({"valid", "catch_all", "not_authoritative"})
LISTED = frozenset({"valid", "grace"})


@dataclass(slots=True)
class Measure:
    """Counts by address, so that who is hurt in every run is one all the same."""

    known: set[str] = field(default_factory=set)
    """Living, and their mail was accepted once: from then on they can be lost."""
    put_off: dict[str, datetime] = field(default_factory=dict)
    """Living, known, and answered 450; since when."""
    refused: dict[str, datetime] = field(default_factory=dict)
    """Living, known, and answered 550; since when."""
    kept: set[str] = field(default_factory=set)
    """Left so long ago that an undisturbed way out would be over, and still on the list."""
    late: set[str] = field(default_factory=set)
    """Those of them at the last look."""
    gone: set[str] = field(default_factory=set)
    """Left, and refused at the last look."""
    unlisted: set[str] = field(default_factory=set)
    """Living, and not answered valid at the last look."""

    def look(
        self,
        answers: Mapping[str, str],
        *,
        living: Collection[str],
        left: Mapping[str, datetime],
        now: datetime,
        way_out: timedelta,
    ) -> None:
        """Take in one look: what SMTP is told of everybody. ``way_out``: how long an undisturbed one takes."""
        self.unlisted = {address for address in living if answers[address] != "valid"}
        for address in self.unlisted & self.known:
            lost = {PUT_OFF: self.put_off, REFUSED: self.refused}.get(answers[address], {})
            lost.setdefault(address, now)
        self.known |= {address for address in living if answers[address] in ACCEPTED}
        overdue = {address for address, at in left.items() if now > at + way_out}
        self.late = {address for address in overdue if answers[address] in LISTED}
        self.kept |= self.late
        self.gone = {address for address in left if answers[address] == REFUSED}

    @property
    def lost(self) -> dict[str, datetime]:
        """Living recipients whose mail was put off or refused; since when."""
        both = (*self.refused.items(), *self.put_off.items())
        return dict(sorted(both, key=lambda each: each[1], reverse=True))

    @property
    def worst_week(self) -> int:
        """How many living were lost in the worst seven days."""
        times = self.lost.values()
        return max((sum(at <= each < at + WEEK for each in times) for at in times), default=0)
