"""A worker becomes this program when it goes on with an environment's own interpreter."""

from __future__ import annotations

import os
import sys

from ska_oso_oet.mptools import proc_worker_wrapper
from ska_oso_oet.worker.preparation import resume_order
from ska_oso_oet.worker.script_worker import ScriptWorker


def main() -> None:
    """Go on as the ScriptWorker that this process was before."""
    order, channel = resume_order(int(sys.argv[1]))
    code = proc_worker_wrapper(ScriptWorker, order.name, channel, [], {"resume": order})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # as a forked worker does, after what ProgramEnd has done


if __name__ == "__main__":
    main()
