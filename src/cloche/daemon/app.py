"""The API of the control plane; `endpoints` has its calls.

Every answer is the JSON of an artefact (`cloche.artifacts`) or of a view (`cloche.control.views`).
Every error is `{"error": {kind, code, what, where, hint, retriable}, "exit_code"}` with a status of
4xx or 5xx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from cloche.artifacts import encode
from cloche.control.background import unforeseen
from cloche.daemon import bodies, endpoints
from cloche.daemon.access import Guard
from cloche.errors import (
    BusyError,
    ClocheError,
    ConflictError,
    ErrorGroup,
    NotFoundError,
    SupersededError,
    UnavailableError,
    UsageError,
)
from cloche.version import __version__

if TYPE_CHECKING:
    from cloche.daemon.access import Access

_STATUS: tuple[tuple[type[ClocheError], int], ...] = (
    (bodies.MalformedError, 400),
    (bodies.TooLargeError, 413),
    (NotFoundError, 404),
    (ConflictError, 409),
    (UsageError, 422),
    (BusyError, 409),
    (UnavailableError, 503),
    (SupersededError, 409),
)
"""HTTP status by class; the first match counts."""


def create_app(context: endpoints.Context, *, access: Access) -> FastAPI:
    """Return the API over a control plane, for callers with access."""
    app = FastAPI(
        title="Cloche control plane",
        version=__version__,
        description=__doc__ or "",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.context = context
    app.include_router(endpoints.router, prefix="/v1")
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]
    app.add_middleware(Guard, access=access)
    app.add_exception_handler(ClocheError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unforeseen)
    return app


def _description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with the bodies that msgspec reads."""
    if app.openapi_schema is None:
        described = FastAPI.openapi(app)
        template = "#/components/schemas/{name}"
        _, schemas = msgspec.json.schema_components(bodies.BODIES, ref_template=template)
        described.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    return app.openapi_schema or {}


def error_response(error: ClocheError) -> Response:
    """Return an error as a response."""
    body = encode({"error": error.to_dict(), "exit_code": error.exit_code})
    return Response(body, _status_of(error), media_type="application/json")


def _status_of(error: ClocheError) -> int:
    if isinstance(error, ErrorGroup):
        return 422 if error.exit_code == UsageError.exit_code else 500
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


async def _answer_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ClocheError):
        return error_response(unforeseen(error))
    return error_response(error)


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    parts = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in errors)
    return error_response(
        UsageError("api.invalid", f"The request is not valid: {'; '.join(parts)}")
    )


async def _answer_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path} is not a call of this API."
    hint = "GET /v1/openapi.json describes its calls."
    response = error_response(NotFoundError("api.unknown", what, hint=hint))
    response.status_code = status
    return response


async def _answer_unforeseen(_request: Request, error: Exception) -> Response:
    return error_response(unforeseen(error))
