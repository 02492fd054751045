"""``history`` and ``status``: what is recorded, and how things stand."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated
from uuid import UUID

import typer

from worker import errands
from worker.cli import findings, screen
from worker.cli.exits import Exit, refusals, refuse
from worker.cli.fleet import fleet_words
from worker.cli.options import AsJson
from worker.domain.addresses import normal_address
from worker.domain.model import DirectoryId, RunId, RunState, TenantId
from worker.ports.reports import (
    ChangeLine,
    DirectoryLine,
    LoginChangeLine,
    Look,
    ReadinessLine,
    RunLine,
    SetLine,
)
from worker.ports.runs import Backlog
from worker.settings import load


NEEDS = ("database_url",)
MOST_MAX = 1_000_000
RUN_COLUMNS = (
    "finished (UTC)",
    "directory",
    "trigger",
    "mode",
    "state",
    "verdict",
    "seconds",
    "entries",
    "addresses",
    "added",
    "missing",
    "grace",
    "removed",
    "held",
    "why",
    "run",
)
EXPORT_COLUMNS = (
    "queued (UTC)",
    "started (UTC)",
    "finished (UTC)",
    "directory",
    "trigger",
    "mode",
    "attempt",
    "state",
    "verdict",
    "seconds",
    "entries",
    "addresses",
    "added",
    "returned",
    "unchanged",
    "missing",
    "grace",
    "removed",
    "held",
    "why",
    "run",
)
CHANGE_COLUMNS = ("at (UTC)", "directory", "by", "change", "address", "run")
LOGIN_CHANGE_COLUMNS = (
    "at (UTC)",
    "directory",
    "by",
    "change",
    "user name",
    "before",
    "state",
    "run",
)
SET_COLUMNS = ("address", "kind", "what ends", "approved")
SHOWN_COUNT = 50
DIRECTORY_COLUMNS = (
    "tenant",
    "directory",
    "type",
    "state",
    "last good (UTC)",
    "failing since (UTC)",
    "finding",
    "held",
    "warnings",
    "queued",
    "running",
    "next (UTC)",
)

READINESS_COLUMNS = (
    "domain",
    "catch-all",
    "automatic",
    "complete runs in a row",
    "stable since (UTC)",
    "addresses",
    "by kind",
)

Tenant = Annotated[str, typer.Argument(help="The tenant.")]


def history(  # noqa: PLR0913 - each is an option of the command line
    tenant: Tenant,
    directory: Annotated[str | None, typer.Argument(help="Only this directory.")] = None,
    *,
    address: Annotated[
        str | None, typer.Option("--address", help="What became of one address.")
    ] = None,
    run: Annotated[UUID | None, typer.Option("--run", help="One run, and what it changed.")] = None,
    changes: Annotated[
        bool, typer.Option("--changes", help="What became of addresses, instead of runs.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, max=MOST_MAX, help="Lines at most; by default 50, with --csv all."
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Answer as CSV that a spreadsheet shows as it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the runs of a tenant, the newest first; with --changes, --address or --run what became of addresses and logins.

    CSV holds addresses or runs; logins are in tables and JSON.
    """
    if as_csv and as_json:
        refuse("Choose --csv or --json: an answer is one of them.", Exit.USAGE)
    most = limit or SHOWN_COUNT
    with refusals():
        look = Look(
            TenantId(tenant),
            None if directory is None else DirectoryId(directory),
            RunId(run) if run else None,
            _normal(address),
            limit if as_csv else most + 1,
        )
        with_changes = changes or address is not None or run is not None
        if as_csv and run is None:
            _export(look, with_changes=with_changes)
            return
        found = asyncio.run(errands.history(load(needs=NEEDS), look, with_changes=with_changes))
    if run is not None and not found.runs:
        refuse("This tenant has no such run.", Exit.USAGE)
    if as_csv:
        screen.as_csv(CHANGE_COLUMNS, map(_change, found.changes))
        return
    shown, has_more = _cut(found, most)
    if as_json:
        screen.as_json(shown)
        return
    _show_history(shown, with_changes=with_changes)
    if has_more:
        screen.say_cut(most, "newest" if not shown.held else "first")


