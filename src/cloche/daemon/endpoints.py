"""The endpoints, all under `/v1`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from cloche.artifacts import Consent, Deployment, encode
from cloche.daemon.bodies import (
    Rollback,
    Scale,
    Verify,
    body_of,
    read_body,
    read_deployment,
)
from cloche.daemon.log_stream import stream
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.control import Engine
    from cloche.daemon.changes import Changes
    from cloche.daemon.signs import KeptBy
    from cloche.targets import Host

_LONGEST_WAIT = 60.0


router = APIRouter(default_response_class=Response)


@dataclass(frozen=True, slots=True)
class Context:
    """What the endpoints use."""

    engine: Engine
    host: Host
    changes: Changes
    home: str
    end: Callable[[], None]
    """Makes the process end when it is idle."""
    keeper: KeptBy | None = None
    """Who starts the process again."""


@router.get("/health")
def health(request: Request) -> Response:
    """Answer `{version, pid, home, keeper}` of this control plane.

    `keeper` is who starts it again: `systemd`, `parent` (a process of Cloche), or null.
    """
    context = _context(request)
    about = {"version": __version__, "home": context.home}
    return _json(about | _control(context))


@router.get("/status")
def status(request: Request) -> Response:
    """Answer `{gateway: {ready, http, grpc, pid, detail}, services: [ServiceStatus], kept}`.

    `kept` is `{bytes, limit}`: the size of the kept revisions, and the cache limit. `control` is
    `{pid, keeper}` of the control plane.
    """
    return _json(_engine(request).status() | {"control": _control(_context(request))})


def _control(context: Context) -> dict[str, Any]:
    return {"pid": os.getpid(), "keeper": context.keeper}


@router.get("/services/{name}")
def service(request: Request, name: str) -> Response:
    """Answer the ServiceStatus of one service; 404 if it does not exist.

    `{service, revision (live, else wanted), phase (of the wanted revision), live, wanted, deleting,
    model: {reference, source, pinned, version, digest, format}, http (URL of its infer path), grpc
    (address), verification, replicas: {wanted, ready, items}, failure (an error), created_at,
    restarted_at (when a restart of the live revision was asked for), rollout: the one under way, or
    null}`. A rollout is `{to, from, cause, by, started_at, phase, since, step, weight, paused,
    verified, outcome, ended_at, failure}`.
    """
    return _json(_engine(request).service(name))


@router.post("/services/{name}/deployments", openapi_extra={"requestBody": body_of(Deployment)})
async def deploy(
    request: Request, name: str, accept: Annotated[list[Consent] | None, Query()] = None
) -> Response:
    """Record a Deployment (`cloche.artifacts`), whose service must be the one in the path.

    A question of its plan that is not in `accept` is refused with `deploy.confirm` (409), before
    anything changes.

    Answers `{change, revision}` at once; the events show the rollout. `change` is `revision` if a
    rollout began, `scaled` if only the operation of the service differs, `none` if the revision is
    live or under way. A later deploy supersedes a rollout under way.
    """
    deployment = await read_deployment(request, name)
    engine, given = _engine(request), tuple(accept or ())
    answer = await run_in_threadpool(lambda: engine.deploy(deployment, accept=given))
    return _json(answer, 201 if answer["change"] == "revision" else 200)


@router.post("/services/{name}/plan", openapi_extra={"requestBody": body_of(Deployment)})
async def plan(request: Request, name: str) -> Response:
    """Take a Deployment and answer the DeployPlan: what deploying it would change.

    `{service, kind: none|scale|update|create, revision, changes, reasons, findings, questions}`,
    decided by the same function as a deploy. A question is `{consent, what, flag, otherwise}`.
    Nothing changes. `revision` is the recorded revision that the Deployment asks for, null if a
    deploy makes a new one.
    """
    deployment = await read_deployment(request, name)
    return _json(await run_in_threadpool(_engine(request).plan, deployment))


@router.post("/services/{name}/rollback", openapi_extra={"requestBody": body_of(Rollback)})
async def rollback(request: Request, name: str) -> Response:
    """Take `{to, verify}`, both optional, and begin a rollout to an earlier revision (201).

    Without `to` it is the revision that was live before. Answers `{change, revision}` like a
    deploy. With `verify` false the revision gets traffic without its golden request, which it must
    have passed before. Refuses with `rollback.nothing`, `rollback.under_way`, `rollback.live`,
    `rollback.gone`, `rollback.unverified` or `revision.unknown`.
    """
    body = await read_body(request, Rollback)
    engine = _engine(request)
    answer = await run_in_threadpool(lambda: engine.rollback(name, body.to, verify=body.verify))
    return _json(answer, 201)


@router.get("/services/{name}/history")
def history(request: Request, name: str) -> Response:
    """Answer `{service, rollouts, restorable, keep}`, the rollouts newest first.

    `restorable` has the numbers of the revisions that can be brought back. `keep` is how many
    formerly live revisions are kept for that.
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
    image, failure, rollout}`: the revision, its attachments and its current state.
    """
    return _json(_engine(request).revision(name, number))


@router.post("/services/{name}/scale", openapi_extra={"requestBody": body_of(Scale)})
async def scale(request: Request, name: str) -> Response:
    """Take `{replicas}` (1 to 1000), make no new revision, and answer the ServiceStatus.

    It has `findings`, too, if the target has something to say about it.
    """
    body = await read_body(request, Scale)
    return _json(await run_in_threadpool(_engine(request).scale, name, body.replicas))


@router.post("/services/{name}/restart")
async def restart(request: Request, name: str) -> Response:
    """Begin to replace each replica of the live revision, and answer the ServiceStatus.

    One by one, each when a new one answers. A replica that was started for it has the status's
    `restarted_at`. Refuses with `restart.under_way` while a rollout is under way, and with
    `restart.not_live`.
    """
    return _json(await run_in_threadpool(_engine(request).restart, name))


@router.post("/services/{name}/verify", openapi_extra={"requestBody": body_of(Verify)})
async def verify(request: Request, name: str) -> Response:
    """Take `{url, revision}`, both optional, send the golden request and answer a Verification.

    Without `url` a ready replica answers, and the outcome is attached to the revision. Without
    `revision` it is the live one. The status is 200 whether the check passed or not.
    """
    body = await read_body(request, Verify)
    engine = _engine(request)
    return _json(
        await run_in_threadpool(
            lambda: engine.verify(name, url=body.url, revision=body.revision, golden=body.golden)
        )
    )


@router.delete("/services/{name}")
def delete(request: Request, name: str) -> Response:
    """Begin to drain and remove a service (202); when it is gone, its status answers 404."""
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
    """Stream the last `lines` of each replica, then new ones with `follow`.

    The stream ends when the client disconnects. The body is NDJSON: each line is `{replica, line}`,
    or `{error}` as the last one.
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
    """Answer `{events: [Event]}`: at most 1000 after the cursor `after`, oldest first.

    An Event is `{at, service, revision, kind, what, by, detail, cursor}`. `cursor` is opaque: pass
    that of the last event as `after` to read on. Without `after` the oldest event is first.

    With `wait` the answer comes with the first event, or empty after that many seconds (at most
    60).
    """
    context = _context(request)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(wait, _LONGEST_WAIT)
    while True:
        count = context.changes.count
        # The engine would block a thread for each wait; here none is needed.
        fresh = await run_in_threadpool(context.engine.events, service, after=after)
        left = deadline - loop.time()
        if fresh or left <= 0 or context.changes.closed:
            return _json({"events": fresh})
        await context.changes.wait(count, left)


@router.post("/down")
async def down(request: Request) -> Response:
    """Drain and stop all replicas, then the gateway, answer `{down: true}`, and end.

    Services stay recorded and run again when a control plane is next started.
    """
    context = _context(request)
    try:
        await run_in_threadpool(context.engine.end)
        await run_in_threadpool(context.host.down)
    finally:
        # Also if something did not end: the next control plane takes over what is left.
        context.end()
    return _json({"down": True})


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def _engine(request: Request) -> Engine:
    """Return the engine on behalf of the token's owner; see `daemon.access`."""
    return _context(request).engine.on_behalf_of(str(request.scope["principal"]))


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(encode(value), status_code, media_type="application/json")
