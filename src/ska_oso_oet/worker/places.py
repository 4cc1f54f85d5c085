"""PlacesOfProcedures: where scripts from git find what they share, and each a directory of its own."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ska_oso_oet.source.run_directory import RunDirectory
    from ska_oso_oet.worker.preparation import Places

_log = logging.getLogger(__name__)


class PlacesOfProcedures:
    """Gives each procedure a directory below the run directory, from `enter` to `leave`."""

    def __init__(self, shared: Places, run_directory: RunDirectory) -> None:
        self._shared = shared
        self._run_directory = run_directory
        self._entered: dict[int, Path] = {}

    def enter(self, procedure_id: int) -> Places:
        """Return the places of a procedure that begins."""
        try:
            scratch = self._run_directory.folder(f"procedure-{procedure_id}")
        except OSError as error:
            _log.warning("the directory for temporary files cannot be made anew: %s", error)
            scratch = Path(tempfile.mkdtemp())
        self._entered[procedure_id] = scratch
        return self._shared.model_copy(update={"scratch": scratch})

    def leave(self, procedure_id: int) -> None:
        """Have the directory of a procedure deleted, if it had one; its process is gone."""
        if (scratch := self._entered.pop(procedure_id, None)) is not None:
            self._run_directory.discard(scratch)

    def trim(self) -> None:
        """Delete clones and environments that nobody uses; raises OSError, and ImportError without git."""
        if self._shared.directory.is_dir():
            self._shared.clones().trim()
            self._shared.environments().trim()