def _cut(found: errands.History, limit: int) -> tuple[errands.History, bool]:
    """Return so many lines of each sort at most, and whether there were more."""
    runs, more_runs = screen.cut(found.runs, limit)
    changes, more_changes = screen.cut(found.changes, limit)
    logins, more_logins = screen.cut(found.logins, limit)
    held, more_held = screen.cut(found.held, limit)
    shown = errands.History(tuple(runs), tuple(changes), tuple(logins), tuple(held))
    return shown, more_runs or more_changes or more_logins or more_held


def _normal(address: str | None) -> str | None:
    if address is None:
        return None
    normal = normal_address(address)
    if normal is None:
        refuse("--address: Enter a mail address, for example it@example.com.", Exit.USAGE)
    return normal


def _export(look: Look, *, with_changes: bool) -> None:
    """Print as it comes, so that a million lines take no more memory than a thousand."""
    settings = load(needs=NEEDS)
    if with_changes:
        tell = screen.csv_rows(CHANGE_COLUMNS)
        asyncio.run(errands.export(settings, look, changes=lambda page: tell(map(_change, page))))
    else:
        tell = screen.csv_rows(EXPORT_COLUMNS)
        asyncio.run(errands.export(settings, look, runs=lambda page: tell(map(_run, page))))


def _show_history(found: errands.History, *, with_changes: bool) -> None:
    if found.runs or not with_changes:
        show_runs(found.runs)
    if with_changes:
        if found.changes:
            screen.table(CHANGE_COLUMNS, map(_change, found.changes))
        if found.logins:
            logins = map(_login_change, found.logins)
            screen.table(LOGIN_CHANGE_COLUMNS, logins, title="quarantine logins")
        is_held = bool(found.runs) and found.runs[0].state is RunState.HELD
        if is_held:
            _show_held(found.runs[0], found.held)
        if not found.changes and not found.logins and not is_held:
            screen.say("No change is recorded.")
    if with_changes and found.runs and found.runs[0].finding:
        findings.show(found.runs[0].finding)


def _show_held(run: RunLine, held: Sequence[SetLine]) -> None:
    """Say why a run was held, and what its hold keeps from ending now; where nothing waits any more, who was the first of them."""
    for reason in run.reasons:
        screen.say(f"{reason.get('text', '')} [{reason.get('code', '')}]")
        addresses = reason.get("addresses")
        if not held and isinstance(addresses, list) and addresses:
            screen.say(f"The first of them then: {', '.join(map(str, addresses))}.")
    if held:
        screen.table(SET_COLUMNS, map(set_row, held), title=f"what waits in hold {run.hold} now")
    else:
        screen.say(f"Nothing waits in hold {run.hold} any more.")


def set_row(each: SetLine) -> tuple[object, ...]:
    """Return one line of a hold as a row of ``SET_COLUMNS``."""
    what = "the login only" if each.change == "deactivated" else "the address"
    return (each.address, each.kind, what, "yes" if each.approved else "")


def show_runs(runs: Iterable[RunLine]) -> None:
    """Print runs as a table."""
    rows = list(map(run_row, runs))
    screen.table(RUN_COLUMNS, rows)
    if not rows:
        screen.say("No run is recorded.")


def run_row(run: RunLine) -> tuple[object, ...]:
    """Return one run as a row of ``RUN_COLUMNS``."""
    counts = [run.counts.get(name) for name in RUN_COLUMNS[7:14]]
    return (
        run.finished_at,
        run.directory,
        run.trigger,
        run.mode,
        run.state,
        run.verdict,
        _seconds(run),
        *counts,
        _why(run),
        run.run,
    )


