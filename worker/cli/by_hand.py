"""``add``, ``remove``, ``republish``: addresses that people hold by hand, and the whole list told again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli import screen
from worker.cli.asking import Wait, Where, as_it_is, carried_out, check, made, refuse_errors
from worker.cli.exits import Exit, refusals, refuse
from worker.cli.lists import Line, chunks, read_lines
from worker.cli.options import AsJson
from worker.cli.reports import Tenant
from worker.flows.ask import Refusal, request


Addresses = Annotated[list[str] | None, typer.Argument(help="Mail addresses.")]
File = Annotated[
    str | None, typer.Option("--file", help="A file with one address a line; - is standard input.")
]


def add(  # noqa: PLR0913 - each is an option of the command line
    tenant: Tenant,
    addresses: Addresses = None,
    *,
    file: File = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="The first directory that shows an address takes it over."),
    ] = False,
    protect: Annotated[
        bool, typer.Option("--protect", help="No sync ever removes or takes over these.")
    ] = False,
    patience: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Hold addresses by hand, valid whatever the directories say. A file may hold thousands."""
    more = {"adopt": adopt, "protect": protect}
    _decide_list("recipient.add", tenant, _listed(addresses, file), more, patience, as_json=as_json)


def remove(
    tenant: Tenant,
    addresses: Addresses = None,
    *,
    file: File = None,
    patience: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """End the source by hand of addresses; what a directory holds it goes on holding."""
    _decide_list(
        "recipient.remove", tenant, _listed(addresses, file), {}, patience, as_json=as_json
    )


def republish(tenant: Tenant, *, patience: Wait = 30.0, as_json: AsJson = False) -> None:
    """Publish the whole list of a tenant again, for services that start or have lost count."""
    with refusals():
        done = carried_out([made("recipients.republish", tenant, {})], patience)
    check(done, as_it_is)
    if as_json:
        screen.as_json({"command": "recipients.republish"})
    else:
        screen.say("The list is on its way as recipients.snapshot.")


def _listed(addresses: Sequence[str] | None, file: str | None) -> list[Line]:
    named = [Line(f"address {place}", each) for place, each in enumerate(addresses or (), start=1)]
    try:
        named += [] if file is None else read_lines(None if file == "-" else Path(file))
    except (OSError, UnicodeDecodeError) as wrong:
        refuse(f"--file: {wrong}", Exit.USAGE)
    if not named:
        refuse("Name addresses, or a file that holds some with --file.", Exit.USAGE)
    return named


def _decide_list(  # noqa: PLR0913 - what is asked of which addresses of whom, and how it is shown
    name: str,
    tenant: str,
    lines: Sequence[Line],
    more: dict[str, Any],
    patience_s: float,
    *,
    as_json: bool,
) -> None:
    """Ask for the same of many addresses, in as many messages as it takes.

    One that is wrong in form stops all before anything is asked; beyond that each message is carried out or refused by itself.
    """
    with refusals():
        parts = list(chunks(lines))
        requests = []
        for part in parts:
            read = request(name, tenant, {"addresses": [each.text for each in part], **more})
            if isinstance(read, Refusal):
                refuse_errors(read.errors, _line_of(part))
            requests.append(read)
        done = carried_out(requests, patience_s)
    counts: dict[str, int] = {}
    for part, each in zip(parts, done, strict=True):
        check([each], _line_of(part))
        for change in (one for answer in each.answers for one in answer.data["changes"]):
            counts[change["change"]] = counts.get(change["change"], 0) + 1
    if as_json:
        screen.as_json({"addresses": len(lines), "changes": counts})
        return
    said = ", ".join(f"{count:,} {change}" for change, count in sorted(counts.items()))
    screen.say(f"{len(lines):,} addresses: {said or 'the list does not change'}.")


def _line_of(part: Sequence[Line]) -> Where:
    """Name the line that an error about one address of a message is about."""

    def where(field: str) -> str:
        place = field.removeprefix("addresses.")
        return part[int(place)].where if place.isdigit() else field

    return where
