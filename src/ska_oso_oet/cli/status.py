"""How the OET fares: `oet status` and `oet config show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.output import answer, diagnostic
from ska_oso_oet.cli.session import Session, with_session
from ska_oso_oet.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

config = typer.Typer(no_args_is_help=True, help="Look at the settings of the controller.")


@with_session
def status(
    session: Session,
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Say only whether scripts can be started; exit code 3 if not.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="As --ready, once they can, or once the controller is in FAULT.")
    ] = False,
) -> ExitCode:
    """Say how the controller fares: its state and health, who holds which subarray, what there is."""
    if wait:
        told = session.client.wait_ready(session.deadline, _tell_reason(session))
    else:
        told = session.client.status()
    if session.json:
        session.document({"status": told})
    elif ready or wait:
        answer("ready") if told["ready"] else diagnostic(f"not ready: {told['why_not_ready']}")
    else:
        _print(told)
    return ExitCode.DONE if told["ready"] or not (ready or wait) else ExitCode.REFUSED


def _tell_reason(session: Session) -> Callable[[str], None]:
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
def show(session: Session) -> ExitCode:
    """Print the settings that are in effect, and where each comes from; passwords are left out."""
    told = session.client.settings()
    if session.json:
        session.document(dict(told))
        return ExitCode.DONE
    rows = [(line["name"], _text(line["value"]), line["source"]) for line in told["settings"]]
    print_table(("Setting", "Value", "From"), rows)
    for warning in told["warnings"]:
        diagnostic(warning)
    return ExitCode.DONE


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
