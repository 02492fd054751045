"""Decides what a result recommends: catch-all that is not needed any more, plain LDAP, a canary, a plan for the logins.

Pure: figures go in, sentences come out. Never changes a verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.events import Advice
from worker.domain.model import DirectorySettings, Security, Tier
from worker.domain.plans import NAMES, Right, allows, having


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


def advice(
    settings: DirectorySettings,
    addresses: int,
    readiness: Sequence[Readiness],
    now: datetime,
    *,
    plan: Tier,
) -> tuple[Advice, ...]:
    """Return what is recommended after a complete run that held so many addresses, under the plan that counts."""
    given = [_catch_all_on(each) for each in readiness if each.is_ready(now)]
    if settings.security is Security.NONE:
        given.append(PLAIN_LDAP)
    if addresses >= LARGE_COUNT and not settings.removals.canaries:
        given.append(_no_canary(addresses))
    if settings.logins.create and not allows(plan, Right.LOGINS):
        given.append(_logins_paused(plan))
    return tuple(given)


PLAIN_LDAP = Advice(
    "plain_ldap",
    "The directory is read without encryption: the password and the list can be read on the way. "
    "Set security to ldaps or starttls.",
)


def _no_canary(addresses: int) -> Advice:
    text = (
        f"The list has {addresses:,} addresses and none of them is named as one that must always be found. "
        "Enter one or two under canaries: a list without them is then held, however it came about."
    )
    return Advice("no_canary", text)


def _logins_paused(plan: Tier) -> Advice:
    having_them = " or ".join(NAMES[each] for each in having(Right.LOGINS))
    text = (
        f"Quarantine logins are not looked after: the plan {NAMES[plan]} does not have them. "
        f"It takes {having_them}; logins stay as they are, also those of people who leave."
    )
    return Advice("logins_paused", text)


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
