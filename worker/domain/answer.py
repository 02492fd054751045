"""A failure, what was seen on the way and a look around, to the one answer that everybody gets.

``directory.test``, a failed run and ``rollcall check`` ask here, so that the same fault is told in the same words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from worker.domain.addresses import display_domain
from worker.domain.astray import is_certain, seen_of
from worker.domain.cures import OF_THE_FORM, Place, cures, place_of
from worker.domain.detect import FITS, detect, is_fit_to_show, lacks, misfit
from worker.domain.doors import starttls_door, tls_door, way_to_encryption
from worker.domain.failures import (
    BaseAsked,
    DirectoryFailure,
    Failure,
    Finding,
    Stage,
    StageResult,
    StageState,
)
from worker.domain.findings import BASE_BLANK, BASE_HIDDEN, HAS_CERTIFICATE, OK, finding
from worker.domain.ldapsearch import PLAIN_HOST, ldapsearch_line
from worker.domain.model import DirectorySettings, Server
from worker.domain.plan import ReadPlan
from worker.domain.reasons import IN_SHORT
from worker.domain.server import Detected, Profile, RootDse, ServerType
from worker.domain.sign_in import OF_OTHERS
from worker.domain.survey import ServerSeen, Speech, Survey, told
from worker.domain.syntax import normal_dn
from worker.domain.told import Report


NOT_TESTED = "settings.not_tested"
"""The code of a test that was not made: it says nothing of the settings."""
SURVEYED = frozenset({Stage.NAME, Stage.REACH, Stage.SECURE})
"""Stages whose faults a look around explains."""
OURS_TO_SHOW = frozenset({"base.ambiguous", "reach.not_allowed"})
"""Codes whose detail is what we made of an answer, not a server's words, and part of the advice."""
FIT_MATTERS = frozenset(
    {
        OK,
        "base.not_found",
        "base.not_allowed",
        "base.bad_name",
        "base.referral",
        "base.ambiguous",
        "base.unknown",
        "base.refused",
        "read.nothing_found",
        "addresses.none_valid",
        "addresses.other_domains",
    }
)
"""Findings whose first check is whether the type chosen fits the server."""
MICROSOFT = frozenset({ServerType.ACTIVE_DIRECTORY, ServerType.SAMBA_AD})
BASE_LEFT_BLANK: Mapping[str, str] = MappingProxyType(
    {
        "base_typed": "Is the type of directory right? The search base was left blank, so the type says where entries are.",
        "correct_base": "Choose the type that fits the server, or enter the search base",
    }
)
"""What is said instead where nobody typed a search base."""
BY_CERTIFICATE: Mapping[str, str] = MappingProxyType(
    {
        "by_what": "a client certificate alone (SASL EXTERNAL)",
        "sign_in_allowed": "Is EXTERNAL among the server's supportedSASLMechanisms over this connection?",
        "sign_in_else": "Does the server know which account the certificate stands for?",
        "allow": "Allow signing in by client certificate on the server, or enter the account's password.",
    }
)
"""What is said of a sign-in without a password."""
NOT_THIS_ONE: Mapping[str, str] = MappingProxyType(
    {
        "whose": "of another account that may be the same as this one, by its name or at the same server,",
        "right": "Is another directory, or was another form, set up with a wrong password for the same account or server?",
        "locked": "Is it the same account, and is it locked already? Then unlock it.",
    }
)
"""What is said of a sign-in that waits though none under its own name was refused."""
NO_LDAP: Mapping[str, str] = MappingProxyType(
    {
        "speaks": "what answers on this port speaks no LDAP",
        "encryption_choice": "Is the port right? The defaults are 389 for no encryption or STARTTLS and 636 for LDAPS.",
    }
)
"""What is said where a look around met another service on the port."""
UNENCRYPTED = frozenset({"secure.tls_on_plain_port", "secure.starttls_refused"})
"""Codes of a port that answers and does not encrypt."""
DOMAINS_NAMED_COUNT = 10
"""Foreign domains named in a finding; a preview lists more."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known when an answer is to be given."""

    settings: DirectorySettings
    plan: ReadPlan | None = None
    """None if the settings could not be made into one."""
    stages: Sequence[StageResult] = ()
    seen: str = ""
    """What the reading came to, in words of ours."""
    detail: str = ""
    """Private; shown only where it is ours."""
    survey: Survey = field(default_factory=Survey)
    profile: Profile | None = None
    """What the server said of itself after the sign-in; None if nobody came so far."""
    egress: tuple[str, ...] = ()
    report: Report | None = None
    figure: str = ""
    """What the failure itself has to name."""
    asked: BaseAsked | None = None
    """Only if a search base could not be read."""
    is_microsoft: bool = False
    """Whether the way the server refused says that it is an Active Directory."""


