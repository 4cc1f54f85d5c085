"""The values of enumerated attributes are named as their devices name them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import tango

from ska_oso_oet.scripting.proxies import call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ska_oso_oet.scripting.proxies import ProxyCache
    from ska_oso_oet.scripting.requests import Attribute


class Enumerations:
    """Turns the numbers that enumerated attributes are read as into members of an IntEnum.

    The labels of an attribute are read once, so this is one more call for the first reading of each.
    """

    def __init__(self, proxies: ProxyCache) -> None:
        self._proxies = proxies
        self._known: dict[tuple[str, str], type[enum.IntEnum]] = {}

    def value(self, attribute: Attribute, reading: tango.DeviceAttribute) -> Any:
        """Return the value of a reading: a member, or a tuple of them, where the attribute is enumerated.

        A number without a label stays a number. Raises DevFailed.
        """
        if reading.type != tango.CmdArgType.DevEnum or reading.value is None:
            return reading.value
        members = self._of(attribute)
        if reading.data_format == tango.AttrDataFormat.SCALAR:
            return _member(members, reading.value)
        if reading.data_format == tango.AttrDataFormat.SPECTRUM:
            return tuple(_member(members, number) for number in reading.value)
        return tuple(tuple(_member(members, number) for number in row) for row in reading.value)

    def _of(self, attribute: Attribute) -> type[enum.IntEnum]:
        key = attribute.device.lower(), attribute.name.lower()
        if key not in self._known:
            proxy = self._proxies.get(attribute.device)
            labels = call(proxy.get_attribute_config, attribute.name).enum_labels
            self._known[key] = _with_members(attribute.name, labels)
        return self._known[key]


def _with_members(name: str, labels: Iterable[str]) -> type[enum.IntEnum]:
    make: Any = enum.IntEnum  # called with members it makes a class
    made: type[enum.IntEnum] = make(name, {label: number for number, label in enumerate(labels)})
    return made


def _member(members: type[enum.IntEnum], number: int) -> int:
    try:
        return members(number)
    except ValueError:
        return int(number)
