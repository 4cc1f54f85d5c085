"""Files that belong to the installation are found here: devices, scripts, programs.

Devices and scripts stand at the top of the source tree, where people look for them; links beside this
module make them part of an editable install, and the built wheel contains the files themselves.
"""

from __future__ import annotations

import os
import resource
import shutil
import sysconfig
from contextlib import suppress
from pathlib import Path

from ska_oso_oet.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent


def devices_dir() -> Path:
    """Directory of the Tango database files; each `*.json` directly in it is in dsconfig format."""
    return (_PACKAGE / "devices").resolve()


def scripts_dir() -> Path:
    """Directory of the observing scripts that come with the OET."""
    return (_PACKAGE / "scripts").resolve()


def raise_descriptor_limit() -> None:
    """Let this process and its children have as many descriptors as they may: each connection needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system that has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def program(name: str) -> str:
    """Path of an installed program: beside this Python, or on PATH. Raises NotFound."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise NotFound(f"the program {name} is not installed")
    return found
