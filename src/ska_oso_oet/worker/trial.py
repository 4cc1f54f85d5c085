"""A trial shows that scripts have all they need: a worker like theirs loads a script and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ska_oso_oet.mptools import EventMessage, ExitStatus, Proc
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.reports import Raised, Report, Returned, parse_report
from ska_oso_oet.source.script import EmbeddedStringScript
from ska_oso_oet.worker.orders import Order, RunOrder, Word
from ska_oso_oet.worker.pool import WORKER
from ska_oso_oet.worker.preparation import LoadOrder

if TYPE_CHECKING:
    from ska_oso_oet.mptools import MainContext
    from ska_oso_oet.mptools.pipes import Stream

_NAME: Final = "trial"
_SCRIPT: Final = EmbeddedStringScript(
    script_name=_NAME, script_source="import ska_oso_oet.tango\n\n\ndef main():\n    pass\n"
)


class Trial:
    """Runs a script that does nothing; `problem` returns what was wrong, from the result of `proc.exited`."""

    def __init__(self, context: MainContext) -> None:
        self._last: Report | None = None
        self.proc = context.Proc(_NAME, WORKER, listener=self)
        load = LoadOrder(command=PrepareProcessCommand(script=_SCRIPT))
        self.proc.send(EventMessage(_NAME, Order.LOAD, load.to_dict()))
        self.proc.send(EventMessage(_NAME, Order.RUN, RunOrder(fn_name="main").to_dict()))

    def problem(self, status: ExitStatus) -> str | None:
        """Return why a script could not be run; None when it ran."""
        if status.error is not None:
            return status.error
        if isinstance(self._last, Raised):
            return self._last.message
        if status.code != 0 or not isinstance(self._last, Returned):
            return f"a worker ended with code {status.code}, signal {status.signal}"
        return None

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        """Receive what the worker reports of itself."""
        del proc
        if message.msg_type == Word.REPORT:
            self._last = parse_report(message.msg)

    def on_output(self, proc: Proc, stream: Stream, data: bytes) -> None:
        """Ignore output."""

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        """Ignore the end, which `Proc.exited` has as well."""
