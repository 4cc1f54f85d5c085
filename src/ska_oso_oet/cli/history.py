"""`oet procedure list --all` and `oet history prune` work on the history."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ska_oso_oet.cli import tables
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.output import diagnostic, print_line
from ska_oso_oet.cli.session import Session, acts, with_session
from ska_oso_oet.errors import InvalidArgument, OetError
from ska_oso_oet.history.queries import MAX_LIMIT, HistoryQuery
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.history.queries import HistoryPage

app = typer.Typer(no_args_is_help=True, help="Prune the durable record of all procedures and activities.")

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")

All = Annotated[bool, typer.Option("--all", help="List the history, newest first, a page at a time.")]
State = Annotated[
    list[ProcedureState] | None,
    typer.Option(
        "--state", case_sensitive=False, help="Only those of the history in this state; repeat for more."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Only those created since 2026-11-20, 2026-11-20T12:30 (UTC) or 7d ago.",
    ),
]
Script = Annotated[
    str | None,
    typer.Option("--script", metavar="TEXT", help="Only those with this in their script's URI or name."),
]
OfSubarray = Annotated[
    int | None, typer.Option("--subarray", metavar="ID", help="Only those for this subarray.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, max=MAX_LIMIT, help="How many on a page [default: 50].")
]
Page = Annotated[int | None, typer.Option("--page", min=1, help="Which page [default: 1].")]


def show_page(session: Session, filters: Mapping[str, Any]) -> ExitCode:
    """Print the page of the history that the options ask for; None stands for an option not used."""
    given = {key: value for key, value in filters.items() if value is not None}
    if "since" in given:
        given["since"] = moment(given["since"], time.time())
    query = HistoryQuery.parse(given)
    page = session.client.history(query)
    if session.json:
        shown = {"page": query.page, "limit": query.limit}
        session.document({"procedures": page.procedures, "total": page.total, **shown})
    else:
        tables.print_procedure_list(page.procedures, time.time())
        print_line(summary(page, query))
    return ExitCode.DONE


def print_what_is_left_out(session: Session, listed: int) -> None:
    """Print how many procedures of the history are not in a list."""
    try:
        total = session.client.history(HistoryQuery(limit=1)).total
    except OetError as error:
        diagnostic(f"older ones cannot be counted: {error}")
        return
    if text := left_out(total - listed):
        print_line(text)


def left_out(older: int) -> str:
    """Return how many older procedures a list leaves out, in words; empty if it leaves out none."""
    if older <= 0:
        return ""
    counted = "1 older procedure is" if older == 1 else f"{older} older procedures are"
    return f"{counted} not listed: oet procedure list --all"


def summary(page: HistoryPage, query: HistoryQuery) -> str:
    """Return in words which part of how many procedures a page is."""
    pages = -(-page.total // query.limit)
    if page.procedures:
        first = (query.page - 1) * query.limit + 1
        last = first + len(page.procedures) - 1
        return f"{first} to {last} of {page.total}, newest first; page {query.page} of {pages}"
    if page.total:
        return f"none on page {query.page}: there are {page.total} on {pages} page{'s' * (pages > 1)}"
    return "none"


@app.command()
@with_session
@acts
def prune(
    session: Session,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            "--older_than",
            metavar="90d",
            help="Only what ended longer ago than this: s, m, h, d, w.",
        ),
    ] = None,
    keep: Annotated[int | None, typer.Option("--keep", min=0, help="Keep the newest N.")] = None,
) -> ExitCode:
    """Delete ended procedures and activities from the history; with both options, what both allow."""
    if older_than is None and keep is None:
        raise InvalidArgument("name what to delete: --older-than (such as 90d), --keep, or both")
    session.interrupted = "no longer waiting; the pruning goes on"
    age = None if older_than is None else duration(older_than)
    pruned = session.client.prune_history(older_than=age, keep=keep, timeout=session.deadline)
    if session.json:
        session.document({"pruned": pruned})
    else:
        print_line(
            f"deleted {_count(pruned.procedures, 'procedure')} and {_count(pruned.activities, 'activity')}"
        )
    return ExitCode.DONE


def duration(text: str) -> float:
    """Read `90d` as seconds; raises InvalidArgument."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidArgument(f"a time span is a number with s, m, h, d or w, such as 90d, not {text!r}")
    return float(match[1]) * UNITS[match[2]]


def moment(text: str, now: float) -> float:
    """Read a date, a time (UTC unless it has another zone) or how long ago, as seconds since 1970."""
    if _DURATION.fullmatch(text.strip().lower()):
        return now - duration(text)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidArgument(
            f"a time is 2026-11-20, 2026-11-20T12:30 or how long ago, such as 7d, not {text!r}"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _count(number: int, word: str) -> str:
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else plural}"
