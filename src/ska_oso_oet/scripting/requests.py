"""Attribute and Command name what a script asks a Tango device for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Attribute:
    """An attribute of a Tango device."""

    device: str
    name: str

    def __str__(self) -> str:
        return f"{self.device}/{self.name}"


class Command:
    """A command of a Tango device, and the arguments to call it with."""

    def __init__(self, device: str, command_name: str, *args: Any, **kwargs: Any) -> None:
        """Name the command; `kwargs` are handed to DeviceProxy.command_inout."""
        self.device = device
        self.command_name = command_name
        self.args = args
        self.kwargs = kwargs

    @property
    def argument(self) -> tuple[Any, ...]:
        """What DeviceProxy.command_inout expects after the name: nothing, one argument, or a list."""
        return self.args if len(self.args) < 2 else (list(self.args),)  # noqa: PLR2004 - one is a scalar

    def __str__(self) -> str:
        return f"{self.device}/{self.command_name}"

    def __repr__(self) -> str:
        return f"Command({self.device!r}, {self.command_name!r}, *{self.args!r}, **{self.kwargs!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Command):
            return NotImplemented
        return (self.device, self.command_name, self.args, self.kwargs) == (
            other.device,
            other.command_name,
            other.args,
            other.kwargs,
        )

    __hash__ = None  # type: ignore[assignment]  # arguments may be unhashable
