from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet import stop_notice

if TYPE_CHECKING:
    import pytest


def test_what_a_server_says_of_its_stop_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    stop_notice.send(61.2)
    assert stop_notice.read(capsys.readouterr().out) == 62.0
    assert stop_notice.read("Stopping, which may take long") is None
    assert stop_notice.read("Ready to accept request") is None
