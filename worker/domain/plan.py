"""Settings, preset and limits to one read plan. Opens nothing, asks nobody."""

import json
from dataclasses import dataclass, field, replace
from hashlib import sha256

from worker.domain.failures import RequestFailure
from worker.domain.model import Credentials, DirectorySettings, Kind, Limits
from worker.domain.presets import PRESETS, Preset, address_attribute
from worker.domain.syntax import dn_key, outermost


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """All that one reading of one directory needs to know."""

    settings: DirectorySettings
    credentials: Credentials = field(repr=False)
    preset: Preset
    """The flavour, with what the settings say otherwise already put in."""
    bases: tuple[str, ...]
    """Search bases, none inside another; empty means: ask the server."""
    filter: str
    """RFC 4515 text."""
    attributes: tuple[str, ...]
    """Every attribute asked for; all come back as bytes."""
    limits: Limits
    asks_schema: bool = False
    """Whether to ask also what the server's schema has: for a person who looks; a sync asks only once it failed and the type may be why. No part of the scope."""


def make_plan(settings: DirectorySettings, credentials: Credentials, limits: Limits) -> ReadPlan:
    """Say what to read and how.

    Raises RequestFailure ``settings.unknown_type``, ``settings.no_filter``, ``settings.no_address_attributes`` or
    ``settings.no_such_kind``.
    """
    preset = _effective_preset(settings)
    return ReadPlan(
        settings=settings,
        credentials=credentials,
        preset=preset,
        bases=outermost(settings.search_bases),
        filter=settings.filter or _filter_for(preset, settings.kinds),
        attributes=preset.attributes,
        limits=limits,
    )


def _effective_preset(settings: DirectorySettings) -> Preset:
    preset = PRESETS.get(settings.type)
    if preset is None:
        raise RequestFailure("settings.unknown_type", settings.type)
    if settings.address_attributes:
        named = dict.fromkeys(settings.address_attributes)
        addresses = tuple(address_attribute(preset, name) for name in named)
        preset = replace(preset, addresses=addresses)
    if not preset.addresses:
        raise RequestFailure("settings.no_address_attributes")
    return preset


def _filter_for(preset: Preset, kinds: tuple[Kind, ...]) -> str:
    """Join the filters of the kinds wanted; kinds that one filter finds together are told apart later."""
    if not preset.filters:
        raise RequestFailure("settings.no_filter")
    parts = list(dict.fromkeys(text for kind, text in preset.filters if kind in kinds))
    if not parts:
        raise RequestFailure("settings.no_such_kind", ", ".join(kinds))
    return parts[0] if len(parts) == 1 else f"(|{''.join(parts)})"


def scope_digest(plan: ReadPlan) -> str:
    """Return 32 hexadecimal digits that change when what is read changes: where, by what filter, what is kept.

    The same things in another order or another spelling are the same scope.
    """
    settings = plan.settings
    parts = (
        [settings.type],
        [plan.filter],
        sorted(map(dn_key, plan.bases)),
        sorted(address.name.lower() for address in plan.preset.addresses),
        sorted(settings.kinds),
        sorted({pattern.lower() for pattern in settings.leave_out}),
        sorted(
            f"{server.host.lower()} {server.port_for(settings.security)}"
            for server in settings.servers
        ),
    )
    return sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]
