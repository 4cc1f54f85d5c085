"""This module lists the settings that are in effect, where each comes from, and what was set in vain."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.oda.settings import VARIABLES as ODA_VARIABLES
from ska_oso_oet.oda.settings import sources
from ska_oso_oet.settings.controller import (
    ENVIRONMENT_PREFIX,
    ControllerSettings,
    default_history_url,
    default_scan_id_file,
)
from ska_oso_oet.settings.loader import property_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

KNOWN_VARIABLES: Final = frozenset(
    {
        *(ControllerSettings.variable(field) for field in ControllerSettings.model_fields),
        "OET_DEBUG",
        "OET_DEVICE",
        "OET_LRC_VIA_EVENT",
        "OET_READ_VIA_PUBSUB",
        "OET_STACK",
    }
)
"""Every variable of the prefix OET_ that some part of the OET reads, those of the HTTP API left out."""
_EMPTY_IS_DEFAULT: Final = ("history_url", "scan_id_file")
_REST_PREFIX: Final = "OET_REST_"
_PASSWORD: Final = re.compile(r"(://[^/@\s]*?:)[^/@\s]+@|(?<=password=)[^&\s]+")
_TOKEN: Final = re.compile(r"://[^/@\s:]+@")
_SECRET: Final = "***"  # noqa: S105 - what stands for one


def masked(text: str) -> str:
    """Write `***` for the passwords in URLs."""
    return _PASSWORD.sub(lambda found: f"{found[1]}{_SECRET}@" if found[1] else _SECRET, text)


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Name the variables that look like settings of the OET and are none, with what may have been meant."""
    told = []
    for name in sorted(names):
        if (
            not name.startswith(ENVIRONMENT_PREFIX)
            or name.startswith(_REST_PREFIX)
            or name in KNOWN_VARIABLES
        ):
            continue
        meant = get_close_matches(name, KNOWN_VARIABLES, 1)
        told.append(f"{name} is no setting of the OET" + (f": is {meant[0]} meant?" if meant else ""))
    return told


def in_effect(
    settings: ControllerSettings, properties: Mapping[str, Any], environ: Mapping[str, str], device_name: str
) -> dict[str, Any]:
    """Return `{"settings": [{"name", "value", "source"}, …], "warnings": […]}`, JSON-ready, secrets masked.

    `source` is `property`, the name of an environment variable, or `default`.
    """
    history_url = settings.history_url or default_history_url(device_name)
    defaults: Mapping[str, Callable[[], Any]] = {
        "history_url": lambda: history_url,
        "scan_id_file": lambda: default_scan_id_file(history_url),
    }
    lines = [
        {
            "name": property_name(field),
            "value": _shown(defaults[field]() if value is None and field in defaults else value),
            "source": _source(field, properties, environ),
        }
        for field, value in settings
        if not field.startswith("oda_")
    ]
    given = {field: getattr(settings, f"oda_{field}") for field in ("backend", "data_dir", "url")}
    known = sources(environ, given)
    lines += [
        {"name": f"Oda{property_name(field)}", "value": _oda_value(field, known), "source": source}
        for field in ODA_VARIABLES
        for source in [_oda_source(field, known, properties)]
    ]
    return {"settings": lines, "warnings": unknown_variables(environ)}


def _source(field: str, properties: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    variable = ControllerSettings.variable(field)
    if field in properties:
        return "property"
    if variable in environ and (environ[variable] or field not in _EMPTY_IS_DEFAULT):
        return variable
    if field == "list_length":
        return _source("history_length", properties, environ)  # its earlier name
    return "SCRIPTS_LOCATION" if field == "script_roots" and environ.get("SCRIPTS_LOCATION") else "default"


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_TOKEN.sub(f"://{_SECRET}@", masked(str(item))) for item in value]
    return value if isinstance(value, int | float) else masked(str(value))


def _oda_value(field: str, known: Mapping[str, tuple[str, Any]]) -> Any:
    if field not in known:
        return None
    return _SECRET if field == "password" else masked(str(known[field][1]))


def _oda_source(field: str, known: Mapping[str, tuple[str, Any]], properties: Mapping[str, Any]) -> str:
    place = known[field][0] if field in known else "default"
    if place == "property" and f"oda_{field}" not in properties:
        return f"{ENVIRONMENT_PREFIX}ODA_{field.upper()}"
    return place