def _run(run: RunLine) -> tuple[object, ...]:
    counts = [run.counts.get(name) for name in EXPORT_COLUMNS[10:19]]
    return (
        run.queued_at,
        run.started_at,
        run.finished_at,
        run.directory,
        run.trigger,
        run.mode,
        run.attempt,
        run.state,
        run.verdict,
        _seconds(run),
        *counts,
        _why(run),
        run.run,
    )


def _seconds(run: RunLine) -> str | None:
    """How long it took from its start, to the hundredth; None for one that has not begun or not ended."""
    if run.started_at is None or run.finished_at is None:
        return None
    return f"{(run.finished_at - run.started_at).total_seconds():.2f}"


def _why(run: RunLine) -> str:
    if run.finding:
        return str(run.finding["code"])
    return ", ".join(str(reason.get("code", "")) for reason in run.reasons)


def _change(each: ChangeLine) -> tuple[object, ...]:
    return (each.at, each.directory or "by hand", each.by, each.change, each.address, each.run)


def _login_change(each: LoginChangeLine) -> tuple[object, ...]:
    directory = each.directory or "by hand"
    return (
        each.at,
        directory,
        each.by,
        each.change,
        each.username,
        each.was,
        each.state,
        each.run,
    )


def status(
    tenant: Annotated[str | None, typer.Argument(help="Only this tenant.")] = None,
    *,
    reseller: Annotated[
        str | None, typer.Option("--reseller", help="Only the tenants of this reseller.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_MAX, help="Directories at most.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Show how directories stand, those in trouble first, and what waits in the queues.

    The exit code is 0 whatever is shown: this is a report, not a check.
    """
    with refusals():
        if reseller is not None and not reseller.strip():
            refuse("--reseller: Enter the name of a reseller.", Exit.USAGE)
        wanted = None if tenant is None else TenantId(tenant)
        found = asyncio.run(
            errands.status(load(needs=NEEDS), wanted, reseller=reseller, most=limit + 1)
        )
    directories, has_more = screen.cut(found.directories, limit)
    if as_json:
        screen.as_json(replace(found, directories=tuple(directories)))
        return
    if found.fleet is not None:
        screen.say(*fleet_words(found.fleet))
    screen.table(DIRECTORY_COLUMNS, map(_directory, directories))
    if reseller is not None and not directories:
        screen.say(f"No tenant that names {reseller} as its reseller has a directory.")
    if has_more:
        screen.say_cut(limit)
    if found.readiness:
        screen.table(READINESS_COLUMNS, map(_readiness, found.readiness))
    screen.table(("waiting", "count", "oldest (s)"), _backlog(found.backlog))


def _directory(each: DirectoryLine) -> tuple[object, ...]:
    return (
        each.tenant,
        each.directory,
        each.type,
        f"paused: {each.paused}" if each.paused else each.state,
        each.last_good_at or "never",
        each.failing_since,
        each.failing,
        each.held or None,
        ", ".join(each.warnings) or None,
        each.queued,
        each.running,
        each.next_sync_at,
    )


def _readiness(each: ReadinessLine) -> tuple[object, ...]:
    return (
        each.domain,
        "on" if each.catch_all else "off",
        "yes" if each.automatic else "no",
        each.complete_runs,
        each.stable_since,
        each.addresses,
        ", ".join(f"{kind} {number}" for kind, number in sorted(each.kinds.items())),
    )


def _backlog(backlog: Backlog) -> list[tuple[str, int, str]]:
    run_age, outbox_age = f"{backlog.run_age_s:.0f}", f"{backlog.outbox_age_s:.0f}"
    return [
        ("runs asked for by people", backlog.manual_ready, run_age),
        ("runs of schedules", backlog.scheduled_ready, run_age),
        ("tests of directories", backlog.tests_ready, f"{backlog.test_age_s:.0f}"),
        ("events for the broker", backlog.outbox_rows, outbox_age),
    ]
