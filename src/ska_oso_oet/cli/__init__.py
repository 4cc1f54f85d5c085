"""The `oet` command is a client of the controller like every other.

Tango is imported when the controller is first needed, so that help and completion are quick.
"""

import gc

# A command lives for half a second, most of which loads modules: collecting garbage costs an eighth of that.
gc.set_threshold(100_000)

from ska_oso_oet.cli.app import main, run  # noqa: E402

__all__ = ["main", "run"]