def failed_by(failure: Failure, case: Case) -> Case:
    """Return a case with what a failure knows."""
    asked = failure.asked if isinstance(failure, DirectoryFailure) else None
    profile = case.profile or (Profile(asked.root, asked.known) if asked else None)
    is_microsoft = isinstance(failure, DirectoryFailure) and failure.is_microsoft
    return replace(
        case,
        detail=failure.detail,
        figure=failure.figure,
        asked=asked,
        profile=profile,
        is_microsoft=is_microsoft,
    )


def fit_matters(code: str) -> bool:
    """Whether the type chosen may be the reason, so that it is worth asking what the server's schema has."""
    return code in FIT_MATTERS


def calls_for_survey(code: str) -> bool:
    """Whether a look around has something to add to what went wrong."""
    return code.partition(".")[0] in SURVEYED and code not in OF_THE_FORM


def is_worth_a_look(code: str, settings: DirectorySettings) -> bool:
    """Whether to look around: where that explains the fault, and where the server that was read hides what ails another."""
    return calls_for_survey(code) or len(settings.servers) > 1


def answer(code: str, case: Case) -> Finding:
    """Return what is told of a code."""
    settings, plan = case.settings, case.plan
    detected = detect(case.profile.root, case.profile.known) if case.profile else None
    root = case.profile.root if case.profile else case.survey.root
    server = _server_to_ask(settings, case.survey)
    types = MICROSOFT if case.is_microsoft else kinds(settings, root)
    is_astray = code == "base.not_found" and is_certain(case.asked, types)
    is_blank = plan is not None and not plan.bases
    found = finding(
        code,
        seen=_seen(code, case),
        until=case.detail,
        stages=whole(code, case),
        ldapsearch=ldapsearch_line(_with_base(plan, case.asked, root), server) if plan else "",
        egress=case.egress,
        **_figures(code, case),
        **(BASE_LEFT_BLANK if is_blank else {}),
        **({"hidden": "", "or_let": ""} if is_astray else {}),
    )
    answered = {BASE_HIDDEN} if is_astray else set()
    if is_blank:
        answered.add(BASE_BLANK)
    if any(each.certificates for each in case.survey.servers) or _is_other(case.survey.servers):
        answered.add(HAS_CERTIFICATE)
    checks = tuple(check for check in found.checks if check not in answered)
    known = case.profile.known if case.profile else None
    place = _known_there(place_of(settings, plan, root, case.egress), server, known)
    if case.asked is not None and case.asked.base:
        place = replace(place, base=case.asked.base)
    advice = (
        misfit(plan.preset, detected)
        if plan and detected and _is_fit_asked(code, plan, detected)
        else None
    )
    return replace(
        found,
        checks=(advice, *checks) if advice else checks,
        detected=detected,
        servers=case.survey.servers,
        commands=cures(code, place, types, may_grant=not is_astray),
        report=case.report,
    )


def _server_to_ask(settings: DirectorySettings, survey: Survey) -> Server:
    """Return the server to try lines at: the first that does what the settings want, as far as that was seen."""
    seen = zip(settings.servers, survey.servers, strict=False)
    return next((server for server, each in seen if each.is_well), settings.servers[0])


def _known_there(place: Place, server: Server, known: frozenset[str] | None) -> Place:
    """Return what lines are filled in with at this server: a rule for an attribute it does not know, it refuses whole."""
    return replace(
        place,
        server=server,
        attributes=tuple(name for name in place.attributes if not lacks(known, name)),
    )


def _is_fit_asked(code: str, plan: ReadPlan, detected: Detected) -> bool:
    """Whether the type may be the reason."""
    if code not in FIT_MATTERS:
        return False
    if code.startswith(f"{Stage.BASE}."):
        # the two Active Directories differ in what is found, not in where it is
        return not (detected.server in MICROSOFT and plan.preset.name in FITS[detected.server])
    # with a filter of one's own the type finds nothing and misses nothing
    return code != "read.nothing_found" or not plan.settings.filter


def _with_base(plan: ReadPlan, asked: BaseAsked | None, root: RootDse | None) -> ReadPlan:
    """Return the plan with the base that failed, else, where the settings name none, the one that the server names."""
    if asked is not None and normal_dn(asked.base) and is_fit_to_show(asked.base):
        return replace(plan, bases=(asked.base,))
    if plan.bases or root is None:
        return plan
    contexts = [each for each in root.data_contexts if normal_dn(each) and is_fit_to_show(each)]
    # of several trees nobody knows which is meant
    return replace(plan, bases=plan.preset.bases_in(contexts if len(contexts) == 1 else ()))


def kinds(settings: DirectorySettings, root: RootDse | None) -> frozenset[ServerType]:
    """Return what the server may be: what it shows itself to be, else all that the type chosen is for."""
    shown = detect(root).server if root is not None else ServerType.UNKNOWN
    if shown is not ServerType.UNKNOWN:
        return frozenset({shown})
    unknown = frozenset({ServerType.UNKNOWN})
    fitting = frozenset(server for server, presets in FITS.items() if settings.type in presets)
    return fitting - unknown or frozenset(ServerType) - unknown


