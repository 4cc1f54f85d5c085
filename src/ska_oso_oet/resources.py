"""Files that belong to the installation and are not modules of the package: devices, scripts, programs.

Devices and scripts stand at the top of the source tree, where people look for them; links beside this
module make them part of an editable install, and the built wheel contains the files themselves.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from ska_oso_oet.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent


def devices_dir() -> Path:
    """Directory of the Tango database files; each `*.json` directly in it is in dsconfig format."""
    return (_PACKAGE / "devices").resolve()


def scripts_dir() -> Path:
    """Directory of the observing scripts that come with the OET."""
    return (_PACKAGE / "scripts").resolve()


def program(name: str) -> str:
    """Path of an installed program: beside this Python, or on PATH. Raises NotFound."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise NotFound(f"the program {name} is not installed")
    return found
