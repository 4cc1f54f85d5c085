"""OETClient: procedures, activities, events and the history of one OETController.

Every failure that can be expected is an OetError: InvalidArgument, NotFound, Rejected,
ControllerUnreachable, HistoryUnavailable or WaitTimeout. A script that fails is not an error of the client:
it is told by the `state` and `exit` of the ProcedureSummary.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from ska_oso_oet.client.calls import ActivityCalls, HistoryCalls, StatusCalls
from ska_oso_oet.client.events import EventStream
from ska_oso_oet.client.inbox import CALL_TIMEOUT, Deadline
from ska_oso_oet.client.lost_stop import ended_with_the_controller
from ska_oso_oet.client.requests import as_command, start_command
from ska_oso_oet.client.waiting import PROCEDURES, CommandResult
from ska_oso_oet.errors import CommandForgotten, OetError, ProcedureNotFound, Rejected
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState, ProcedureSummary
from ska_oso_oet.procedure.output import OutputQuery
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ska_oso_oet.client.inbox import Connection
    from ska_oso_oet.source.script import ExecutableScript

OWN: Final = -1
"""In place of a procedure's id, for DescribeProcedure: the newest of who asks."""
DEFAULT_DEVICE: Final = "mid-oso/oet-controller/01"


END_TIMEOUT: Final = 10.0
"""Seconds that the end of a procedure whose start was refused is waited for."""


class Stopped(NamedTuple):
    """The end of a stop: the procedure as it was left, and the result of the command."""

    procedure: ProcedureSummary
    result: CommandResult

    @property
    def abort(self) -> dict[str, Any] | None:
        """How the abort script ended, None if it was not asked for.

        `state` is that of its procedure, None when it was not run; `procedure_id` and `message` may be there.
        """
        abort: dict[str, Any] | None = self.result.detail.get("abort")
        return abort

    @property
    def done(self) -> bool:
        """Whether all that was asked for was done: the process is gone, and the abort script COMPLETE."""
        aborted = self.abort is None or self.abort.get("state") == ProcedureState.COMPLETE
        return self.result.code == ResultCode.OK and aborted


