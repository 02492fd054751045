"""``holds``, ``approve``, ``discard``, ``undo``: what waits for a person, and what a person makes of it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from worker import errands
from worker.cli import screen
from worker.cli.asking import Wait, decide_one
from worker.cli.exits import refusals
from worker.cli.options import AsJson
from worker.cli.reports import MOST_MAX, SET_COLUMNS, Tenant, set_row
from worker.domain.model import HoldId, TenantId
from worker.ports.reports import HoldLine
from worker.settings import load


HOLD_COLUMNS = (
    "since (UTC)",
    "directory",
    "waiting",
    "of these logins only",
    "approved",
    "told",
    "hold",
    "version",
)
SAMPLE_MAX = 5

Hold = Annotated[UUID, typer.Argument(help="The hold, as `rollcall holds` shows it.")]
Directory = Annotated[str, typer.Argument(help="The directory.")]
Version = Annotated[
    int,
    typer.Option(
        "--version",
        min=1,
        help="The version you saw; another one is refused, so that nothing unseen leaves.",
    ),
]


def holds(
    tenant: Tenant,
    hold: Annotated[UUID | None, typer.Argument(help="Show the addresses of this hold.")] = None,
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_MAX, help="Addresses at most.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the removals that wait for a person, and why."""
    with refusals():
        settings = load(needs=("database_url",))
        if hold is None:
            found_holds = asyncio.run(errands.holds(settings, TenantId(tenant)))
            _show_holds(tenant, found_holds, as_json=as_json)
            return
        of = HoldId(hold)
        found = asyncio.run(errands.waiting(settings, TenantId(tenant), of, most=limit + 1))
    shown, has_more = screen.cut(found, limit)
    if as_json:
        screen.as_json({"hold": hold, "changes": shown})
        return
    screen.table(SET_COLUMNS, map(set_row, shown))
    if not shown:
        screen.say("Nothing waits under this id.")
    if has_more:
        screen.say_cut(limit)


def _show_holds(tenant: str, found: Sequence[HoldLine], *, as_json: bool) -> None:
    if as_json:
        screen.as_json({"holds": found})
        return
    screen.table(HOLD_COLUMNS, map(_hold_row, found))
    if not found:
        screen.say("Nothing waits for a person.")
    for each in found:
        for reason in each.reasons:
            screen.say(f"{each.directory}: {reason['text']} [{reason['code']}]")
    if found:
        last = found[-1]
        screen.say("To let them leave, or to keep them:")
        screen.paste(f"rollcall approve {tenant} {last.hold} --version {last.version}")
        screen.paste(f"rollcall discard {tenant} {last.hold} --version {last.version}")


def _hold_row(each: HoldLine) -> tuple[object, ...]:
    told = "no more" if each.discarded else "yes"
    return (
        each.since,
        each.directory,
        each.waiting,
        each.logins,
        each.approved,
        told,
        each.hold,
        each.version,
    )


def approve(
    tenant: Tenant, hold: Hold, *, version: Version, patience: Wait = 30.0, as_json: AsJson = False
) -> None:
    """Let the removals of a hold happen: those still absent enter grace, and leave with a later complete run."""
    told = {"hold": str(hold), "version": version}
    data = decide_one("hold.approve", tenant, told, patience_s=patience, as_json=as_json)
    if data is not None:
        logins = data.get("logins", 0)
        screen.say(*approved_words(data["approved"] - logins, data["grace"], logins))


def approved_words(addresses: int, grace: int, logins: int) -> list[str]:
    """Say what an approval did to addresses, and to logins whose address stays."""
    told = []
    if addresses == 1:
        fate = (
            "it is in grace now: its mail is put off, then refused."
            if grace
            else "it was in grace before, or another source holds it."
        )
        told.append(f"1 approved; {fate}")
    elif addresses:
        fate = f"{grace:,} of them are in grace now: their mail is put off, then refused."
        told.append(f"{addresses:,} approved; {fate}")
    if logins == 1:
        told.append("1 quarantine login is deactivated; its address stays, and its mail goes on.")
    elif logins:
        told.append(
            f"{logins:,} quarantine logins are deactivated; their addresses stay, and their mail goes on."
        )
    return told or ["Nothing leaves: all of it came back, or nobody is removed here."]


def discard(
    tenant: Tenant, hold: Hold, *, version: Version, patience: Wait = 30.0, as_json: AsJson = False
) -> None:
    """Keep everyone a hold is about, and tell nobody again until its set of addresses changes."""
    told = {"hold": str(hold), "version": version}
    data = decide_one("hold.discard", tenant, told, patience_s=patience, as_json=as_json)
    if data is not None:
        screen.say(f"{data['kept']:,} stay; nobody is told again until the set changes.")


def undo(
    tenant: Tenant,
    run: Annotated[UUID, typer.Argument(help="The run, as `rollcall history` shows it.")],
    *,
    patience: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Give back what a run took; what it gave leaves through guard and grace. Automatic syncs pause."""
    data = decide_one("run.undo", tenant, {"run": str(run)}, patience_s=patience, as_json=as_json)
    if data is None:
        return
    rows = [("given back", data["given_back"]), ("leaving", data["leaving"])]
    rows += [(f"not touched: {each['text']}", each) for each in data["not_touched"]]
    screen.table(("what", "addresses", "the first"), [_fate_row(*each) for each in rows])
    logins = data.get("logins") or {}
    screen.say(*undone_logins(logins))
    screen.say(f"Automatic syncs of {data['directory']} pause until they are resumed.")


def undone_logins(counts: Mapping[str, int]) -> list[str]:
    """Say what an undo did to quarantine logins; nothing where it did nothing."""
    told = [f"{count:,} {change}" for change, count in sorted(counts.items()) if count]
    return [f"Quarantine logins: {', '.join(told)}."] if told else []


def _fate_row(what: str, each: dict[str, Any]) -> tuple[object, ...]:
    return what, each["count"], ", ".join(each["addresses"][:SAMPLE_MAX])


def pause(
    tenant: Tenant, directory: Directory, *, patience: Wait = 30.0, as_json: AsJson = False
) -> None:
    """Stop the automatic syncs of a directory; a person may still ask for one."""
    told = {"directory": directory}
    data = decide_one("directory.pause", tenant, told, patience_s=patience, as_json=as_json)
    if data is not None:
        screen.say(f"Automatic syncs of {directory} pause.")


def resume(
    tenant: Tenant, directory: Directory, *, patience: Wait = 30.0, as_json: AsJson = False
) -> None:
    """Let the automatic syncs of a directory go on, for example after an undo."""
    told = {"directory": directory}
    data = decide_one("directory.resume", tenant, told, patience_s=patience, as_json=as_json)
    if data is not None:
        screen.say(f"Automatic syncs of {directory} go on.")
