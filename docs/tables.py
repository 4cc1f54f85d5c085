# ruff: noqa: INP001 - a program beside the pages that it writes, no package
"""The tables of the reference that are made from the code.

`python -m docs.tables` writes them into the pages, between `<!-- table: NAME -->` and
`<!-- end of table -->`; with `--check` it writes nothing and ends with 1 if a page is stale. Tango is only
imported for tables about the device.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docs import structure
from ska_oso_oet import errors
from ska_oso_oet.activity import domain as activity_domain
from ska_oso_oet.cli.exit_codes import of_error
from ska_oso_oet.event import topics as topic_tree
from ska_oso_oet.event.journal import is_reserved
from ska_oso_oet.oda.settings import VARIABLES
from ska_oso_oet.procedure import domain as procedure_domain
from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.settings import ControllerSettings, property_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ska_oso_oet.ska.base_device import SKABaseDevice

DOCS: Final = Path(__file__).resolve().parent
REGION: Final = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
UNPUBLISHED: Final = {
    "activity.pool.list": "the attribute `activities`, `GET /activities`",
    "procedure.pool.list": "the attribute `procedures`, `GET /procedures`",
    "request.activity.list": "nothing: reading leaves no trace",
    "request.procedure.list": "nothing: reading leaves no trace",
}
"""Topics of the original on which nothing is published here, and what to use instead."""
PLACES: Final = ("SCRIPTS_LOCATION", "XDG_CACHE_HOME")
"""Variables of the reader's own machine that defaults depend on."""
ADDED: Final = {"GetCommandResult"}
"""Commands of our base class that are not of the SKA contract."""

_PROCEDURE_STATES: Final = {
    "CREATING": "accepted; it is being given a process",
    "IDLE": "the process is there, between two of the steps below",
    "PREP_ENV": "its environment is being made (git scripts with `create_env`)",
    "LOADING": "the script is being fetched and its top level is being run",
    "INITIALISING": "`init` is being called, if the script has one",
    "READY": "`main` can be called",
    "RUNNING": "`main` was ordered; the subarray is taken",
    "COMPLETE": "`main` has returned, and the process is gone",
    "FAILED": "it ended in any other way, and the process is gone",
    "STOPPED": "it was stopped, and the process is gone",
}
_ACTIVITY_STATES: Final = {
    "REQUESTED": "accepted; its script is being prepared",
    "PREPARED": "its procedure is READY",
    "RUNNING": "its procedure is RUNNING",
    "COMPLETE": "its procedure is COMPLETE",
    "FAILED": "its procedure FAILED, or could not be created or started",
    "STOPPED": "its procedure was STOPPED",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table as Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].rstrip(".")


# ---------------------------------------------------------------- without Tango


def procedure_states() -> str:
    """List the states of a procedure, and which may follow."""
    return _states(procedure_domain.NEXT, _PROCEDURE_STATES)


def activity_states() -> str:
    """List the states of an activity, and which may follow."""
    return _states(activity_domain.NEXT, _ACTIVITY_STATES)


def _states(following: Mapping[Any, frozenset[Any]], meaning: Mapping[str, str]) -> str:
    order = [state.value for state in following]
    rows = (
        (f"`{state}`", meaning[state], ", ".join(sorted(following[state], key=order.index)) or "nothing")
        for state in following
    )
    return table(("state", "meaning", "may be followed by"), rows)


def topics() -> str:
    """List the topics with their data; `msg_src` and `request_id`, which every event has, left out."""
    rows = (
        (f"`{name}`", _first_line(node), _data(node), "controller" if is_reserved(name) else "scripts")
        for name, node in _leaves(topic_tree, ())
        if name not in UNPUBLISHED
    )
    return table(("topic", "meaning", "data", "published by"), rows)


def unpublished_topics() -> str:
    """List the topics of the tree on which nothing is published."""
    rows = ((f"`{name}`", UNPUBLISHED[name]) for name, _ in _leaves(topic_tree, ()) if name in UNPUBLISHED)
    return table(("topic", "what to use"), rows)


