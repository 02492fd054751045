"""Settings, preset and limits to one read plan. Opens nothing, asks nobody."""

from dataclasses import dataclass, field

from worker.domain.model import Credentials, DirectorySettings, Limits
from worker.domain.presets import Preset


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """All that one reading of one directory needs to know."""

    settings: DirectorySettings
    credentials: Credentials = field(repr=False)
    preset: Preset
    bases: tuple[str, ...]
    """Search bases, none inside another; empty means: ask the server."""
    filter: str
    """RFC 4515 text."""
    attributes: tuple[str, ...]
    """Every attribute asked for; all come back as bytes."""
    limits: Limits
