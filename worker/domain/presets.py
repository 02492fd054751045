"""Per directory flavour, as data: filter, attributes, how to tell entries apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """One flavour of directory."""

    name: str
