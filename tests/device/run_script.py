"""Runs an observing script as a ScriptWorker does, and prints each event that it publishes as a line of JSON.

Arguments: the script, and JSON with the keyword arguments of `init` and `main`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import traceback
from typing import Any

from pubsub import pub

from ska_oso_oet.event import topics
from ska_oso_oet.mptools import TerminateInterrupt


def show(topic: Any = pub.AUTO_TOPIC, **data: Any) -> None:
    print(json.dumps({"topic": topic.getName(), **data}), flush=True)


def stop(*_args: object) -> None:
    raise TerminateInterrupt


def run() -> int:
    pub.addTopicDefnProvider(topics, pub.TOPIC_TREE_FROM_CLASS)
    pub.subscribe(show, pub.ALL_TOPICS)
    signal.signal(signal.SIGTERM, stop)
    spec = importlib.util.spec_from_file_location("script", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = json.loads(sys.argv[2])
    try:
        if hasattr(module, "init"):
            module.init(**arguments.get("init", {}))
        module.main(**arguments.get("main", {}))
    except TerminateInterrupt:
        return 4
    except BaseException:  # noqa: BLE001 - the boundary between a script and this program
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    status = run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # as the children of a fork server end
