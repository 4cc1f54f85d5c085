"""A stop is requested again where the connection was lost; nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.errors import ControllerUnreachable
from ska_oso_oet.history.queries import PruneQuery
from ska_oso_oet.procedure.commands import StopProcessCommand
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable

STOP = StopProcessCommand(procedure_id=3)


class LosingLink:
    """A link that loses its connection during so many commands."""

    device = uri = "x/y/z"

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.commands: list[str] = []

    def command(self, name: str, argument: object = None) -> Any:
        self.commands.append(name)
        if len(self.commands) <= self.losses:
            raise ControllerUnreachable("nothing answers")
        return [[ResultCode.QUEUED], ["id"]]

    def read(self, attribute: str) -> Any:
        raise NotImplementedError

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_a_stop_is_requested_again_where_the_connection_was_lost() -> None:
    link = LosingLink(1)
    assert TangoController(link, reconnect_secs=0.0).begin_stop(STOP) == "id"
    assert link.commands == ["StopProcedure"] * 2


def test_it_is_requested_twice_at_most() -> None:
    link = LosingLink(3)
    with pytest.raises(ControllerUnreachable):
        TangoController(link, reconnect_secs=0.0).begin_stop(STOP)
    assert link.commands == ["StopProcedure"] * 2


def test_what_is_no_stop_is_requested_once() -> None:
    link = LosingLink(1)
    with pytest.raises(ControllerUnreachable):
        TangoController(link, reconnect_secs=0.0).begin_prune(PruneQuery(keep=1))
    assert link.commands == ["PruneHistory"]
