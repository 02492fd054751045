"""Decides whether a password may be sent once more, so that no number of runs locks a customer's account.

A refused password is not sent again by anything automatic; at most two refusals in
30 minutes, presses included; a success resets. Counted as a directory counts them: Active Directory's counter starts
anew only when the last refusal is as old as its window (lockOutObservationWindow; seen with Samba 4.17), so refusals a
quarter of an hour apart add up to any number.

An account may be spelled in several ways, and the directory counts it once: see ``may_be_same``.
"""

import enum
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.domain.model import (
    ClaimedRun,
    Credentials,
    DirectorySettings,
    Secret,
    TenantId,
    Trigger,
)
from worker.domain.syntax import normal_dn


WINDOW = timedelta(minutes=30)
"""How long a directory remembers a refusal, by default."""
REFUSALS_MAX = 2
OF_OTHERS = "others"
"""The figure of a wait for which only names counted that may stand for the same account."""
NEARBY = WINDOW * REFUSALS_MAX
"""How far back refusals can lie that close the gate: each less than a window before the next."""
UNANSWERED_FOR = timedelta(minutes=2)
"""How long a sign-in without a recorded answer may still be under way; later its worker has died."""


class Sent(enum.StrEnum):
    """What became of a sign-in that was recorded."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as somebody typed it, and the hosts that are asked to let it in."""

    bind_name: str
    """In lower case: no directory minds the case of a name."""
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that is about to be made: for whom, as whom, where, with what, and who asked."""

    tenant: TenantId
    account: Account
    secret: Secret | None = field(repr=False)
    trigger: Trigger
    changed_at: datetime
    """When the settings were last saved."""
    is_trial: bool = False
    """The settings are a form that was not saved."""


def sign_in_of(
    tenant: TenantId,
    settings: DirectorySettings,
    credentials: Credentials,
    *,
    trigger: Trigger,
    changed_at: datetime,
) -> SignIn:
    """Return the sign-in that reading with these settings takes."""
    hosts = frozenset(server.host.lower().rstrip(".") for server in settings.servers)
    account = Account(settings.bind_name.lower(), hosts)
    secret = credentials.password or credentials.client_key
    return SignIn(tenant, account, secret, trigger, changed_at)


def sign_in_of_run(run: ClaimedRun) -> SignIn:
    """Return the sign-in that a run takes."""
    return sign_in_of(
        run.lease.tenant,
        run.settings,
        run.credentials,
        trigger=run.trigger,
        changed_at=run.saved_at,
    )


class Spelling(enum.Enum):
    """How an account may be named to a directory."""

    DN = enum.auto()
    UPN = enum.auto()
    LOGON = enum.auto()
    """``DOMAIN\\user``."""
    OTHER = enum.auto()


def spelling(bind_name: str) -> Spelling:
    """Tell how an account is named."""
    if normal_dn(bind_name) is not None:
        return Spelling.DN
    if "\\" in bind_name:
        return Spelling.LOGON
    return Spelling.UPN if "@" in bind_name else Spelling.OTHER


def short_names(bind_name: str) -> frozenset[str]:
    """Return what an account is called apart from where it is: of a DN the values of its first part.

    Without case and accents, which Active Directory does not tell apart either.
    """
    dn = normal_dn(bind_name)
    named = [bind_name] if dn is None else [value for _, value in dn[0]]
    return frozenset(map(_short, named))


def _short(name: str) -> str:
    bare = re.split(r"[\\/]", name)[-1].partition("@")[0].strip() or name
    letters = unicodedata.normalize("NFKD", bare.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def may_be_same(one: Account, other: Account) -> bool:
    r"""Tell whether two names may stand for one account of a directory; in doubt they do.

    Two DNs that differ are two entries. Else one short name is one account, wherever it is asked for: ``user@a`` and
    ``user@b`` may be. At a common host all others count as one whatever they say, but for two DNs and two of
    ``DOMAIN\user``: an entry is often called by the person's full name, ``user@domain`` may be free text or the
    account's own name, and Active Directory takes a SID, a GUID or a display name as well (MS-ADTS section 5.1.1.1.1).
    """
    if one.bind_name == other.bind_name:
        return True
    spellings = (spelling(one.bind_name), spelling(other.bind_name))
    if spellings == (Spelling.DN, Spelling.DN):
        return normal_dn(one.bind_name) == normal_dn(other.bind_name)
    if short_names(one.bind_name) & short_names(other.bind_name):
        return True
    return spellings != (Spelling.LOGON, Spelling.LOGON) and bool(one.hosts & other.hosts)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in of a tenant's account, whatever the host."""

    at: datetime
    outcome: Sent
    bind_name: str = ""
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """The password must not be sent now; ``detail`` says until when, or why."""

    code: str
    detail: str
    figure: str = ""
    """``OF_OTHERS``, or nothing."""


def may_sign_in(  # noqa: PLR0913 - all that is known of the account, and when
    trigger: Trigger,
    recent: Sequence[Attempt],
    *,
    is_known_refused: bool,
    changed_at: datetime,
    now: datetime,
    others: Sequence[Attempt] = (),
) -> Wait | None:
    """Return None if the password may be sent, else why not.

    ``recent`` are attempts under this very name, the youngest first; ``others`` those under names that may stand for
    the same account; ``changed_at`` is when the settings were last saved.

    A sign-in whose answer was never recorded counts as refused: its worker may have died after the server
    counted it.
    """
    if trigger is Trigger.SCHEDULED and (
        is_known_refused
        or _refused_in_a_row([attempt for attempt in recent if attempt.at >= changed_at])
    ):
        return Wait("sign_in.known_refused", "this password was refused before")
    counted = _remembered([*recent, *others], now)
    if len(counted) < REFUSALS_MAX:
        return None
    if any(a.outcome is Sent.PENDING and now - a.at < UNANSWERED_FOR for a in counted):
        return Wait("sign_in.under_way", "other sign-ins of this account are under way")
    free_at = counted[0].at + WINDOW
    figure = "" if any(attempt in recent for attempt in counted) else OF_OTHERS
    return Wait("sign_in.waiting", f"{free_at:%Y-%m-%d %H:%M} UTC", figure)


def _remembered(attempts: Sequence[Attempt], now: datetime) -> list[Attempt]:
    """Return what a directory may still count, the youngest first: since the last half hour without a refusal.

    A success forgives what went before under the same name only: of another name it is not sure that it is the
    same account's.
    """
    counted: list[Attempt] = []
    forgiven: set[str] = set()
    followed_at = now
    for attempt in sorted(attempts, key=lambda each: each.at, reverse=True):
        if followed_at - attempt.at >= WINDOW:
            break
        if attempt.outcome is Sent.ACCEPTED:
            forgiven.add(attempt.bind_name)
        elif attempt.bind_name not in forgiven:
            counted.append(attempt)
            followed_at = attempt.at
    return counted


def _refused_in_a_row(recent: Sequence[Attempt]) -> bool:
    """Tell whether the last two were refused. What was mistyped in a form that was not saved stops no schedule."""
    settled = [
        attempt
        for attempt in recent
        if attempt.outcome is not Sent.PENDING
        and not (attempt.is_trial and attempt.outcome is Sent.REFUSED)
    ]
    return [attempt.outcome for attempt in settled[:2]] == [Sent.REFUSED, Sent.REFUSED]
