from __future__ import annotations

import logging
import re
import socket
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.ska.control_model import LoggingLevel
from ska_oso_oet.ska.logging_targets import LoggingTargetError, LoggingTargets, SkaFormatter, parse_targets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICE = "mid-oso/oet-controller/01"


class Tango:
    """Stands for the Tango Logging Service of a device."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []
        self.level: int | None = None

    def log(self, level: int, message: str) -> None:
        self.messages.append((level, message))

    def set_level(self, level: int) -> None:
        self.level = level


@pytest.fixture
def tango_service() -> Tango:
    return Tango()


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.getLogger("test_ska_logging_targets")
    logger.propagate = False
    return logger


@pytest.fixture
def targets(logger: logging.Logger, tango_service: Tango) -> Iterator[LoggingTargets]:
    targets = LoggingTargets(logger, DEVICE, tango_service)
    yield targets
    targets.close()
    assert not logger.handlers


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["", "  "], []),
        (["console"], ["console::cout"]),
        (["tango"], ["tango::logger"]),
        (["file"], ["file::mid-oso_oet-controller_01.log"]),
        ([" file::/tmp/x.log "], ["file::/tmp/x.log"]),
        (["syslog::udp://localhost:514"], ["syslog::udp://localhost:514"]),
        (["console::cout", "tango::logger"], ["console::cout", "tango::logger"]),
    ],
)
def test_targets_are_completed(given: list[str], expected: list[str]) -> None:
    assert parse_targets(given, DEVICE) == expected


@pytest.mark.parametrize("given", [["printer"], ["syslog"], ["a::b"], ["::"], ["console"] * 5])
def test_what_is_no_target_is_refused(given: list[str]) -> None:
    with pytest.raises(LoggingTargetError):
        parse_targets(given, DEVICE)


def test_levels_are_those_of_ska(
    targets: LoggingTargets, logger: logging.Logger, tango_service: Tango
) -> None:
    targets.set_targets(["tango"])
    for level, expected in [
        (LoggingLevel.OFF, []),
        (LoggingLevel.FATAL, [200]),
        (LoggingLevel.WARNING, [200, 300, 400]),
        (LoggingLevel.DEBUG, [200, 300, 400, 500, 600]),
    ]:
        targets.set_level(level)
        assert (targets.level, tango_service.level) == (level, 100 * (level + 1))
        tango_service.messages.clear()
        for number in (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG):
            logger.log(number, "x")
        assert [found for found, _ in tango_service.messages] == expected


def test_a_line_has_the_fields_of_the_ska_format() -> None:
    record = logging.makeLogRecord(
        {"msg": "50 %", "levelname": "INFO", "funcName": "f", "filename": "a.py", "lineno": 3, "created": 1.5}
    )
    record.threadName = "T"
    record.msecs = 500
    text = SkaFormatter("tango-device:a/b/c").format(record)
    assert text == "1|1970-01-01T00:00:01.500Z|INFO|T|f|a.py#3|tango-device:a/b/c|50 %"


def test_a_file_gets_the_lines(targets: LoggingTargets, logger: logging.Logger, tmp_path: Path) -> None:
    path = tmp_path / "device.log"
    targets.set_targets([f"file::{path}"])
    logger.error("it broke")
    [line] = path.read_text().splitlines()
    assert re.fullmatch(r"1\|[-\dT:.]+Z\|ERROR\|.*\|tango-device:mid-oso/oet-controller/01\|it broke", line)
    targets.set_targets([])
    logger.error("unheard")
    assert path.read_text().count("\n") == 1


def test_what_tango_cannot_carry_is_escaped(
    targets: LoggingTargets, logger: logging.Logger, tango_service: Tango
) -> None:
    targets.set_targets(["tango"])
    logger.error("5 \u20ac\0end")
    assert tango_service.messages[0][1].endswith("|5 \\u20ac\\0end")


def test_syslog_gets_the_lines(targets: LoggingTargets, logger: logging.Logger) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        targets.set_targets([f"syslog::udp://127.0.0.1:{server.getsockname()[1]}"])
        logger.error("it broke")
        assert b"it broke" in server.recv(4096)


@pytest.mark.parametrize(
    "bad", ["syslog::tcp://127.0.0.1:1", "syslog::nonsense://x", "file::/no/such/dir/x.log"]
)
def test_a_target_that_cannot_be_opened_changes_nothing(
    targets: LoggingTargets, logger: logging.Logger, tango_service: Tango, bad: str
) -> None:
    targets.set_targets(["tango"])
    with pytest.raises(LoggingTargetError, match="cannot be opened"):
        targets.set_targets(["console", bad])
    assert targets.targets == ["tango::logger"]
    logger.error("still heard")
    assert len(tango_service.messages) == len(logger.handlers) == 1
