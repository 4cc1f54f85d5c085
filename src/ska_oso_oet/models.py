"""Model is the base of every JSON shape that crosses a boundary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ParamSpec, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Parameters = ParamSpec("_Parameters")


class Model(BaseModel):
    """An immutable JSON object; keys that it does not know are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, source: str | bytes | Mapping[str, Any]) -> Self:
        """Read `source`, JSON text or an already decoded object.

        Raises InvalidArgument with a sentence that names each wrong key and what was expected.
        """
        if isinstance(source, str | bytes) and not source.strip():
            raise InvalidArgument("nothing was sent, where JSON is expected: {} where nothing is to be said")
        try:
            if isinstance(source, str | bytes):
                return cls.model_validate_json(source)
            return cls.model_validate(source)
        except ValidationError as error:
            raise InvalidArgument(explain(error)) from None

    def _fill(self, **fields: Any) -> None:
        """Check and set the fields, for a constructor of its own."""
        super().__init__(**fields)

    def to_json(self) -> str:
        """Compact JSON in ASCII, fit for a Tango string."""
        try:
            return self.model_dump_json(ensure_ascii=True)
        except PydanticSerializationError:
            # Half a surrogate pair, as a file name may contain: JSON has a notation for it, UTF-8 has none.
            return json.dumps(self.to_dict(), separators=(",", ":"))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return self.model_dump(mode="json")


def own_constructor(init: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """Let a model be made with the arguments that its `__init__` names.

    JSON is read by the fields alone: pydantic would otherwise call `__init__` with the keys of the document,
    and a key that is missing or unknown would be a TypeError.
    """
    vars(init)["__pydantic_base_init__"] = True  # pydantic's mark of its own __init__
    return init


def explain(error: ValidationError) -> str:
    """Describe what is wrong with a document: `path: message`, one clause for each fault."""
    clauses = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"])
        given = "" if fault["type"] in {"missing", "json_invalid"} else f" (got {_shorten(fault['input'])})"
        message = fault["msg"].removeprefix("Value error, ")
        clauses.append(f"{path + ': ' if path else ''}{message}{given}")
    return "; ".join(clauses)


def _shorten(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
