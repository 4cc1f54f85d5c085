"""The tables of `oet` have the columns that users know."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ska_oso_oet.cli.output import paragraph, paragraph_of_lines, visible, write
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.oda.sbdefinition import SBDefinitionEntry
    from ska_oso_oet.oda.sbinstance import SBInstanceEntry
    from ska_oso_oet.procedure.domain import ProcedureSummary

_STYLES: Final = {"COMPLETE": "green", "FAILED": "bold red", "STOPPED": "yellow", "RUNNING": "cyan"}
_WIDE: Final = 10_000
"""Columns of output that is not a terminal: nothing is ever cut or wrapped there."""


def moment(seconds: float, *, fraction: bool = False) -> str:
    """Write a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime(f"%Y-%m-%d %H:%M:%S{'.%f' if fraction else ''}")


def script_name(procedure: ProcedureSummary) -> str:
    """Name a procedure's script: its URI, or the name that an embedded one has."""
    script: Any = procedure.script
    return str(getattr(script, "script_uri", None) or script.script_name)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table on stdout."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    terminal, printed = sys.stdout.isatty(), StringIO()
    console = Console(
        file=printed,
        force_terminal=terminal,
        width=None if terminal else _WIDE,
        markup=False,
        highlight=False,
        emoji=False,
    )
    console.print(table)
    write(f"{printed.getvalue()}\n")


def _cell(value: object) -> Text:
    text = visible(value)
    return Text(text, style=_STYLES.get(text, ""))


def print_procedures(procedures: Iterable[ProcedureSummary]) -> None:
    """Print one line for each procedure."""
    rows = [(item.id, script_name(item), moment(item.created_at), item.state.value) for item in procedures]
    print_table(("ID", "Script", "Creation time", "State"), rows)


def print_procedure_list(procedures: Iterable[ProcedureSummary], now: float) -> None:
    """Print one line for each procedure, with what an operator asks for next."""
    rows = [
        (
            item.id,
            script_name(item),
            moment(item.created_at),
            item.state.value,
            _known(item.subarray_id),
            "" if item.progress is None else f"{item.progress.percent:g} %",
            how_long(item, now),
            _known(item.requester),
        )
        for item in procedures
    ]
    columns = ("ID", "Script", "Creation time", "State", "Subarray", "Progress", "Duration", "Requester")
    print_table(columns, rows)


def how_long(procedure: ProcedureSummary, now: float) -> str:
    """Return for how long `main` has run until its end or now; nothing where it was not called."""
    entered = dict(procedure.history.process_states)
    begun = entered.get(ProcedureState.RUNNING)
    if begun is None:
        return ""
    end = procedure.history.process_states[-1][1] if procedure.state.final else now
    return str(timedelta(seconds=max(0, round(end - begun))))


def print_procedure(procedure: ProcedureSummary, controller: str, now: float) -> None:
    """Print all that is known of a procedure, first of all how it fares."""
    print_table(
        ("State", "Subarray", "Duration", "Requester"),
        [
            (
                procedure.state.value,
                _known(procedure.subarray_id),
                how_long(procedure, now),
                _known(procedure.requester),
            )
        ],
    )
    print_table(
        ("ID", "Script", "URI"),
        [(procedure.id, script_name(procedure), _place(controller, "procedures", procedure.id))],
    )
    print_table(
        ("Time", "State"),
        [(moment(when, fraction=True), state.value) for state, when in procedure.history.process_states],
    )
    calls = (("init", procedure.script_args.init), ("main", procedure.script_args.main))
    print_table(
        ("Index", "Method", "Arguments", "Keyword Arguments"),
        [(index, method, call.args, call.kwargs) for index, (method, call) in enumerate(calls, 1)],
    )
    git = getattr(procedure.script, "git_args", None)
    if git is not None:
        print_table(
            ("Repository", "Branch", "Commit"), [(git.git_repo, git.git_branch or "", git.git_commit or "")]
        )
    if procedure.progress is not None:
        paragraph(f"Progress: {procedure.progress.percent:g} % {procedure.progress.message}".rstrip())
    print_failure(procedure)


def print_failure(procedure: ProcedureSummary) -> None:
    """Print how a procedure ended, and the stack trace, if there is a reason."""
    if procedure.exit is not None and procedure.exit.message:
        paragraph(f"Ended: {procedure.exit.message}")
    print_stacktrace(procedure)


def print_stacktrace(procedure: ProcedureSummary) -> None:
    """Print the script's traceback, if it raised."""
    if procedure.history.stacktrace:
        paragraph_of_lines(f"Stack trace\n-----------\n{procedure.history.stacktrace.rstrip()}")


def _place(controller: str, plural: str, number: int) -> str:
    """Name the place of a procedure or an activity: a URL, or its number in the attribute of that name."""
    name, mark, rest = controller.partition("#")
    return f"{name}/{plural}/{number}{mark}{rest}"


def print_activities(activities: Iterable[ActivitySummary]) -> None:
    """Print one line for each activity."""
    print_table(
        ("ID", "Activity", "SB ID", "Creation Time", "Procedure ID", "State"),
        [
            (
                item.id,
                item.activity_name,
                item.sbd_id,
                moment(item.created_at),
                _known(item.procedure_id),
                item.state.value,
            )
            for item in activities
        ],
    )


def print_activity(activity: ActivitySummary, controller: str) -> None:
    """Print all that is known of an activity, first of all how it fares."""
    print_table(("State", "Requester"), [(activity.state.value, _known(activity.requester))])
    print_table(
        ("ID", "Activity", "SB ID", "Procedure ID", "State"),
        [
            (
                activity.id,
                activity.activity_name,
                activity.sbd_id,
                _known(activity.procedure_id),
                activity.state.value,
            )
        ],
    )
    print_table(
        ("URI", "Prepare Only"),
        [(_place(controller, "activities", activity.id), activity.prepare_only)],
    )
    print_table(("SB Version", "SB Instance"), [(_known(activity.sbd_version), _known(activity.sbi_id))])
    states = [(moment(when, fraction=True), state.value) for state, when in activity.activity_states]
    print_table(("Time", "State"), states)
    calls = (("init", activity.script_args.init), ("main", activity.script_args.main))
    print_table(
        ("Method", "Arguments", "Keyword Arguments"),
        [(method, call.args, call.kwargs) for method, call in calls],
        title="Script Arguments",
    )
    print_reason(activity)


def print_reason(activity: ActivitySummary) -> None:
    """Print why an activity ended as it did, if there is a reason."""
    if activity.message:
        paragraph(f"Ended: {activity.message}")


def print_sbds(entries: Iterable[SBDefinitionEntry], store: str) -> None:
    """Print where Scheduling Blocks are, and one line for each."""
    paragraph(f"ODA: {store}")
    print_table(
        ("SB ID", "Version", "Telescope", "Activities"),
        [
            (entry.sbd_id, entry.version, _known(entry.telescope), ", ".join(entry.activities))
            for entry in entries
        ],
    )


def print_sbis(entries: Iterable[SBInstanceEntry], store: str) -> None:
    """Print where SBInstances are, and one line for each."""
    paragraph(f"ODA: {store}")
    print_table(
        ("SBI ID", "SB ID", "Version", "Activities", "Executed at"),
        [
            (
                entry.sbi_id,
                _known(entry.sbd_id),
                _known(entry.sbd_version),
                ", ".join(entry.activities),
                _known(entry.executed_at),
            )
            for entry in entries
        ],
    )


def _known(value: object) -> object:
    """Leave a cell empty where nothing is known yet."""
    return "" if value is None else value
