"""OETRestAdapter serves the HTTP API and the web page of one OETController."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import tango
from tango import AttrWriteType, DevState
from tango.server import attribute, device_property

from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.client.tango_link import TangoLink
from ska_oso_oet.errors import OetError
from ska_oso_oet.rest.guards import Counter
from ska_oso_oet.rest.service import RestService, Surroundings
from ska_oso_oet.rest.settings import RestSettings
from ska_oso_oet.settings import property_name
from ska_oso_oet.ska.base_device import SKABaseDevice
from ska_oso_oet.ska.control_model import CommunicationStatus, HealthState, PowerState, ResultCode, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.ska.long_running_commands import RunningCommand


def _readable(dtype: Any, method: str, doc: str) -> attribute:
    return attribute(dtype=dtype, access=AttrWriteType.READ, fget=method, doc=doc)


class OETRestAdapter(SKABaseDevice):
    """Serves HTTP while it is ON; every request is a call of the controller."""

    ControllerName = device_property(dtype=str, doc="Tango name of the OETController")
    Host = device_property(dtype=str, doc="Address to listen on, 127.0.0.1 by default")
    Port = device_property(dtype=int, doc="TCP port, 5000 by default; 0 means a free one")
    ApiPrefix = device_property(dtype=str, doc="Path of the API, /api/v1.0 by default")
    TokenFile = device_property(dtype=str, doc="File with the bearer token that requests have to show")
    CorsOrigins = device_property(dtype=(str,), doc="Web origins whose pages may use the API")
    TrustedProxies = device_property(dtype=(str,), doc="Networks whose X-Forwarded-* is believed, or *")
    HostNames = device_property(dtype=(str,), doc="Names that requests may be for, or *; localhost always")
    MaxConnections = device_property(dtype=int, doc="Clients at once, 1000 by default; half may be streams")
    MaxRequestBytes = device_property(dtype=int, doc="Largest body of a request, 1 MiB by default")

    url = _readable(str, "read_url", "Where the API is, empty while it is not served")
    controllerState = _readable(DevState, "read_controller_state", "State of the controller, UNKNOWN if away")
    requestCount = _readable("DevLong64", "read_request_count", "Requests since the device was initialised")
    streamClients = _readable("DevLong64", "read_stream_clients", "Clients that listen to events now")

    # ------------------------------------------------------------ lifecycle

    def create_component(self) -> None:
        """Read the properties; a bad one is a FAULT that names it."""
        self._controller_state = DevState.UNKNOWN
        self._service: RestService | None = None
        self._serving = threading.Lock()
        self._watched: set[str] = set()
        self._stopper: threading.Thread | None = None
        self._counter = Counter(lambda: self.pump.coalesce("requestCount", self.read_request_count))
        self.declare_events("url", "controllerState", "requestCount", "streamClients")
        self._settings = RestSettings.load(self._properties())
        self._settings.token()

    def delete_component(self) -> None:
        """Stop serving."""
        self._stop_serving()
        if self._stopper is not None:
            self._stopper.join()

    def _properties(self) -> dict[str, Any]:
        values = {field: getattr(self, property_name(field)) for field in RestSettings.model_fields}
        return {field: value for field, value in values.items() if value is not None and len(str(value)) > 0}

    def start_communicating(self) -> None:
        """Serve."""
        self._serve()
        self.report_communication(CommunicationStatus.ESTABLISHED)

    def stop_communicating(self) -> None:
        """Stop serving."""
        self._stop_serving()

    def switch_power(self, power: PowerState, command: RunningCommand) -> None:
        """Serve, or stop serving."""
        command.in_progress()
        if power is PowerState.ON:
            self._end(command, power, served=self._serve())
            return

        def stop() -> None:
            self._stop_serving()
            self._end(command, power, served=True)

        # Requests in progress have a moment to end, and the device must not wait for them.
        self._stopper = threading.Thread(target=stop, name="rest-stop-serving")
        self._stopper.start()

    def _end(self, command: RunningCommand, power: PowerState, *, served: bool) -> None:
        if served:
            self.report_power(power)
            command.finish(TaskStatus.COMPLETED, (ResultCode.OK, f"The device is {power.name}"))
        else:
            command.finish(TaskStatus.COMPLETED, (ResultCode.FAILED, self.model.status))

    def reset(self, command: RunningCommand) -> None:
        """Serve again after a fault."""
        command.in_progress()
        self.clear_fault()
        self._stop_serving()
        if self._serve():
            command.finish(TaskStatus.COMPLETED, (ResultCode.OK, "Reset completed OK"))
        else:
            command.finish(TaskStatus.COMPLETED, (ResultCode.FAILED, self.model.status))

    # ------------------------------------------------------------ serving

    def _serve(self) -> bool:
        """Begin to serve; a failure is a fault of the device."""
        with self._serving:
            if self._service is not None:
                return True
            client = TangoController(TangoLink(self._settings.controller_name))
            around = Surroundings(
                counter=self._counter,
                on_reachable=lambda trouble: self._on_reachable(client, trouble),
                on_failure=self._on_failure,
                on_streams=lambda: self.pump.coalesce("streamClients", self.read_stream_clients),
                thread_context=tango.EnsureOmniThread,
            )
            try:
                service = RestService(client, self._settings, around)
                service.start()
            except OetError as error:
                self._on_failure(str(error))
                return False
            self._client, self._service, self._watched = client, service, set()
        self.pump.put("url", self.read_url())
        return True

    def _stop_serving(self) -> None:
        with self._serving:
            service, self._service = self._service, None
            if service is None:
                return
            service.stop()
            self._client.close()
        self._on_controller_state(None)
        self.set_health(HealthState.UNKNOWN)
        self.pump.put("url", "")
        self.pump.put("streamClients", 0)

    def _on_failure(self, message: str) -> None:
        self.report_fault(message)

    def follow_state(self) -> None:
        """Count a fault as bad health, whatever made it."""
        if self.model.state == "FAULT":
            self.set_health(HealthState.FAILED)

    # ------------------------------------------------------------ what the service reports, on its threads

    def _on_reachable(self, client: TangoController, trouble: str | None) -> None:
        if trouble is None:
            self.set_health(HealthState.OK)
        else:
            self.set_health(HealthState.DEGRADED)
            self._on_controller_state(None)
        # Also while events cannot be subscribed to: a controller in FAULT reports the reason.
        self._watch(client, "State", self._on_controller_state)
        self._watch(client, "whyNotReady", self._on_readiness)

    def _watch(self, client: TangoController, attribute: str, deliver: Callable[[Any], None]) -> None:
        if attribute not in self._watched:
            with suppress(OetError):  # it is away: asked again when that has changed
                client.link.subscribe(attribute, deliver)
                self._watched.add(attribute)

    def _on_readiness(self, reason: str | None) -> None:
        service = self._service
        if service is not None:
            service.note_readiness(reason)

    def _on_controller_state(self, state: DevState | None) -> None:
        self._controller_state = DevState.UNKNOWN if state is None else state
        self.pump.put("controllerState", self._controller_state)

    # ------------------------------------------------------------ attributes

    def read_url(self) -> str:
        """Return where the API is."""
        service = self._service
        return "" if service is None else service.url

    def read_controller_state(self) -> DevState:
        """Return the state of the controller as it was last heard of."""
        return self._controller_state

    def read_request_count(self) -> int:
        """Return how many requests there were."""
        return self._counter.requests

    def read_stream_clients(self) -> int:
        """Return how many clients listen to events."""
        service = self._service
        return 0 if service is None else service.streams
