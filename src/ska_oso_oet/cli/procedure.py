# ruff: noqa: PLR0913 - Typer reads a command's options from the parameters of its function
"""`oet procedure` creates, lists, starts, stops, describes and runs procedures."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ska_oso_oet.cli import exit_codes, history, tables
from ska_oso_oet.cli.arguments import Call, literal, split, with_values
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.following import Follower
from ska_oso_oet.cli.naming import Number, Pid, chosen, refuse_lone_number
from ska_oso_oet.cli.output import print_line
from ska_oso_oet.cli.session import Session, acts, with_session
from ska_oso_oet.cli.steps import create_procedure, start_created, start_procedure
from ska_oso_oet.client.requests import as_script
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.subarrays import SUBARRAY_ID
from ska_oso_oet.ska.control_model import ResultCode
from ska_oso_oet.source.script import GitScript

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import ProcedureSummary

app = typer.Typer(no_args_is_help=True, help="Load, run and stop observing scripts.")
SCRIPT: dict[str, Any] = {"ignore_unknown_options": True}


class Flag(StrEnum):
    """An option that is written as `--name`, `--no-name`, `--name=true` or `--name=False`."""

    TRUE = "true"
    FALSE = "false"


Uri = Annotated[
    str, typer.Argument(metavar="SCRIPT", help="./path.py, file:///path.py or git://path/in/repository.py")
]
ScriptArgs = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARG|--KEY=VALUE", help="Arguments of the script: Python literals, else strings."),
]
Subarray = Annotated[
    str | None,
    typer.Option(
        "--subarray_id",
        "--subarray-id",
        metavar="ID",
        help="Argument of init; by default, if init needs one, the controller's first.",
    ),
]
GitRepo = Annotated[
    str | None, typer.Option("--git_repo", "--git-repo", help="Repository of a git:// script.")
]
GitBranch = Annotated[str | None, typer.Option("--git_branch", "--git-branch", help="Its branch or tag.")]
GitCommit = Annotated[str | None, typer.Option("--git_commit", "--git-commit", help="Its commit.")]
CreateEnv = Annotated[
    Flag,
    typer.Option(
        "--create_env", "--create-env", case_sensitive=False, help="Use a Python environment of its own."
    ),
]
Listen = Annotated[Flag, typer.Option("--listen", case_sensitive=False, help="Follow the procedure.")]


@app.command(context_settings=SCRIPT)
@with_session
@acts
def create(
    session: Session,
    *,
    script: Uri,
    script_args: ScriptArgs = None,
    subarray_id: Subarray = None,
    git_repo: GitRepo = None,
    git_branch: GitBranch = None,
    git_commit: GitCommit = None,
    create_env: CreateEnv = Flag.FALSE,
    listen: Listen = Flag.FALSE,
) -> ExitCode:
    """Load a script and call its init with these arguments; with --listen, follow it until READY."""
    calls = split(script_args or (), "init", session.options)
    git = _git(git_repo, git_branch, git_commit, create_env)
    command = _prepare(script, git, subarray_id, calls)
    return _report(
        session, create_procedure(session, command, Follower(session) if listen is Flag.TRUE else None)
    )


@app.command("list")
@with_session
def list_procedures(
    session: Session,
    *,
    number: Number = None,
    procedure_id: Pid = None,
    everything: history.All = False,
    state: history.State = None,
    since: history.Since = None,
    script: history.Script = None,
    subarray_id: history.OfSubarray = None,
    limit: history.Limit = None,
    page: history.Page = None,
) -> ExitCode:
    """List the live procedures and the newest finished ones, or one, or with --all those of the history."""
    procedure_id = chosen(number, procedure_id)
    filters = {"state": state or None, "since": since, "script": script, "subarray_id": subarray_id}
    filters |= {"limit": limit, "page": page}
    if everything or any(value is not None for value in filters.values()):
        if procedure_id is not None:
            raise InvalidArgument("--pid names one procedure: it cannot be used with --all and its options")
        return history.show_page(session, filters)
    procedures = session.client.list() if procedure_id is None else [session.client.describe(procedure_id)]
    if session.json:
        session.document({"procedures": list(procedures)})
    else:
        tables.print_procedure_list(procedures, time.time())
        if procedure_id is None:
            history.print_what_is_left_out(session, len(procedures))
    return ExitCode.DONE


@app.command(context_settings=SCRIPT)
@with_session
@acts
def start(
    session: Session, script_args: ScriptArgs = None, procedure_id: Pid = None, listen: Listen = Flag.TRUE
) -> ExitCode:
    """Call the main function of a procedure, by default the one created last, and follow it to its end.

    One that is still being loaded is waited for.
    """
    refuse_lone_number(script_args or (), procedure_id)
    calls = split(script_args or (), "main", session.options)
    if calls["init"].args or calls["init"].kwargs:
        raise InvalidArgument("init has been called already: only arguments of main can be given")
    follower = Follower(session) if listen is Flag.TRUE else None
    return _report(session, start_procedure(session, procedure_id, calls["main"], follower))


@app.command()
@with_session
@acts
def stop(
    session: Session,
    number: Number = None,
    procedure_id: Pid = None,
    run_abort: Annotated[
        Flag | None,
        typer.Option(
            "--run_abort",
            "--run-abort",
            case_sensitive=False,
            help="Then run the abort script; by default, if main has been called.",
        ),
    ] = None,
) -> ExitCode:
    """End a procedure, by default the running one, and wait until its process is gone."""
    procedure_id = chosen(number, procedure_id)
    session.interrupted = "no longer waiting; the stop goes on"
    session.procedure_id = procedure_id
    abort = None if run_abort is None else run_abort is Flag.TRUE
    stopped = session.client.stop(procedure_id, run_abort=abort, timeout=session.deadline)
    if session.json:
        result = {
            "code": stopped.result.code.name,
            **(stopped.result.detail or {"message": stopped.result.text}),
        }
        session.document({"procedure": stopped.procedure, "result": result})
    else:
        tables.print_procedures([stopped.procedure])
        tables.print_failure(stopped.procedure)
        if stopped.result.code != ResultCode.OK:
            print_line(f"{stopped.result.code.name}: {stopped.result.text}")
        if stopped.abort is not None:
            print_line(f"Abort script: {_abort_in_words(stopped.abort)}")
    return ExitCode.DONE if stopped.done else ExitCode.SCRIPT_FAILED


@app.command()
@with_session
def describe(session: Session, number: Number = None, procedure_id: Pid = None) -> ExitCode:
    """Show the arguments, the states and the stack trace of a procedure, by default the newest."""
    procedure = session.client.describe(chosen(number, procedure_id) or 0)
    if session.json:
        session.document({"procedure": procedure})
    else:
        tables.print_procedure(procedure, session.client.uri, time.time())
    return ExitCode.DONE


@app.command(context_settings=SCRIPT)
@with_session
@acts
def run(
    session: Session,
    *,
    script: Uri,
    script_args: ScriptArgs = None,
    subarray_id: Subarray = None,
    git_repo: GitRepo = None,
    git_branch: GitBranch = None,
    git_commit: GitCommit = None,
    create_env: CreateEnv = Flag.FALSE,
    listen: Listen = Flag.TRUE,
) -> ExitCode:
    """Create, start and follow a procedure to its end; --init.KEY=VALUE is for init, the rest for main.

    With --listen=False it is left once its main has been called.
    """
    calls = split(script_args or (), "main", session.options)
    git = _git(git_repo, git_branch, git_commit, create_env)
    command = _prepare(script, git, subarray_id, calls)
    follower = Follower(session)
    known = create_procedure(session, command, follower)
    if known.state is ProcedureState.READY:
        session.deadline.check(f"procedure {known.id} is READY and has not been started")
        known = start_created(session, known.id, follower if listen is Flag.TRUE else None)
    return _report(session, known)


def _abort_in_words(abort: dict[str, Any]) -> str:
    number, state = abort.get("procedure_id"), abort.get("state")
    words = [f"procedure {number}" if number else "", state or "", abort.get("message") or ""]
    text = ", ".join(word for word in words if word)
    if "subarrays" in abort:
        return "; ".join(map(_abort_in_words, abort["subarrays"]))
    return f"subarray {abort['subarray_id']}: {text}" if "subarray_id" in abort else text


def _git(
    git_repo: str | None, git_branch: str | None, git_commit: str | None, create_env: Flag
) -> dict[str, Any]:
    """Collect what only scripts from git have; empty when nothing was asked for."""
    git_args = with_values(git_repo=git_repo, git_branch=git_branch, git_commit=git_commit)
    return ({"git_args": git_args} if git_args else {}) | (
        {"create_env": True} if create_env is Flag.TRUE else {}
    )


def _prepare(
    script: str, git: dict[str, Any], subarray_id: str | None, calls: dict[str, Call]
) -> PrepareProcessCommand:
    source = as_script(script)
    if isinstance(source, GitScript):
        source = GitScript.parse({"script_uri": script, **git})
    elif git:
        raise InvalidArgument(
            "--git_repo, --git_branch, --git_commit and --create_env are for git:// scripts"
        )
    for name, text in with_values(**{SUBARRAY_ID: subarray_id}).items():
        calls["init"].kwargs.setdefault(name, literal(text))
    script_args = {name: {"args": call.args, "kwargs": call.kwargs} for name, call in calls.items()}
    return PrepareProcessCommand.parse({"script": source, "script_args": script_args})


def _report(session: Session, procedure: ProcedureSummary) -> ExitCode:
    """Print a procedure as it is at the end of a command."""
    if session.json:
        session.document({"procedure": procedure})
    else:
        tables.print_procedures([procedure])
        tables.print_failure(procedure)
    return exit_codes.of_state(procedure.state)