class OETClient(ActivityCalls, HistoryCalls, StatusCalls):
    """A typed client of one OETController; a context manager.

    It connects at its first use, and by itself again after the controller was restarted. Any thread may
    use it; one that is not Python's main thread should do so within `tango.EnsureOmniThread`.
    """

    def __init__(self, device: str = DEFAULT_DEVICE, call_timeout: float = CALL_TIMEOUT) -> None:
        from ska_oso_oet.client.tango_link import TangoLink  # noqa: PLC0415 - HttpClient does without Tango

        self._link: Connection = TangoLink(device, call_timeout)

    _created: int | None = None
    """The procedure that this client has created last."""

    @property
    def device(self) -> str:
        """The name of the controller as it was given."""
        return self._link.device

    @property
    def uri(self) -> str:
        """The full name of the controller."""
        return self._link.uri

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Event streams are closed by who opened them."""
        self._link.close()

    # ---------------------------------------------------------------- procedures
    def create(
        self, script: str | ExecutableScript | PrepareProcessCommand, /, *args: Any, **kwargs: Any
    ) -> ProcedureSummary:
        """Load a script, and call its `init` with these arguments; returns when the request is accepted.

        `script` is a `file:///…` or `git://…` URI, a script, or a whole command (then without arguments).
        """
        command = as_command(script, ProcedureInput(*args, **kwargs))
        command_id = self._submit("CreateProcedure", command)
        for procedure in self.list():
            if procedure.command_id == command_id:
                self._created = procedure.id
                return procedure
        raise ProcedureNotFound(f"the procedure of command {command_id} has already left the history")

    def start(self, procedure_id: int | None = None, /, *args: Any, **kwargs: Any) -> ProcedureSummary:
        """Call the `main` of a READY procedure, by default of `created_last`; returns when it is accepted.

        Without arguments, those that were given when the procedure was created are used. Raises Rejected for
        one that is not READY: no other is started then.
        """
        if procedure_id is None:
            procedure_id = self.created_last().id
        main = ProcedureInput(*args, **kwargs) if args or kwargs else None
        self._submit("StartProcedure", start_command(procedure_id, main))
        return self.describe(procedure_id)

    def start_or_end(self, procedure_id: int, timeout: float | Deadline | None = None) -> ProcedureSummary:
        """Start a procedure that was created for it; where that is refused it is ended, as nobody else will.

        Raises Rejected then, and says what became of it.
        """
        try:
            return self.start(procedure_id)
        except Rejected as error:
            if self.describe(procedure_id).state is not ProcedureState.READY:
                raise
            self.stop(procedure_id, run_abort=False, timeout=Deadline.of(timeout).at_most(END_TIMEOUT))
            raise type(error)(
                f"{error}; procedure {procedure_id}, which was made for this, is ended"
            ) from None

    def stop(
        self,
        procedure_id: int | None = None,
        *,
        run_abort: bool | None = None,
        timeout: float | Deadline | None = None,
    ) -> Stopped:
        """End a procedure, by default the one that is running, and wait until its process is gone.

        With `run_abort` the abort script is then run for each of its subarrays, and waited for; None means
        that it is if main has been called. A controller that is lost meanwhile takes the process with it,
        and runs no abort script.
        """
        deadline = Deadline.of(timeout)
        client = self.until(deadline)
        command = StopProcessCommand(procedure_id=self._to_stop(procedure_id, client), run_abort=run_abort)
        try:
            result = self._carry_out("StopProcedure", command, deadline)
        except CommandForgotten:
            if command.procedure_id is None:
                raise
            procedure = client.describe(command.procedure_id)
            if not procedure.state.final:
                raise
            ended = ended_with_the_controller(procedure, client.list(), run_abort=run_abort)
            return Stopped(procedure, ended)
        stopped: int | None = result.detail.get("procedure_id", command.procedure_id)
        if stopped is None:
            raise OetError(f"the stop ended otherwise: {result.text}")
        return Stopped(client.describe(stopped), result)

    def created_last(self) -> ProcedureSummary:
        """Describe the procedure that this client, or else its user where that is known, has created last."""
        return self._last_of_user() if self._created is None else self.describe(self._created)

    def _last_of_user(self) -> ProcedureSummary:
        # The controller knows who asks.
        return PROCEDURES.asked(self._link, OWN)

    def _to_stop(self, procedure_id: int | None, asking: OETClient) -> int | None:
        """Name the procedure to be stopped; None where the controller knows better which one is meant."""
        del asking
        return procedure_id

    def run(
        self,
        script: str | ExecutableScript | PrepareProcessCommand,
        /,
        *args: Any,
        init: ProcedureInput | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> ProcedureSummary:
        """Create a procedure, start it and wait for its end; the arguments are those of `main`.

        `init` are the arguments of `init`. A script whose parameters are called `init` or `timeout` gets
        them through a PrepareProcessCommand. Raises WaitTimeout when it takes longer than `timeout`
        seconds; what was started goes on. Raises Rejected when it cannot be started; it is ended then.
        """
        deadline = Deadline(timeout)
        main = ProcedureInput(*args, **kwargs)
        client = self.until(deadline)
        created = client.create(as_command(script, init or ProcedureInput(), main))
        self._created = created.id
        ready = client.wait(created.id, {ProcedureState.READY}, deadline)
        if ready.state is not ProcedureState.READY:
            return ready
        deadline.check(f"procedure {ready.id} is READY and has not been started")
        client.start_or_end(created.id, deadline)
        return client.wait(created.id, timeout=deadline)

    def wait(
        self,
        procedure_id: int,
        states: Collection[ProcedureState] = (),
        timeout: float | Deadline | None = None,
    ) -> ProcedureSummary:
        """Wait until a procedure has entered one of `states`, or has ended.

        Raises WaitTimeout after `timeout` seconds, ProcedureNotFound when the controller was restarted
        meanwhile, and ControllerUnreachable when it stays away for 30 s.
        """
        deadline = Deadline.of(timeout)
        return PROCEDURES.wait(self._link_until(deadline), procedure_id, states, deadline)

    def list(self) -> Sequence[ProcedureSummary]:
        """List every live procedure and the newest finished ones, oldest first."""
        document = json.loads(self._link.read("procedures"))
        return sorted(map(PROCEDURES.read, document["procedures"]), key=lambda item: item.id)

    def describe(self, procedure_id: int = 0) -> ProcedureSummary:
        """Describe a procedure; 0 is the newest one."""
        return PROCEDURES.describe(self._link, procedure_id)

    def refresh(self, known: ProcedureSummary) -> ProcedureSummary:
        """Describe a procedure again; ProcedureNotFound also when its number means another one by now."""
        return PROCEDURES.refresh(self._link, known)

    def output(self, procedure_id: int, since: int = 0) -> dict[str, Any]:
        """Read what a procedure has written after line `since`, as GetOutput answers it.

        `{"procedure_id", "last_line", "dropped", "lines": [{"line", "time", "stream", "text", "level"}, …]}`:
        `dropped` counts the lines after `since` that are no longer kept; only lines of the log have a level.
        """
        query = OutputQuery.parse({"procedure_id": procedure_id, "since": since})
        answer: dict[str, Any] = json.loads(self._link.command("GetOutput", query.to_json()))
        return answer

    def events(
        self,
        topics: Collection[str] = (),
        since: int | None = None,
        epoch: str | None = None,
        procedure_id: int | None = None,
    ) -> EventStream:
        """Listen to the bus: every event exactly once and in order; see EventStream."""
        return EventStream(self._link, topics, since, epoch, procedure_id)
