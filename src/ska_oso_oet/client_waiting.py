"""Waiting for a procedure or a long running command: by change events, with a question as the safety net."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ska_oso_oet.client_inbox import QUIET_TIME, Deadline, Inbox, Patience
from ska_oso_oet.errors import InvalidArgument, NotFound, OetError, ProcedureNotFound
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ska_oso_oet.client_inbox import Link


def read_procedure(document: str | dict[str, Any]) -> ProcedureSummary:
    """Read what the controller says of a procedure; not to be confused with an argument of the user."""
    try:
        return ProcedureSummary.parse(document)
    except InvalidArgument as error:
        raise OetError(f"the controller speaks another version of this interface: {error}") from None


def describe_procedure(link: Link, procedure_id: int) -> ProcedureSummary:
    """Ask the controller about a procedure; 0 is the newest one."""
    try:
        return read_procedure(link.command("DescribeProcedure", procedure_id))
    except NotFound as error:
        raise ProcedureNotFound(str(error)) from None


def same_procedure(link: Link, known: ProcedureSummary) -> ProcedureSummary:
    """Ask again about a procedure; raise ProcedureNotFound if it is gone and its number means another."""
    gone = (
        f"procedure {known.id} was {known.state} and is no longer known: "
        "the controller was restarted, or the procedure has left its history"
    )
    try:
        fresh = describe_procedure(link, known.id)
    except ProcedureNotFound:
        raise ProcedureNotFound(gone) from None
    if fresh.created_at != known.created_at:
        raise ProcedureNotFound(gone)
    return fresh


def wait_for_procedure(
    link: Link, procedure_id: int, states: Collection[ProcedureState], deadline: Deadline
) -> ProcedureSummary:
    """Wait until a procedure has entered one of `states`, or has ended.

    Subscribes first and reads then, so that nothing can happen in between.
    """
    with Inbox(link, "procedureChanged") as inbox:
        known = describe_procedure(link, procedure_id)
        patience = Patience()
        connected = False
        while not has_entered(known, states):
            deadline.check(f"procedure {procedure_id} is still {known.state}")
            text = inbox.get(deadline.at_most(QUIET_TIME))
            news = _news(text, known) if connected else None
            if news is None and (text is None or not connected):
                # The first value after a (re)connection says nothing of what happened before it.
                news = patience.ask(lambda: same_procedure(link, known))  # noqa: B023 - called at once
            connected = text is not None
            known = news or known
        return known


def has_entered(known: ProcedureSummary, states: Collection[ProcedureState]) -> bool:
    """Say whether a procedure is, or was, in one of `states`, or can no longer get there."""
    return known.state.final or any(state in states for state, _ in known.history.process_states)


def _news(text: str | None, known: ProcedureSummary) -> ProcedureSummary | None:
    document = (json.loads(text) if text else None) or {}
    procedure = document.get("procedure") or {}
    if procedure.get("id") != known.id:
        return None
    news = read_procedure(procedure)
    return news if news.created_at == known.created_at else None


class CommandResult(NamedTuple):
    """How a long running command ended; `text` is for the operator, often compact JSON."""

    code: ResultCode
    text: str

    @property
    def detail(self) -> dict[str, Any]:
        """The text's JSON object, empty where the text is not one."""
        try:
            document = json.loads(self.text)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


def wait_for_command(link: Link, command_id: str, deadline: Deadline) -> CommandResult:
    """Wait until a long running command is listed as finished."""
    with Inbox(link, "lrcFinished") as inbox:
        patience = Patience()
        result = patience.ask(lambda: _ask_result(link, command_id))
        while result is None:
            deadline.check(f"command {command_id} has not ended")
            finished = inbox.get(deadline.at_most(QUIET_TIME))
            if finished is None:
                result = patience.ask(lambda: _ask_result(link, command_id))
            else:
                # Each value is the whole list, also the first one after a reconnection.
                result = _find_result(finished, command_id)
        return result


def _ask_result(link: Link, command_id: str) -> CommandResult | None:
    known = link.command("CheckLongRunningCommandStatus", command_id) != "NOT_FOUND"
    result = _find_result(link.read("lrcFinished"), command_id)
    if result is None and not known:
        raise NotFound(f"command {command_id} is no longer known: the controller was restarted")
    return result


def _find_result(finished: Iterable[str], command_id: str) -> CommandResult | None:
    for record in map(json.loads, finished):
        if record["uid"] == command_id:
            code, text = record.get("result") or (ResultCode.UNKNOWN, f"the command is {record['status']}")
            return CommandResult(ResultCode(code), str(text))
    return None
