"""An SBDefinition describes an observation, and names the script for each part of it.

The format is that of the SKA Project Data Model (`https://schema.skao.int/ska-oso-pdm-sbd/0.1`); only
what the OET needs of it is described here.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model
from ska_oso_oet.nesting import MAX_SHOWN, is_nested_deeper
from ska_oso_oet.oda.document import Document, DocumentPart, Identifier, Telescope, Version
from ska_oso_oet.procedure.domain import CallArgs

if TYPE_CHECKING:
    from collections.abc import Mapping


def _uri(prefix: str) -> AfterValidator:
    """Read a URI; a path that begins with a slash, as some documents have it, is one too."""

    def check(uri: str) -> str:
        full = prefix + uri if uri.startswith("/") else uri
        if not full.startswith(prefix) or len(full) == len(prefix):
            raise ValueError(f"a {prefix}… URI is expected")
        return full

    return AfterValidator(check)


def new_sbd_id() -> str:
    """Make an id that no other store makes."""
    return f"sbd-{uuid.uuid4()}"


class PythonActivity(DocumentPart):
    """Base of every kind of activity; `run` is accepted for `main` in `function_args`."""

    function_args: CallArgs = CallArgs()


class FileSystemActivity(PythonActivity):
    """An activity whose script is a file, `path` being `file:///absolute/path.py`."""

    kind: Literal["filesystem"]
    path: Annotated[StrictStr, _uri("file://")]


class GitActivity(PythonActivity):
    """An activity whose script is in a git repository, `path` being `git://path/in/the/repository.py`.

    A commit wins over a branch; where both are missing the defaults of GitArgs hold.
    """

    kind: Literal["git"]
    path: Annotated[StrictStr, _uri("git://")]
    repo: StrictStr | None = None
    branch: StrictStr | None = None
    commit: StrictStr | None = None


class InlineActivity(PythonActivity):
    """An activity whose script is in the document."""

    kind: Literal["inline"]
    content: StrictStr


AnyActivity = Annotated[FileSystemActivity | GitActivity | InlineActivity, Field(discriminator="kind")]


class Metadata(DocumentPart):
    """Which version of a document this is, and whose work."""

    version: Version | None = None
    created_by: StrictStr | None = None
    last_modified_by: StrictStr | None = None


class SBDefinition(Document):
    """A Scheduling Block: the document as it came, and the parts of it that the OET reads."""

    interface: StrictStr
    sbd_id: Identifier
    telescope: Telescope
    metadata: Metadata = Metadata()
    activities: dict[str, AnyActivity] = Field(default_factory=dict)

    @property
    def version(self) -> int | None:
        """The version that the document names; None in one that was not stored yet."""
        return self.metadata.version

    @classmethod
    def _in_document(cls, error: ValidationError) -> ValidationError:
        faults = error.errors(include_url=False)
        return ValidationError.from_exception_data(
            error.title,
            [
                InitErrorDetails(
                    type=PydanticCustomError(fault["type"], fault["msg"]),
                    loc=_without_kind(fault["loc"]),
                    input=fault["input"],
                )
                for fault in faults
            ],
        )

    def by(self, author: str) -> SBDefinition:
        """Name the author of a document that was not stored yet and names none; others stay as they are."""
        if self.version is not None or self.metadata.created_by is not None:
            return self
        document = self.to_dict()
        document["metadata"] = {**(document.get("metadata") or {}), "created_by": author}
        return SBDefinition.parse(document)

    def stamped(self, version: int, user: str, now: float) -> SBDefinition:
        """Write the version into the document and, where they are missing, its author and the time."""
        moment = datetime.fromtimestamp(now, UTC).isoformat()
        document = self.to_dict()
        given = document.get("metadata") or {}
        made = {
            "created_by": user,
            "created_on": moment,
            "last_modified_by": user,
            "last_modified_on": moment,
        }
        document["metadata"] = {**made, **given, "version": version}
        return SBDefinition.parse(document)

    @classmethod
    def submitted(cls, source: str | bytes | Mapping[str, Any]) -> SBDefinition:
        """Read a document that is to be stored; a draft, which has no `sbd_id`, gets one.

        Raises InvalidArgument.
        """
        try:
            document: Any = json.loads(source) if isinstance(source, str | bytes) else source
        except (ValueError, RecursionError):
            return cls.parse(source)  # which raises the error that explains it
        if is_nested_deeper(document, MAX_SHOWN):
            raise InvalidArgument(f"the document has more than {MAX_SHOWN} levels of lists and objects")
        if isinstance(document, dict) and document.get("sbd_id") is None:
            return cls.parse({**document, "sbd_id": new_sbd_id()})
        return cls.parse(source)

    @classmethod
    def stored_as(cls, sbd_id: str, version: int, source: str | bytes | dict[str, Any]) -> SBDefinition:
        """Read a document that a store holds as `version` of `sbd_id`; it must not name others."""
        try:
            document = cls.parse(source)
        except InvalidArgument as error:
            raise InvalidArgument(f"{sbd_id} version {version}: {error}") from None
        for path, says, held in (
            ("sbd_id", document.sbd_id, sbd_id),
            ("metadata.version", document.version or version, version),
        ):
            if says != held:
                raise InvalidArgument(f"{sbd_id} version {version}: {path}: the document says {says}")
        if document.version is None:
            text = document.to_dict()
            text["metadata"] = {**(text.get("metadata") or {}), "version": version}
            return cls.parse(text)
        return document


def _without_kind(path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Drop the kind that the union of activities puts after an activity's name."""
    return (*path[:2], *path[3:]) if path[:1] == ("activities",) else path


class SBDefinitionEntry(Model):
    """One line of a list of SBDefinitions: the newest version and what it can do.

    A document that cannot be read is listed without telescope and activities.
    """

    sbd_id: str
    version: int
    telescope: str | None
    activities: tuple[str, ...]

    @classmethod
    def of(cls, sbd_id: str, version: int, document: object) -> SBDefinitionEntry:
        """Take an entry from a document that may be anything."""
        fields = document if isinstance(document, dict) else {}
        telescope, activities = fields.get("telescope"), fields.get("activities")
        return cls(
            sbd_id=sbd_id,
            version=version,
            telescope=telescope if isinstance(telescope, str) else None,
            activities=tuple(activities) if isinstance(activities, dict) else (),
        )
