"""``sync``: ask for a sync of a stored directory, as a message would, and wait for its outcome. Needs no broker."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, NoReturn, assert_never

import typer

from worker import errands
from worker.cli import findings, screen
from worker.cli.exits import Exit, refusals, refuse
from worker.cli.options import AsJson
from worker.cli.reports import Tenant, show_runs
from worker.domain.commands import Envelope, FieldError
from worker.domain.model import Mode, RunState
from worker.flows.ask import Followed, Patience, Refusal
from worker.ports.reports import RunLine, Standing
from worker.settings import load


NEEDS = ("database_url", "keys")
GRACE_S = 120.0
"""Added to a run's own deadline: for comparing and recording."""

GOOD = frozenset({RunState.COMPLETED, RunState.PREVIEWED})


def sync(  # noqa: PLR0913 - each is an option of the command line
    tenant: Tenant,
    directory: Annotated[str, typer.Argument(help="The directory.")],
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only compute what would change.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the outcome, or only ask.")
    ] = True,
    patience: Annotated[
        float, typer.Option("--patience", min=0, help="Seconds to wait for a worker to begin.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Ask for a sync of a stored directory and show what it came to.

    The request goes straight into the database, so it works without a broker; a running worker carries it out. Ending
    this command ends the waiting only.
    """
    with refusals():
        settings = load(needs=NEEDS)
        waiting = Patience(patience, settings.run_s + GRACE_S + patience) if wait else None
        mode = Mode.PREVIEW if preview else Mode.APPLY
        with screen.progress("asking for a sync") as tell:
            came_to = asyncio.run(
                errands.sync(
                    settings,
                    (tenant, directory),
                    mode=mode,
                    patience=waiting,
                    tell=lambda standing: tell(_words(standing)),
                )
            )
    match came_to:
        case Refusal(errors):
            _rejected(errors)
        case Envelope():
            _asked(came_to, as_json=as_json)
        case Followed():
            _followed(came_to, as_json=as_json)
        case _:
            assert_never(came_to)


def _words(standing: Standing) -> str:
    run = standing.run
    if run is None:
        return "asked for; waiting for a worker"
    if run.state is RunState.QUEUED:
        return "queued behind another run" if standing.is_behind else "queued"
    entries = run.counts.get("entries")
    return f"{run.state}: {entries:,} entries" if isinstance(entries, int) else str(run.state)


def _asked(envelope: Envelope, *, as_json: bool) -> None:
    if as_json:
        screen.as_json({"command": envelope.id})
        return
    screen.say(f"Asked for as {envelope.id}; `rollcall history {envelope.tenant}` shows the run.")


def _followed(followed: Followed, *, as_json: bool) -> None:
    standing = followed.standing
    if standing is not None and standing.state == "rejected":
        _rejected(standing.errors)
    run = standing.run if standing else None
    if as_json:
        screen.as_json({"run": run})
    elif followed.is_over and run is not None:
        _show(run)
    if not followed.is_over:
        refuse(_no_outcome(followed), Exit.AWAY)
    if run is None or run.state not in GOOD:
        raise typer.Exit(Exit.NO)


def _no_outcome(followed: Followed) -> str:
    if followed.is_picked_up:
        return "The run has not ended in time; it goes on. `rollcall history` shows its outcome."
    return "No worker has begun with it in time. It is stored, and is carried out as soon as one runs (`rollcall run`)."


def _rejected(errors: Sequence[FieldError]) -> NoReturn:
    refuse("\n".join(f"{each.field}: {each.message} [{each.code}]" for each in errors), Exit.USAGE)


def _show(run: RunLine) -> None:
    show_runs([run])
    for reason in run.reasons:
        screen.say(f"{reason.get('text', '')} [{reason.get('code', '')}]")
    for each in run.advice:
        screen.say(f"Advice: {each.get('text', '')} [{each.get('code', '')}]")
    if run.finding:
        findings.show_stages(run.finding["stages"])
        findings.show(run.finding)
