"""The `oet` command: a client of the controller like every other.

Tango is imported when the controller is first needed, so that help and completion are quick.
"""

from ska_oso_oet.cli.app import main, run

__all__ = ["main", "run"]
