"""Feature flags are set once, when the OET is deployed, and do not change while it runs.

The value of a flag comes from the first of these that has it: its environment variable, the file
`ska_oso_oet.ini` in the home directory, the same file in the root of the installation, the default.
`ska_oso_oet.FEATURES` are those of the deployment, read when they are first asked for.

=================== ======================= ======= ============================================
environment         setting in [tango]      default meaning
=================== ======================= ======= ============================================
OET_READ_VIA_PUBSUB read_via_pubsub         true    wait for an attribute by its change events;
                                                    false: by reading it ten times a second, for
                                                    a network that lets no Tango events through
OET_LRC_VIA_EVENT   lrc_via_event           true    follow long running commands by `_lrcEvent`
                                                    (protocol 2) where a device has it; false:
                                                    by longRunningCommand* (protocol 1)
=================== ======================= ======= ============================================

Truth is written 1, yes, true or on; falsehood 0, no, false or off.
"""

from __future__ import annotations

import os
import sys
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import TYPE_CHECKING

from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

INI_FILE = "ska_oso_oet.ini"
SECTION = "tango"


class Features:
    """The flags as they were when this object was made."""

    def __init__(self, config_parser: ConfigParser, environment: Mapping[str, str] | None = None) -> None:
        """Read each flag from `environment` (default: os.environ), then from `config_parser`.

        Raises InvalidArgument, naming the variable or setting, for a value that is not a truth value.
        """
        source = os.environ if environment is None else environment
        self._read_via_pubsub = _flag("read_via_pubsub", config_parser, source)
        self._lrc_via_event = _flag("lrc_via_event", config_parser, source)

    @property
    def use_pubsub_to_read_tango_attributes(self) -> bool:
        """Whether a script waits for attribute values by change events."""
        return self._read_via_pubsub

    @property
    def use_polling_to_read_tango_attributes(self) -> bool:
        """Whether a script waits for attribute values by reading them repeatedly."""
        return not self._read_via_pubsub

    @property
    def use_lrc_event(self) -> bool:
        """Whether long running commands are followed by protocol 2 where the device offers it."""
        return self._lrc_via_event

    @staticmethod
    def create_from_config_files(*paths: str | os.PathLike[str]) -> Features:
        """Read the flags from `paths` in order: a setting of a later file wins. One that is absent is none.

        Without paths: `ska_oso_oet.ini` in the root of the installation (`sys.prefix`), then in the home
        directory. Raises InvalidArgument for a file that is no ini file.
        """
        parser = ConfigParser(interpolation=None)
        for path in paths or _default_files():
            try:
                parser.read(path, encoding="utf-8")
            except (ConfigParserError, UnicodeDecodeError) as error:
                raise InvalidArgument(f"{path} cannot be understood: {error}") from error
        return Features(parser)


def _default_files() -> list[Path]:
    installation = Path(sys.prefix) / INI_FILE
    try:
        return [installation, Path.home() / INI_FILE]
    except RuntimeError:  # a container may run as a user that has no home directory
        return [installation]


def _flag(name: str, parser: ConfigParser, environment: Mapping[str, str]) -> bool:
    variable = f"OET_{name.upper()}"
    if (text := environment.get(variable)) is not None:
        return _truth(text, variable)
    return _truth(parser.get(SECTION, name, fallback="true"), f"[{SECTION}] {name} in {INI_FILE}")


def _truth(text: str, where: str) -> bool:
    try:
        return ConfigParser.BOOLEAN_STATES[text.strip().lower()]
    except KeyError:
        raise InvalidArgument(f"{where}: {text!r} is neither true nor false") from None
