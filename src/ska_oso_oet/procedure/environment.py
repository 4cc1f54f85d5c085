"""The documented import path of EnvironmentManager, whose home is `ska_oso_oet.source.environment`."""

from ska_oso_oet.source.environment import Environment, EnvironmentManager

__all__ = ["Environment", "EnvironmentManager"]
