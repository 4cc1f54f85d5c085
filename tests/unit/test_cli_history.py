"""Times, spans and pages of the history on the command line."""

from __future__ import annotations

import pytest

from ska_oso_oet.cli import run
from ska_oso_oet.cli.history import duration, left_out, moment, summary
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.history.queries import HistoryPage, HistoryQuery

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 7_776_000), ("1.5h", 5400), ("2W", 1_209_600), (" 30m ", 1800), ("0s", 0)]
)
def test_a_span(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1y", "1d2h"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(InvalidArgument, match="90d"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01", 60),
        ("1970-01-01 00:01:00Z", 60),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1d", NOW - 86_400),
    ],
)
def test_a_time_is_utc(text: str, seconds: float) -> None:
    assert moment(text, NOW) == seconds


def test_what_is_no_time() -> None:
    with pytest.raises(InvalidArgument, match="2026-11-20"):
        moment("yesterday", NOW)


@pytest.mark.parametrize(
    ("older", "said"),
    [
        (-1, ""),
        (0, ""),
        (1, "1 older procedure is not listed: oet procedure list --all"),
        (6, "6 older procedures are not listed: oet procedure list --all"),
    ],
)
def test_what_a_list_leaves_out_is_counted(older: int, said: str) -> None:
    assert left_out(older) == said


@pytest.mark.parametrize(
    ("total", "page", "said"),
    [
        (0, 1, "none"),
        (7, 9, "none on page 9: there are 7 on 1 page"),
        (107, 9, "none on page 9: there are 107 on 3 pages"),
    ],
)
def test_an_empty_page_says_what_there_is(total: int, page: int, said: str) -> None:
    assert summary(HistoryPage(procedures=[], total=total), HistoryQuery(page=page)) == said


@pytest.mark.parametrize(
    "arguments",
    [
        ["procedure", "list", "--all", "--pid=3"],
        ["procedure", "list", "--since=yesterday"],
        ["procedure", "list", "--state=BUSY"],
        ["procedure", "list", "--limit=0"],
        ["procedure", "list", "--limit=1001"],
        ["history", "prune", "--older-than=90"],
        ["history", "prune", "--keep=-1"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err
