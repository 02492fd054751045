"""``logins``: the quarantine logins of a tenant, and what its mailboxes claim and do not get."""

import asyncio
from typing import Annotated

import typer

from worker import errands
from worker.cli import screen
from worker.cli.exits import refusals
from worker.cli.options import AsJson
from worker.domain.model import DirectoryId, TenantId
from worker.ports.reports import ClaimLine, LoginLine
from worker.settings import load


NEEDS = ("database_url",)
MOST_MAX = 1_000_000
LOGIN_COLUMNS = ("user name", "directory", "state", "why", "role", "since (UTC)", "addresses")
CLAIM_COLUMNS = ("address", "directory", "mailboxes", "what is in the way", "entry")


def logins(
    tenant: Annotated[str, typer.Argument(help="The tenant.")],
    *,
    directory: Annotated[
        str | None, typer.Option("--directory", help="Only those of this directory.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_MAX, help="Lines at most.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Show quarantine logins, and the addresses that mailboxes claim for theirs and do not get."""
    with refusals():
        of = None if directory is None else DirectoryId(directory)
        found = asyncio.run(errands.logins(load(needs=NEEDS), TenantId(tenant), of, most=limit + 1))
    shown, has_more = screen.cut(found.logins, limit)
    claims, has_more_claims = screen.cut(found.claims, limit)
    if as_json:
        screen.as_json(errands.Logins(tuple(shown), tuple(claims)))
        return
    screen.table(LOGIN_COLUMNS, map(_login, shown))
    if not shown:
        screen.say("There are no logins.")
    if has_more:
        screen.say_cut(limit)
    if claims:
        screen.table(CLAIM_COLUMNS, map(_claim, claims), title="claimed and not given")
    if has_more_claims:
        screen.say_cut(limit)


def _login(each: LoginLine) -> tuple[object, ...]:
    return (
        each.username,
        each.directory or "by hand",
        each.state,
        each.reason,
        each.role,
        each.since,
        ", ".join(each.addresses),
    )


def _claim(each: ClaimLine) -> tuple[object, ...]:
    return (each.address, each.directory, ", ".join(each.mailboxes), each.text, each.entry)
