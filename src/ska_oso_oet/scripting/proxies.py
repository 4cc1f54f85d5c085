"""Calls to Tango devices are made here so that a signal can interrupt them.

A Tango call blocks in C++ until the device replies or the timeout (3 s by default) has passed, and the Python
handler of a signal runs only when the main thread is back in Python. So a call is made on a thread of its
own, while the caller waits on a lock, which a signal interrupts at once. The thread ends with its call.
"""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

import tango

if TYPE_CHECKING:
    from collections.abc import Callable


class TangoDeviceProxyFactory:
    """Makes DeviceProxy clients; tests pass another factory to the executor."""

    def __call__(self, device_name: str) -> tango.DeviceProxy:
        """Connect to `device_name`; raises DevFailed when the database does not know it."""
        return tango.DeviceProxy(device_name)


class ProxyCache:
    """One DeviceProxy per device: it takes time to make and connect one."""

    def __init__(self, proxy_factory: Callable[[str], Any]) -> None:
        self._proxy_factory = proxy_factory
        self._proxies: dict[str, Any] = {}

    def get(self, device_name: str) -> Any:
        """Return the proxy of `device_name`, made when it is first asked for.

        Two threads that ask at once may both make one; the first is kept.
        """
        key = device_name.lower()
        if key not in self._proxies:
            self._proxies.setdefault(key, call(self._proxy_factory, device_name))
        return self._proxies[key]


_in_flight: set[Future[Any]] = set()


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a blocking Tango call and return its result; an exception raised by a signal ends the wait at once.

    The call itself is not undone: what was sent to a device stays sent, see settle().
    """
    return begin(function, *args, **kwargs).result()


def begin(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Start a blocking Tango call on a thread of its own.

    The thread is a daemon, so that a process can exit while a device does not reply.
    """
    outcome: Future[Any] = Future()
    _in_flight.add(outcome)
    outcome.add_done_callback(_in_flight.discard)
    context = contextvars.copy_context()  # keeps the caller's telemetry span

    def run() -> None:
        with tango.EnsureOmniThread():
            try:
                result = context.run(function, *args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

    name = f"tango call {getattr(function, '__name__', function)}"
    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome


def settle(timeout: float) -> None:
    """Wait, at most `timeout` seconds, until the calls that were interrupted are over.

    Before that a device may receive a command after what its script does to clean up.
    """
    wait(tuple(_in_flight), timeout)
