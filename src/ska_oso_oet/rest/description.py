"""The description of the HTTP API, as generators of clients and viewers read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.rest.resources import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from fastapi.routing import APIRoute

_UNUSED: Final = ("HTTPValidationError", "ValidationError")
_SCHEME: Final = "bearer"


def operation_id(route: APIRoute) -> str:
    """Name an operation by its function: generated clients keep their names when paths change."""
    return route.name


def describe(app: FastAPI, api_prefix: str, *, needs_token: bool) -> None:
    """Have an app describe itself as it is: a 400 for what it does not understand, and its token."""
    generate = app.openapi

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            for path, operation in _operations(document):
                _describe_faults(operation)
                if needs_token and path.startswith(api_prefix):
                    operation["security"] = [{_SCHEME: []}]
            components = document.setdefault("components", {})
            for unused in _UNUSED:
                components.get("schemas", {}).pop(unused, None)
            if needs_token:
                components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = document
        return app.openapi_schema

    vars(app)["openapi"] = description  # as FastAPI's manual has it done


def parameters_of(app: FastAPI, name: str) -> set[str]:
    """Name the parameters that the query of an operation may have."""
    found = (each for _, each in _operations(app.openapi()) if each["operationId"] == name)
    parameters = (each for operation in found for each in operation.get("parameters", ()))
    return {each["name"] for each in parameters if each["in"] == "query"}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _describe_faults(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if responses.pop("422", None) is None:
        return
    reference = {"$ref": f"#/components/schemas/{Failure.__name__}"}
    what = {"description": "Bad Request", "content": {"application/json": {"schema": reference}}}
    responses.setdefault("400", what)
