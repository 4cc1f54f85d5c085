"""People name procedures and activities on the command line by a number alone, or by an option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable


def number_of(text: str) -> int:
    """Read the ID of a procedure or an activity; raises a usage error for what cannot be one."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"an ID is a whole number from 1 on, not {text!r}")


Number = Annotated[
    int | None, typer.Argument(metavar="ID", parser=number_of, show_default=False, help="Its ID.")
]
Pid = Annotated[int | None, typer.Option("--pid", metavar="ID", parser=number_of, help="The procedure's ID.")]
Aid = Annotated[int | None, typer.Option("--aid", metavar="ID", parser=number_of, help="The activity's ID.")]


def chosen(number: int | None, option: int | None) -> int | None:
    """Choose the number that was named, alone or by its option; raises InvalidArgument for two."""
    if number is not None and option is not None and number != option:
        raise InvalidArgument(f"{number} and {option}: only one can be meant")
    return option if number is None else number


def refuse_lone_number(tokens: Iterable[str], procedure_id: int | None) -> None:
    """Refuse `start 5`: 5 may be a procedure, or an argument of whichever is started.

    Raises InvalidArgument, with both ways to write it.
    """
    first = next((token for token in tokens if not token.startswith("-")), "")
    if procedure_id is None and first.isdecimal():
        raise InvalidArgument(
            f"{first}: procedure {first} is started by `oet procedure start --pid={first}`; "
            f"an argument {first} of main needs its procedure: `oet procedure start --pid=ID {first}`"
        )
