"""Scripts and arguments become commands here, and the procedure is chosen that a caller does not name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ska_oso_oet.errors import InvalidArgument, ProcedureNotFound, Rejected
from ska_oso_oet.procedure.commands import (
    MainArgs,
    PrepareProcessCommand,
    StartProcessCommand,
    which_to_stop,
)
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import ExecutableScript, FileSystemScript, GitScript

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ska_oso_oet.procedure.domain import ProcedureSummary


class ActivityOptions(TypedDict, total=False):
    """What may be set beside the name of an activity and its Scheduling Block; see ActivityCommand."""

    sbd_version: int | None
    prepare_only: bool
    create_env: bool
    script_args: Mapping[str, Any]


def as_command(
    script: str | ExecutableScript | PrepareProcessCommand,
    init: ProcedureInput,
    main: ProcedureInput | None = None,
) -> PrepareProcessCommand:
    """Make the command that creates a procedure from `script`; a whole command is used as it is.

    Raises InvalidArgument for a string that is no script URI, and for arguments beside a whole command.
    """
    main = main or ProcedureInput()
    if isinstance(script, PrepareProcessCommand):
        if any((init.args, init.kwargs, main.args, main.kwargs)):
            raise InvalidArgument("the arguments of a script are part of a PrepareProcessCommand")
        return script
    return PrepareProcessCommand.parse(
        {"script": as_script(script), "script_args": CallArgs(init=init, main=main)}
    )


def as_script(script: str | ExecutableScript) -> ExecutableScript:
    """Read a script URI, or a path; raises InvalidArgument. A script is used as it is.

    A path is one of the controller's machine; one that begins at the current directory must exist here.
    """
    if isinstance(script, ExecutableScript):
        return script
    if "://" not in script and script.endswith(".py"):
        return FileSystemScript.parse({"script_uri": _absolute(Path(script)).as_uri()})
    kinds: dict[str, type[FileSystemScript | GitScript]] = {"file": FileSystemScript, "git": GitScript}
    kind = kinds.get(script.partition("://")[0])
    if kind is None:
        raise InvalidArgument(f"a script is ./path.py, file:///path.py or git://path.py, not {script!r}")
    return kind.parse({"script_uri": script})


def _absolute(path: Path) -> Path:
    if not path.is_absolute() and not path.is_file():
        raise InvalidArgument(f"there is no file {path} here, in {Path.cwd()}")
    return path.absolute()


def start_command(procedure_id: int, main: ProcedureInput | None) -> StartProcessCommand:
    """Make the command that starts a procedure; without `main` it keeps the arguments that it has."""
    return StartProcessCommand.parse({"procedure_id": procedure_id, "script_args": MainArgs(main=main)})


def created_last(procedures: Iterable[ProcedureSummary]) -> ProcedureSummary:
    """Choose what is to be started where nobody knows who asks; no command has created an abort."""
    created = [procedure for procedure in procedures if procedure.command_id is not None]
    if not created:
        raise ProcedureNotFound("no procedure has been created")
    return max(created, key=lambda procedure: procedure.id)


def the_running(procedures: Iterable[ProcedureSummary]) -> int:
    """Choose the procedure to be stopped; raises Rejected, naming those there are, unless one is RUNNING."""
    live = [procedure for procedure in procedures if not procedure.state.final]
    running = [procedure.id for procedure in live if procedure.state is ProcedureState.RUNNING]
    if len(running) == 1:
        return running[0]
    raise Rejected(which_to_stop(running, live))
