"""The requests that act on procedures: one model each, shared by Tango, REST, the CLI and the service."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field, StrictBool, StrictInt

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.domain import AnyScript, CallArgs, ProcedureInput


class PrepareProcessCommand(Model):
    """CreateProcedure: load a script, and call its `init`."""

    script: AnyScript
    script_args: CallArgs = CallArgs()


class MainArgs(Model):
    """The arguments that a script's `main` gets at its start. `run` is accepted for `main`."""

    main: Annotated[ProcedureInput | None, Field(validation_alias=AliasChoices("main", "run"))] = None


class StartProcessCommand(Model):
    """StartProcedure: call the `main` of a READY procedure; without an id, of the newest READY one.

    Arguments given here replace those that were given when the procedure was created.
    """

    procedure_id: StrictInt | None = Field(None, ge=1)
    script_args: MainArgs = MainArgs()


class StopProcessCommand(Model):
    """StopProcedure: end a procedure's process; without an id, of the one that is running.

    With `run_abort` the abort script is run for its subarray once the process is gone.
    """

    procedure_id: StrictInt | None = Field(None, ge=1)
    run_abort: StrictBool = False
