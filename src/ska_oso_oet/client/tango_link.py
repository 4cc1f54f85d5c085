"""The Tango side of OETClient calls, reads and subscribes, and translates Tango's errors."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import tango

from ska_oso_oet.client.inbox import CALL_TIMEOUT
from ska_oso_oet.client.waiting import LRC_EVENT
from ska_oso_oet.errors import (
    ControllerUnreachable,
    HistoryUnavailable,
    InvalidArgument,
    NotFound,
    OetError,
    Rejected,
)
from ska_oso_oet.oda.errors import OdaUnavailable
from ska_oso_oet.tango_environment import let_omniorb_start, names_databases

if TYPE_CHECKING:
    from collections.abc import Callable

_REASONS: Final[dict[str, type[OetError]]] = {
    "OET_InvalidArgument": InvalidArgument,
    "OET_HistoryUnavailable": HistoryUnavailable,
    "OET_NotFound": NotFound,
    "OET_OdaUnavailable": OdaUnavailable,
    "OET_Rejected": Rejected,
    "API_CommandNotAllowed": Rejected,
}
_KEPT: Final = frozenset({"procedureChanged", "activityChanged", LRC_EVENT})
"""Attributes that stay subscribed from the first wait on, so that the next one hears at once."""

_UNREACHABLE: Final = (tango.ConnectionFailed, tango.CommunicationFailed)
_UNREACHABLE_REASONS: Final = frozenset(
    {
        "DB_DeviceNotDefined",
        "API_CantConnectToDevice",
        "API_DeviceNotExported",
        "API_DeviceNotDefined",
        "API_TangoHostNotSet",
    }
)


class TangoLink:
    """A connection to one device, made at its first use."""

    def __init__(self, device: str, call_timeout: float = CALL_TIMEOUT) -> None:
        let_omniorb_start(os.environ)
        self.device = device
        self._call_timeout = call_timeout
        self._proxy: tango.DeviceProxy | None = None
        self._lock = threading.Lock()
        self._channels: dict[str, _Channel] = {}

    @property
    def uri(self) -> str:
        """The full Tango name: `tango://host:port/domain/family/member`."""
        if "://" in self.device:
            return self.device
        host = "" if ":" in self.device.partition("/")[0] else f"{_tango_host()}/"
        return f"tango://{host}{self.device}"

    def command(self, name: str, argument: object = None) -> Any:
        """Call a command."""
        try:
            return self._connected().command_inout(name, *(() if argument is None else (argument,)))
        except tango.DevFailed as error:
            raise self._translated(error) from None

    def read(self, attribute: str) -> Any:
        """Read an attribute."""
        try:
            return self._connected().read_attribute(attribute).value
        except tango.DevFailed as error:
            raise self._translated(error) from None

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        """Hand each change to `deliver`, on Tango's thread, and None for each error event.

        Does not wait for the subscription: Tango makes it, and makes it again after a restart. All
        listeners of an attribute share one.
        """
        try:
            proxy = self._connected()
        except tango.DevFailed as error:
            raise self._translated(error) from None
        with self._lock, tango.EnsureOmniThread():
            channel = self._channels.get(attribute)
            if channel is None:
                channel = self._channels[attribute] = self._open(proxy, attribute)
            channel.listeners = (*channel.listeners, deliver)
        return partial(self._leave, attribute, deliver)

    def close(self) -> None:
        """End all subscriptions and forget the connection; the next use makes it anew."""
        with self._lock:
            channels, self._channels = self._channels, {}
            self._proxy = None
        with tango.EnsureOmniThread():
            for channel in channels.values():
                channel.close()

    def _open(self, proxy: tango.DeviceProxy, attribute: str) -> _Channel:
        try:
            return _Channel(proxy, attribute)
        except tango.DevFailed as error:
            raise self._translated(error) from None

    def _leave(self, attribute: str, deliver: Callable[[Any], None]) -> None:
        with self._lock:
            channel = self._channels.get(attribute)
            if channel is None:
                return
            channel.listeners = tuple(item for item in channel.listeners if item != deliver)
            if channel.listeners or attribute in _KEPT:
                return
            del self._channels[attribute]
        channel.close()

    def _connected(self) -> tango.DeviceProxy:
        if self._proxy is None:
            if "://" not in self.device:
                _check_tango_host(tango.ApiUtil.get_env_var("TANGO_HOST"))
            proxy = tango.DeviceProxy(self.device)
            proxy.set_timeout_millis(max(int(self._call_timeout * 1000), 1))
            self._proxy = proxy
        return self._proxy

    def _translated(self, error: tango.DevFailed) -> OetError:
        for cause in error.args:
            if kind := _REASONS.get(cause.reason):
                return kind(cause.desc)
        reasons = {cause.reason for cause in error.args}
        if "API_WrongDeviceNameSyntax" in reasons:
            return InvalidArgument(
                f"{self.device!r} names no device: a name is domain/family/member or "
                "tango://host:port/domain/family/member, and only the second can have #dbase=no"
            )
        if "API_CantConnectToDatabase" in reasons:
            return ControllerUnreachable(
                f"nothing answers at {_database(self.uri)}: is `oet up` running there?"
            )
        if "API_DeviceNotDefined" in reasons or "DB_DeviceNotDefined" in reasons:
            return ControllerUnreachable(
                f"the Tango database {_database(self.uri)} knows no device {self.device}: "
                "--device or OET_DEVICE names the controller"
            )
        if "API_CantConnectToDevice" in reasons:
            return ControllerUnreachable(f"nothing answers at {self.uri}: is its server running?")
        text = error.args[0].desc.strip().replace("\n", " ")
        if isinstance(error, _UNREACHABLE) or error.args[0].reason in _UNREACHABLE_REASONS:
            return ControllerUnreachable(f"cannot reach {self.uri}: {text}")
        return OetError(f"{self.uri}: {text}")


def _check_tango_host(tango_host: str | None) -> None:
    """Raise ControllerUnreachable where Tango would not know where the database is."""
    if tango_host is not None and names_databases(tango_host):
        return
    found = "is not set" if tango_host is None else f"is {tango_host!r}, and not host:port"
    raise ControllerUnreachable(
        f"TANGO_HOST {found}; it names the Tango database, as `oet up` prints it "
        "(export TANGO_HOST=127.0.0.1:10000)"
    )


class _Channel:
    """One subscription, and those who listen to it."""

    def __init__(self, proxy: tango.DeviceProxy, attribute: str) -> None:
        self.listeners: tuple[Callable[[Any], None], ...] = ()
        self._proxy = proxy
        self._subscription = proxy.subscribe_event(
            attribute, tango.EventType.CHANGE_EVENT, self._on_event, tango.EventSubMode.AsyncRead
        )

    def _on_event(self, event: tango.EventData) -> None:
        value = None if event.err or event.attr_value is None else event.attr_value.value
        for deliver in self.listeners:
            deliver(value)

    def close(self) -> None:
        """Unsubscribe. What is left of a subscription to a dead device goes with the proxy."""
        with suppress(tango.DevFailed):
            self._proxy.unsubscribe_event(self._subscription)


def _database(uri: str) -> str:
    """Name the Tango database of a full name, host:port."""
    return uri.partition("://")[2].partition("/")[0]


def _tango_host() -> str:
    return tango.ApiUtil.get_env_var("TANGO_HOST") or "(TANGO_HOST is not set)"
