"""What the help of several commands shares: options, and the exit codes."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer


EPILOG = (
    "Exit codes: 0 done; 1 the answer is no (a finding, a held or failed run, an address that is not valid); "
    "2 wrong usage or settings; 3 a server of ours is away."
)

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]

Command = Callable[..., None]


def spread(options: type[Any]) -> Callable[[Command], Command]:
    """Give a command each field of a dataclass as an option of its own, so that two commands can share them all.

    The command takes the dataclass first, and keyword-only options of its own. typer reads a command's
    signature (PEP 362) and annotations.
    """
    hints = get_type_hints(options, include_extras=True)
    shared = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
        for each in fields(options)
    ]

    def decorate(command: Command) -> Command:
        own = list(inspect.signature(command).parameters.values())[1:]

        def called(**given: object) -> None:
            taken = {each.name: given.pop(each.name) for each in shared}
            command(options(**taken), **given)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = get_type_hints(command, include_extras=True) | {
            each.name: each.annotation for each in shared
        }
        signature = inspect.Signature([*shared, *own])
        called.__signature__ = signature  # type: ignore[attr-defined]  # where PEP 362 wants it
        return called

    return decorate
