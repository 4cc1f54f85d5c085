"""Subarrays are read from the arguments of a script here, and checked: a controller may command only some."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field, StrictInt

from ska_oso_oet.errors import SubarrayNotAllowed
from ska_oso_oet.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SUBARRAY_ID: Final = "subarray_id"
SUBARRAY_IDS: Final = "subarray_ids"
EVERY: Final = "all"


def _number(value: Any) -> Any:
    """Read digits as a number; leave anything else to the check that follows."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


_Id = Annotated[StrictInt, Field(ge=1), BeforeValidator(_number)]
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
_SETTINGS: Final = "(properties Subarrays and SubarrayCount)"


class NamedSubarrays(BaseModel):
    """The keyword arguments that name subarrays, among others; null names none."""

    subarray_id: _Id | None = None
    subarray_ids: Annotated[list[_Id], Field(min_length=1)] | None = None


class _Call(BaseModel):
    kwargs: NamedSubarrays


class _Calls(BaseModel):
    init: _Call
    main: _Call


def numbered(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a call with whole numbers for what names subarrays.

    A number may be written as text, as some Scheduling Blocks have it. Raises ValidationError for any other
    value, at `kwargs.subarray_id` or `kwargs.subarray_ids`.
    """
    return _with_numbers(kwargs, _Call.model_validate({"kwargs": kwargs}))


def numbered_calls(*, init: Mapping[str, Any], main: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the same for two calls, whose names begin the place that a ValidationError has."""
    calls = _Calls.model_validate({"init": {"kwargs": init}, "main": {"kwargs": main}})
    return _with_numbers(init, calls.init), _with_numbers(main, calls.main)


def _with_numbers(kwargs: Mapping[str, Any], call: _Call) -> dict[str, Any]:
    return {**kwargs, **call.kwargs.model_dump(exclude_unset=True)}


def named_in(*calls: Mapping[str, Any]) -> list[int]:
    """List the subarrays that keyword arguments name, each once; what is no number names none."""
    found: list[Any] = []
    for kwargs in calls:
        several = kwargs.get(SUBARRAY_IDS)
        found += [kwargs.get(SUBARRAY_ID), *(several if isinstance(several, list) else ())]
    return list(dict.fromkeys(value for value in found if _is_number(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def left_open(function: Callable[..., object], args: Sequence[Any], default: int | None) -> int | None:
    """Find the `subarray_id` for a call with `args` that has no such keyword.

    A function that must have one gets `default`. Where it has a number as its own default, it will use that,
    and so that is returned. For any other function it is None.
    """
    try:
        signature = inspect.signature(function)
        parameter = signature.parameters[SUBARRAY_ID]
        given = signature.bind_partial(*args).arguments
    except (KeyError, TypeError, ValueError):
        return None  # if it is called wrongly, the call itself has the best error
    if parameter.kind in _POSITIONAL or parameter.kind is parameter.VAR_KEYWORD or SUBARRAY_ID in given:
        return None
    if parameter.default is parameter.empty:
        return default
    return parameter.default if _is_number(parameter.default) else None


class Subarrays(Model):
    """The subarrays that a controller may command; `every` when those are all that there are."""

    ids: tuple[int, ...]
    every: bool

    @classmethod
    def read(cls, text: str, count: int) -> Subarrays:
        """Read `1,2`, `1-16` or `all`, of subarrays 1 to `count`; raises ValueError with a reason."""
        if text.strip().lower() in {"", EVERY}:
            return cls(ids=tuple(range(1, count + 1)), every=True)
        ids = sorted({number for part in text.split(",") if part.strip() for number in _range(part, count)})
        if not ids:
            raise ValueError("no subarray is named")
        return cls(ids=tuple(ids), every=len(ids) == count)

    @property
    def first(self) -> int:
        """The subarray for a script that must have one when nobody has named any."""
        return self.ids[0]

    def check(self, named: Iterable[int]) -> None:
        """Raise SubarrayNotAllowed, which names those that are allowed, for a subarray that is not."""
        if wrong := [number for number in named if number not in self.ids]:
            which = " and ".join(str(number) for number in wrong)
            raise SubarrayNotAllowed(f"this controller commands {self}, not subarray {which} {_SETTINGS}")

    def check_start(self, procedure_id: int, named: Sequence[int]) -> None:
        """Raise SubarrayNotAllowed for a start of a procedure that could command others."""
        self.check(named)
        if not named and not self.every:
            raise SubarrayNotAllowed(
                f"procedure {procedure_id} cannot start: it names no subarray, so that it may command any, "
                f"and this controller commands {self} {_SETTINGS}: give it a {SUBARRAY_ID}"
            )

    def __str__(self) -> str:
        parts: list[list[int]] = []
        for number in self.ids:
            if parts and number == parts[-1][1] + 1:
                parts[-1][1] = number
            else:
                parts.append([number, number])
        names = ", ".join(f"{low}-{high}" if high > low else str(low) for low, high in parts)
        return f"subarray {names}" if len(self.ids) == 1 else f"subarrays {names}"


COUNT: Final = 16
"""How many subarrays a telescope has, unless SubarrayCount is set: SKA-Mid and SKA-Low have 16."""
ALL: Final = Subarrays.read(EVERY, COUNT)


def _range(part: str, count: int) -> range:
    low, dash, high = (piece.strip() for piece in part.partition("-"))
    numbers = (low, high if dash else low)
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        raise ValueError(f"{part.strip()!r} is neither a subarray's number nor a range such as 1-16")
    begin, end = map(int, numbers)
    if not 1 <= begin <= end <= count:
        raise ValueError(f"{part.strip()} is not within subarrays 1 to {count} (SubarrayCount)")
    return range(begin, end + 1)
