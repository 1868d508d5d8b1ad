"""The endpoints, all under `/v1`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
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

    from cloche.control import Engine
    from cloche.daemon.changes import Changes
    from cloche.targets import Host

T = TypeVar("T")

_LARGEST_BODY = 64 * 2**20
_LONGEST_WAIT = 60.0


def _body(kind: type) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


router = APIRouter(default_response_class=Response)


@dataclass(frozen=True, slots=True)
class Context:
    """What the endpoints stand on."""

    engine: Engine
    host: Host
    changes: Changes
    home: str
    end: Callable[[], None]
    """Has the process end when it is idle."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas a service should have."""

    replicas: int


@dataclass(frozen=True, slots=True)
class Verify:
    """What to verify: a server by its base URL, or a replica; a revision, or the live one."""

    url: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    """Where to go back to; the revision that was live before, where `to` is left out."""

    to: int | None = None
    verify: bool = True


class MalformedError(UsageError):
    """The body of a request is not JSON."""


class TooLargeError(ClocheError):
    """The body of a request is larger than any that a command sends."""


BODIES = (Deployment, Rollback, Scale, Verify)
"""What requests carry, for the description of the API."""


@router.get("/health")
def health(request: Request) -> Response:
    """Answer `{version, pid, home}`: that the control plane answers, and which one it is."""
    return _json({"version": __version__, "pid": os.getpid(), "home": _context(request).home})


@router.get("/status")
def status(request: Request) -> Response:
    """Answer `{gateway: {ready, http, grpc, pid, detail}, services: [ServiceStatus], kept}`.

    `kept` is `{bytes, limit}`: what can be brought back takes so much of the cache's limit.
    """
    return _json(_engine(request).status())


@router.get("/services/{name}")
def service(request: Request, name: str) -> Response:
    """Answer the ServiceStatus of one service; 404 when there is none of this name.

    `{service, revision (live, else wanted), phase (of the wanted revision), live, wanted, deleting,
    model: {reference, source, pinned, version, digest, format}, http (URL of its infer path), grpc
    (address), verification, replicas: {wanted, ready, items}, failure (an error), created_at,
    rollout: the one under way, or null}`. A rollout is `{to, from, cause, by, started_at, phase,
    since, step, weight, paused, verified, outcome, ended_at, failure}`.
    """
    return _json(_engine(request).service(name))


@router.post("/services/{name}/deployments", openapi_extra={"requestBody": _body(Deployment)})
async def deploy(request: Request, name: str) -> Response:
    """Record a Deployment (`cloche.artifacts`), whose service must be the one in the path.

    Answers `{change, revision}` at once; the rollout goes on and shows in the events. `change` is
    `revision` when a rollout has begun, `scaled` when only the operation of the service differs,
    `none` when what is asked for is live or on its way already. A later deploy takes over from one
    that is on its way.
    """
    deployment = await _deployment(request, name)
    answer = await run_in_threadpool(_engine(request).deploy, deployment)
    return _json(answer, 201 if answer["change"] == "revision" else 200)


@router.post("/services/{name}/plan", openapi_extra={"requestBody": _body(Deployment)})
async def plan(request: Request, name: str) -> Response:
    """Take a Deployment and answer the DeployPlan: what deploying it would change.

    `{service, kind: none|scale|update|create, revision, changes, reasons, findings}`, decided by
    the function that a deploy is decided by. Nothing is changed. `revision` is the one on record
    that is what is asked for, null where a new one would be made.
    """
    deployment = await _deployment(request, name)
    return _json(await run_in_threadpool(_engine(request).plan, deployment))


@router.post("/services/{name}/rollback", openapi_extra={"requestBody": _body(Rollback)})
async def rollback(request: Request, name: str) -> Response:
    """Take `{to, verify}`, both optional, and begin a rollout to an earlier revision (201).

    Without `to` it is the revision that was live before. Answers `{change, revision}` like a
    deploy. With `verify` false the golden request is not asked before the revision gets traffic,
    which only one that passed it before may do. Refuses with `rollback.nothing`,
    `rollback.under_way`, `rollback.live`, `rollback.gone`, `rollback.unverified` or
    `revision.unknown`.
    """
    asked = await _read(request, Rollback)
    engine = _engine(request)
    answer = await run_in_threadpool(lambda: engine.rollback(name, asked.to, verify=asked.verify))
    return _json(answer, 201)


