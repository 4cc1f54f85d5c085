"""A request for an activity becomes the command that prepares its script here.

This part reads and writes the ODA, and so may last long; nothing runs yet.
"""

from __future__ import annotations

import logging
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ska_oso_oet.activity.domain import SB_JSON, SBI_ID
from ska_oso_oet.errors import NotFound, OetError, Rejected
from ska_oso_oet.oda.document import telescope_name
from ska_oso_oet.oda.sbdefinition import AnyActivity, FileSystemActivity, GitActivity
from ska_oso_oet.oda.sbinstance import INTERFACE, SBInstance
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput
from ska_oso_oet.procedure.subarrays import ALL, Subarrays
from ska_oso_oet.source.script import AnyScript, EmbeddedStringScript, FileSystemScript, GitArgs, GitScript

if TYPE_CHECKING:
    from pathlib import Path

    from ska_oso_oet.activity.domain import ActivityCommand
    from ska_oso_oet.oda.sbdefinition import SBDefinition
    from ska_oso_oet.oda.store import Oda

LOGGER = logging.getLogger(__name__)
AUTHOR: Final = "ska-oso-oet"
"""Who SBInstances are created by."""


class SBFileError(OetError):
    """The file that hands a Scheduling Block to a script cannot be written."""

    code = "OET_SBFileError"


class SBFiles:
    """The directory with the files that hand Scheduling Blocks to scripts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, sbd: SBDefinition, now: float) -> Path:
        """Write `<sbd_id>-<version>-<timestamp>.json`, a file of the caller's own (timestamp: UTC)."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path, descriptor = self._create(sbd, round(now * 1e6))
            try:
                with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
                    file.write(sbd.to_json())
            except OSError:
                self.remove(path)
                raise
        except OSError as error:
            raise SBFileError(f"the Scheduling Block cannot be written for its script: {error}") from error
        return path

    def _create(self, sbd: SBDefinition, microseconds: int) -> tuple[Path, int]:
        """Make an empty file and open it; it gets a later timestamp if another activity has this one."""
        while True:
            moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
            path = self._directory / f"{sbd.sbd_id}-{sbd.version}-{moment:%Y%m%dT%H%M%S.%fZ}.json"
            with suppress(FileExistsError):
                return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            microseconds += 1

    def remove(self, path: Path) -> None:
        """Remove a file that no script needs any more."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            LOGGER.warning("The Scheduling Block file %s cannot be removed: %s", path, error)


@dataclass(frozen=True)
class Preparation:
    """Everything that is known of an activity when its script is about to be prepared."""

    sbd_version: int
    sbi_id: str
    sb_file: Path
    command: PrepareProcessCommand


def new_sbi_id() -> str:
    """Make an id that no other OET makes: many may share one ODA."""
    return f"sbi-{uuid.uuid4()}"


class Preparer:
    """Finds the script and the arguments of an activity, and records that it is executed."""

    def __init__(self, oda: Oda, files: SBFiles, telescope: str, subarrays: Subarrays = ALL) -> None:
        self._oda = oda
        self._subarrays = subarrays
        self._files = files
        self._telescope = telescope_name(telescope)

    def prepare(self, command: ActivityCommand, now: float) -> Preparation:
        """Check the request against the ODA, then store an SBInstance and write the Scheduling Block's file.

        Raises SBDefinitionNotFound, NotFound (no such activity), Rejected (wrong telescope, a subarray that
        is not for this controller, or an environment for a script that can have none), InvalidArgument (a
        bad document), OdaUnavailable and SBFileError; nothing is left behind then.
        """
        sbd = self._oda.get_sbd(command.sbd_id, command.sbd_version)
        version = sbd.version or 1
        self._check_telescope(sbd, version)
        script, given = _script_of(sbd, version, command)
        given = command.script_args.over(given)
        request = PrepareProcessCommand.parse({"script": script, "script_args": given})
        arguments = request.script_args
        self._subarrays.check(arguments.subarrays)
        sbi = _instance(sbd, version, command.activity_name, arguments, now)
        path = self._files.write(sbd, now)
        try:
            self._oda.add_sbi(sbi, AUTHOR)
        except BaseException:
            self._files.remove(path)
            raise
        kwargs = {**arguments.main.kwargs, SB_JSON: str(path), SBI_ID: sbi.sbi_id}
        main = ProcedureInput(*arguments.main.args, **kwargs)
        return Preparation(
            version,
            sbi.sbi_id,
            path,
            request.model_copy(update={"script_args": CallArgs(init=arguments.init, main=main)}),
        )

    def _check_telescope(self, sbd: SBDefinition, version: int) -> None:
        if telescope_name(sbd.telescope) != self._telescope:
            raise Rejected(
                f"{sbd.sbd_id} version {version} is for {sbd.telescope}, "
                f"and this OET controls {self._telescope} (SKA_TELESCOPE)"
            )


def _script_of(sbd: SBDefinition, version: int, command: ActivityCommand) -> tuple[AnyScript, CallArgs]:
    activity = sbd.activities.get(command.activity_name)
    if activity is None:
        names = ", ".join(sbd.activities) or "none"
        raise NotFound(
            f"{sbd.sbd_id} version {version} has no activity {command.activity_name!r}; there are: {names}"
        )
    if command.create_env and not isinstance(activity, GitActivity):
        raise Rejected(
            f"create_env is for scripts from git, and the script of {command.activity_name} is not"
        )
    return _as_script(activity, f"{command.activity_name} of {sbd.sbd_id}", command), activity.function_args


def _as_script(activity: AnyActivity, name: str, command: ActivityCommand) -> AnyScript:
    if isinstance(activity, FileSystemActivity):
        return FileSystemScript(script_uri=activity.path)
    if isinstance(activity, GitActivity):
        given = {"git_repo": activity.repo, "git_branch": activity.branch, "git_commit": activity.commit}
        git_args = GitArgs.parse({key: value for key, value in given.items() if value is not None})
        return GitScript(script_uri=activity.path, git_args=git_args, create_env=command.create_env)
    return EmbeddedStringScript(script_source=activity.content, script_name=name)


def _instance(
    sbd: SBDefinition, version: int, activity_name: str, arguments: CallArgs, now: float
) -> SBInstance:
    moment = datetime.fromtimestamp(now, UTC).isoformat()
    runtime_args = [
        {"function_name": name, "function_args": given} for name, given in arguments.to_dict().items()
    ]
    return SBInstance.parse(
        {
            "interface": INTERFACE,
            "sbi_id": new_sbi_id(),
            "telescope": sbd.telescope,
            "sbd_ref": sbd.sbd_id,
            "sbd_version": version,
            "metadata": {
                "version": 1,
                "created_by": AUTHOR,
                "created_on": moment,
                "last_modified_by": AUTHOR,
                "last_modified_on": moment,
            },
            "activities": [
                {"activity_ref": activity_name, "executed_at": moment, "runtime_args": runtime_args}
            ],
        }
    )