def whole(code: str, case: Case) -> list[StageResult]:
    """Return all stages: those nobody told of are the settings, which were well if there is a plan, and what nobody came to."""
    told_of = {each.stage for each in case.stages}
    stages = list(case.stages)
    if Stage.SETTINGS not in told_of and code != NOT_TESTED:
        stages[:0] = _settings(code, case)
    if Stage.ADDRESSES not in told_of and code.startswith(f"{Stage.ADDRESSES}."):
        stages.append(StageResult(Stage.ADDRESSES, StageState.FAILED, 0, code))
    missing = [stage for stage in Stage if stage not in {each.stage for each in stages}]
    return [*stages, *(StageResult(stage, StageState.NOT_TRIED, 0) for stage in missing)]


def _seen(code: str, case: Case) -> str:
    """Return what was seen: of the reading, then of the servers, all or those that are not well."""
    around = case.survey.servers if calls_for_survey(code) else _unwell(case.survey.servers)
    said = case.seen or (case.detail if code in OURS_TO_SHOW and not around else "")
    if code == "base.not_found" and case.asked is not None:
        said = seen_of(case.asked, case.plan)
    return "; ".join(filter(None, (said, told(around))))


def _settings(code: str, case: Case) -> list[StageResult]:
    """Return the first stage where nobody told of it: it went well if there was a second."""
    if case.plan is not None:
        return [StageResult(Stage.SETTINGS, StageState.OK, 0, case.plan.filter)]
    if code.startswith(f"{Stage.SETTINGS}."):
        return [StageResult(Stage.SETTINGS, StageState.FAILED, 0, code)]
    return [StageResult(Stage.SETTINGS, StageState.OK, 0)] if case.stages else []


def _figures(code: str, case: Case) -> dict[str, str]:
    """Return what a sentence can name because it was seen: a certificate's name, a port that would do, the limit that was hit."""
    servers = case.survey.servers
    way = way_to_encryption(servers) if code in UNENCRYPTED else None
    figures = {
        **(BY_CERTIFICATE if _is_by_certificate(case.plan) else {}),
        **(NOT_THIS_ONE if case.figure == OF_OTHERS else {}),
        **(NO_LDAP if _is_other(servers) else {}),
        "named": _named(case.settings, servers),
        "port": _port(servers),
        "encrypt": way,
        "ldaps": way,
        "limit": case.figure,
        "address": case.figure,
    }
    return {figure: said for figure, said in figures.items() if said}


def _is_by_certificate(plan: ReadPlan | None) -> bool:
    """Whether a client certificate stands alone."""
    return (
        plan is not None
        and plan.credentials.password is None
        and plan.settings.client_certificate is not None
    )


def _is_other(servers: Sequence[ServerSeen]) -> bool:
    """Whether something else than LDAP answers on a port of the settings, and nothing that is LDAP on another."""
    mine = {port.speaks for server in servers for port in server.ports if port.configured}
    return Speech.OTHER in mine and not mine & {Speech.LDAP, Speech.TLS}


def _named(settings: DirectorySettings, servers: Sequence[ServerSeen]) -> str | None:
    """Say which name of a certificate to enter; none if the server's own would do."""
    names = [name for server in servers for shown in server.certificates for name in shown.names]
    hosts = {server.host.strip("[]") for server in servers}
    own = next((name for name in names if name.lower() in hosts), None)
    if own is not None and settings.certificate_name:
        return f"Leave the name in the certificate blank: the certificate is for {own}, the server as it is entered."
    # a wildcard, or words in a common name, cannot be entered
    name = next(filter(PLAIN_HOST.match, names), None)
    return (
        f"Enter {name} as the name in the certificate, or use it as the server." if name else None
    )


def _port(servers: Sequence[ServerSeen]) -> str | None:
    """Name another port that would do. Nobody is told to give up encryption."""
    tls, starttls = tls_door(servers), starttls_door(servers)
    if tls is not None:
        return f"port ({tls.port} is open: choose LDAPS)"
    return None if starttls is None else f"port ({starttls.port} is open: choose STARTTLS)"


def _unwell(servers: Sequence[ServerSeen]) -> list[ServerSeen]:
    """Return the servers that would not do if they were needed."""
    return [server for server in servers if not server.is_well]


def addresses_seen(
    entries: int, addresses: int, foreign: Mapping[str, int], ignored: Mapping[str, int]
) -> str:
    """Say what a whole reading came to, in figures and names of domains; of one without addresses, what was not taken."""
    if addresses or not foreign:
        others = (
            "" if addresses else ", ".join(f"{IN_SHORT[why]} ({n})" for why, n in ignored.items())
        )
        return f"{entries} entries, {addresses} addresses" + (
            f"; not taken: {others}" if others else ""
        )
    most_first = sorted(foreign.items(), key=lambda each: (-each[1], each[0]))
    named = [f"{display_domain(name)} ({count})" for name, count in most_first]
    more = ["…"] if len(named) > DOMAINS_NAMED_COUNT else []
    return f"{entries} entries, in " + ", ".join(named[:DOMAINS_NAMED_COUNT] + more)
