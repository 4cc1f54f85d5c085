"""What Tango reads from the environment."""

from __future__ import annotations

import pytest

from ska_oso_oet.tango_environment import names_databases, prepare_tango


@pytest.mark.parametrize("tango_host", ["127.0.0.1:10000", "databaseds.oso:10000", "one:10000, two:10001"])
def test_a_tango_host_is_a_host_and_a_port(tango_host: str) -> None:
    assert names_databases(tango_host)


@pytest.mark.parametrize("tango_host", ["", "127.0.0.1", ":10000", "127.0.0.1:", "127.0.0.1:x", "one:10000,"])
def test_what_is_no_tango_host(tango_host: str) -> None:
    assert not names_databases(tango_host)


def test_servers_keep_idle_connections_longer_than_clients_do() -> None:
    # omniORB has 180 s and 120 s. A client that uses a connection which its server has closed fails.
    environment: dict[str, str] = {}
    prepare_tango(environment)
    assert not [variable for variable in environment if variable.endswith("ConScanPeriod")]
