"""The log of an SKA device has its format from this module, and is sent to the logging targets.

A target is `type::name`: `console::cout`, `file::<path>`, `syslog::<file://path|udp://host:port|
tcp://host:port>` or `tango::logger`, the Tango Logging Service. At most four at a time.
"""

from __future__ import annotations

import logging
import socket
import time
from logging.handlers import RotatingFileHandler, SysLogHandler
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from ska_oso_oet.ska.control_model import LoggingLevel
from ska_oso_oet.ska.stdout_log import StdoutHandler
from ska_oso_oet.ska.text import tango_text

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LoggingTargetError", "LoggingTargets", "SkaFormatter", "configure_stdout", "parse_targets"]

MAX_TARGETS: Final = 4
FILE_SIZE: Final = 1_000_000
FILE_BACKUPS: Final = 2

PYTHON_LEVELS: Final = {
    LoggingLevel.OFF: logging.CRITICAL + 10,
    LoggingLevel.FATAL: logging.CRITICAL,
    LoggingLevel.ERROR: logging.ERROR,
    LoggingLevel.WARNING: logging.WARNING,
    LoggingLevel.INFO: logging.INFO,
    LoggingLevel.DEBUG: logging.DEBUG,
}


class TangoLogger(Protocol):
    """The logger that Tango keeps for each device, through which the Tango Logging Service gets its log."""

    def log(self, level: int, message: str) -> None:
        """Hand over a message."""

    def set_level(self, level: int) -> None:
        """Set how much is handed on."""


def tango_level(level: LoggingLevel) -> int:
    """Return the level of log4tango: OFF 100 to DEBUG 600."""
    return 100 * (level + 1)


class LoggingTargetError(ValueError):
    """A logging target that cannot be understood or opened; the targets in use have not changed."""


class SkaFormatter(logging.Formatter):
    """One line: version 1, UTC time, level, thread, function, file and line, tags, message."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, tags: str = "") -> None:
        super().__init__(
            "1|%(asctime)s|%(levelname)s|%(threadName)s|%(funcName)s|%(filename)s#%(lineno)d|"
            f"{tags.replace('%', '%%')}|%(message)s"
        )


def configure_stdout(tags: str) -> None:
    """Write the log of this process to stdout in SKA format, unless somebody has set up logging already."""
    root = logging.getLogger()
    if not root.handlers:
        handler = StdoutHandler()
        handler.setFormatter(SkaFormatter(tags))
        root.addHandler(handler)


def parse_targets(texts: Iterable[str], device_name: str) -> list[str]:
    """Complete targets to `type::name`; LoggingTargetError for an unknown type or more than four."""
    defaults = {"console": "cout", "file": f"{device_name.replace('/', '_')}.log", "tango": "logger"}
    targets = []
    for text in filter(None, (text.strip() for text in texts)):
        kind, _, name = text.partition("::")
        name = name or defaults.get(kind, "")
        if kind not in {*defaults, "syslog"} or not name:
            raise LoggingTargetError(f"{text!r} is no logging target: console, file, syslog or tango ::name")
        targets.append(f"{kind}::{name}")
    if len(targets) > MAX_TARGETS:
        raise LoggingTargetError(f"a device has at most {MAX_TARGETS} logging targets, not {len(targets)}")
    return targets


class LoggingTargets:
    """The handlers of one device on `logger`, and its level.

    `tango_logger` is what Tango keeps for the device.
    """

    def __init__(self, logger: logging.Logger, device_name: str, tango_logger: TangoLogger) -> None:
        self._logger = logger
        self._device_name = device_name
        self._tango_logger = tango_logger
        self._level = LoggingLevel.INFO
        self._handlers: dict[str, logging.Handler] = {}

    @property
    def level(self) -> LoggingLevel:
        """How much is logged."""
        return self._level

    def set_level(self, level: LoggingLevel) -> None:
        """Log from now on what is at least as grave as `level`."""
        self._level = level
        self._logger.setLevel(PYTHON_LEVELS[level])
        self._tango_logger.set_level(tango_level(level))

    @property
    def targets(self) -> list[str]:
        """The targets in use, complete."""
        return list(self._handlers)

    def set_targets(self, texts: Iterable[str]) -> None:
        """Use these targets instead; LoggingTargetError, and no change, if one of them cannot be used."""
        wanted = parse_targets(texts, self._device_name)
        opened: dict[str, logging.Handler] = {}
        try:
            for target in wanted:
                if target not in self._handlers and target not in opened:
                    opened[target] = self._open(target)
        except (OSError, ValueError) as error:
            for handler in opened.values():
                handler.close()
            raise LoggingTargetError(f"{target!r} cannot be opened: {error}") from error
        handlers = {target: opened.get(target) or self._handlers[target] for target in wanted}
        for target, handler in self._handlers.items():
            if target not in handlers:
                self._logger.removeHandler(handler)
                handler.close()
        for handler in opened.values():
            self._logger.addHandler(handler)
        self._handlers = handlers

    def close(self) -> None:
        """Remove and close every target."""
        self.set_targets([])

    def _open(self, target: str) -> logging.Handler:
        kind, _, name = target.partition("::")
        handler: logging.Handler
        if kind == "console":
            handler = StdoutHandler()
        elif kind == "file":
            handler = RotatingFileHandler(name, maxBytes=FILE_SIZE, backupCount=FILE_BACKUPS)
        elif kind == "syslog":
            handler = _syslog(name)
        else:
            handler = _TangoHandler(self._tango_logger)
        handler.setFormatter(SkaFormatter(f"tango-device:{self._device_name}"))
        return handler


class _TangoHandler(logging.Handler):
    """Hands records to the Tango Logging Service, which has a level and a time of its own."""

    def __init__(self, tango_logger: TangoLogger) -> None:
        super().__init__()
        self._tango_logger = tango_logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = tango_text(self.format(record))
            level = next(
                (level for level, least in PYTHON_LEVELS.items() if least <= record.levelno),
                LoggingLevel.DEBUG,
            )
            self._tango_logger.log(tango_level(level), message)
        except Exception:  # noqa: BLE001 - the convention of logging handlers
            self.handleError(record)


def _syslog(url: str) -> SysLogHandler:
    parts = urlsplit(url if "://" in url else f"file://{url}")
    if parts.scheme == "file":
        return SysLogHandler(parts.path)
    if parts.scheme in {"udp", "tcp"} and parts.hostname and parts.port:
        kind = socket.SOCK_DGRAM if parts.scheme == "udp" else socket.SOCK_STREAM
        return SysLogHandler((parts.hostname, parts.port), socktype=kind)
    raise ValueError("syslog needs file://path, udp://host:port or tcp://host:port")
