"""The one error tree, and the table of findings that tells a customer what went wrong and what to do.

An exception means that a step could not deliver what its name promises. What the customer reads
comes from the table here, by code; a server's own words go only to the private ``detail`` of the run.
"""

import enum
from dataclasses import dataclass

from worker.domain.server import Detected, RootDse
from worker.domain.survey import ServerSeen
from worker.domain.told import Command, Report


DETAIL_CHARACTERS = 500


class Retry(enum.StrEnum):
    """When trying again can help."""

    NEVER = "never"
    LATER = "automatic"
    AFTER_CHANGE = "after_change"


class Stage(enum.StrEnum):
    """The doctor's stages, in the order they are tried."""

    SETTINGS = "settings"
    NAME = "name"
    REACH = "reach"
    SECURE = "secure"
    SIGN_IN = "sign_in"
    BASE = "base"
    READ = "read"
    ADDRESSES = "addresses"


class Failure(Exception):  # noqa: N818 - the house's word; its children name what failed
    """A step failed in a way that has a name.

    Attributes:
        code: stable, part of the contract: ``<stage>.<cause>``.
        detail: private words for the operator (a server's text, a route), cut to 500 characters.
        figure: what the customer's sentences name, in words of ours: the limit that was hit, the kind of address.
    """

    retry = Retry.LATER

    def __init__(self, code: str, detail: str = "", *, figure: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail[:DETAIL_CHARACTERS]
        self.figure = figure


class RequestFailure(Failure):
    """What was asked cannot be understood or is not allowed."""

    retry = Retry.NEVER


@dataclass(frozen=True, slots=True)
class BaseAsked:
    """What was known when a search base could not be read."""

    root: RootDse
    """What the server said of itself."""
    base: str = ""
    """The one that was asked for; empty if it did not come to that."""
    matched: str = ""
    """The part of it that there is, by the server's words (RFC 4511 section 4.1.9, matchedDN)."""
    known: frozenset[str] | None = None
    """As in ``Profile``: what its schema has, asked for on the way out."""


class DirectoryFailure(Failure):
    """A customer's directory did not give a whole, trustworthy list.

    ``matched`` is the server's, ``asked`` is there only if the fault is the search base's. ``is_microsoft``: the answer
    bore a reason as Active Directory alone gives it, Samba's too.
    """

    matched = ""
    is_microsoft = False
    asked: BaseAsked | None = None


class Unreachable(DirectoryFailure):
    """No connection: name, route, deadline, or a broken handshake."""


class Untrusted(DirectoryFailure):
    """The server's certificate does not prove that it is the right server."""

    retry = Retry.AFTER_CHANGE


class Denied(DirectoryFailure):
    """Sign-in or rights refused (LDAP 7, 8, 13, 48, 49, 50)."""

    retry = Retry.AFTER_CHANGE


class Misdirected(DirectoryFailure):
    """A base, filter or referral points nowhere we go (LDAP 10, 12, 16, 18, 21, 32, 34)."""

    retry = Retry.AFTER_CHANGE


class Unfinished(DirectoryFailure):
    """The list ended before it was whole (LDAP 3, 4, 9, 11, 51, 52, 80, lost mid-page, a bound of ours)."""


class StoreFailure(Failure):
    """Postgres is away, or refused: conflict, lease lost."""


class LeaseLost(StoreFailure):
    """Another worker owns the directory now; whatever this one still holds is void."""


class Superseded(StoreFailure):
    """The directory's revision or the tenant's domains changed while the run was reading."""


class BrokerFailure(Failure):
    """RabbitMQ is away, or did not confirm."""


class StageState(enum.StrEnum):
    """What became of one stage."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of one attempt, as the doctor shows it."""

    stage: Stage
    state: StageState
    milliseconds: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a customer is told of a failure: fixed sentences by code, with what was seen filled in."""

    code: str
    stage: Stage
    headline: str
    seen: str
    checks: tuple[str, ...]
    fix: str
    retry: Retry
    ldapsearch: str = ""
    stages: tuple[StageResult, ...] = ()
    detected: Detected | None = None
    """What the server is, once it was asked."""
    servers: tuple[ServerSeen, ...] = ()
    """What a look around has seen; empty if nobody looked."""
    commands: tuple[Command, ...] = ()
    """Lines to copy."""
    report: Report | None = None
    """Only if all is well."""
