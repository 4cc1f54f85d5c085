"""A second try: a test that fails is run once more by itself, and what passes then is called flaky.

The tests run real servers against the clock of a shared machine. A flaky test does not fail the run, but it
is named and counted at its end, and kept in a file, so that its cause is looked for. What a test leaves
behind, and what fixtures say when they end, is never tried again. A plugin of pytest: -p tests.second_try
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

MOST: Final = 5
"""When more tests than these fail, something is broken."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--second-try",
        metavar="FILE",
        type=Path,
        help=f"try at most {MOST} failed tests once more, and add to FILE which of them are flaky",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Of several processes of pytest, the first knows how every test has ended.
    kept = config.getoption("--second-try")
    if kept is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondTry(config, kept))


class SecondTry:
    """Runs what has failed once more when all tests have ended."""

    def __init__(self, config: pytest.Config, kept: Path) -> None:
        self._config = config
        self._kept = kept
        self._flaky: list[pytest.TestReport] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        reporter: TerminalReporter = self._config.pluginmanager.getplugin("terminalreporter")
        failed = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
        lasting = {
            report.nodeid for report in failed if getattr(report, "when", None) not in ("setup", "call")
        }
        again = [report for report in failed if report.nodeid not in lasting]
        if len(again) <= MOST:
            self._flaky = [report for report in again if self._passes(report.nodeid)]
        if not self._flaky:
            return
        for kind in ("failed", "error"):
            left = [report for report in reporter.stats.pop(kind, ()) if report not in self._flaky]
            if left:
                reporter.stats[kind] = left
        reporter.stats["flaky"] = self._flaky
        self._keep([report.nodeid for report in self._flaky])
        if len(self._flaky) == len(failed):
            session.exitstatus = pytest.ExitCode.OK

    def _passes(self, name: str) -> bool:
        command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:xdist", name]
        return (
            subprocess.run(command, cwd=self._config.rootpath, check=False, capture_output=True).returncode
            == 0
        )

    def _keep(self, names: list[str]) -> None:
        today = dt.datetime.now(dt.UTC).date()
        with self._kept.open("a", encoding="utf-8") as file:
            file.writelines(f"{today} {name}\n" for name in names)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        for report in self._flaky:
            terminalreporter.section(f"failed at first: {report.nodeid}")
            terminalreporter.write_line(report.longreprtext)
        for report in self._flaky:
            terminalreporter.write_line(f"FLAKY {report.nodeid}")
