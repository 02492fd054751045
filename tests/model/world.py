"""What the directories of the model show: a few people with addresses, some shared, and a crowd that gives shares a meaning."""

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.integration.postgres.house import Row, people, row


DOMAIN = "example.com"
SPARE = "example.net"
"""Taken off and added again."""
PERSONS = ("ada", "bob", "cyd")
ADDRESSES = tuple(
    f"{name}@{domain}" for domain in (DOMAIN, SPARE) for name in ("ada", "bob", "info")
)
CROWD = tuple(people(24, DOMAIN))


@dataclass(slots=True)
class Entry:
    """One entry of a directory; ``renewals`` tells its stable id, everything else may change."""

    addresses: tuple[str, ...] = ()
    renewals: int = 0
    changes: int = 0
    """Of what is no address: name, kind, whether it is enabled, which address is the first."""


@dataclass(slots=True)
class Shelf:
    """One directory."""

    name: str
    entries: dict[str, Entry] = field(default_factory=lambda: {each: Entry() for each in PERSONS})
    crowd: int = 0
    """How many of the crowd it shows."""
    scope: str = "scope"

    @classmethod
    def busy(cls, name: str) -> "Shelf":
        """One that shows everybody, as most histories begin."""
        shelf = cls(name, crowd=len(CROWD))
        for person in PERSONS:
            shelf.welcome(person)
        return shelf

    def welcome(self, person: str) -> None:
        """Show a person with one address, always the same."""
        self.entries[person].addresses = (ADDRESSES[PERSONS.index(person)],)

    def rows(self, domains: Collection[str]) -> list[Row]:
        """What a complete read gives of the addresses in these domains."""
        shown = [row(each, f"{self.name} {each}") for each in CROWD[: self.crowd]]
        for person, entry in self.entries.items():
            shown += self._rows(person, entry)
        return [each for each in shown if each.address.rpartition("@")[2] in domains]

    def _rows(self, person: str, entry: Entry) -> list[Row]:
        return [
            row(
                address,
                f"{self.name} {person} {entry.renewals}",
                kind=entry.changes % 3,
                is_primary=place == entry.changes % 2,
                enabled=entry.changes % 4 != 3,
                name=f"{person} {entry.changes}" if entry.changes else None,
            )
            for place, address in enumerate(entry.addresses)
        ]
