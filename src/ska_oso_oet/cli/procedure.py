# ruff: noqa: PLR0913 - Typer reads a command's options from the parameters of its function
"""`oet procedure`: create, list, start, stop, describe, run."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ska_oso_oet.cli import exit_codes, history, tables
from ska_oso_oet.cli.arguments import Call, literal, split
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.following import Follower
from ska_oso_oet.cli.naming import Number, chosen, refuse_lone_number
from ska_oso_oet.cli.output import answer
from ska_oso_oet.cli.session import Session, acts, with_session
from ska_oso_oet.client.requests import as_script
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import GitScript, ProcedureState
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import ProcedureSummary

app = typer.Typer(no_args_is_help=True, help="Load, run and stop observing scripts.")
SCRIPT: dict[str, Any] = {"ignore_unknown_options": True}


class Flag(StrEnum):
    """An option that is given as `--name`, `--no-name`, `--name=true` or `--name=False`."""

    TRUE = "true"
    FALSE = "false"


Uri = Annotated[
    str, typer.Argument(metavar="SCRIPT", help="./path.py, file:///path.py or git:///path/in/repository.py")
]
ScriptArgs = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARG|--KEY=VALUE", help="Arguments of the script: Python literals, else strings."),
]
Subarray = Annotated[
    str,
    typer.Option(
        "--subarray_id", "--subarray-id", metavar="ID", help="Argument of init; none leaves it out."
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
        "--create_env", "--create-env", case_sensitive=False, help="Give it an environment of its own."
    ),
]
Listen = Annotated[Flag, typer.Option("--listen", case_sensitive=False, help="Follow the procedure.")]
Pid = Annotated[int | None, typer.Option("--pid", min=1, help="The procedure's ID.")]


@app.command(context_settings=SCRIPT)
@with_session
@acts
def create(
    session: Session,
    *,
    script: Uri,
    script_args: ScriptArgs = None,
    subarray_id: Subarray = "1",
    git_repo: GitRepo = None,
    git_branch: GitBranch = None,
    git_commit: GitCommit = None,
    create_env: CreateEnv = Flag.FALSE,
    listen: Listen = Flag.FALSE,
) -> ExitCode:
    """Load a script and call its init with the arguments given here; with --listen, follow it until READY."""
    calls = split(script_args or (), "init", session.options)
    git = _git(git_repo, git_branch, git_commit, create_env)
    command = _prepare(script, git, subarray_id, calls)
    return _report(session, _create(session, command, Follower(session) if listen is Flag.TRUE else None))


@app.command("list")
@with_session
def list_procedures(
    session: Session,
    *,
    number: Number = None,
    pid: Pid = None,
    everything: history.All = False,
    state: history.State = None,
    since: history.Since = None,
    script: history.Script = None,
    subarray_id: history.OfSubarray = None,
    limit: history.Limit = None,
    page: history.Page = None,
) -> ExitCode:
    """List the live procedures and the newest finished ones, or one, or with --all those of the history."""
    pid = chosen(number, pid)
    filters = {"state": state or None, "since": since, "script": script, "subarray_id": subarray_id}
    filters |= {"limit": limit, "page": page}
    if everything or any(value is not None for value in filters.values()):
        if pid is not None:
            raise InvalidArgument("--pid names one procedure: it cannot be used with --all and its options")
        return history.show_page(session, filters)
    procedures = session.client.list() if pid is None else [session.client.describe(pid)]
    if session.json:
        session.document({"procedures": list(procedures)})
    else:
        tables.print_procedure_list(procedures, time.time())
        if pid is None:
            history.say_what_is_left_out(session, len(procedures))
    return ExitCode.DONE


@app.command(context_settings=SCRIPT)
@with_session
@acts
def start(
    session: Session, script_args: ScriptArgs = None, pid: Pid = None, listen: Listen = Flag.TRUE
) -> ExitCode:
    """Call the main function of a READY procedure, by default the newest, and follow it to its end."""
    refuse_lone_number(script_args or (), pid)
    calls = split(script_args or (), "main", session.options)
    if calls["init"].args or calls["init"].kwargs:
        raise InvalidArgument("init has been called already: only arguments of main can be given")
    follower = Follower(session) if listen is Flag.TRUE else None
    return _report(session, _start(session, pid, calls["main"], follower))


@app.command()
@with_session
@acts
def stop(
    session: Session,
    number: Number = None,
    pid: Pid = None,
    run_abort: Annotated[
        Flag,
        typer.Option("--run_abort", "--run-abort", case_sensitive=False, help="Then run the abort script."),
    ] = Flag.TRUE,
) -> ExitCode:
    """End a procedure, by default the running one, and wait until its process is gone."""
    pid = chosen(number, pid)
    session.interrupted = "no longer waiting; the stop goes on"
    session.procedure_id = pid
    stopped = session.client.stop(pid, run_abort=run_abort is Flag.TRUE, timeout=session.deadline)
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
            answer(f"{stopped.result.code.name}: {stopped.result.text}")
        if stopped.abort is not None:
            answer(f"Abort script: {_abort_in_words(stopped.abort)}")
    return ExitCode.DONE if stopped.done else ExitCode.SCRIPT_FAILED


@app.command()
@with_session
def describe(session: Session, number: Number = None, pid: Pid = None) -> ExitCode:
    """Show the arguments, the states and the stack trace of a procedure, by default the newest."""
    procedure = session.client.describe(chosen(number, pid) or 0)
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
    subarray_id: Subarray = "1",
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
    known = _create(session, command, follower)
    if known.state is ProcedureState.READY:
        session.deadline.check(f"procedure {known.id} is READY and has not been started")
        _about_to_start(session, f"procedure {known.id}")
        started = session.client.start_or_end(known.id, session.deadline)
        known = _started(session, started, follower if listen is Flag.TRUE else None)
    return _report(session, known)


def _abort_in_words(abort: dict[str, Any]) -> str:
    number, state = abort.get("procedure_id"), abort.get("state")
    words = [f"procedure {number}" if number else "", state or "", abort.get("message") or ""]
    return ", ".join(word for word in words if word)


def _git(
    git_repo: str | None, git_branch: str | None, git_commit: str | None, create_env: Flag
) -> dict[str, Any]:
    """Collect what only scripts from git have; empty when nothing was asked for."""
    given = {"git_repo": git_repo, "git_branch": git_branch, "git_commit": git_commit}
    git_args = {key: value for key, value in given.items() if value is not None}
    return ({"git_args": git_args} if git_args else {}) | (
        {"create_env": True} if create_env is Flag.TRUE else {}
    )


def _prepare(
    script: str, git: dict[str, Any], subarray_id: str, calls: dict[str, Call]
) -> PrepareProcessCommand:
    source = as_script(script)
    if isinstance(source, GitScript):
        source = GitScript.parse({"script_uri": script, **git})
    elif git:
        raise InvalidArgument(
            "--git_repo, --git_branch, --git_commit and --create_env are for git:// scripts"
        )
    subarray = literal(subarray_id) if subarray_id.lower() != "none" else None
    if subarray is not None:
        calls["init"].kwargs.setdefault("subarray_id", subarray)
    script_args = {name: {"args": call.args, "kwargs": call.kwargs} for name, call in calls.items()}
    return PrepareProcessCommand.parse({"script": source, "script_args": script_args})


def _create(session: Session, command: PrepareProcessCommand, follower: Follower | None) -> ProcedureSummary:
    """Create a procedure; with a follower, wait until it is READY or has ended."""
    known = session.client.create(command)
    session.procedure_id = known.id
    session.interrupted = (
        f"no longer following; procedure {known.id} is being prepared and will not start by itself "
        f"(oet procedure stop --pid={known.id} ends it)"
    )
    if follower is None:
        return known
    _announce(session, known)
    return follower.until(known, {ProcedureState.READY})


def _start(session: Session, pid: int | None, main: Call, follower: Follower | None) -> ProcedureSummary:
    """Start a procedure; with a follower, wait for its end."""
    _about_to_start(session, "the newest READY procedure" if pid is None else f"procedure {pid}")
    return _started(session, session.client.start(pid, *main.args, **main.kwargs), follower)


def _about_to_start(session: Session, named: str) -> None:
    session.interrupted = f"interrupted while {named} was being started; it may go on (oet procedure list)"


def _started(session: Session, known: ProcedureSummary, follower: Follower | None) -> ProcedureSummary:
    session.procedure_id = known.id
    session.interrupted = (
        f"no longer following; procedure {known.id} goes on (oet procedure stop --pid={known.id} ends it)"
    )
    if follower is None:
        return known
    _announce(session, known)
    return follower.until(known)


def _announce(session: Session, procedure: ProcedureSummary) -> None:
    if not session.json:
        tables.print_procedures([procedure])


def _report(session: Session, procedure: ProcedureSummary) -> ExitCode:
    """Print a procedure as it is at the end of a command."""
    if session.json:
        session.document({"procedure": procedure})
    else:
        tables.print_procedures([procedure])
        tables.print_failure(procedure)
    return exit_codes.of_state(procedure.state)
