from __future__ import annotations

from configparser import ConfigParser
from typing import TYPE_CHECKING

import pytest

import ska_oso_oet
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.features import Features

if TYPE_CHECKING:
    from pathlib import Path


def parser(**settings: str) -> ConfigParser:
    config = ConfigParser()
    config.read_dict({"tango": settings})
    return config


def test_defaults_are_events() -> None:
    features = Features(ConfigParser(), {})
    assert features.use_pubsub_to_read_tango_attributes
    assert not features.use_polling_to_read_tango_attributes
    assert features.use_lrc_event


@pytest.mark.parametrize("text", ["false", "No", "0", "off"])
def test_the_file_wins_over_the_default(text: str) -> None:
    features = Features(parser(read_via_pubsub=text, lrc_via_event=text), {})
    assert features.use_polling_to_read_tango_attributes
    assert not features.use_lrc_event


def test_the_environment_wins_over_the_file() -> None:
    features = Features(parser(read_via_pubsub="false"), {"OET_READ_VIA_PUBSUB": "yes"})
    assert features.use_pubsub_to_read_tango_attributes


@pytest.mark.parametrize(
    ("config", "environment", "named"),
    [
        ({}, {"OET_READ_VIA_PUBSUB": "perhaps"}, "OET_READ_VIA_PUBSUB: 'perhaps'"),
        ({"lrc_via_event": ""}, {}, "lrc_via_event in ska_oso_oet.ini"),
    ],
)
def test_nonsense_is_refused_by_name(config: dict[str, str], environment: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidArgument, match="neither true nor false") as caught:
        Features(parser(**config), environment)
    assert named in str(caught.value)


def test_files_are_read_in_order_and_the_last_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OET_READ_VIA_PUBSUB", raising=False)
    monkeypatch.delenv("OET_LRC_VIA_EVENT", raising=False)
    site, mine = tmp_path / "site.ini", tmp_path / "mine.ini"
    site.write_text("[tango]\nread_via_pubsub = false\nlrc_via_event = false\n")
    absent = Features.create_from_config_files(site, mine)
    assert absent.use_polling_to_read_tango_attributes
    mine.write_text("[tango]\nread_via_pubsub = true\n")
    both = Features.create_from_config_files(site, mine)
    assert both.use_pubsub_to_read_tango_attributes
    assert not both.use_lrc_event


@pytest.mark.parametrize("content", [b"read_via_pubsub = true\n", b"[tango\n", b"\xff"])
def test_a_file_that_is_no_ini_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ska_oso_oet.ini"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match="ini cannot be understood"):
        Features.create_from_config_files(path)


def test_home_wins_when_no_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OET_READ_VIA_PUBSUB", raising=False)
    (tmp_path / "ska_oso_oet.ini").write_text("[tango]\nread_via_pubsub = off\n")
    assert Features.create_from_config_files().use_polling_to_read_tango_attributes


def test_the_flags_of_the_deployment_are_a_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(ska_oso_oet), "FEATURES", raising=False)
    monkeypatch.setenv("OET_READ_VIA_PUBSUB", "false")
    assert ska_oso_oet.FEATURES.use_polling_to_read_tango_attributes
    monkeypatch.setenv("OET_READ_VIA_PUBSUB", "true")
    assert ska_oso_oet.FEATURES.use_polling_to_read_tango_attributes
