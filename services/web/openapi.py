"""The OpenAPI document:

FastAPI's, with every error answer described as it is really sent (problem+json) and the key scheme.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.contracts.problem import Problem
from services.web.admission import OPEN_PATHS
from services.web.problems import KINDS, MEDIA_TYPE

_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_FRAMEWORK_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")
_EVERY_ROUTE: Final = (400, 401, 403, 413, 422, 429, 502, 503, 504)
_OPEN_ROUTE: Final = (422, 504)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document; made once and kept, as FastAPI does."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "tl_…"}}
    for path, item in document.get("paths", {}).items():
        for method in _METHODS.intersection(item):
            _describe_errors(item[method], is_open=path in OPEN_PATHS)
    return document


def _describe_errors(operation: dict[str, Any], *, is_open: bool) -> None:
    responses = operation.setdefault("responses", {})
    # FastAPI documents its own validation error, which is never sent.
    responses.pop("422", None)
    titles = {400: "The body could not be read"}
    for kind in KINDS.values():
        titles[kind.status] = f"{titles[kind.status]}; or: {kind.title}" if kind.status in titles else kind.title
    for status in _OPEN_ROUTE if is_open else _EVERY_ROUTE:
        answer = {
            "description": titles[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        responses.setdefault(str(status), answer)
    if not is_open:
        operation["security"] = [{"key": []}]
