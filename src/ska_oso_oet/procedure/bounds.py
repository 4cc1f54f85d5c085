"""Every summary of what scripts and clients write has a bound, and marks what it leaves out.

Summaries are in attributes that are pushed at each change and in every list, for every client. One that is
huge would make all of them slow, and those after a restart as well, since the history has it.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator

from ska_oso_oet.nesting import MAX_SHOWN, is_nested_deeper

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput
    from ska_oso_oet.source.script import AnyScript

MAX_NAME: Final = 1000
"""Characters of a name: a URI, a branch, what a user calls a script or an activity."""
MAX_WORDS: Final = 1000
"""Characters of a message for an operator."""
MAX_STACKTRACE: Final = 100_000
"""Characters of a traceback; its end, which says what was raised, is shown."""
MAX_SOURCE: Final = 64 * 1024
"""Characters of a script that was part of its request."""
MAX_ARGS: Final = 16 * 1024
"""Characters of JSON of the arguments of one function."""
_MAX_VALUES: Final = 30
_LEAST: Final = 120
_BETWEEN: Final = 10


def cut(text: str, limit: int) -> str:
    """Keep the beginning of a text that has more than `limit` characters, and add how many there were."""
    if len(text) <= limit:
        return text
    note = f"… (cut: {len(text)} characters)"
    return text[: limit - len(note)] + note


def cut_front(text: str, limit: int) -> str:
    """Keep the end of a text that has more than `limit` characters, and add how many there were."""
    if len(text) <= limit:
        return text
    note = f"(cut: {len(text)} characters) …\n"
    return note + text[len(note) - limit :]


Name = Annotated[str, AfterValidator(partial(cut, limit=MAX_NAME))]
Words = Annotated[str, AfterValidator(partial(cut, limit=MAX_WORDS))]
Stacktrace = Annotated[str, AfterValidator(partial(cut_front, limit=MAX_STACKTRACE))]


def shown_script(script: AnyScript) -> AnyScript:
    """Return a script as a summary shows it."""
    fields = _cut_fields(script)
    if "script_source" in fields:
        fields["script_source"] = cut(fields["script_source"], MAX_SOURCE)
    git_args = getattr(script, "git_args", None)
    if git_args is not None and (changed := _changes(git_args, _cut_fields(git_args))):
        fields["git_args"] = git_args.model_copy(update=changed)
    changed = _changes(script, fields)
    return script.model_copy(update=changed) if changed else script


def _cut_fields(model: Any) -> dict[str, Any]:
    texts = ((name, value) for name, value in model if isinstance(value, str))
    return {name: value if name == "script_source" else cut(value, MAX_NAME) for name, value in texts}


def _changes(model: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not getattr(model, name)}


def shown_args(arguments: CallArgs) -> CallArgs:
    """Return the arguments of a script as a summary shows them; the script gets them as they are."""
    init, main = _shown_call(arguments.init), _shown_call(arguments.main)
    if init is arguments.init and main is arguments.main:
        return arguments
    return arguments.model_copy(update={"init": init, "main": main})


def _shown_call(call: ProcedureInput) -> ProcedureInput:
    """Cut the values that need more than their share, or have too many levels."""
    given = [call.args, call.kwargs]
    if len(_json(given)) <= MAX_ARGS and not is_nested_deeper(given, MAX_SHOWN):
        return call
    values = min(len(call.args), _MAX_VALUES) + min(len(call.kwargs), _MAX_VALUES)
    share = max(MAX_ARGS // (2 * values + 2) - _BETWEEN, _LEAST)
    args = [_shown_value(value, share) for value in call.args[:_MAX_VALUES]]
    names = list(call.kwargs)
    kwargs = {
        _shown_name(name, share): _shown_value(call.kwargs[name], share) for name in names[:_MAX_VALUES]
    }
    if len(call.args) > _MAX_VALUES:
        args.append(f"… (cut: {len(call.args) - _MAX_VALUES} more)")
    if len(names) > _MAX_VALUES:
        kwargs["…"] = f"(cut: {len(names) - _MAX_VALUES} more)"
    return call.model_copy(update={"args": args, "kwargs": kwargs})


def _shown_value(value: Any, share: int) -> Any:
    text = _json(value)
    # As part of a string, a quotation mark of the JSON has two characters.
    shown = len(text) <= share and not is_nested_deeper(value, MAX_SHOWN)
    return value if shown else cut(text, share // 2)


def _shown_name(name: str, share: int) -> str:
    text = _json(name)
    return name if len(text) <= share else cut(text[1:-1], share // 2)


def _json(value: Any) -> str:
    return json.dumps(value)


def printable(text: str) -> str:
    r"""Show what UTF-8 cannot encode, as a file name may contain it, as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
