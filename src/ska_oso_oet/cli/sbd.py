"""`oet sbd`: the Scheduling Blocks in the ODA that the environment names.

The store is used directly: it is a service of its own, which the controller only reads from.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ska_oso_oet.cli import tables
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.output import visible_lines, write
from ska_oso_oet.cli.session import Session, acts, without_controller
from ska_oso_oet.errors import InvalidArgument, OetError
from ska_oso_oet.oda import OdaSettings, SBDefinition, open_oda
from ska_oso_oet.oda.sbdefinition import SBDefinitionEntry
from ska_oso_oet.user_directories import absolute

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    no_args_is_help=True,
    help="Look at and add the Scheduling Blocks of the ODA that ODA_BACKEND_TYPE, ODA_DATA_DIR, ODA_URL or "
    "POSTGRES_* name; by default those of `oet up`.",
)

_STDIN = "-"
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data_dir",
        "--data-dir",
        metavar="DIR",
        help="The ODA of the `oet up` that was started with the same --data-dir.",
    ),
]


@app.command()
@without_controller
@acts
def add(
    session: Session,
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="JSON documents; - for stdin.")],
    data_dir: DataDir = None,
) -> ExitCode:
    """Store Scheduling Blocks; one that does not say its version becomes the next version.

    A draft, which has no id, is given one and printed with it. Nothing is stored when a document is bad.
    """
    sbds = _read_all(files)
    settings = oda_settings(data_dir)
    oda = session.owns(closing(open_oda(settings)))
    stored: list[SBDefinitionEntry] = []
    for file, sbd in zip(files, sbds, strict=True):
        try:
            new = oda.add_sbd(sbd, _user())
        except OetError as error:
            before = f" (stored before it: {', '.join(files[: len(stored)])})" if stored else ""
            raise type(error)(f"{file}: {error}{before}") from None
        stored.append(SBDefinitionEntry.of(new.sbd_id, new.version or 1, new.to_dict()))
    _report(session, settings, stored)
    return ExitCode.DONE


@app.command("list")
@without_controller
def list_sbds(session: Session, data_dir: DataDir = None) -> ExitCode:
    """List the newest version of every Scheduling Block."""
    settings = oda_settings(data_dir)
    _report(session, settings, session.owns(closing(open_oda(settings))).list_sbds())
    return ExitCode.DONE


@app.command()
@without_controller
def show(
    session: Session,
    sbd_id: Annotated[str, typer.Argument(metavar="SBD_ID")],
    version: Annotated[int | None, typer.Option("--version", min=1, help="By default the newest.")] = None,
    data_dir: DataDir = None,
) -> ExitCode:
    """Print a Scheduling Block as it is stored."""
    document = session.owns(closing(open_oda(oda_settings(data_dir)))).get_sbd(sbd_id, version).to_dict()
    if session.json:
        session.document({"sbd": document})
    else:
        write(f"{visible_lines(json.dumps(document, indent=2, ensure_ascii=False))}\n")
    return ExitCode.DONE


def oda_settings(data_dir: Path | None) -> OdaSettings:
    """Find the ODA: that of a stack's data directory, or else the one that the environment names.

    The variables are those that the controller reads: OET_ODA_BACKEND, OET_ODA_DATA_DIR and OET_ODA_URL stand
    for its device properties and win over ODA_* and POSTGRES_*.
    """
    if data_dir is not None:
        return OdaSettings(data_dir=absolute(data_dir) / "oda")
    properties = {
        field: os.environ.get(f"OET_ODA_{field.upper()}") for field in ("backend", "data_dir", "url")
    }
    return OdaSettings.from_environment(os.environ, **properties)


def store_name(settings: OdaSettings) -> str:
    """Name a store, without the password."""
    if settings.backend == "filesystem":
        return f"directory {settings.directory}"
    if settings.url is None:
        return f"database {settings.database} at {settings.host}:{settings.port}"
    url = urlsplit(settings.url.get_secret_value())
    return f"database {url.path.removeprefix('/')} at {url.netloc.rpartition('@')[2]}"


def _read_all(files: Sequence[str]) -> list[SBDefinition]:
    """Read documents; raises InvalidArgument that names everything that is wrong in any of them."""
    sbds, faults = [], []
    for file in files:
        try:
            source = sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
            sbds.append(SBDefinition.submitted(source))
        except OSError as error:
            faults.append(f"{file}: {error.strerror}")
        except InvalidArgument as error:
            faults.append(f"{file}: {error}")
    if faults:
        raise InvalidArgument("\n".join(faults))
    return sbds


def _user() -> str:
    """Name who adds a document, for one that names no author."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _report(session: Session, settings: OdaSettings, entries: Sequence[SBDefinitionEntry]) -> None:
    store = store_name(settings)
    if session.json:
        session.document({"oda": store, "sbds": list(entries)})
    else:
        tables.print_sbds(entries, store)
