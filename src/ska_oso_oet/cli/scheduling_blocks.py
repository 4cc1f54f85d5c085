"""`oet sbd` and `oet sbi` have in common which store they ask, and how a document is printed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ska_oso_oet.cli.local_store import LocalStore, oda_settings
from ska_oso_oet.cli.output import visible_lines, write
from ska_oso_oet.oda import open_oda

if TYPE_CHECKING:
    from ska_oso_oet.cli.session import Session
    from ska_oso_oet.client import OETClient

Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Open the store that ODA_BACKEND_TYPE, ODA_DATA_DIR, ODA_URL or POSTGRES_* name, without a "
        "controller; by default that of `oet up`.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data_dir",
        "--data-dir",
        metavar="DIR",
        help="As --local: the store of the `oet up` that was started with the same --data-dir.",
    ),
]


def store_of(session: Session, *, local: bool, data_dir: Path | None) -> OETClient | LocalStore:
    """Choose the store: that of the controller, unless the options want one without a controller."""
    if not local and data_dir is None:
        return session.client
    return LocalStore(session.owns(closing(open_oda(oda_settings(data_dir)))))


def print_document(session: Session, key: str, document: dict[str, Any]) -> None:
    """Print a document as it is stored."""
    if session.json:
        session.document({key: document})
    else:
        write(f"{visible_lines(json.dumps(document, indent=2, ensure_ascii=False))}\n")
