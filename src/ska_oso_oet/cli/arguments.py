"""The arguments of a script are read from the command line.

A value is a Python literal (`14.0`, `[1, 2]`, `None`) or one of JSON's `true`, `false` and `null` where
it is one, else a string. Arguments travel as JSON: a tuple becomes a list, and a literal that JSON does
not have (a set, bytes, a complex number, a dictionary with keys that are no strings) stays a string.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.procedure.subarrays import SUBARRAY_IDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_JSON_WORDS: Final = {"true": True, "false": False, "null": None}
_NUMBER: Final = re.compile(r"-[\d.]")
_NOT_A_LITERAL: Final = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
FUNCTIONS: Final = ("init", "main")
_FLAG_WORDS: Final = frozenset({"true", "false"})
_FLAGS: Final = ("listen", "create_env", "run_abort", "prepare_only")


@dataclass
class Call:
    """The arguments of one function of a script, as JSON values."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


def literal(text: str) -> Any:
    """Read one value; see the module's description."""
    if text in _JSON_WORDS:
        return _JSON_WORDS[text]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return _as_json(ast.literal_eval(text))
    except _NOT_A_LITERAL:
        return text


def _as_json(value: Any) -> Any:
    """Turn tuples into lists; raise ValueError for what JSON does not have."""
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _as_json(item) for key, item in value.items()}
    if (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    raise ValueError(f"{value!r} is not JSON")


def split(tokens: Iterable[str], function: str, options: Collection[str] = ()) -> dict[str, Call]:
    """Sort the arguments of a script by its functions.

    `value` and `--key=value` are for `function`; `--init.key=value` and `--main.key=value` name theirs.
    `options` are those of the command itself: a key that looks like one of them is an error, because a
    misspelt option would go to the script unnoticed. Raises InvalidArgument.
    """
    calls = {name: Call() for name in FUNCTIONS}
    for token in tokens:
        if not token.isprintable() and any("\ud800" <= character <= "\udfff" for character in token):
            raise InvalidArgument(f"{token!r} is not text in this terminal's encoding")
        if not token.startswith("-") or _NUMBER.match(token):
            calls[function].args.append(literal(token))
            continue
        key, value = _key_value(token)
        name, dot, rest = key.partition(".")
        if dot and name in FUNCTIONS:
            calls[name].kwargs[rest] = literal(value)
        else:
            _reject_misspelt(key, function, options)
            calls[function].kwargs[key] = literal(value)
    return calls


def _key_value(token: str) -> tuple[str, str]:
    key, equals, value = token.removeprefix("--").partition("=")
    if not token.startswith("--") or not equals or not key.rpartition(".")[2].isidentifier():
        raise InvalidArgument(f"{token}: an argument by name is written --key=value")
    return key, value


def _reject_misspelt(key: str, function: str, options: Collection[str]) -> None:
    if key == SUBARRAY_IDS:
        return  # no misspelt --subarray_id: that is how several subarrays are named
    close = difflib.get_close_matches(f"--{key}", options, n=1, cutoff=0.85)
    if close:
        raise InvalidArgument(
            f"--{key}: is {close[0]} meant? An argument of the script is written --{function}.{key}=…"
        )


def with_values(**options: str | None) -> dict[str, str]:
    """Return the options that have a value; None is no value, also as text: `--git_commit=None`."""
    return {name: text for name, text in options.items() if text is not None and text.lower() != "none"}


def with_flag_values(argv: Iterable[str]) -> list[str]:
    """Add its value to a flag without one: `--listen` is `--listen=true`, `--no-listen` is false.

    `--listen false` is `--listen=false`. As two words it would mean: follow the script, and pass false to it.
    """
    values = {}
    for name in _FLAGS:
        for spelling in (name, name.replace("_", "-")):
            values[f"--{spelling}"] = f"--{spelling}=true"
            values[f"--no-{spelling}"] = values[f"--no_{spelling}"] = f"--{spelling}=false"
    flagged: list[str] = []
    flag = ""
    for token in argv:
        if flag and token.lower() in _FLAG_WORDS:
            flagged[-1] = f"{flag}={token}"
            flag = ""
        else:
            flagged.append(values.get(token, token))
            flag = token if values.get(token) == f"{token}=true" else ""
    return flagged
