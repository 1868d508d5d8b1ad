"""The endpoints, all under `/v1`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from cloche.artifacts import Deployment, encode
from cloche.daemon.log_stream import stream
from cloche.errors import ClocheError, UsageError
from cloche.units import size_text
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.control.engine import Control
    from cloche.daemon.changes import Changes

T = TypeVar("T")

_LARGEST_BODY = 64 * 2**20
_LONGEST_WAIT = 60.0
_MOST_EVENTS = 1000


def _body(kind: type) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


router = APIRouter(default_response_class=Response)


@dataclass(frozen=True, slots=True)
class Context:
    """What the endpoints stand on."""

    control: Control
    changes: Changes
    home: str
    end: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas a service should have."""

    replicas: int


@dataclass(frozen=True, slots=True)
class Verify:
    """What to verify: a server by its base URL, or a replica; a revision, or the live one."""

    url: str | None = None
    revision: int | None = None


class MalformedError(UsageError):
    """The body of a request is not JSON."""


class TooLargeError(ClocheError):
    """The body of a request is larger than any that a command sends."""


BODIES = (Deployment, Scale, Verify)
"""What requests carry, for the description of the API."""


@router.get("/health")
def health(request: Request) -> Response:
    """Answer `{version, pid, home}`: that the control plane answers, and which one it is."""
    return _json({"version": __version__, "pid": os.getpid(), "home": _context(request).home})


@router.get("/status")
def status(request: Request) -> Response:
    """Answer `{gateway: {ready, http, grpc, pid, detail}, services: [ServiceStatus]}`."""
    return _json(_context(request).control.status())


@router.get("/services/{name}")
def service(request: Request, name: str) -> Response:
    """Answer the ServiceStatus of one service; 404 when there is none of this name.

    `{service, revision (live, else wanted), phase (of the wanted revision), live, wanted, deleting,
    model: {reference, source, pinned, version, digest, format}, http (URL of its infer path), grpc
    (address), verification, replicas: {wanted, ready, items}, failure (an error), created_at}`
    """
    return _json(_context(request).control.service(name))


@router.post("/services/{name}/deployments", openapi_extra={"requestBody": _body(Deployment)})
async def deploy(request: Request, name: str) -> Response:
    """Record a Deployment (`cloche.artifacts`), whose service must be the one in the path.

    Answers `{change, revision}` at once; the rollout goes on and shows in the events. `change` is
    `revision` when a rollout has begun, `scaled` when only the operation of the service differs,
    `none` when what is asked for is live or on its way already. A later deploy takes over from one
    that is on its way.
    """
    deployment = await _read(request, Deployment)
    if deployment.service != name:
        what = f"The deployment is for {deployment.service!r}, and the path for {name!r}."
        raise UsageError("deployment.invalid", what)
    deployment = replace(deployment, by=_principal(request))
    change, revision = await run_in_threadpool(_context(request).control.deploy, deployment)
    return _json({"change": change, "revision": revision}, 201 if change == "revision" else 200)


@router.get("/services/{name}/revisions")
def revisions(request: Request, name: str) -> Response:
    """Answer `{revisions: [Revision]}`, oldest first."""
    return _json({"revisions": _context(request).control.revisions(name)})


@router.get("/services/{name}/revisions/{number}")
def revision(request: Request, name: str, number: int) -> Response:
    """Answer one Revision: its deployment, phase, golden request, verification and failure."""
    return _json(_context(request).control.revision(name, number))


@router.post("/services/{name}/scale", openapi_extra={"requestBody": _body(Scale)})
async def scale(request: Request, name: str) -> Response:
    """Take `{replicas}` (1 to 1000) and answer the ServiceStatus; no new revision comes of it."""
    asked = await _read(request, Scale)
    control = _context(request).control
    return _json(await run_in_threadpool(control.scale, name, asked.replicas, _principal(request)))


@router.post("/services/{name}/verify", openapi_extra={"requestBody": _body(Verify)})
async def verify(request: Request, name: str) -> Response:
    """Take `{url, revision}`, both optional, send the golden request and answer a Verification.

    Without `url` a ready replica is asked, and the outcome is kept with the revision; without
    `revision` it is the live one. The status is 200 whether it passed or not.
    """
    asked = await _read(request, Verify)
    control = _context(request).control
    return _json(await run_in_threadpool(control.verify, name, asked.url, asked.revision))


@router.delete("/services/{name}")
def delete(request: Request, name: str) -> Response:
    """Begin to drain and remove a service (202); it is gone when its status answers 404."""
    _context(request).control.delete(name, _principal(request))
    return _json({"service": name}, 202)


@router.get("/services/{name}/logs")
async def logs(
    request: Request,
    name: str,
    lines: Annotated[int, Query(ge=0, le=100_000)] = 100,
    follow: bool = False,
    revision: int | None = None,
) -> Response:
    """Stream the last lines of each replica, then new ones with `follow`, until the client goes.

    The body is NDJSON: `{replica, line}` in each line, or `{error}` as the last one.
    """
    control = _context(request).control
    found = await run_in_threadpool(
        lambda: control.logs(name, revision, lines=lines, follow=follow)
    )
    return StreamingResponse(stream(found), media_type="application/x-ndjson")


@router.get("/events")
async def events(
    request: Request,
    service: str | None = None,
    after: Annotated[int, Query(ge=0)] = 0,
    wait: Annotated[float, Query(ge=0)] = 0.0,
) -> Response:
    """Answer `{events: [Event]}` with a sequence above `after`, oldest first, at most 1000.

    With `wait` the answer comes when there is one, at the latest after so many seconds (60 at
    most), and is then empty.
    """
    context = _context(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait, _LONGEST_WAIT)
    while True:
        count = context.changes.count
        found = await run_in_threadpool(
            context.control.state.events, service, after=after, limit=_MOST_EVENTS
        )
        left = deadline - loop.time()
        if found or left <= 0 or context.changes.closed:
            return _json({"events": found})
        await context.changes.wait(count, left)


@router.post("/down")
async def down(request: Request) -> Response:
    """Drain and stop all replicas, then the gateway, answer `{down: true}`, and end.

    What is declared stays in the state, and runs again when a control plane is next started.
    """
    context = _context(request)
    try:
        await run_in_threadpool(context.control.down)
    finally:
        # Also when something would not end: the next control plane takes over what is left.
        context.end()
    return _json({"down": True})


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def _principal(request: Request) -> str:
    """Return who asks, as the token says; see `daemon.access`."""
    return str(request.scope["principal"])


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(encode(value), status_code, media_type="application/json")


async def _read(request: Request, kind: type[T]) -> T:
    """Read the body of a request, saying which part of it is not right."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LARGEST_BODY:
            what = f"The body is larger than {size_text(_LARGEST_BODY)}."
            raise TooLargeError("api.too_large", what)
    try:
        return msgspec.json.decode(bytes(data) or b"{}", type=kind)
    except msgspec.ValidationError as error:
        what = f"The body is not a valid {kind.__name__}: {error}."
        raise UsageError("api.invalid", what) from error
    except msgspec.DecodeError as error:
        raise MalformedError("api.malformed", f"The body is not JSON: {error}.") from error
