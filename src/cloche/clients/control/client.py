"""The client of the control plane's API.

Errors in answers are raised as the original errors, with their exit codes. An unreachable control
plane is `control.unreachable`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec

from cloche import artifacts
from cloche.artifacts import (
    Consent,
    DeployAnswer,
    Deployment,
    DeployPlan,
    Event,
    Golden,
    ReplicaRange,
    RevisionStatus,
    Verification,
)
from cloche.clients.control import launch as starting
from cloche.clients.control import transport
from cloche.errors import BusyError, from_dict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from types import TracebackType


T = TypeVar("T")

_CALL_SECONDS = 30.0
_VERIFY_SECONDS = 600.0
_DOWN_SECONDS = 180.0
_DELETING_SECONDS = 60.0


class ControlClient:
    """The calls of the API; safe for several threads. Each raises the ClocheError in its answer."""

    def __init__(self, base_url: str, token: str) -> None:
        # A proxy from the environment would see the token; loopback needs none.
        self._http = httpx.Client(
            base_url=f"{base_url}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_CALL_SECONDS,
            trust_env=False,
            verify=False,  # noqa: S501  (plain HTTP on loopback; making a TLS context takes 0.2 s)
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def health(self) -> dict[str, Any]:
        """Return `{version, pid, home}`."""
        return self._call("GET", "/health", dict[str, Any])

    def status(self) -> dict[str, Any]:
        """Return `{gateway, services, kept, problems}`."""
        return self._call("GET", "/status", dict[str, Any])

    def service(self, name: str) -> dict[str, Any]:
        """Return the ServiceStatus of a service; raises NotFoundError."""
        return self._call("GET", f"/services/{_segment(name)}", dict[str, Any])

    def plan(self, deployment: Deployment) -> DeployPlan:
        """Return the changes that a deploy would make."""
        path = f"/services/{_segment(deployment.service)}/plan"
        return self._call("POST", path, DeployPlan, body=artifacts.encode(deployment))

    def rollback(self, name: str, to: int | None = None, *, verify: bool = True) -> DeployAnswer:
        """Begin a rollout to an earlier revision; return `{change, revision}` like `deploy`."""
        body = artifacts.encode({"to": to, "verify": verify})
        path = f"/services/{_segment(name)}/rollback"
        return self._call("POST", path, DeployAnswer, body=body)

    def history(self, name: str) -> dict[str, Any]:
        """Return `{service, rollouts, restorable, keep}`, the rollouts newest first."""
        return self._call("GET", f"/services/{_segment(name)}/history", dict[str, Any])

    def deploy(self, deployment: Deployment, *, accept: Collection[Consent] = ()) -> DeployAnswer:
        """Submit a deployment; return `{change: none|scaled|revision, revision}`.

        `accept` has what its author said yes to. Waits a while for a service of the same name that
        is being deleted.
        """
        path = f"/services/{_segment(deployment.service)}/deployments"
        body, query = artifacts.encode(deployment), {"accept": sorted(accept)}
        deadline = time.monotonic() + _DELETING_SECONDS
        while True:
            try:
                return self._call("POST", path, DeployAnswer, body=body, query=query)
            except BusyError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def revisions(self, name: str) -> tuple[RevisionStatus, ...]:
        """Return all revisions of a service, oldest first."""
        path = f"/services/{_segment(name)}/revisions"
        return self._call("GET", path, dict[str, tuple[RevisionStatus, ...]])["revisions"]

    def revision(self, name: str, number: int) -> RevisionStatus:
        """Return one revision of a service."""
        return self._call("GET", f"/services/{_segment(name)}/revisions/{number}", RevisionStatus)

    def scale(self, name: str, replicas: int | ReplicaRange) -> dict[str, Any]:
        """Change the number of replicas; return the ServiceStatus."""
        body = artifacts.encode({"replicas": replicas})
        path = f"/services/{_segment(name)}/scale"
        return self._call("POST", path, dict[str, Any], body=body)

    def restart(self, name: str) -> dict[str, Any]:
        """Begin to replace each replica of the live revision; return the ServiceStatus."""
        return self._call("POST", f"/services/{_segment(name)}/restart", dict[str, Any])

    def verify(
        self,
        name: str,
        *,
        url: str | None = None,
        revision: int | None = None,
        golden: Golden | None = None,
    ) -> Verification:
        """Replay the golden request of a revision on a replica, or on the server at a base URL.

        `golden` is another request, which is in this home's store.
        """
        body = artifacts.encode({"url": url, "revision": revision, "golden": golden})
        path = f"/services/{_segment(name)}/verify"
        return self._call("POST", path, Verification, body=body, seconds=_VERIFY_SECONDS)

    def delete(self, name: str) -> None:
        """Begin to remove a service; once gone, `service` raises NotFoundError."""
        self._call("DELETE", f"/services/{_segment(name)}", dict[str, Any])

    def events(
        self, service: str | None = None, *, after: str = "", wait: float = 0.0
    ) -> tuple[Event, ...]:
        """Return events after a cursor, waiting up to `wait` seconds for one."""
        query: dict[str, Any] = {"after": after, "wait": wait}
        if service is not None:
            query["service"] = service
        seconds = _CALL_SECONDS + wait
        kind = dict[str, tuple[Event, ...]]
        return self._call("GET", "/events", kind, query=query, seconds=seconds)["events"]

    def logs(
        self, name: str, *, lines: int = 100, follow: bool = False, revision: int | None = None
    ) -> Iterator[tuple[str, str]]:
        """Yield `(replica id, line)`; with `follow`, until the iterator is closed."""
        query: dict[str, Any] = {"lines": lines, "follow": follow}
        if revision is not None:
            query["revision"] = revision
        timeout = httpx.Timeout(_CALL_SECONDS, read=None if follow else _CALL_SECONDS)
        path = f"/services/{_segment(name)}/logs"
        with (
            transport.reaching(self._http),
            self._http.stream("GET", path, params=query, timeout=timeout) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise transport.error_of(answer)
            for text in answer.iter_lines():
                line = msgspec.json.decode(text)
                if "error" in line:
                    raise from_dict(line["error"])
                yield line["replica"], line["line"]

    def down(self) -> None:
        """Stop all replicas, the gateway and the control plane; return when they have ended."""
        pid = self.health()["pid"]
        self._call("POST", "/down", dict[str, Any], seconds=_DOWN_SECONDS)
        starting.wait_until_gone(pid)

    def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        seconds: float = _CALL_SECONDS,
    ) -> T:
        timeout = httpx.Timeout(seconds, connect=_CALL_SECONDS)
        with transport.reaching(self._http):
            answer = self._http.request(method, path, content=body, params=query, timeout=timeout)
        if answer.is_error:
            raise transport.error_of(answer)
        try:
            return artifacts.decode(kind, answer.content)
        except msgspec.DecodeError as error:
            raise transport.unreadable(str(error)) from error


def _segment(name: str) -> str:
    """Return a name as one segment of a path, with special characters escaped."""
    from urllib.parse import quote

    return quote(name, safe="")
