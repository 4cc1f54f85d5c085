"""The arguments of a script are those of its functions, `init` and `main`, with the subarray among them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AliasChoices, Field, JsonValue, field_validator

from ska_oso_oet.models import Model, own_constructor
from ska_oso_oet.procedure.subarrays import SUBARRAY_ID, named_in, numbered_calls


class ProcedureInput(Model):
    """The arguments of one call of a script's function, as JSON values.

    It is made as the call is written: `ProcedureInput(1, 2, subarray_id=42)`.
    """

    args: list[JsonValue] = Field(default_factory=list)
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)

    @own_constructor
    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """Keep the arguments of a call."""
        self._fill(args=list(args), kwargs=kwargs)

    def __repr__(self) -> str:
        """Write the arguments as they are in a call."""
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"<ProcedureInput({', '.join(given)})>"

    __str__ = __repr__

    def with_kwargs(self, kwargs: dict[str, Any]) -> ProcedureInput:
        """Return the same positional arguments with other keyword arguments."""
        return self.model_copy(update={"kwargs": kwargs})

    @field_validator("args", "kwargs")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        # NaN and infinity are numbers to Python's JSON, and to nobody else's.
        json.dumps(value, allow_nan=False)
        return value


class CallArgs(Model):
    """The arguments of each function of a script. `run` is accepted for `main`."""

    init: ProcedureInput = ProcedureInput()
    main: Annotated[ProcedureInput, Field(validation_alias=AliasChoices("main", "run"))] = ProcedureInput()

    def __getitem__(self, function: str) -> ProcedureInput:
        """Return the arguments of `init`, or of `main` (also called `run`)."""
        return {"init": self.init, "main": self.main, "run": self.main}[function]

    @property
    def subarrays(self) -> list[int]:
        """Every subarray that is named, each once: those of `init` first."""
        return named_in(self.init.kwargs, self.main.kwargs)

    @property
    def init_subarrays(self) -> list[int]:
        """Every subarray that is named for `init`, each once."""
        return named_in(self.init.kwargs)

    def for_subarray(self, subarray_id: int) -> CallArgs:
        """Name a subarray for `init`."""
        init = self.init.with_kwargs({SUBARRAY_ID: subarray_id, **self.init.kwargs})
        return self.model_copy(update={"init": init})

    def with_numbers(self) -> CallArgs:
        """Return the same with whole numbers for what names subarrays; else raise ValidationError."""
        init, main = numbered_calls(init=self.init.kwargs, main=self.main.kwargs)
        return CallArgs(init=self.init.with_kwargs(init), main=self.main.with_kwargs(main))
