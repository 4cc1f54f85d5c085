"""The requests that act on procedures have one model each, shared by Tango, REST, the CLI and the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AliasChoices, Field, StrictBool, StrictInt, field_validator

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model, own_constructor
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput
from ska_oso_oet.procedure.subarrays import numbered
from ska_oso_oet.source.script import AnyScript

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ska_oso_oet.procedure.domain import ProcedureSummary


_MAIN: Final = ("main", "run")


class PrepareProcessCommand(Model):
    """CreateProcedure: load a script, and call its `init`.

    Subarrays are named among the keyword arguments, as `subarray_id` or `subarray_ids`: whole numbers from
    1 on.
    """

    script: AnyScript
    script_args: CallArgs = CallArgs()

    @own_constructor
    def __init__(self, script: AnyScript, init_args: ProcedureInput | None = None, **fields: Any) -> None:
        """Name the script, with `script_args`, or with `init_args` alone."""
        if init_args is not None:
            fields["script_args"] = CallArgs(init=init_args)
        self._fill(script=script, **fields)

    @property
    def init_args(self) -> ProcedureInput:
        """What `init` is called with."""
        return self.script_args.init

    @field_validator("script_args")
    @classmethod
    def _subarrays_are_numbers(cls, given: CallArgs) -> CallArgs:
        return given.with_numbers()


class MainArgs(Model):
    """The arguments that a script's `main` gets at its start. `run` is accepted for `main`."""

    main: Annotated[ProcedureInput | None, Field(validation_alias=AliasChoices("main", "run"))] = None

    @field_validator("main")
    @classmethod
    def _subarrays_are_numbers(cls, given: ProcedureInput | None) -> ProcedureInput | None:
        return given.with_kwargs(numbered(given.kwargs)) if given else given


class StartProcessCommand(Model):
    """StartProcedure: call the `main` of a READY procedure; without an id, of the one created last.

    That is the last one of who asks, where that can be known: never another user's, and if it is not READY
    none is started. Arguments here replace those with which the procedure was created. With
    `force_start` a procedure that is still being prepared is started as soon as it is READY.
    """

    procedure_id: StrictInt | None = Field(None, ge=1)
    script_args: MainArgs = MainArgs()
    force_start: StrictBool = False

    @own_constructor
    def __init__(
        self,
        process_uid: int | None = None,
        fn_name: str = "main",
        run_args: ProcedureInput | None = None,
        force_start: bool = False,  # noqa: FBT001, FBT002 - the published signature of the original
        **fields: Any,
    ) -> None:
        """Name the procedure as `process_uid` or `procedure_id`, with `run_args` or `script_args`.

        Raises InvalidArgument for another function than main.
        """
        if fn_name not in _MAIN:
            raise InvalidArgument(f"fn_name: only main can be started, not {fn_name!r}")
        if process_uid is not None:
            fields["procedure_id"] = process_uid
        if run_args is not None:
            fields["script_args"] = MainArgs(main=run_args)
        self._fill(force_start=force_start, **fields)

    @property
    def process_uid(self) -> int | None:
        """The procedure's id."""
        return self.procedure_id

    @property
    def run_args(self) -> ProcedureInput | None:
        """What `main` is called with; None for the arguments with which the procedure was created."""
        return self.script_args.main


class StopProcessCommand(Model):
    """StopProcedure: end a procedure's process; without an id, of the one that is running.

    That is the one that who asks has created or started, where that can be known; with several or none it is
    refused. With `run_abort` the abort script is run for each of its subarrays once the process is gone; null
    means that it is if main has been called.
    """

    procedure_id: StrictInt | None = Field(None, ge=1)
    run_abort: StrictBool | None = None

    @own_constructor
    def __init__(
        self,
        process_uid: int | None = None,
        run_abort: bool | None = None,  # noqa: FBT001 - the published signature of the original
        **fields: Any,
    ) -> None:
        """Name the procedure as `process_uid` or `procedure_id`."""
        if process_uid is not None:
            fields["procedure_id"] = process_uid
        self._fill(run_abort=run_abort, **fields)

    @property
    def process_uid(self) -> int | None:
        """The procedure's id."""
        return self.procedure_id


def which_to_stop(running: Collection[int], live: Iterable[ProcedureSummary]) -> str:
    """Return why it is not clear which procedure is to be stopped: none or several are RUNNING."""
    which = "no procedure is" if not running else f"procedures {' and '.join(map(str, running))} are"
    there = ", ".join(f"procedure {each.id} is {each.state}{_for_subarrays(each)}" for each in live)
    return f"{which} RUNNING" + (f": say which one to stop ({there})" if there else "")


def _for_subarrays(procedure: ProcedureSummary) -> str:
    named = " and ".join(map(str, procedure.subarray_ids))
    return f" for subarray{'s' if len(procedure.subarray_ids) > 1 else ''} {named}" if named else ""
