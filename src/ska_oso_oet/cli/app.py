"""The `oet` application has its options, `listen`, `up`, and the one place where errors end."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - Typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ska_oso_oet import __version__
from ska_oso_oet.cli import activity, history, procedure, procedure_output, sbd, sbi, status
from ska_oso_oet.cli.arguments import with_flag_values
from ska_oso_oet.cli.event_lines import about_topic, notice
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.groups import Root
from ska_oso_oet.cli.naming import number_of
from ska_oso_oet.cli.output import (
    OutputLost,
    diagnostic,
    flush,
    let_outcome_count,
    open_what_is_closed,
    print_line,
)
from ska_oso_oet.cli.session import (
    Device,
    Json,
    ServerUrl,
    Session,
    Timeout,
    print_error,
    with_session,
)
from ska_oso_oet.client.events import Event
from ska_oso_oet.tango_environment import prepare_tango

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ska_oso_oet.client.events import StreamItem

app = typer.Typer(
    name="oet", cls=Root, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)
procedure.app.command("output")(procedure_output.output)
app.add_typer(procedure.app, name="procedure")
app.add_typer(activity.app, name="activity")
app.add_typer(sbd.app, name="sbd")
app.add_typer(sbi.app, name="sbi")
app.add_typer(history.app, name="history")
app.add_typer(status.config, name="config")
app.command("status")(status.status)

# The base of everything that is wrong with a command line, whichever Click Typer is built on.
_UsageError: Any = typer.BadParameter.__bases__[0]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if wanted:
        print_line(f"oet {__version__}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    device: Device = None,
    server_url: ServerUrl = None,
    timeout: Timeout = None,
    version: Annotated[  # noqa: ARG001 - acts when it is parsed
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Control the Observation Execution Tool; TANGO_HOST names the Tango database."""
    ctx.obj = {"json": as_json, "device": device, "server_url": server_url, "timeout": timeout}


@app.command()
@with_session
def listen(
    session: Session,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="Only this topic and those below it; repeat for more.")
    ] = None,
    since: Annotated[
        int | None, typer.Option("--since", min=0, help="Begin after the event with this number.")
    ] = None,
    procedure_id: Annotated[
        int | None,
        typer.Option("--pid", metavar="ID", parser=number_of, help="Only events of this procedure."),
    ] = None,
) -> ExitCode:
    """Print events as they happen, until Ctrl-C or --timeout; with --json, one JSON object on each line."""
    _warn_of_unknown_topics(topic or ())
    stream = session.owns(session.client.events(topic or (), since, procedure_id=procedure_id))
    try:
        while session.deadline.remaining != 0.0:
            item = stream.get(session.deadline.remaining)
            if item is not None:
                _print_item(item, as_json=session.json)
        for item in stream.drain():
            _print_item(item, as_json=session.json)
    except KeyboardInterrupt:
        pass
    return ExitCode.DONE


def _warn_of_unknown_topics(topics: Sequence[str]) -> None:
    from ska_oso_oet.event.tree import topic_names  # noqa: PLC0415 - only this command needs it

    for warning in filter(None, (about_topic(topic, topic_names()) for topic in topics)):
        diagnostic(warning)


def _print_item(item: StreamItem, *, as_json: bool) -> None:
    if as_json:
        print_line(json.dumps({"kind": type(item).__name__, **asdict(item)}))
    elif isinstance(item, Event):
        known = {"msg_src": item.msg_src, "request_id": item.request_id, "procedure_id": item.procedure_id}
        data = known | item.data | known  # in this order, and no data of a script's in the place of these
        print_line(f"event: {item.topic}")
        print_line(f"data: {json.dumps(data)}")
        print_line()
    else:
        diagnostic(notice(item))


class TelescopeChoice(StrEnum):
    """Which telescope `oet up` simulates."""

    MID = "mid"
    LOW = "low"
    NONE = "none"


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port of the Tango database; 0 for a free one."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data_dir", "--data-dir", help="Directory in which it keeps its data.")
    ] = None,
    telescope: Annotated[
        TelescopeChoice, typer.Option("--telescope", help="Simulate the SKA telescope that scripts command.")
    ] = TelescopeChoice.NONE,
    time_scale: Annotated[
        float,
        typer.Option(
            "--time_scale", "--time-scale", help="How long its changes take; 0.1 is ten times faster."
        ),
    ] = 1.0,
    rest_port: Annotated[
        int | None,
        typer.Option(
            "--rest_port",
            "--rest-port",
            min=0,
            max=65535,
            help="Port of the HTTP API; by default a free one.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=1, help="Seconds that the start may take; 180 by default."),
    ] = None,
) -> int:
    """Run a Tango database, the controller and, if it is installed, the HTTP API, until Ctrl-C."""
    from ska_oso_oet import embedded  # noqa: PLC0415 - only this command needs it

    simulated = (
        None if telescope is TelescopeChoice.NONE else embedded.SimulatorServers(telescope.value, time_scale)
    )
    if rest_port is None and embedded.rest_is_installed():
        rest_port = 0
    return embedded.up(
        embedded.DEFAULT_PORT if port is None else port,
        data_dir,
        embedded.Parts(telescope=simulated, rest_port=rest_port),
        embedded.StackLimits(start=embedded.DEFAULT_TIMEOUT if timeout is None else timeout),
    )


def main() -> None:
    """Be the `oet` program."""
    open_what_is_closed()
    prepare_tango(os.environ)
    code = run(sys.argv[1:])
    # All that had to be closed is. Taking the interpreter apart would cost a tenth of a command, and let
    # Tango's own threads complain about events that come too late.
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; a fault is a message, never a traceback.

    With OET_DEBUG set, the traceback is shown.
    """
    _let_any_text_out()
    let_outcome_count(outcome_counts=False)
    try:
        code = _run(arguments, as_json="--json" in arguments)
        flush()
    except OutputLost as lost:
        return lost.code
    return code


def _run(arguments: Sequence[str], *, as_json: bool) -> int:
    try:
        return int(app(with_flag_values(arguments), prog_name="oet", standalone_mode=False) or 0)
    except _UsageError as error:
        if as_json:
            print_error("OET_InvalidArgument", error.format_message(), as_json=True)
        else:
            with suppress(OSError):
                error.show()
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except SystemExit as end:
        # Click's own reaction to a pipe that nobody reads any more, as where it prints the help.
        return ExitCode.NO_READER if isinstance(end.__context__, BrokenPipeError) else int(end.code or 0)
    except OutputLost:
        raise
    except Exception as error:
        if "OET_DEBUG" in os.environ:
            raise
        print_error("OET_Fault", f"a fault in oet itself: {type(error).__name__}: {error}", as_json=as_json)
        return ExitCode.FAULT


def _let_any_text_out() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
