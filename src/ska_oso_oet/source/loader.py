"""This module loads scripts: it makes a Python module of a description."""

from __future__ import annotations

import importlib.util
import linecache
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, assert_never
from urllib.parse import unquote, urlparse

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.source.script import EmbeddedStringScript, FileSystemScript, GitScript
from ska_oso_oet.source.script_file import ScriptUnreadable, read_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ska_oso_oet.source.script import AnyScript

MODULE_NAME: Final = "observing_script"
"""Name of the module that a script becomes: fixed, so that no script can use another module's name."""
PROGRAM_NAMES: Final = (MODULE_NAME, "__mp_main__", "__main__")
"""All names of the module, in the eyes of the script and of multiprocessing."""
_SPAWNED: Final = Path(__file__).with_name("spawned")


def path_of(script_uri: str) -> Path:
    """Turn `file:///path/script.py` into a path; raises InvalidArgument for anything else."""
    parts = urlparse(script_uri)
    if parts.scheme != "file" or parts.query or parts.fragment:
        raise InvalidArgument(f"{script_uri} is no file:/// URI")
    # The reference documents write file://test.py as well, where the name stands for the host.
    return Path(unquote(parts.netloc + parts.path))


class ModuleFactory:
    """Returns Python modules from each kind of script."""

    @staticmethod
    def get_module(script: AnyScript, roots: Sequence[Path] | None = None) -> ModuleType:
        """Load a script and run its top level; a file must be below one of `roots`, if there are any.

        Raises ScriptUnreadable when there is no such script, ScriptNotAllowed when it is elsewhere, or
        whatever the script's own code raises.
        """
        match script:
            case FileSystemScript():
                return load_file(path_of(script.script_uri), roots)
            case EmbeddedStringScript():
                return load_source(script.script_source, f"<{script.script_name}>")
            case GitScript():
                raise ScriptUnreadable("a script from git is loaded from its clone, which was not made")
            case _:
                assert_never(script)


def load_file(path: Path, roots: Sequence[Path] | None = None) -> ModuleType:
    """Load a script from a file, which must be below one of `roots`, if there are any; see `read_script`."""
    script = read_script(path, roots)
    # Behind everything else, so that a script finds the modules beside it and hides none.
    sys.path.append(str(script.place.parent))
    spec = importlib.util.spec_from_file_location(
        MODULE_NAME, path, loader=_SourceLoader(str(path), script.source)
    )
    if spec is None or spec.loader is None:
        raise ScriptUnreadable(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    _make_program(module, str(path))
    spec.loader.exec_module(module)
    return module


def load_source(source: str, filename: str) -> ModuleType:
    """Load a script from its text; tracebacks show its lines under `filename`."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = ModuleType(MODULE_NAME)
    # For programs that want a file; there is one for as long as this process lives.
    content = os.memfd_create(MODULE_NAME)
    os.write(content, source.encode())
    module.__file__ = f"/proc/{os.getpid()}/fd/{content}"
    _make_program(module, filename)
    exec(compile(source, filename, "exec"), module.__dict__)  # noqa: S102 - running scripts is the purpose
    return module


def _make_program(module: ModuleType, name: str) -> None:
    """Make a script what this process runs, in the eyes of the script and of multiprocessing.

    Programs that multiprocessing starts (spawn, forkserver) load the file of `__main__` as `__mp_main__`, as
    they do for `python script.py`, and find the script's functions and classes there by either name.
    `__main__` is not what the script is called, so that its `if __name__ == "__main__"` does not run it.
    """
    module.__spec__ = None
    for alias in PROGRAM_NAMES:
        sys.modules[alias] = module
    sys.argv = [name]
    sys.path.append(str(_SPAWNED))


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Loads source that was read, without leaving or believing compiled files: it is what was checked."""

    def __init__(self, path: str, source: bytes) -> None:
        super().__init__(MODULE_NAME, path)
        self._source = source

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        code = self.source_to_code(self._source, self.get_filename(fullname))
        # What a traceback shows is what was run, whatever the file has become by then.
        lines = importlib.util.decode_source(self._source).splitlines(keepends=True)
        linecache.cache[self.path] = (len(self._source), None, lines, self.path)
        return code

    def get_data(self, path: str | bytes) -> bytes:
        """Return the source, for who reads it through the module's loader."""
        return self._source if path == self.path else super().get_data(str(path))
