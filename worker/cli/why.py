"""``why``: why an address is valid or not, in sentences that can be pasted into a ticket."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from worker import errands
from worker.cli import screen
from worker.cli.exits import Exit, refusals, refuse
from worker.cli.options import AsJson
from worker.domain.addresses import normal_address
from worker.domain.model import TenantId
from worker.domain.why import PastChange, Why, moment, sentences
from worker.ports.reports import LoginLine
from worker.settings import load


NEEDS = ("database_url",)
CHANGE_COLUMNS = ("at (UTC)", "change", "directory", "by", "run")


def why(
    address: Annotated[str, typer.Argument(help="The address, or a text that stands for one.")],
    *,
    tenant: Annotated[
        str | None,
        typer.Option("--tenant", help="Tell what this tenant's directories ignored."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show why an address is valid or not: its sources, what the last runs said of it, what happens next.

    Exit code 1: it is not valid (unknown, or nobody may call it so).
    """
    normal = normal_address(address)
    with refusals():
        of_tenant = TenantId(tenant) if tenant else None
        told, logins = asyncio.run(errands.why(load(needs=NEEDS), normal or address, of_tenant))
    if normal is None and not told.is_known:
        refuse("Enter a mail address, for example it@example.com.", Exit.USAGE)
    if as_json:
        said = [*sentences(told), *map(_login, logins)]
        screen.as_json({**asdict(told), "logins": logins, "sentences": said})
    else:
        _show(told, logins)
    if not told.is_accepted:
        raise typer.Exit(Exit.NO)


def _show(told: Why, logins: Sequence[LoginLine]) -> None:
    screen.say(*sentences(told), *map(_login, logins))
    if told.history:
        screen.table(CHANGE_COLUMNS, map(_change, told.history), title="what became of it")


def _login(login: LoginLine) -> str:
    """Say which quarantine login an address is about, apart from whether its mail is taken."""
    reason = f" ({login.reason})" if login.reason else ""
    return f"Its quarantine login {login.username} is {login.state}{reason} since {moment(login.since)}."


def _change(change: PastChange) -> tuple[object, ...]:
    by = "a run" if change.run else "a person" if change.by_command else "the clock"
    return (change.at, change.change, change.directory, by, change.run)
