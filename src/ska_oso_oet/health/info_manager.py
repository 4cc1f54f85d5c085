"""The healthInfo attribute merges this device's own messages and those that its subsystems forward."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class HealthInfoManager:
    """Merges messages by device and publishes the whole when it has changed; thread-safe.

    `callback("healthInfo", {device name: [messages]})` is called with this device first and the
    others by name, never with a lock held, one call at a time. Several changes during a call lead
    to one further call with the latest content.
    """

    def __init__(
        self,
        *,
        device_fqdn: str,
        callback: Callable[[str, Any], None],
        logger: logging.Logger | None = None,
    ) -> None:
        self._device_fqdn = device_fqdn
        self._callback = callback
        self._logger = logger or logging.getLogger(__name__)
        self._lock = threading.Lock()
        self._own: list[str] = []
        self._forwarded: dict[str, dict[str, list[str]]] = {}
        self._published: dict[str, list[str]] = {}
        self._publishing = False

    def snapshot(self) -> dict[str, list[str]]:
        """Return the messages of every device that has any."""
        with self._lock:
            return self._merged()

    def update_health_info(
        self,
        new_info: Mapping[str, list[str]] | None = None,
        *,
        subsystem_updates_by_source: Mapping[str, Any] | None = None,
    ) -> None:
        """Replace this device's own messages, forwarded ones, or both with one publication.

        Of `new_info` only the entry of this device is used. A forwarded payload replaces the last
        one of the same source.
        """
        forwarded = {
            source: self._normalised(source, payload)
            for source, payload in (subsystem_updates_by_source or {}).items()
        }
        with self._lock:
            if new_info is not None and self._device_fqdn in new_info:
                self._own = _messages(new_info[self._device_fqdn])
            self._forwarded.update(forwarded)
        self._publish_changes()

    def update_subsystems_healthinfo(self, subsystem_fqdn: str, health_info_value: Any) -> None:
        """Replace the healthInfo of one subsystem: a JSON string, a dict, or None to forget it."""
        self.update_health_info(subsystem_updates_by_source={subsystem_fqdn: health_info_value})

    def _merged(self) -> dict[str, list[str]]:
        merged: dict[str, list[str]] = {}
        for source in sorted(self._forwarded):
            for device, messages in self._forwarded[source].items():
                merged.setdefault(device, []).extend(messages)
        others = {device: list(dict.fromkeys(merged[device])) for device in sorted(merged)}
        return {self._device_fqdn: list(self._own), **others} if self._own else others

    def _normalised(self, source: str, payload: Any) -> dict[str, list[str]]:
        """Return the messages of a forwarded payload by device; empty if it has none or is no healthInfo.

        What a subsystem reports of this device is left out: two devices that watch each other would keep
        each other's messages alive for ever.
        """
        if isinstance(payload, str) and payload.strip():
            try:
                payload = json.loads(payload)
            except ValueError:
                self._logger.warning("%s: its healthInfo is not JSON: %.200r", source, payload)
                return {}
        if not isinstance(payload, dict):
            return {}
        read = {str(device): _messages(messages) for device, messages in payload.items()}
        return {
            device: messages
            for device, messages in read.items()
            if device and messages and device.lower() != self._device_fqdn.lower()
        }

    def _publish_changes(self) -> None:
        while True:
            with self._lock:
                info = self._merged()
                if self._publishing or info == self._published:
                    return
                self._publishing = True
                self._published = info
            try:
                self._callback("healthInfo", {device: list(messages) for device, messages in info.items()})
            finally:
                with self._lock:
                    self._publishing = False


def _messages(value: Any) -> list[str]:
    """Return the messages as text in their order, without repeats and empty ones."""
    values = value if isinstance(value, list | tuple) else [value]
    texts = (str(message).strip() for message in values if message is not None)
    return list(dict.fromkeys(text for text in texts if text))
