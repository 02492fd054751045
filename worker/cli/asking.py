"""Asking for a decision at the command line: made as a message would be, carried out by a worker, waited for."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from worker import errands
from worker.cli import screen
from worker.cli.exits import Exit, refusals, refuse
from worker.domain.commands import FieldError, Received
from worker.flows.ask import Decided, Patience, Refusal, request
from worker.ports.reports import Standing
from worker.settings import load


NEEDS = ("database_url", "keys")

Wait = Annotated[
    float, typer.Option("--patience", min=0, help="Seconds to wait for a worker to carry it out.")
]

Where = Callable[[str], str]
"""Names the place of an error for a person, by its field."""


def made(name: str, tenant: str, data: dict[str, Any]) -> Received:
    """Make one request. Ends the command when it is wrong in form."""
    read = request(name, tenant, data)
    if isinstance(read, Refusal):
        refuse_errors(read.errors, as_it_is)
    return read


def carried_out(requests: Sequence[Received], patience_s: float) -> list[Decided]:
    """Store requests and wait for each. Ends the command when nothing could be asked."""
    with screen.progress("waiting for a worker") as tell:

        def told(standing: Standing) -> None:
            tell(f"{standing.state}")

        done = asyncio.run(
            errands.decide(
                load(needs=NEEDS),
                requests,
                patience=Patience(patience_s, patience_s),
                tell=told,
            )
        )
    if isinstance(done, Refusal):
        refuse_errors(done.errors, as_it_is)
    return done


def decide_one(
    name: str, tenant: str, data: dict[str, Any], *, patience_s: float, as_json: bool
) -> dict[str, Any] | None:
    """Ask for one decision; gives what its event says, None when that was printed as JSON."""
    with refusals():
        (done,) = carried_out([made(name, tenant, data)], patience_s)
    check([done], as_it_is)
    told = dict(done.answers[0].data)
    if as_json:
        screen.as_json(told)
        return None
    return told


def as_it_is(field: str) -> str:
    """An error about a field stays with that field."""
    return field


def check(done: Iterable[Decided], where: Where) -> None:
    """End the command unless each was carried out."""
    for each in done:
        standing = each.followed.standing
        if standing is not None and standing.state == "rejected":
            refuse_errors(standing.errors, where)
        if not each.followed.is_over:
            refuse(
                "No worker has carried it out in time. It is stored, and is carried out as soon as one runs (`rollcall run`).",
                Exit.AWAY,
            )


def refuse_errors(errors: Iterable[FieldError], where: Where) -> NoReturn:
    """Say each error with its place, and end."""
    refuse(
        "\n".join(f"{where(each.field)}: {each.message} [{each.code}]" for each in errors),
        Exit.USAGE,
    )
