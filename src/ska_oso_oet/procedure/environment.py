"""EnvironmentManager is documented under this path; its home is `ska_oso_oet.source.environment`."""

from ska_oso_oet.source.environment import Environment, EnvironmentManager

__all__ = ["Environment", "EnvironmentManager"]