@router.get("/services/{name}/history")
def history(request: Request, name: str) -> Response:
    """Answer `{service, rollouts, restorable, keep}`, the rollouts newest first.

    `restorable` are the numbers of the revisions that can be brought back, `keep` how many of
    those that were live are kept for that.
    """
    return _json(_engine(request).history(name))


@router.get("/services/{name}/revisions")
def revisions(request: Request, name: str) -> Response:
    """Answer `{revisions: [RevisionStatus]}`, oldest first."""
    return _json({"revisions": _engine(request).revisions(name)})


@router.get("/services/{name}/revisions/{number}")
def revision(request: Request, name: str, number: int) -> Response:
    """Answer a RevisionStatus.

    `{service, number, digest, deployment, created_at, by, phase, phase_since, golden, verification,
    image, failure, rollout}`: the revision, what is attached to it, and what it is now.
    """
    return _json(_engine(request).revision(name, number))


@router.post("/services/{name}/scale", openapi_extra={"requestBody": _body(Scale)})
async def scale(request: Request, name: str) -> Response:
    """Take `{replicas}` (1 to 1000) and answer the ServiceStatus; no new revision comes of it."""
    asked = await _read(request, Scale)
    return _json(await run_in_threadpool(_engine(request).scale, name, asked.replicas))


@router.post("/services/{name}/verify", openapi_extra={"requestBody": _body(Verify)})
async def verify(request: Request, name: str) -> Response:
    """Take `{url, revision}`, both optional, send the golden request and answer a Verification.

    Without `url` a ready replica is asked, and the outcome is kept with the revision; without
    `revision` it is the live one. The status is 200 whether it passed or not.
    """
    asked = await _read(request, Verify)
    engine = _engine(request)
    return _json(
        await run_in_threadpool(lambda: engine.verify(name, url=asked.url, revision=asked.revision))
    )


@router.delete("/services/{name}")
def delete(request: Request, name: str) -> Response:
    """Begin to drain and remove a service (202); it is gone when its status answers 404."""
    _engine(request).delete(name)
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
    engine = _engine(request)
    log = await run_in_threadpool(
        lambda: engine.logs(name, revision=revision, lines=lines, follow=follow)
    )
    return StreamingResponse(stream(log), media_type="application/x-ndjson")


@router.get("/events")
async def events(
    request: Request,
    service: str | None = None,
    after: Annotated[str, Query(max_length=200)] = "",
    wait: Annotated[float, Query(ge=0)] = 0.0,
) -> Response:
    """Answer `{events: [Event]}`, those after the cursor `after`, oldest first, at most 1000.

    An Event is `{at, service, revision, kind, what, by, detail, cursor}`. `cursor` is opaque: give
    that of the last event as `after` to read on. Without `after` it begins with the oldest event.

    With `wait` the answer comes when there is one, at the latest after so many seconds (60 at
    most), and is then empty.
    """
    context = _context(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait, _LONGEST_WAIT)
    while True:
        count = context.changes.count
        # The wait is here and not in the engine, where each would take a thread.
        news = await run_in_threadpool(context.engine.events, service, after=after)
        left = deadline - loop.time()
        if news or left <= 0 or context.changes.closed:
            return _json({"events": news})
        await context.changes.wait(count, left)


@router.post("/down")
async def down(request: Request) -> Response:
    """Drain and stop all replicas, then the gateway, answer `{down: true}`, and end.

    What is declared stays in the state, and runs again when a control plane is next started.
    """
    context = _context(request)
    try:
        await run_in_threadpool(context.engine.end)
        await run_in_threadpool(context.host.down)
    finally:
        # Also when something would not end: the next control plane takes over what is left.
        context.end()
    return _json({"down": True})


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def _engine(request: Request) -> Engine:
    """Return the engine on behalf of who asks, as the token says; see `daemon.access`."""
    return _context(request).engine.on_behalf_of(str(request.scope["principal"]))


async def _deployment(request: Request, name: str) -> Deployment:
    """Read a deployment, which must be for the service in the path."""
    deployment = await _read(request, Deployment)
    if deployment.service != name:
        what = f"The deployment is for {deployment.service!r}, and the path for {name!r}."
        raise UsageError("deployment.invalid", what)
    return deployment


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