def _leaves(node: object, path: tuple[str, ...]) -> Iterator[tuple[str, type]]:
    for name, member in vars(node).items():
        if inspect.isclass(member):
            if hasattr(member, "msgDataSpec"):
                yield ".".join((*path, name)), member
            yield from _leaves(member, (*path, name))


def _data(topic: Any) -> str:
    described = re.findall(r"- (\w+): (.*)", topic.msgDataSpec.__doc__)
    return "; ".join(f"`{name}`: {text}" for name, text in described if name not in {"msg_src", "request_id"})


def errors_and_codes() -> str:
    """List the expected errors with the codes that they have at each boundary."""
    rows = (
        (f"`{kind.__name__}`", f"`{kind.code}`", str(int(of_error(kind()))), _first_line(kind))
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.OetError) and kind is not errors.OetError
    )
    return table(("Python", "code", "exit code of `oet`", "meaning"), rows)


def oda_variables() -> str:
    """List the environment variables of the store of Scheduling Blocks."""
    rows = (
        (", ".join(f"`{variable}`" for variable in variables), field.replace("_", " "))
        for field, variables in VARIABLES.items()
    )
    return table(("environment variable, the first that is set", "setting"), rows)


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, list):
        value = ",".join(str(item) for item in value)
    text = "" if value is None else str(value)
    for path, name in ((scripts_dir(), "<scripts>"), (Path.home(), "~")):
        text = text.replace(str(path), name)
    return f"`{text}`" if text else ""


# ---------------------------------------------------------------- what became of the original's names


def original() -> dict[str, Any]:
    """Read what became of each name that the original's manual documents."""
    return tomllib.loads((DOCS / "from-the-original.toml").read_text("utf-8"))


def carried() -> str:
    """List what is used here as it was there."""
    rows = (
        (f"`{module}`", ", ".join(f"`{name}`" for name in names))
        for module, names in original()["carried"].items()
    )
    return table(("module", "names"), rows)


def changed() -> str:
    """List what has its name, and is made or used otherwise."""
    return table(
        ("name", "here", "why"),
        ((f"`{row['name']}`", row["here"], row["why"]) for row in original()["changed"]),
    )


def gone() -> str:
    """List what has no such name here."""
    return table(
        ("name", "what to use", "why"),
        ((f"`{row['name']}`", row["use"], row["why"]) for row in original()["gone"]),
    )


def answers() -> str:
    """List what is answered otherwise than the manual's sessions print it."""
    return table(
        ("where", "here", "why"), ((row["door"], row["here"], row["why"]) for row in original()["answers"])
    )


def packages() -> str:
    """List every package and every module at the top, from the outermost layer to the innermost."""
    rows = (
        (f"`{name}/`" if (structure.SOURCE / name).is_dir() else f"`{name}.py`", text)
        for name, text in structure.rooms()
    )
    return table(("in `src/ska_oso_oet`", "what it is for"), rows)


# ---------------------------------------------------------------- about the device


def settings() -> str:
    """List what a controller can be told."""
    device, _ = _classes()
    known = device.TangoClassClass.device_property_list
    rows = (
        (
            f"`{property_name(name)}`<br>`{ControllerSettings.variable(name)}`",
            _default(field),
            known[property_name(name)][1],
        )
        for name, field in ControllerSettings.model_fields.items()
    )
    return table(("device property, environment variable", "default", "meaning"), rows)


def contract_properties() -> str:
    """List the device properties of the SKA contract."""
    _, contract = _classes()
    listed = contract.TangoClassClass.device_property_list.items()
    rows = ((f"`{name}`", f"`{default}`", doc) for name, (_, doc, default, *_) in listed)
    return table(("device property", "default", "meaning"), rows)


def commands() -> str:
    """List the OET's own commands."""
    device, contract = _classes()
    return _commands(device, set(_listed(device)) - set(_listed(contract)) | ADDED)


def contract_commands() -> str:
    """List the commands of the SKA contract."""
    _, contract = _classes()
    return _commands(contract, set(_listed(contract)) - ADDED)


