"""Documents of the ODA are checked where the OET reads them, and everything in them is kept."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StrictInt,
    StrictStr,
    ValidationError,
    model_serializer,
    model_validator,
)

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # and not an escaped backslash before u0000
_TELESCOPES: Final = {"mid": "skamid", "low": "skalow"}


def is_id(identifier: str) -> bool:
    """Say whether this can be an id, and the name of a file: no separator, no leading dot."""
    return _ID.fullmatch(identifier) is not None


def check_id(identifier: str) -> str:
    """Pass an id on; raises ValueError for what cannot be one."""
    if not is_id(identifier):
        raise ValueError(
            "an id is 1 to 128 letters, digits, '.', '_' or '-', and begins with a letter or digit"
        )
    return identifier


def require_id(name: str, identifier: str) -> None:
    """Raise InvalidArgument that names the argument where `identifier` cannot be an id."""
    try:
        check_id(identifier)
    except ValueError as error:
        raise InvalidArgument(f"{name}: {error} (got {identifier[:140]!r})") from None


def telescope_name(value: str) -> Literal["skamid", "skalow"]:
    """Say which telescope is meant: documents have `ska_mid`, SKA_TELESCOPE has `skamid`.

    Accepts both, and plain `mid` and `low`, in any case. Raises ValueError for anything else.
    """
    key = value.lower().replace("_", "").replace("-", "").removeprefix("ska")
    if key not in _TELESCOPES:
        raise ValueError("a telescope is ska_mid or ska_low")
    return cast("Literal['skamid', 'skalow']", _TELESCOPES[key])


def _check_telescope(value: str) -> str:
    telescope_name(value)
    return value


Identifier = Annotated[StrictStr, AfterValidator(check_id)]
Telescope = Annotated[StrictStr, AfterValidator(_check_telescope)]
Version = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]  # the database column is an integer


class DocumentPart(BaseModel):
    """A part of a document: keys that the OET does not know are none of its business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Document(DocumentPart):
    """A checked view of a JSON document that is kept as it came.

    `to_dict()`, `to_json()` and the dumps of pydantic return the whole document, unknown keys and the
    order of keys included.
    """

    _text: str = PrivateAttr()

    @classmethod
    def parse(cls, source: str | bytes | Mapping[str, Any]) -> Self:
        """Read `source`, JSON text or an already decoded object.

        Raises InvalidArgument that names the path in the document of everything that is wrong.
        """
        try:
            if isinstance(source, str | bytes):
                return cls.model_validate_json(source)
            return cls.model_validate(source)
        except ValidationError as error:
            raise InvalidArgument(explain(cls._in_document(error))) from None

    @classmethod
    def _in_document(cls, error: ValidationError) -> ValidationError:
        """Give faults the paths that they have in the document, where those of the model differ."""
        return error

    @model_validator(mode="wrap")
    @classmethod
    def _keep_text(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        document = handler(data)
        if isinstance(data, dict):
            document._text = _as_text(data)  # noqa: SLF001 - the object is being made here
        return document

    @model_serializer
    def _serialise(self) -> dict[str, Any]:
        return self.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Decode the whole document; the result is the caller's own."""
        return cast("dict[str, Any]", json.loads(self._text))

    def to_json(self) -> str:
        """Give the whole document as ASCII JSON text."""
        return self._text


def _as_text(data: dict[str, Any]) -> str:
    """Write JSON that any store accepts: PostgreSQL's jsonb has no NaN, NUL or half surrogate."""
    try:
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        text = json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the document is not JSON: {error}") from None
    if _NUL.search(text):
        raise ValueError("the document has a NUL character, which cannot be stored")
    return text
