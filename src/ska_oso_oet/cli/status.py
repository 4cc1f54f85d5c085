"""`oet status` and `oet config show` print how the OET fares."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.output import diagnostic, print_line
from ska_oso_oet.cli.session import Session, with_session
from ska_oso_oet.cli.tables import print_table
from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

config = typer.Typer(no_args_is_help=True, help="Look at the settings of the controller.")


@with_session
def status(
    session: Session,
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Print only whether scripts can be started; exit code 3 if not.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="As --ready, once they can, or once the controller is in FAULT.")
    ] = False,
) -> ExitCode:
    """Show how the controller fares: its state and health, who holds which subarray, what there is."""
    if wait:
        told = session.client.wait_ready(session.deadline, _report_reason(session))
    else:
        told = session.client.status()
    if session.json:
        session.document({"status": told})
    elif ready or wait:
        print_line("ready") if told["ready"] else diagnostic(f"not ready: {told['why_not_ready']}")
    else:
        _print(told)
    return ExitCode.DONE if told["ready"] or not (ready or wait) else ExitCode.REFUSED


def _report_reason(session: Session) -> Callable[[str], None]:
    return lambda why: None if session.json else diagnostic(f"not ready: {why}")


def _print(told: Mapping[str, Any]) -> None:
    print_table(("", told["device"]), _lines(told))
    if told["subarrays"]:
        rows = [
            (
                "all" if held["subarray_id"] is None else held["subarray_id"],
                held["procedure_id"],
                held["state"],
            )
            for held in told["subarrays"]
        ]
        print_table(("Subarray", "Held by procedure", "State"), rows)


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "State", told["state"]
    yield "Admin mode", told["admin_mode"]
    yield "Health", told["health_state"]
    for device, messages in told["health_info"].items():
        for message in messages:
            yield "", message if device == told["device"] else f"{device}: {message}"
    yield "Scripts can be started", "yes" if told["ready"] else f"no: {told['why_not_ready']}"
    for word in ("procedures", "activities"):
        counts = ", ".join(f"{count} {state}" for state, count in told[word].items())
        yield word.capitalize(), counts or "none"
    for device, answers in told["devices"].items():
        yield device, "answers" if answers else "does not answer"
    yield "Versions", ", ".join(f"{name} {version}" for name, version in told["versions"].items())


@config.command("show")
@with_session
def show(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these settings.", show_default=False)
    ] = None,
) -> ExitCode:
    """Print the settings that are in effect, and where each comes from; passwords are left out."""
    settings = session.client.settings()
    if names:
        settings = {**settings, "settings": settings_named(names, settings["settings"])}
    if session.json:
        session.document(settings)
        return ExitCode.DONE
    rows = [(line["name"], _text(line["value"]), line["source"]) for line in settings["settings"]]
    print_table(("Setting", "Value", "From"), rows)
    for warning in settings["warnings"]:
        diagnostic(warning)
    return ExitCode.DONE


def settings_named(names: Sequence[str], settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose settings by their names, in upper or lower case; raises InvalidArgument for one that is none."""
    known = {line["name"].lower(): line for line in settings}
    for name in names:
        if name.lower() not in known:
            close = difflib.get_close_matches(name.lower(), known, n=1)
            meant = f"; is {known[close[0]]['name']} meant?" if close else ""
            raise InvalidArgument(f"there is no setting {name}{meant}")
    return [known[name.lower()] for name in names]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
