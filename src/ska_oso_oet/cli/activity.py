"""`oet activity` runs, lists and describes activities."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ska_oso_oet.cli import exit_codes, tables
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.following import Follower
from ska_oso_oet.cli.naming import Aid, Number, chosen
from ska_oso_oet.cli.procedure import Flag
from ska_oso_oet.cli.session import Session, acts, with_session
from ska_oso_oet.errors import InvalidArgument, ProcedureNotFound, WaitTimeout

if TYPE_CHECKING:
    from ska_oso_oet.activity.domain import ActivitySummary

NUMBER_SECS: Final = 2.0
"""Seconds that an activity which is not followed has to get a procedure, before it is printed without."""

app = typer.Typer(no_args_is_help=True, help="Run the activities of Scheduling Blocks.")


@app.command()
@with_session
@acts
def run(  # noqa: PLR0913 - Typer reads a command's options from the parameters of its function
    session: Session,
    *,
    activity_name: Annotated[str, typer.Argument(metavar="ACTIVITY")],
    sbd_id: Annotated[str, typer.Argument(metavar="SBD_ID")],
    sbd_version: Annotated[
        int | None,
        typer.Option(
            "--sbd_version",
            "--sbd-version",
            min=1,
            help="Version of the Scheduling Block; by default the newest.",
        ),
    ] = None,
    script_args: Annotated[
        str,
        typer.Option(
            "--script_args", "--script-args", metavar="JSON", help='{"init": {"kwargs": {"foo": "bar"}}}'
        ),
    ] = "{}",
    prepare_only: Annotated[
        Flag,
        typer.Option("--prepare_only", "--prepare-only", case_sensitive=False, help="Do not call main."),
    ] = Flag.FALSE,
    create_env: Annotated[
        Flag,
        typer.Option(
            "--create_env", "--create-env", case_sensitive=False, help="Use a Python environment of its own."
        ),
    ] = Flag.FALSE,
    listen: Annotated[Flag, typer.Option("--listen", case_sensitive=False, help="Follow it.")] = Flag.TRUE,
) -> ExitCode:
    """Run an activity of a Scheduling Block, and follow it to its end, or until it is prepared."""
    arguments = _script_args(script_args)
    follower = Follower(session) if listen is Flag.TRUE else None
    session.interrupted = "interrupted while the activity was being requested (oet activity list)"
    activity = session.client.run_activity(
        activity_name,
        sbd_id,
        sbd_version=sbd_version,
        prepare_only=prepare_only is Flag.TRUE,
        create_env=create_env is Flag.TRUE,
        script_args=arguments,
    )
    session.activity_id, session.procedure_id = activity.id, activity.procedure_id
    session.interrupted = (
        f"no longer following; activity {activity.id} goes on (oet activity describe --aid={activity.id} "
        "names its procedure, and oet procedure stop ends that)"
    )
    if follower is not None:
        if not session.json:
            tables.print_activities([activity])
        activity = follower.until_done(activity)
    else:
        with suppress(WaitTimeout):
            patience = session.deadline.at_most(NUMBER_SECS)
            activity = session.client.wait_activity_procedure(activity.id, patience)
    return _report(session, activity)


@app.command("list")
@with_session
def list_activities(session: Session, number: Number = None, aid: Aid = None) -> ExitCode:
    """List the activities, or one of them."""
    aid = chosen(number, aid)
    client = session.client
    activities = client.list_activities() if aid is None else [client.describe_activity(aid)]
    if session.json:
        session.document({"activities": list(activities)})
    else:
        tables.print_activities(activities)
    return ExitCode.DONE


@app.command()
@with_session
def describe(session: Session, number: Number = None, aid: Aid = None) -> ExitCode:
    """Show the arguments and the states of an activity, by default the newest."""
    activity = session.client.describe_activity(chosen(number, aid) or 0)
    if session.json:
        session.document({"activity": activity})
    else:
        tables.print_activity(activity, session.client.uri)
    return ExitCode.DONE


def _script_args(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"--script_args is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidArgument("--script_args is a JSON object, by function name")
    return document


def _report(session: Session, activity: ActivitySummary) -> ExitCode:
    """Print an activity as it is at the end of a command; where its script raised, with the traceback."""
    if session.json:
        session.document({"activity": activity})
    else:
        tables.print_activities([activity])
        tables.print_reason(activity)
        if activity.message and activity.procedure_id is not None:
            with suppress(ProcedureNotFound):
                tables.print_stacktrace(session.client.describe(activity.procedure_id))
    return exit_codes.of_state(activity.state)
