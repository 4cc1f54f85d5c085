"""A device server as a program; it imports nothing of the tests, as each of its processes does it anew."""

from __future__ import annotations

import importlib
import importlib.util
import sys


def run_device() -> None:
    """Run the device server that sys.argv names: a module or a .py file, a class, and Tango's arguments."""
    source, class_name, *args = sys.argv[1:]
    if source.endswith(".py"):
        spec = importlib.util.spec_from_file_location("device_under_test", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["device_under_test"] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(source)
    getattr(module, class_name).run_server(args)
