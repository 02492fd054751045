"""LDAP result codes and broken connections to failures with names.

Reads codes and types, never words, except the hexadecimal sub-code that Active Directory puts into
the diagnostic of result 49. The code comes from the wire: bonsai reports referrals and partial results as success.
Sources: RFC 4511 appendix A; Microsoft's Win32 error codes 1317 to 1909; what the servers named beside a row answer.
"""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from worker.adapters.directory.forwarder import Forwarder
from worker.adapters.directory.quiet import LibraryError
from worker.adapters.directory.secure import is_alert
from worker.adapters.directory.wire import WireResult
from worker.domain.failures import (
    Denied,
    DirectoryFailure,
    Misdirected,
    Stage,
    Unfinished,
    Unreachable,
    Untrusted,
)


Answer = TypeVar("Answer")
Finding = tuple[type[DirectoryFailure], str]

SIGN_IN: dict[int, Finding] = {
    2: (Misdirected, "sign_in.protocol_error"),
    7: (Denied, "sign_in.method"),
    8: (Denied, "sign_in.needs_tls"),
    9: (Misdirected, "sign_in.referral"),
    10: (Misdirected, "sign_in.referral"),  # OpenLDAP, when none of its trees holds the account
    13: (Denied, "sign_in.needs_tls"),
    14: (
        Denied,
        "sign_in.method",
    ),  # asks for more steps than a simple bind has; bonsai takes it for success
    19: (Denied, "sign_in.locked"),  # 389-DS and FreeIPA: "Exceed password retry limit"
    32: (Denied, "sign_in.unknown_user"),  # eDirectory: NDS error -601
    34: (Denied, "sign_in.bad_name"),  # OpenLDAP given user@domain
    48: (Denied, "sign_in.method"),
    49: (Denied, "sign_in.wrong_password"),
    50: (Denied, "sign_in.not_allowed"),
    51: (Unfinished, "sign_in.busy"),
    52: (Unfinished, "sign_in.unavailable"),
    53: (Denied, "sign_in.refused"),  # 389-DS and FreeIPA: "Account inactivated"
}

SUB_CODES = {
    0x525: "sign_in.unknown_user",
    0x52E: "sign_in.wrong_password",
    0x52F: "sign_in.restricted",
    0x530: "sign_in.logon_hours",
    0x531: "sign_in.workstation",
    0x532: "sign_in.password_expired",
    0x533: "sign_in.disabled",
    0x701: "sign_in.expired",
    0x773: "sign_in.must_change",
    0x775: "sign_in.locked",
    0x80090346: "sign_in.channel_binding",
}
SUB_CODE = re.compile(r"\bdata ([0-9a-f]{1,8})\b", re.IGNORECASE)

BASE: dict[int, Finding] = {
    1: (Denied, "base.not_allowed"),  # AD: a search before a bind that counts
    2: (Misdirected, "base.protocol_error"),
    3: (Unfinished, "base.timed_out"),
    8: (Denied, "base.needs_tls"),
    9: (Misdirected, "base.referral"),
    10: (Misdirected, "base.referral"),
    13: (Denied, "base.needs_tls"),
    32: (Misdirected, "base.not_found"),
    34: (Misdirected, "base.bad_name"),
    48: (Denied, "base.not_allowed"),
    50: (Denied, "base.not_allowed"),
    51: (Unfinished, "base.busy"),
    52: (Unfinished, "base.unavailable"),
    53: (Denied, "base.refused"),
}

READ: dict[int, Finding] = {
    1: (Denied, "read.not_allowed"),
    2: (Misdirected, "read.protocol_error"),
    3: (Unfinished, "read.time_limit"),
    4: (Unfinished, "read.size_limit"),
    8: (Denied, "read.needs_tls"),
    9: (Unfinished, "read.partial"),
    10: (Misdirected, "read.referral"),
    11: (Unfinished, "read.admin_limit"),
    12: (Misdirected, "read.no_paging"),
    13: (Denied, "read.needs_tls"),
    16: (Misdirected, "read.bad_attribute"),
    17: (Misdirected, "read.bad_attribute"),
    18: (Misdirected, "read.bad_filter"),
    21: (Misdirected, "read.bad_filter"),
    32: (Misdirected, "base.not_found"),
    34: (Misdirected, "base.bad_name"),
    48: (Denied, "read.not_allowed"),
    50: (Denied, "read.not_allowed"),
    51: (Unfinished, "read.busy"),
    52: (Unfinished, "read.unavailable"),
    53: (Denied, "read.refused"),
    80: (Unfinished, "read.server_error"),
}

