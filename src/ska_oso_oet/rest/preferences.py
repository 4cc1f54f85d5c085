"""A client may prefer (RFC 7240) how a stop is answered, and how long an answer may wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Header, Query, Request

from ska_oso_oet.models import Model

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_WAIT: Final = 120.0
"""Seconds that an answer may be asked to wait; a longer wish is taken for this."""

_REPRESENTATION: Final = "return=representation"
_WAIT: Final = "wait="
APPLIED: Final[dict[str, Any]] = {
    "Preference-Applied": {
        "description": f"`{_REPRESENTATION}` where a stop was answered so, `wait=…` where an answer may wait",
        "schema": {"type": "string"},
    }
}


class Preferences(Model):
    """What a request prefers; `wait` is in seconds, None where the answer is not to wait."""

    representation: bool = False
    wait: float | None = None

    @classmethod
    def read(cls, headers: Iterable[str], wait: float | None = None) -> Preferences:
        """Read headers Prefer; of several wishes of a kind the first counts, and `wait` before all.

        What cannot be understood is left alone, as RFC 7240 has it.
        """
        parts = (part.partition(";")[0] for header in headers for part in header.split(","))
        wishes = ["".join(part.split()).replace('"', "").lower() for part in parts]
        returned = next((wish for wish in wishes if wish.startswith("return=")), "")
        seconds = next((wish.removeprefix(_WAIT) for wish in wishes if wish.startswith(_WAIT)), "")
        if wait is None and seconds.isdecimal() and seconds.isascii():
            wait = float(seconds)
        return cls(
            representation=returned == _REPRESENTATION,
            wait=None if wait is None else min(wait, LONGEST_WAIT),
        )

    def applied(self, *, stopped: bool = False) -> dict[str, str]:
        """Make the header that says which preferences were followed."""
        if stopped:
            return {"Preference-Applied": _REPRESENTATION} if self.representation else {}
        return {} if self.wait is None else {"Preference-Applied": f"{_WAIT}{self.wait:g}"}


async def preferences(
    request: Request,
    wait: Annotated[
        float | None,
        Query(ge=0, allow_inf_nan=False, description="Seconds that the answer may wait, as `Prefer: wait=…`"),
    ] = None,
    prefer: Annotated[str | None, Header(examples=[_REPRESENTATION, f"{_WAIT}10"])] = None,
) -> Preferences:
    """Read what a request prefers."""
    del prefer  # which is one of the headers of that name, and described here
    return Preferences.read(request.headers.getlist("prefer"), wait)
