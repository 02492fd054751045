"""Decides what a result recommends: what the settings, the account, a day to come and the list itself give cause for.

Pure: figures go in, sentences come out. Never changes a verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.domain.events import Advice
from worker.domain.might import mighty
from worker.domain.model import DirectorySettings, Security, Tier
from worker.domain.plans import NAMES, Right, allows, having
from worker.domain.warnings import AHEAD, TEXTS, Cause


COMPLETE_RUNS = 5
"""So many complete runs in a row are several."""

STABLE_FOR = timedelta(hours=72)
"""As long as the usual grace: who vanished by mistake has shown by then. Five runs may be five hours."""

UNSTABLE_COUNT = 10
UNSTABLE_SHARE = 0.05
"""A list is not stable when more than so many of it and more than this share change at once; the guard's own limits."""

LARGE_COUNT = 1_000
"""Addresses from which a list needs something to tell a wrong one by: nobody reads through a thousand."""

PLURALS: Mapping[str, tuple[str, str]] = {
    "mailbox": ("mailbox", "mailboxes"),
    "group": ("group", "groups"),
    "contact": ("contact", "contacts"),
    "public_folder": ("public folder", "public folders"),
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far the list of a domain with catch-all can be trusted."""

    domain: str
    complete_runs: int
    """In a row, of every directory in force; the least of them."""
    stable_since: datetime
    addresses: int
    kinds: Mapping[str, int]
    """The same by kind."""
    automatic: bool
    """Whether every directory in force is synced by itself, so that the list stays true."""

    def is_ready(self, now: datetime) -> bool:
        """Whether the domain could do without catch-all."""
        return (
            self.automatic
            and self.addresses > 0
            and self.complete_runs >= COMPLETE_RUNS
            and now - self.stable_since >= STABLE_FOR
        )


@dataclass(frozen=True, slots=True)
class Complete:
    """What a complete run has shown."""

    addresses: int
    readiness: tuple[Readiness, ...] = ()
    """Of each domain with catch-all."""
    until: Mapping[Cause, datetime | None] = field(default_factory=dict)
    """How long certificate and password are valid; None: for ever, or nobody tells."""


def advice(
    settings: DirectorySettings, run: Complete, now: datetime, *, plan: Tier
) -> tuple[Advice, ...]:
    """Return what is recommended after a complete run under these settings and the plan that counts."""
    given = [_catch_all_on(each) for each in run.readiness if each.is_ready(now)]
    given += [expiring(cause, at) for cause, at in run.until.items() if at and at - now <= AHEAD]
    if settings.security is Security.NONE:
        given.append(PLAIN_LDAP)
    if might := mighty(settings.bind_name, ()):
        given.append(mighty_account(might))
    if run.addresses >= LARGE_COUNT and not settings.removals.canaries:
        given.append(no_canary(run.addresses))
    if are_paused(asked=settings.logins.create, plan=plan):
        given.append(_logins_paused(plan))
    return tuple(given)


LOGINS_PAUSED = "logins_paused"


def are_paused(*, asked: bool, plan: Tier) -> bool:
    """Whether the quarantine logins that a directory asks for stand still, for the plan's sake."""
    return asked and not allows(plan, Right.LOGINS)


PLAIN_LDAP = Advice(
    "plain_ldap",
    "The connection is not encrypted: the password and all addresses can be read on the way. "
    "Choose LDAPS, or else STARTTLS.",
)


def expiring(cause: Cause, at: datetime) -> Advice:
    """Return what is said of a certificate or a password that is valid until then, in the words of the warning."""
    return Advice(cause.value, TEXTS[cause].format(at=at))


def mighty_account(might: str) -> Advice:
    """Return what is said of an account that may do too much, given what it is."""
    text = (
        f"The account is {might}: more than is needed, and what it may do others may who learn its password. "
        "Enter an ordinary account that may only read."
    )
    return Advice("mighty_account", text)


def no_canary(addresses: int) -> Advice:
    """Return what is said of a long list without an address that must always be found."""
    text = (
        f"There are {addresses:,} addresses and none is named that must always be found. "
        "Name one or two (canaries): a list without them is then held, and nobody leaves by it."
    )
    return Advice("no_canary", text)


def _logins_paused(plan: Tier) -> Advice:
    having_them = " or ".join(NAMES[each] for each in having(Right.LOGINS))
    text = (
        f"Quarantine logins are not looked after: the plan {NAMES[plan]} does not have them. "
        f"It takes {having_them}; logins stay as they are, also those of people who leave."
    )
    return Advice(LOGINS_PAUSED, text)


def _catch_all_on(ready: Readiness) -> Advice:
    text = (
        f"{ready.domain} still accepts mail for every address (catch-all). Its list can be trusted: {_words(ready)}; "
        f"the last {ready.complete_runs:,} syncs were complete, the list is stable since {ready.stable_since:%Y-%m-%d}, "
        "and automatic sync keeps it so. Turn catch-all off, and mail for people who do not exist is refused."
    )
    return Advice("catch_all_on", text, ready.domain)


def _words(ready: Readiness) -> str:
    """Say how many addresses there are, by kind: "812 addresses (700 mailboxes, 1 group)"."""
    kinds = ", ".join(
        f"{ready.kinds[kind]:,} {names[ready.kinds[kind] != 1]}"
        for kind, names in PLURALS.items()
        if ready.kinds.get(kind)
    )
    named = "address" if ready.addresses == 1 else "addresses"
    return f"{ready.addresses:,} {named} ({kinds})" if kinds else f"{ready.addresses:,} {named}"
