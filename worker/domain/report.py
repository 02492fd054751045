"""What is told when all went well: figures, and what works and might be better. Decides nothing about a sync."""

from collections.abc import Iterator
from dataclasses import dataclass

from worker.domain.advice import (
    LARGE_COUNT,
    PLAIN_LDAP,
    expiring,
    mighty_account,
    no_canary,
)
from worker.domain.detect import NAMES, detect
from worker.domain.events import Advice
from worker.domain.might import mighty
from worker.domain.model import DirectorySettings, Security
from worker.domain.preview import Preview
from worker.domain.server import RootDse
from worker.domain.survey import Survey, listed, soonest_expiry
from worker.domain.told import Caution, Report
from worker.domain.warnings import AHEAD, Cause


FIRST_COUNT = 10
DOMAINS_COUNT = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a reading besides what it found."""

    settings: DirectorySettings
    survey: Survey
    root: RootDse | None = None
    groups: tuple[str, ...] = ()
    """SIDs of what the account is, where the server tells (Active Directory)."""
    page_s: float = 0.0
    """Of the slowest page."""


def report(preview: Preview, reading: Reading) -> Report:
    """Return what a whole reading has to tell."""
    root = reading.root or reading.survey.root
    detected = detect(root or RootDse())
    name = f"{NAMES[detected.server]} {detected.version}".strip()
    return Report(
        server=preview.server,
        server_type=detected.server.value,
        server_name=detected.version
        if detected.version.startswith(NAMES[detected.server])
        else name,
        bases=preview.bases,
        entries=preview.entries,
        addresses=preview.addresses,
        kinds=dict(preview.by_kind),
        domains=dict(list(preview.by_domain.items())[:DOMAINS_COUNT]),
        other_domains=dict(preview.foreign_domains),
        first_addresses=tuple(each.address for each in preview.recipients[:FIRST_COUNT]),
        references=preview.references,
        certificate_until=soonest_expiry(reading.survey.servers),
        entries_per_second=round(preview.entries / max(preview.read_s, 0.001)),
        page_milliseconds=round(reading.page_s * 1000),
        warnings=tuple(_cautions(preview, reading)),
    )


def _cautions(preview: Preview, reading: Reading) -> Iterator[Caution]:
    settings, survey = reading.settings, reading.survey
    if settings.security is Security.NONE:
        yield _caution(PLAIN_LDAP)
    might = mighty(settings.bind_name, reading.groups)
    if might:
        yield _caution(mighty_account(might))
    yield from _expiry(survey)
    if preview.addresses >= LARGE_COUNT and not settings.removals.canaries:
        yield _caution(no_canary(preview.addresses))
    yield from _servers(survey)
    if preview.references:
        places = "one place" if preview.references == 1 else f"{preview.references:,} places"
        yield Caution(
            "references",
            f"The server refers to other servers in {places}, which are not followed. "
            "If people are missing, they may be there: enter those servers as a directory of their own.",
        )


def _expiry(survey: Survey) -> Iterator[Caution]:
    until = soonest_expiry(survey.servers)
    if until is not None and survey.at is not None and until - survey.at <= AHEAD:
        yield _caution(expiring(Cause.CERTIFICATE, until))


def _caution(given: Advice) -> Caution:
    """Return what a sync advises as a test says it: in the same words."""
    return Caution(given.code, given.text)


def _servers(survey: Survey) -> Iterator[Caution]:
    addresses = {each.address for server in survey.servers for each in server.addresses}
    if len(survey.servers) == 1:
        yield Caution(
            "one_server",
            "Only one server is entered: while it is down nothing is read. Enter a second one if there is one.",
        )
    elif len(addresses) == 1:
        yield Caution(
            "one_server",
            f"All servers entered have the same address, {addresses.pop()}: while it is down nothing is read.",
        )
    bad = [server.server for server in survey.servers if not server.is_well]
    if bad:
        yield Caution(
            "server_unwell",
            f"{listed(bad)} would not do if needed. See what was seen of each.",
        )
