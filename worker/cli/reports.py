"""``history`` and ``status``: what is recorded, and how things stand."""

import asyncio
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

import typer

from worker import errands
from worker.cli import findings, screen
from worker.cli.exits import Exit, refusals, refuse
from worker.cli.fleet import fleet_words
from worker.cli.options import AsJson
from worker.domain.addresses import normal_address
from worker.domain.model import DirectoryId, RunId, TenantId
from worker.ports.reports import ChangeLine, DirectoryLine, Look, ReadinessLine, RunLine
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
    """Show the runs of a tenant, the newest first; with --changes, --address or --run what became of addresses."""
    with refusals():
        look = Look(
            TenantId(tenant),
            DirectoryId(directory) if directory else None,
            RunId(run) if run else None,
            _normal(address),
            limit if as_csv else limit or SHOWN_COUNT,
        )
        with_changes = changes or address is not None or run is not None
        if as_csv and run is None:
            _export(look, with_changes=with_changes)
            return
        found = asyncio.run(errands.history(load(needs=NEEDS), look, with_changes=with_changes))
    if run is not None and not found.runs:
        refuse("This tenant has no such run.", Exit.USAGE)
    if as_json:
        screen.as_json(found)
    elif as_csv:
        screen.as_csv(CHANGE_COLUMNS, map(_change, found.changes))
    else:
        _show_history(found, with_changes=with_changes)


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
        screen.table(CHANGE_COLUMNS, map(_change, found.changes))
        if not found.changes:
            screen.say("No change is recorded.")
    if with_changes and found.runs and found.runs[0].finding:
        findings.show(found.runs[0].finding)


def show_runs(runs: Iterable[RunLine]) -> None:
    """Print runs as a table."""
    rows = list(map(run_row, runs))
    screen.table(RUN_COLUMNS, rows)
    if not rows:
        screen.say("No run is recorded.")


def run_row(run: RunLine) -> tuple[object, ...]:
    """Return one run as a row of ``RUN_COLUMNS``."""
    counts = [run.counts.get(name) for name in RUN_COLUMNS[6:13]]
    return (
        run.finished_at,
        run.directory,
        run.trigger,
        run.mode,
        run.state,
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
        wanted = TenantId(tenant) if tenant else None
        found = asyncio.run(
            errands.status(load(needs=NEEDS), wanted, reseller=reseller, most=limit)
        )
    if as_json:
        screen.as_json(found)
        return
    if found.fleet is not None:
        screen.say(*fleet_words(found.fleet))
    screen.table(DIRECTORY_COLUMNS, map(_directory, found.directories))
    if reseller is not None and not found.directories:
        screen.say(f"No tenant that names {reseller} as its reseller has a directory.")
    if len(found.directories) == limit:
        screen.say(f"The first {limit:,} are shown; --limit shows more.")
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
