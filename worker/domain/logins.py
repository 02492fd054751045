"""Decides about quarantine logins: who has one, by which user name, whether it is active. Never about addresses.

A login belongs to an entry, known by its stable id, so who marries keeps it under another name, and who is hired under
the address of somebody who left does not get theirs. The store does the same for all entries at once, in sets; ``settle``
is what it is tested against.
"""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from worker.domain.model import (
    Address,
    DirectorySettings,
    LoginReason,
    Logins,
    LoginState,
    RemovalPolicy,
    Tier,
)
from worker.domain.plans import Right, allows
from worker.domain.presets import PRESETS, Syntax, address_attribute


NAME_KEPT = timedelta(days=30)
"""How long the user name of somebody who left is given to nobody else. As long as removed addresses are kept: what is in
the quarantine of that person is gone by then."""

ADDRESSES_MAX_COUNT = 500
"""Addresses that lead to one login, so that one line of an event stays below 130 KB. Those over it are reported."""

MAILBOXES_TOLD = 5
"""Mailboxes that are named of those that meet in an address, as ``rollcall.claimants`` does."""


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
    return settings.logins.create and allows(tier, Right.LOGINS)


def are_ended(settings: DirectorySettings) -> bool:
    """Whether a run may deactivate a login: where nobody is ever removed, nobody loses a login either."""
    return settings.logins.deactivate and settings.removals.policy is not RemovalPolicy.NEVER


def primary_is_told(settings: DirectorySettings) -> bool:
    """Whether the directory says which of several addresses is the primary one.

    A single attribute of plain addresses does not (values come in no order, RFC 4511 section 4.1.7): there the user name
    stays while the entry shows it, whatever other address is added.
    """
    preset = PRESETS.get(settings.type)
    addresses = preset.addresses if preset else ()
    if preset and settings.address_attributes:
        addresses = tuple(address_attribute(preset, name) for name in settings.address_attributes)
    return len(addresses) != 1 or addresses[0].syntax is not Syntax.PLAIN


def rule_of(settings: DirectorySettings) -> str:
    """Return what logins are settled by: when it is another than last time, all are looked at anew."""
    logins: Logins = settings.logins
    ended = "ended" if are_ended(settings) else "kept"
    named = "told" if primary_is_told(settings) else "kept"
    return " ".join((logins.role, ended, named, *sorted(logins.kinds)))


# --- the rule, one directory of one tenant at a time ---------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of an entry once the addresses of a run are written."""

    present: Mapping[Address, bool]
    """Each address it shows, and whether it is primary."""
    missing: frozenset[Address] = frozenset()
    """Valid still, and not shown."""
    is_enabled: bool = True
    is_wanted: bool = True
    """Of a kind that gets logins."""

    @property
    def valid(self) -> frozenset[Address]:
        """Addresses that mail is accepted for."""
        return self.missing | self.present.keys()

    @property
    def leads(self) -> bool:
        """Whether its addresses may lead to a login."""
        return self.is_wanted and bool(self.valid)

    @property
    def reason(self) -> LoginReason | None:
        """Why its login is not to be used; None: it is."""
        if not self.valid:
            return LoginReason.GONE
        if not self.is_wanted:
            return LoginReason.NOT_WANTED
        return None if self.is_enabled else LoginReason.DISABLED