def attributes() -> str:
    """List the OET's own attributes."""
    device, contract = _classes()
    found = device.TangoClassClass.attr_list
    return _attributes(found, set(found) - set(contract.TangoClassClass.attr_list))


def contract_attributes() -> str:
    """List the attributes of the SKA contract, those of the long running commands last."""
    device, contract = _classes()
    found = contract.TangoClassClass.attr_list
    lists = "".join(
        f"| `{name}` | DevString[{size}] | READ | Long running commands |\n"
        for name, size in device.LIMITS.sizes.items()
    )
    return _attributes(found, set(found)) + lists


def _classes() -> tuple[type[SKABaseDevice], type[SKABaseDevice]]:
    from ska_oso_oet.device.controller import OETController  # noqa: PLC0415 - see above
    from ska_oso_oet.ska.base_device import SKABaseDevice  # noqa: PLC0415

    return OETController, SKABaseDevice


def _listed(device: type[SKABaseDevice]) -> dict[str, Any]:
    listed: dict[str, Any] = device.TangoClassClass.cmd_list
    return listed


def _commands(device: type[SKABaseDevice], names: set[str]) -> str:
    rows = (
        (f"`{name}`", _value(taken), _value(given), _first_line(getattr(device, name)))
        for name, (taken, given, *_) in sorted(_listed(device).items())
        if name in names
    )
    return table(("command", "takes", "answers", "what it does"), rows)


def _value(described: Sequence[Any]) -> str:
    kind, doc = described
    if doc.startswith("STARTED and the command id"):
        return f"long running: {kind}"
    return "nothing" if str(kind) == "DevVoid" else f"{kind}: {doc}"


def _attributes(found: Mapping[str, Any], names: set[str]) -> str:
    rows = (
        (f"`{name}`", _type(attribute), str(attribute.attr_write), attribute.__doc__ or "")
        for name, attribute in sorted(found.items())
        if name in names
    )
    return table(("attribute", "type", "access", "content"), rows)


def _type(attribute: Any) -> str:
    size = f"[{attribute.dim_x}]" if str(attribute.attr_format) == "SPECTRUM" else ""
    return f"{attribute.attr_type}{size}"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "activity-states": activity_states,
    "errors": errors_and_codes,
    "original-answers": answers,
    "original-carried": carried,
    "original-changed": changed,
    "original-gone": gone,
    "oda-variables": oda_variables,
    "packages": packages,
    "procedure-states": procedure_states,
    "topics": topics,
    "unpublished-topics": unpublished_topics,
}
TANGO_TABLES: Final[dict[str, Callable[[], str]]] = {
    "attributes": attributes,
    "commands": commands,
    "contract-attributes": contract_attributes,
    "contract-commands": contract_commands,
    "contract-properties": contract_properties,
    "settings": settings,
}


# ---------------------------------------------------------------- the pages


def pages() -> list[Path]:
    """List the pages that have a table."""
    candidates = [*sorted(DOCS.rglob("*.md")), DOCS.parent / "CONTRIBUTING.md"]
    return [page for page in candidates if REGION.search(page.read_text("utf-8"))]


def renewed(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Write those of `tables` that a page asks for into its text."""

    def renew(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        return f"{begin}\n{tables[name]()}\n{end}" if name in tables else found.group()

    return REGION.sub(renew, text)


def main(arguments: Sequence[str]) -> int:
    """Renew the pages, or with `--check` say which are stale."""
    for name in PLACES:
        os.environ.pop(name, None)
    stale = []
    for page in pages():
        text = page.read_text("utf-8")
        new = renewed(text, TABLES | TANGO_TABLES)
        if new != text:
            stale.append(page)
            if "--check" not in arguments:
                page.write_text(new, "utf-8")
    drawn = structure.picture()
    if structure.PICTURE.read_text("utf-8") != drawn:
        stale.append(structure.PICTURE)
        if "--check" not in arguments:
            structure.PICTURE.write_text(drawn, "utf-8")
    for page in stale:
        sys.stdout.write(f"{page.relative_to(DOCS.parent)}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
