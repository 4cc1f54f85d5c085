"""OETClient has the procedures, activities, events and the history of one OETController.

Every failure that can be expected is an OetError: InvalidArgument, NotFound, Rejected,
ControllerUnreachable, HistoryUnavailable or WaitTimeout. A script that fails is not an error of the client:
it shows in the `state` and `exit` of the ProcedureSummary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from ska_oso_oet.client.calls import ActivityCalls, HistoryCalls, SchedulingBlockCalls, StatusCalls
from ska_oso_oet.client.events import EventStream
from ska_oso_oet.client.inbox import CALL_TIMEOUT, Deadline
from ska_oso_oet.client.requests import as_command, start_command
from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.client.waiting import PROCEDURES
from ska_oso_oet.errors import Rejected, WaitTimeout
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState, ProcedureSummary
from ska_oso_oet.procedure.output import OutputQuery

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ska_oso_oet.client.port import Controller, Stopped
    from ska_oso_oet.source.script import ExecutableScript

DEFAULT_DEVICE: Final = "mid-oso/oet-controller/01"


END_TIMEOUT: Final = 10.0
"""Seconds that the end of a procedure whose start was refused is waited for."""


class OETClient(ActivityCalls, SchedulingBlockCalls, HistoryCalls, StatusCalls):
    """A typed client of one OETController; a context manager.

    It connects at its first use, and by itself again after the controller was restarted. Any thread may
    use it; one that is not Python's main thread should do so within `tango.EnsureOmniThread`.
    """

    def __init__(self, device: str = DEFAULT_DEVICE, call_timeout: float = CALL_TIMEOUT) -> None:
        from ska_oso_oet.client.tango_link import TangoLink  # noqa: PLC0415 - HttpClient does without Tango

        self._controller: Controller = TangoController(TangoLink(device, call_timeout))

    _created: int | None = None
    """The procedure that this client has created last."""

    @property
    def device(self) -> str:
        """The name of the controller as the caller wrote it."""
        return self._controller.device

    @property
    def uri(self) -> str:
        """The full name of the controller."""
        return self._controller.uri

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Event streams are closed by who opened them."""
        self._controller.close()

    # ---------------------------------------------------------------- procedures
    def create(
        self, script: str | ExecutableScript | PrepareProcessCommand, /, *args: Any, **kwargs: Any
    ) -> ProcedureSummary:
        """Load a script, and call its `init` with these arguments; returns when the request is accepted.

        `script` is a `file:///…` or `git://…` URI, a script, or a whole command (then without arguments).
        """
        procedure = self._controller.create(as_command(script, ProcedureInput(*args, **kwargs)))
        self._created = procedure.id
        return procedure

    def start(self, procedure_id: int | None = None, /, *args: Any, **kwargs: Any) -> ProcedureSummary:
        """Call the `main` of a READY procedure, by default of `created_last`; returns when it is accepted.

        Without arguments, those of its creation are used. Raises Rejected for
        one that is not READY: no other is started then.
        """
        if procedure_id is None:
            procedure_id = self.created_last().id
        main = ProcedureInput(*args, **kwargs) if args or kwargs else None
        return self._controller.start(start_command(procedure_id, main))

    def start_or_end(self, procedure_id: int, timeout: float | Deadline | None = None) -> ProcedureSummary:
        """Start a procedure that was created for it; where that is refused it is ended, as nobody else will.

        Raises Rejected then, which names what became of it.
        """
        try:
            return self.start(procedure_id)
        except Rejected as error:
            if self.describe(procedure_id).state is not ProcedureState.READY:
                raise
            end = "is ended"
            try:
                self.stop(procedure_id, run_abort=False, timeout=Deadline.of(timeout).at_most(END_TIMEOUT))
            except WaitTimeout:
                end = "is being ended"
            raise type(error)(f"{error}; procedure {procedure_id}, which was made for this, {end}") from None

    def stop(
        self,
        procedure_id: int | None = None,
        *,
        run_abort: bool | None = None,
        timeout: float | Deadline | None = None,
    ) -> Stopped:
        """End a procedure, by default the one that is running, and wait until its process is gone.

        With `run_abort` the abort script is then run for each of its subarrays, and waited for; None means
        that it is if main has been called. If the controller is lost meanwhile, the process
        ends with it, and no abort script is run.
        """
        deadline = Deadline.of(timeout)
        command = StopProcessCommand.parse({"procedure_id": procedure_id, "run_abort": run_abort})
        return self._controller.until(deadline).stop(command, deadline)

    def created_last(self) -> ProcedureSummary:
        """Describe the procedure that this client, or else its user where that is known, has created last."""
        return self._controller.created_last() if self._created is None else self.describe(self._created)

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
        return PROCEDURES.wait(self._controller.until(deadline), procedure_id, states, deadline)

    def list(self) -> Sequence[ProcedureSummary]:
        """List every live procedure and the newest finished ones, oldest first."""
        return self._controller.listed(PROCEDURES)

    def describe(self, procedure_id: int = 0) -> ProcedureSummary:
        """Describe a procedure; 0 is the newest one."""
        return PROCEDURES.describe(self._controller, procedure_id)

    def refresh(self, known: ProcedureSummary) -> ProcedureSummary:
        """Describe a procedure again; ProcedureNotFound also when its number means another one by now."""
        return PROCEDURES.refresh(self._controller, known)

    def output(self, procedure_id: int, since: int = 0) -> dict[str, Any]:
        """Read what a procedure has written after line `since`, as GetOutput returns it.

        `{"procedure_id", "last_line", "dropped", "lines": [{"line", "time", "stream", "text", "level"}, …]}`:
        `dropped` counts the lines after `since` that are no longer kept; only lines of the log have a level.
        """
        PROCEDURES.check(procedure_id)
        return self._controller.output(OutputQuery.parse({"procedure_id": procedure_id, "since": since}))

    def events(
        self,
        topics: Collection[str] = (),
        since: int | None = None,
        epoch: str | None = None,
        procedure_id: int | None = None,
    ) -> EventStream:
        """Listen to the bus: every event exactly once and in order; see EventStream."""
        return EventStream(self._controller, topics, since, epoch, procedure_id)
