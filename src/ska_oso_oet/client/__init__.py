"""Python programs use OETController through these: `OETClient` over Tango, `http.HttpClient` over HTTP.

::

    with OETClient() as oet:
        procedure = oet.run("file:///scripts/observe.py", 14.0, subarray_id=2)
        assert procedure.state is ProcedureState.COMPLETE, procedure.exit
"""

from ska_oso_oet.client.events import Disconnected, Event, EventStream, Gap, NewEpoch, Reconnected
from ska_oso_oet.client.oet_client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.client.port import Stopped

__all__ = [
    "DEFAULT_DEVICE",
    "Disconnected",
    "Event",
    "EventStream",
    "Gap",
    "NewEpoch",
    "OETClient",
    "Reconnected",
    "Stopped",
]
