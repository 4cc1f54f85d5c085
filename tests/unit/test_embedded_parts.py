"""What a stack says of its simulated telescope to the controller."""

from __future__ import annotations

import pytest

from ska_oso_oet.embedded.parts import SimulatorServers


@pytest.mark.parametrize("name", ["mid", "low"])
def test_the_controller_commands_the_subarrays_that_the_simulated_telescope_has(name: str) -> None:
    assert SimulatorServers(name).environment["OET_SUBARRAY_COUNT"] == "4"
