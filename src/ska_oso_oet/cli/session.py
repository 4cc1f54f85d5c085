"""One run of `oet` has common options, a connection, what it prints and how it ends."""

from __future__ import annotations

import functools
import inspect
import json
import os
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from ska_oso_oet.cli import exit_codes
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.output import diagnostic, discard, flush, let_outcome_count, print_line
from ska_oso_oet.client.bounded import within
from ska_oso_oet.client.inbox import CALL_TIMEOUT, Deadline
from ska_oso_oet.errors import ControllerUnreachable, InvalidArgument, OetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ska_oso_oet.client import OETClient

Resource = TypeVar("Resource")
CLOSE_SECS: Final = 1.0
"""Seconds that the end of the connection may take: a halted server has no part in it."""

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel="Common")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="S", help="Give up after S seconds.", rich_help_panel="Common"),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="The controller [env var: OET_DEVICE; default: mid-oso/oet-controller/01].",
        rich_help_panel="Common",
    ),
]
ServerUrl = Annotated[
    str | None,
    typer.Option(
        "--server-url",
        "--server_url",
        metavar="URL",
        help="Use the HTTP API at this URL, and not Tango [env var: OET_REST_URI].",
        rich_help_panel="Common",
    ),
]


@dataclass(frozen=True)
class Address:
    """Where the controller is by the options, or else by the environment."""

    device: str | None = None
    server_url: str | None = None

    def connect(self, call_timeout: float) -> OETClient:
        """Make the client: over HTTP if there is a URL, else over Tango, which is imported only then."""
        if self.device and self.server_url:
            raise InvalidArgument("--device is for Tango and --server-url for HTTP: only one can be used")
        url = self.server_url or (None if self.device else os.environ.get("OET_REST_URI"))
        if url:
            from ska_oso_oet.client.http import HttpClient  # noqa: PLC0415 - only when it is used

            return HttpClient(url, call_timeout, _token())
        from ska_oso_oet.client import DEFAULT_DEVICE, OETClient  # noqa: PLC0415 - takes 0.2 s

        try:
            return OETClient(self.device or os.environ.get("OET_DEVICE") or DEFAULT_DEVICE, call_timeout)
        except ModuleNotFoundError as error:
            raise ControllerUnreachable(
                f"Tango cannot be used, as {error.name} is not installed: name an HTTP API with --server-url "
                "or OET_REST_URI"
            ) from None


def _token() -> str | None:
    """Read the bearer token, from the file that OET_REST_TOKEN_FILE names for the server too."""
    path = os.environ.get("OET_REST_TOKEN_FILE")
    try:
        return Path(path).read_text("ascii").strip() if path else None
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"OET_REST_TOKEN_FILE: {path}: {error}") from None


class Session:
    """What a command needs: the client, the deadline and the way out."""

    def __init__(
        self, address: Address, timeout: float | None, options: tuple[str, ...] = (), *, as_json: bool
    ) -> None:
        self.json = as_json
        self.options = options
        self.interrupted = "interrupted"
        """What Ctrl-C means now, for the user."""
        self.procedure_id: int | None = None
        """The procedure that this run is about, once it is known."""
        self.activity_id: int | None = None
        """The activity that this run is about, if it is about one."""
        self._address = address
        self._timeout = timeout
        self.deadline = Deadline(timeout)
        self._resources = ExitStack()

    @functools.cached_property
    def client(self) -> OETClient:
        """The connection, over Tango or HTTP."""
        call_timeout = CALL_TIMEOUT if self._timeout is None else min(max(self._timeout, 0.1), CALL_TIMEOUT)
        return self.owns(self._address.connect(call_timeout)).until(self.deadline)

    def owns(self, resource: AbstractContextManager[Resource]) -> Resource:
        """Close a resource at the end of the session."""
        return self._resources.enter_context(resource)

    def document(self, document: dict[str, Any]) -> None:
        """Print the JSON document."""
        print_line(json.dumps(_jsonable(document)))

    def fail(self, code: str, message: str) -> None:
        """Report what went wrong."""
        about = {"activity_id": self.activity_id, "procedure_id": self.procedure_id}
        print_error(code, message, as_json=self.json, about=about)

    def close(self) -> None:
        """Close the connection; Tango's C++ library would write each event meanwhile on stderr."""
        flush()
        stderr = os.dup(2)
        discard(2)
        try:
            with suppress(TimeoutError):
                within(CLOSE_SECS, self._resources.close)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def print_error(
    code: str, message: str, *, as_json: bool, about: Mapping[str, int | None] | None = None
) -> None:
    """Report an error: as the JSON document on stdout, or on stderr."""
    let_outcome_count(outcome_counts=True)
    if as_json:
        known = {key: value for key, value in (about or {}).items() if value is not None}
        print_line(json.dumps({"error": {"code": code, "message": message}, **known}))
    else:
        diagnostic(message)


def acts(function: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """Mark a command that does something: its exit code means what became of it, read or not."""
    function.acts = True  # type: ignore[attr-defined]
    return function


def with_session(function: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """Pass a command its Session, and the options that every command has."""
    options = {
        "as_json": (Json, False),
        "device": (Device, None),
        "server_url": (ServerUrl, None),
        "timeout": (Timeout, None),
    }

    @functools.wraps(function)
    def command(
        ctx: typer.Context,
        *,
        as_json: bool,
        device: str | None = None,
        server_url: str | None = None,
        timeout: float | None = None,
        **given: Any,
    ) -> ExitCode:
        common = ctx.obj or {}
        session = Session(
            Address(device or common.get("device"), server_url or common.get("server_url")),
            common.get("timeout") if timeout is None else timeout,
            tuple(name for parameter in ctx.command.params for name in parameter.opts),
            as_json=as_json or common.get("json", False),
        )
        let_outcome_count(outcome_counts=getattr(function, "acts", False))
        try:
            return function(session, **given)
        except OetError as error:
            session.fail(error.code, str(error))
            return exit_codes.of_error(error)
        except KeyboardInterrupt:
            session.fail("OET_Interrupted", session.interrupted)
            return ExitCode.INTERRUPTED
        finally:
            session.close()

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    word = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(kind=word) for parameter in own]
    parameters.append(inspect.Parameter("ctx", word, annotation=typer.Context))
    parameters += [
        inspect.Parameter(name, word, annotation=annotation, default=default)
        for name, (annotation, default) in options.items()
    ]
    # Typer reads the options of a command from its signature.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__
    return command


def _jsonable(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value