@dataclass(frozen=True, slots=True)
class Login:
    """The login of an entry; ``addresses`` are those that lead to it."""

    username: Address
    since: datetime
    """When it came into its state."""
    state: LoginState = LoginState.ACTIVE
    reason: LoginReason | None = None
    addresses: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one run."""

    now: datetime
    is_held: bool
    may_end: bool
    primary_is_told: bool
    names_by_hand: frozenset[Address] = frozenset()


Claims = set[tuple[UUID, Address, ClaimCode]]
NOWHERE = Shown({})


def settle(
    known: Mapping[UUID, Login], shown: Mapping[UUID, Shown], terms: Terms
) -> tuple[dict[UUID, Login], Claims]:
    """Return every login after a run, and what entries claim and do not get."""
    after = {
        entry: _kept(login, shown.get(entry, NOWHERE), terms) for entry, login in known.items()
    }
    claims = {
        entry: claim
        for entry, each in shown.items()
        if (claim := _claim(known.get(entry), each, terms))
        and (entry in known or each.reason is None)
    }
    free = _released(after, claims, terms)
    contested = _contested(after.keys() | claims.keys(), shown)
    unmet: Claims = set()
    for entry, claim in claims.items():
        code = _in_the_way(entry, claim, free, contested, terms)
        if code is not None:
            unmet.add((entry, claim, code))
    for entry, claim in claims.items():
        if (entry, claim) not in {each[:2] for each in unmet}:
            free[entry] = _named(known.get(entry), free.get(entry), claim, terms)
    return free, unmet | _lead(free, shown, unmet, terms)


def _kept(login: Login, shown: Shown, terms: Terms) -> Login:
    """Give the login its new state, and take from it the addresses that its entry does not show any more."""
    kept = login.addresses & shown.valid if shown.is_wanted else frozenset()
    login = replace(login, addresses=frozenset(kept))
    if login.state is LoginState.RELEASED:
        return login  # until it has a name
    if shown.reason is None:
        return _active(login, terms) if shown.present else login  # what is missing lets nobody in
    if login.state is LoginState.ACTIVE and terms.may_end and not _waits(login, shown, terms):
        return replace(login, state=LoginState.DEACTIVATED, reason=shown.reason, since=terms.now)
    return login


def _waits(login: Login, shown: Shown, terms: Terms) -> bool:
    """Whether the end of a login waits in a hold."""
    ends = login.state is LoginState.ACTIVE and shown.reason is not None and terms.may_end
    return terms.is_held and ends


def _active(login: Login, terms: Terms) -> Login:
    if login.state is LoginState.ACTIVE:
        return login
    return replace(login, state=LoginState.ACTIVE, reason=None, since=terms.now)


def _claim(login: Login | None, shown: Shown, terms: Terms) -> Address | None:
    """Return the user name that the login is to have and has not; None: it stays as it is."""
    if not shown.present or not shown.is_wanted:
        return None
    if login is not None and _waits(login, shown, terms):
        return None  # by its name
    has = login.username if login else None
    rank = (
        (lambda address: (not shown.present[address], address != has, address))
        if terms.primary_is_told
        else (lambda address: (address != has, not shown.present[address], address))
    )
    best = min(shown.present, key=rank)
    is_new = login is None or best != has
    if login is not None and login.state is LoginState.RELEASED:
        return best if shown.reason is None else None
    return best if is_new else None


def _released(
    logins: Mapping[UUID, Login], claims: Mapping[UUID, Address], terms: Terms
) -> dict[UUID, Login]:
    """Let those who have been gone for long enough give up a name that somebody claims."""

    def is_over(entry: UUID, login: Login) -> bool:
        return (
            login.state is LoginState.DEACTIVATED
            and login.since <= terms.now - NAME_KEPT
            and not login.addresses
            and any(claim == login.username for other, claim in claims.items() if other != entry)
        )

    return {
        entry: replace(login, state=LoginState.RELEASED, since=terms.now)
        if is_over(entry, login)
        else login
        for entry, login in logins.items()
    }


def _contested(entries: set[UUID], shown: Mapping[UUID, Shown]) -> set[Address]:
    """Return the addresses that more than one of these shows."""
    counted = Counter(
        address
        for entry in entries
        if entry in shown and shown[entry].leads
        for address in shown[entry].present
    )
    return {address for address, count in counted.items() if count > 1}


def _in_the_way(
    entry: UUID,
    claim: Address,
    logins: Mapping[UUID, Login],
    contested: set[Address],
    terms: Terms,
) -> ClaimCode | None:
    """Say why an entry does not get a name; None: it does."""
    if claim in terms.names_by_hand:
        return ClaimCode.NAME_BY_HAND
    for other, login in logins.items():
        if other != entry and login.username == claim and login.state is not LoginState.RELEASED:
            is_gone = login.state is LoginState.DEACTIVATED and not login.addresses
            return ClaimCode.NAME_KEPT if is_gone else ClaimCode.NAME_IN_USE
    leads_to = next((other for other, each in logins.items() if claim in each.addresses), None)
    if leads_to is not None:
        return None if leads_to == entry else ClaimCode.ADDRESS_IN_USE
    return ClaimCode.ADDRESS_SHARED if claim in contested else None


def _named(known: Login | None, login: Login | None, claim: Address, terms: Terms) -> Login:
    if known is None or login is None:
        return Login(claim, terms.now)
    named = replace(login, username=claim)
    return _active(named, terms) if known.state is LoginState.RELEASED else named


def _lead(
    logins: dict[UUID, Login], shown: Mapping[UUID, Shown], unmet: Claims, terms: Terms
) -> Claims:
    """Let every address lead to its entry's login, in place; gives those that do not."""
    leading = {
        entry: shown[entry].valid
        for entry, login in logins.items()
        if entry in shown and shown[entry].leads and login.state is not LoginState.RELEASED
    }
    claimed = Counter(address for valid in leading.values() for address in valid)
    taken = {address for login in logins.values() for address in login.addresses}
    given: Claims = set()
    for entry, valid in leading.items():
        own = logins[entry].addresses
        fresh = {
            address
            for address in valid - taken
            if claimed[address] == 1 and address not in terms.names_by_hand
        }
        logins[entry] = replace(logins[entry], addresses=own | fresh)
        for address in valid - own - fresh:
            if (entry, address) not in {each[:2] for each in unmet}:
                given.add((entry, address, _why(address, taken, terms)))
    return given


def _why(address: Address, taken: set[Address], terms: Terms) -> ClaimCode:
    if address in terms.names_by_hand:
        return ClaimCode.NAME_BY_HAND
    return ClaimCode.ADDRESS_IN_USE if address in taken else ClaimCode.ADDRESS_SHARED
