"""ControllerInterface has what the parts of the controller's Tango interface have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from tango import AttrWriteType, DevState
from tango.server import attribute

from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.requester import requester_of
from ska_oso_oet.device.work_log import log_request
from ska_oso_oet.errors import NotReady, RequestTooLarge
from ska_oso_oet.models import Model
from ska_oso_oet.settings import DEFAULT_MAX_REQUEST_BYTES
from ska_oso_oet.ska.base_device import LongStringArray, SKABaseDevice
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.device.command_book import CommandBook
    from ska_oso_oet.engine import Engine
    from ska_oso_oet.ska.long_running_commands import RunningCommand


M = TypeVar("M", bound=Model)
Read = TypeVar("Read")
LONG_STRING: Final[Any] = "DevVarLongStringArray"
ID_DOC: Final = "STARTED and the command id, or REJECTED and the reason"
ACTING: Final = frozenset({"CreateProcedure", "StartProcedure", "RunActivity"})
"""Commands that set something going: they are allowed while the device is ON. A stop is always allowed."""


def json_attribute(method: str, doc: str) -> attribute:
    """Declare a read-only string attribute, which holds JSON in ASCII."""
    return attribute(dtype=str, access=AttrWriteType.READ, fget=method, doc=doc)


class ControllerInterface(SKABaseDevice):
    """Base of the parts of the controller's Tango interface: its engine, and what commands return."""

    engine: Engine | None = None
    book: CommandBook
    max_request_bytes = DEFAULT_MAX_REQUEST_BYTES

    @property
    def running_engine(self) -> Engine:
        """The engine; a DevFailed (NotReady) when it could not be started."""
        with as_dev_failed(type(self).__name__):
            if self.engine is None:
                raise NotReady("the controller could not be started: see Status")
        return self.engine

    @property
    def settled_engine(self) -> Engine:
        """The engine, to be asked what may be shown: new ids and final states are stored by now."""
        engine = self.running_engine
        engine.history.settle()
        return engine

    def command_allowed(self, name: str) -> bool:
        """Allow what acts while the device is ON."""
        return self.get_state() is DevState.ON if name in ACTING else super().command_allowed(name)

    def long_running(self, name: str, work: Callable[[RunningCommand], None], **how: Any) -> LongStringArray:
        """Begin a long running command, and have the log and the history note who requested it."""
        codes, texts = super().long_running(name, work, **how)
        requester = requester_of(self)
        log_request(name, requester, ResultCode(codes[0]).name, texts[0])
        if self.engine is not None and codes[0] == ResultCode.STARTED:
            self.engine.history.note_request(texts[0], name, requester)
        return codes, texts

    def acting(
        self, name: str, model: type[M], argin: str, begin: Callable[[M], LongStringArray]
    ) -> LongStringArray:
        """Read the argument of a command that acts, and `begin` it; one that is too large is REJECTED."""
        with as_dev_failed(name):
            try:
                request = self.parsed(model.parse, argin)
            except RequestTooLarge as error:
                return [ResultCode.REJECTED], [str(error)]
        return begin(request)

    def parsed(self, read: Callable[[str], Read], argin: str) -> Read:
        """Read the argument of a command; raises as `read` does, or RequestTooLarge before it is read."""
        if len(argin) > self.max_request_bytes:
            raise RequestTooLarge(
                f"the request is too large: it has {len(argin)} bytes, and at most {self.max_request_bytes} "
                "are taken (MaxRequestBytes)"
            )
        return read(argin)
