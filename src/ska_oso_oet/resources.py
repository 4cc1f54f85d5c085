"""Files that belong to the package and are not Python modules of it.

The directories stand at the top of the source tree, where people look for them; links beside this
module make them part of an editable install, and the built wheel contains the files themselves.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def devices_dir() -> Path:
    """Directory of the Tango database files; each `*.json` directly in it is in dsconfig format."""
    return (_PACKAGE / "devices").resolve()


def scripts_dir() -> Path:
    """Directory of the observing scripts that come with the OET."""
    return (_PACKAGE / "scripts").resolve()
