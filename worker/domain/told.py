"""What a finding carries besides its sentences: lines to copy, and what a good look found. Values alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Command:
    """Lines to copy."""

    label: str
    """For whom they are, such as ``OpenLDAP, on the server``; ``for`` in messages."""
    text: str


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that works and might be better."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a look that found nothing wrong has to tell."""

    server: str
    """``host:port`` that was read."""
    server_type: str
    """As in the form's types, as far as they tell servers apart; ``unknown`` if it does not show."""
    server_name: str
    """The same for people, with its version."""
    bases: tuple[str, ...]
    entries: int
    addresses: int
    """Distinct ones."""
    kinds: Mapping[str, int]
    domains: Mapping[str, int]
    """Of the customer, with how many addresses each."""
    other_domains: Mapping[str, int]
    """Found, and not the customer's."""
    first_addresses: tuple[str, ...]
    references: int
    """To other servers, seen and not followed."""
    certificate_until: datetime | None
    """The first of the certificates seen to expire."""
    entries_per_second: int
    page_milliseconds: int
    """The slowest page."""
    warnings: tuple[Caution, ...] = ()
