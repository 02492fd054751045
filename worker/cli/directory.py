"""``preview`` and ``check``: read a directory once, with no broker and no database."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from worker import errands
from worker.cli import findings, screen
from worker.cli.exits import Exit, refusals
from worker.cli.form import OPTIONS, FormOptions, read_options
from worker.cli.options import AsJson, spread
from worker.domain.addresses import display_domain
from worker.domain.failures import Stage
from worker.domain.findings import OK
from worker.domain.preview import Ignored, Preview, Recipient
from worker.domain.reasons import IN_SHORT, Example
from worker.flows.diagnose import Asked, Diagnosis
from worker.settings import Settings, load


SHOWN_COUNT = 20
DOMAINS_SHOWN_COUNT = 50

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=0,
        help=f"Addresses shown; 0: all. Tables show {SHOWN_COUNT} if left out, --json all.",
    ),
]


@spread(FormOptions)
def preview(options: FormOptions, *, limit: Limit = None, as_json: AsJson = False) -> None:
    """Read a directory and show which addresses would be valid. Needs no broker and no database; changes nothing.

    Every fault in the form is told at once. A directory that cannot be read is told as a finding, as by check.
    """
    with refusals():
        diagnosis = _look(options, most=_most(limit, as_json=as_json), as_json=as_json)
    if as_json:
        made = diagnosis.preview
        found = findings.payload(diagnosis) if _is_bad(diagnosis) else None
        screen.as_json({"preview": asdict(made) if made else None, "finding": found})
    elif diagnosis.preview is not None:
        _show(diagnosis.preview)
    if _is_bad(diagnosis):
        if not as_json:
            _show_finding(diagnosis)
        raise typer.Exit(_code(diagnosis))


@spread(FormOptions)
def check(options: FormOptions, *, as_json: AsJson = False) -> None:
    """Go through a directory stage by stage and say what to mend. Needs no broker and no database; changes nothing.

    Reads all of it once, as a sync would: some faults show only at the end. The answer can be put into a ticket: no
    password is in it.
    """
    with refusals():
        diagnosis = _look(options, most=0, as_json=as_json, is_check=True)
    found = findings.payload(diagnosis)
    if as_json:
        screen.as_json(found)
    else:
        findings.show_stages(found["stages"])
        _show_finding(diagnosis)
    if _is_bad(diagnosis):
        raise typer.Exit(_code(diagnosis))


def _look(
    options: FormOptions, *, most: int | None, as_json: bool, is_check: bool = False
) -> Diagnosis:
    """Check the form, then read. A form that is wrong ends the command."""
    settings = load(needs=())
    asked = read_options(options, settings, most=most)
    if isinstance(asked, Asked):
        return _read(settings, asked)
    stages = findings.not_tried() if is_check else []
    if as_json:
        errors = [asdict(each) for each in asked]
        screen.as_json({"errors": errors} | ({"stages": stages} if is_check else {}))
    else:
        if is_check:
            findings.show_stages(stages)
        tell = screen.say if is_check else screen.complain
        findings.show_mistakes(asked, OPTIONS, tell=tell)
    raise typer.Exit(Exit.USAGE)


def _read(settings: Settings, asked: Asked) -> Diagnosis:
    with screen.progress("reading the directory") as tell:
        return asyncio.run(
            errands.look_at(
                settings, asked, tell=lambda entries: tell(f"reading: {entries:,} entries")
            )
        )


def _most(limit: int | None, *, as_json: bool) -> int | None:
    if limit is None:
        return None if as_json else SHOWN_COUNT
    return limit or None


def _is_bad(diagnosis: Diagnosis) -> bool:
    return diagnosis.finding.code != OK


def _code(diagnosis: Diagnosis) -> Exit:
    """A form that asks for what cannot be is wrong usage; the rest is the directory's answer."""
    return Exit.USAGE if diagnosis.finding.stage is Stage.SETTINGS else Exit.NO


def _show_finding(diagnosis: Diagnosis) -> None:
    told = findings.payload(diagnosis)
    if _is_bad(diagnosis):
        findings.show(told, detail=diagnosis.detail, refused_sign_ins=diagnosis.refused_sign_ins)
        return
    screen.say(f"{diagnosis.finding.headline} {diagnosis.finding.seen.removesuffix('.')}.")
    if isinstance(told["report"], Mapping):
        findings.show_report(told["report"])
    findings.show_detected(told["detected"])
    findings.show_servers(told["servers"])
    findings.show_search(told)


def _show(made: Preview) -> None:
    screen.say(
        f"{made.server} answered in {made.connect_s:.2f} s; "
        f"{made.entries:,} entries below {', '.join(made.bases)} read in {made.read_s:.2f} s.",
        f"{made.addresses:,} addresses would be valid.",
    )
    if made.references:
        screen.say(f"{made.references:,} references to other servers were not followed.")
    if made.addresses:
        _show_addresses(made)
    if made.ignored:
        screen.table(("ignored", "count", "for example", "at"), map(_ignored, made.ignored.items()))
    if made.foreign_domains:
        screen.table(("domain that is not yours", "addresses"), made.foreign_domains.items())


def _show_addresses(made: Preview) -> None:
    screen.table(("kind", "addresses"), made.by_kind.items())
    named = [(display_domain(name), count) for name, count in made.by_domain.items()]
    screen.table(("domain", "addresses"), named[:DOMAINS_SHOWN_COUNT])
    if len(named) > DOMAINS_SHOWN_COUNT:
        screen.say(f"… and {len(named) - DOMAINS_SHOWN_COUNT:,} more domains")
    screen.table(("address", "kind", "primary", "name"), map(_recipient, made.recipients))
    more = made.addresses - len(made.recipients)
    if more:
        screen.say(f"… and {more:,} more (--limit 0 shows all)")


def _recipient(each: Recipient) -> tuple[str, str, str, str]:
    return (each.address, each.kind, "yes" if each.primary else "", each.name)


def _ignored(each: tuple[str, Ignored]) -> tuple[object, ...]:
    reason, ignored = each
    first = ignored.examples[0] if ignored.examples else Example("", "")
    return (IN_SHORT.get(reason, reason), ignored.count, first.value, first.dn)