COOKIE: dict[int, Finding] = {
    # past the first page these speak of the cookie: it is valid on one connection to one server
    2: (Unfinished, "read.cookie"),
    12: (Unfinished, "read.cookie"),
    53: (Unfinished, "read.cookie"),
}

TABLES = {Stage.SIGN_IN: SIGN_IN, Stage.BASE: BASE, Stage.READ: READ}
INVALID_CREDENTIALS = 49
FILTER_ERROR = -7
"""libldap's own code for a filter it cannot encode."""
LOST: dict[Stage, Finding] = {
    Stage.SIGN_IN: (Unreachable, "sign_in.lost_connection"),
    Stage.BASE: (Unreachable, "base.lost_connection"),
    Stage.READ: (Unfinished, "read.lost_connection"),
}
TOO_LATE: dict[Stage, Finding] = {
    Stage.SIGN_IN: (Unreachable, "sign_in.timed_out"),
    Stage.BASE: (Unreachable, "base.timed_out"),
    Stage.READ: (Unfinished, "read.timed_out"),
}


def refusal(result: WireResult, stage: Stage, *, is_first_page: bool = True) -> DirectoryFailure:
    """Name a result other than success."""
    kind, code = TABLES[stage].get(result.code, (Unfinished, f"{stage}.failed"))
    if not is_first_page:
        kind, code = COOKIE.get(result.code, (kind, code))
    is_refused_by_name = stage is Stage.SIGN_IN and result.code == INVALID_CREDENTIALS
    if is_refused_by_name:
        code = sub_code(result.diagnostic)
    failure = kind(code, f"result {result.code}, matched '{result.matched}': {result.diagnostic}")
    failure.matched = result.matched
    failure.is_microsoft = is_refused_by_name and SUB_CODE.search(result.diagnostic) is not None
    return failure


def sub_code(diagnostic: str) -> str:
    """Read Active Directory's reason out of ``AcceptSecurityContext error, data 52e, v…``."""
    match = SUB_CODE.search(diagnostic)
    number = int(match.group(1), 16) if match else 0x52E
    return SUB_CODES.get(number, "sign_in.wrong_password")


@dataclass(frozen=True, slots=True)
class Doing:
    """What an operation is part of, to name what ends it."""

    stage: Stage
    is_first_page: bool = True
    run_told: str = ""
    """How long the whole run may take, in words, if its deadline is that one."""


def broken(exc: Exception, forwarder: Forwarder, doing: Doing) -> DirectoryFailure:
    """Name what ended an operation: our bound, the server's words, the lost line, the library, in that order."""
    if forwarder.failure is not None:
        return forwarder.failure
    result = forwarder.take_result()
    if result is not None and result.code != 0:
        return refusal(result, doing.stage, is_first_page=doing.is_first_page)
    if isinstance(exc, LibraryError) and exc.code == FILTER_ERROR:
        return Misdirected("read.bad_filter", str(exc))
    if isinstance(exc, TimeoutError):
        return too_late(doing)
    return cut_off(exc, forwarder, doing.stage)


def too_late(doing: Doing) -> DirectoryFailure:
    """Name the deadline that passed."""
    if doing.stage is Stage.READ and doing.run_told:
        return Unfinished("read.run_deadline", doing.run_told, figure=doing.run_told)
    kind, code = TOO_LATE[doing.stage]
    return kind(code)


def cut_off(exc: Exception, forwarder: Forwarder, stage: Stage) -> DirectoryFailure:
    """Name how the connection ended, if it did; else the library could not make sense of the answer."""
    detail = f"{exc} {forwarder.fault or ''}".strip()
    if forwarder.notice is not None and stage is Stage.READ:
        return Unfinished("read.disconnected", forwarder.notice.diagnostic)
    if forwarder.notice is not None:
        return refusal(forwarder.notice, stage)
    if is_alert(forwarder.fault):
        return Untrusted("secure.client_certificate", detail)
    kind, code = LOST[stage] if forwarder.is_lost else (Unfinished, "read.malformed")
    return kind(code, detail)


async def translated(
    operation: Awaitable[Answer], forwarder: Forwarder, doing: Doing, *, deadline: float
) -> Answer:
    """Await one operation until a deadline (loop time); what ends it early is raised as a DirectoryFailure.

    Not raised from its cause, and not from within the handler: a traceback holds the frames of the
    library's connection, and a connection whose bind failed is closed with its last reference only.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await operation
    except (TimeoutError, LibraryError) as exc:
        failure = broken(exc.with_traceback(None), forwarder, doing)
    raise failure
