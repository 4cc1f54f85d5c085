"""The SKA Observation Execution Tool runs observing scripts on demand; it consists of Tango devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ska_oso_oet.features import Features

    FEATURES: Features
    """The feature flags of this deployment."""

__version__ = "0.1.0"


def __getattr__(name: str) -> Features:
    """Read FEATURES at the first use: whatever needs none of them can do without good files."""
    if name != "FEATURES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ska_oso_oet.features import Features  # noqa: PLC0415 - only when it is asked for

    features = globals()["FEATURES"] = Features.create_from_config_files()
    return features
