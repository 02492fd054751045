"""Decides about quarantine logins: who has one, by which user name, whether it is active. Never about addresses.

A login belongs to an entry, known by its stable id, so who marries keeps it under another name, and who is hired under
the address of somebody who left does not get theirs. The store does the same for all entries at once, in sets; ``settle``
is what it is tested against.
"""

import enum
from collections.abc import Mapping
from datetime import timedelta

from worker.domain.model import DirectorySettings, Logins, RemovalPolicy, Tier
from worker.domain.presets import PRESETS, Syntax, address_attribute
from worker.domain.rulings import QUARANTINE_LOGINS


NAME_KEPT = timedelta(days=30)
"""How long the user name of somebody who left is given to nobody else. As long as removed addresses are kept: what is in
the quarantine of that person is gone by then."""

ADDRESSES_MAX_COUNT = 500
"""Addresses that lead to one login, so that one line of an event stays below 130 KB. Those over it are reported."""


class ClaimCode(enum.StrEnum):
    """Why an entry's login does not get an address that the entry shows."""

    NAME_BY_HAND = "name_by_hand"
    NAME_IN_USE = "name_in_use"
    NAME_KEPT = "name_kept"
    ADDRESS_IN_USE = "address_in_use"
    ADDRESS_SHARED = "address_shared"
    TOO_MANY_ADDRESSES = "too_many_addresses"


CLAIM_TEXTS: Mapping[ClaimCode, str] = {
    ClaimCode.NAME_BY_HAND: "A login of this name was made by hand; it is left as it is.",
    ClaimCode.NAME_IN_USE: "Another mailbox has the login of this name.",
    ClaimCode.NAME_KEPT: f"The login of this name belongs to somebody who left; it is free {NAME_KEPT.days} days after that.",
    ClaimCode.ADDRESS_IN_USE: "Two mailboxes show this address; it leads to the login that had it first.",
    ClaimCode.ADDRESS_SHARED: "Two mailboxes show this address; it leads to neither's login.",
    ClaimCode.TOO_MANY_ADDRESSES: f"The mailbox has more than {ADDRESSES_MAX_COUNT} addresses; the others lead to no login.",
}
"""What people are told of each."""


def are_made(settings: DirectorySettings, tier: Tier) -> bool:
    """Whether runs look after the logins of a directory; if not they stay as they are."""
    return settings.logins.create and tier in QUARANTINE_LOGINS


def are_ended(settings: DirectorySettings) -> bool:
    """Whether a run may deactivate a login: where nobody is ever removed, nobody loses a login either."""
    return settings.logins.deactivate and settings.removals.policy is not RemovalPolicy.NEVER


def primary_is_told(settings: DirectorySettings) -> bool:
    """Whether the directory says which of several addresses is the primary one.

    A single attribute of plain addresses does not (values come in no order, RFC 4511 section 4.1.7): there the user name
    stays while the entry shows it, whatever other address is added.
    """
    preset = PRESETS[settings.type]
    addresses = preset.addresses
    if settings.address_attributes:
        addresses = tuple(address_attribute(preset, name) for name in settings.address_attributes)
    return len(addresses) != 1 or addresses[0].syntax is not Syntax.PLAIN


def rule_of(settings: DirectorySettings) -> str:
    """Return what logins are settled by: when it is another than last time, all are looked at anew."""
    logins: Logins = settings.logins
    ended = "ended" if are_ended(settings) else "kept"
    named = "told" if primary_is_told(settings) else "kept"
    return " ".join((logins.role, ended, named, *sorted(logins.kinds)))
