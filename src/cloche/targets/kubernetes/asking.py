"""Asking a pod where no port can be forwarded: each request is sent by a Job of the namespace.

    with relay(cluster, pod) as url: …

`url` is of this machine. What it is asked goes into a ConfigMap, or is in the image of the pod, and
the answer comes with the log of the Job.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError, UnavailableError
from cloche.targets.kubernetes.objects import asking
from cloche.targets.kubernetes.objects.pod import PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.clients.kubernetes.cluster import Cluster

_POLL = 0.5
LARGEST = 512 * 2**10
"""Bytes of a body that goes into a ConfigMap; a larger one has to be in the image."""
_OF_CONNECTIONS = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_UNAVAILABLE = 503
Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""


@contextmanager
def relay(cluster: Cluster, pod: dict[str, Any]) -> Iterator[str]:
    """Yield a URL of this machine that leads to the HTTP port of a pod while the block lasts."""
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        """Passes each request on; what keeps it from doing so is answered with 503."""

        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers.get("content-length", "0"))))

        def _pass_on(self, body: bytes | None) -> None:
            try:
                with one_at_a_time:
                    given = _kept(dict(self.headers).items())
                    answer = send(
                        cluster, pod, self.command, self.path, headers=dict(given), body=body
                    )
            except ClocheError as error:
                answer = _UNAVAILABLE, [], json.dumps({"error": error.what}).encode()
            status, headers, data = answer
            self.send_response(status)
            for name, value in [*_kept(headers), ("content-length", str(len(data)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="ask-by-job", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def send(
    cluster: Cluster,
    pod: dict[str, Any],
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
) -> Answer:
    """Send one request to a pod by a Job, which is removed after it, and return the answer.

    Raises UnavailableError `target.kubernetes.ask` if there was none, and ClocheError
    `kubernetes.…`.
    """
    request = {"port": PORTS["http"], "method": method, "path": path, "headers": dict(headers)}
    head, data = asked(cluster, pod, "send", request, body)
    try:
        return int(head["status"]), [(str(key), str(value)) for key, value in head["headers"]], data
    except (KeyError, TypeError, ValueError) as error:
        raise _unanswered(str(head), "Its log has no answer.") from error


def asked(
    cluster: Cluster,
    pod: dict[str, Any],
    script: str,
    request: Mapping[str, Any],
    body: bytes | None,
) -> tuple[dict[str, Any], bytes]:
    """Have a Job run a script of `probe/` for a request; return the head of the answer, and it.

    Raises as `send` does.
    """
    namespace, name = pod["metadata"]["namespace"], f"cloche-ask-{secrets.token_hex(5)}"
    digest = None if body is None else hashlib.sha256(body).hexdigest()
    whole = {"host": pod["status"]["podIP"], "digest": digest, **request}
    carried = body if body is not None and len(body) <= LARGEST else None
    try:
        cluster.create(kinds.CONFIG_MAP, asking.request(name, whole, carried, pod))
        cluster.create(kinds.JOB, asking.job(name, pod, script))
        sender = _ended(cluster, namespace, name)
        return _answer(list(cluster.log(sender, namespace, asking.CONTAINER)), name)
    finally:
        for kind in (kinds.JOB, kinds.CONFIG_MAP):
            with suppress(ClocheError):  # the cluster removes it a little later
                cluster.delete(kind, name, namespace)


def _ended(cluster: Cluster, namespace: str, name: str) -> str:
    """Return the pod of a Job, once it has ended."""
    deadline = time.monotonic() + asking.LIMIT
    why = "no pod of it was made, which a quota or a policy of the namespace may refuse"
    while time.monotonic() < deadline:
        for pod in cluster.list(kinds.POD, namespace, labels=f"job-name={name}").items:
            status = pod.get("status", {})
            if status.get("phase") in {"Succeeded", "Failed"}:
                return str(pod["metadata"]["name"])
            containers = status.get("containerStatuses") or [{}]
            waiting = containers[0].get("state", {}).get("waiting") or {}
            why = waiting.get("message") or waiting.get("reason") or status.get("phase", "")
        time.sleep(_POLL)
    raise _unanswered(name, f"It did not end within {asking.LIMIT} s: {why}.")


def _answer(lines: list[str], name: str) -> tuple[dict[str, Any], bytes]:
    """Return the answer that is in the log of a Job, and the head that it begins with."""
    try:
        head = json.loads(lines[0])
        if "error" in head:
            raise _unanswered(name, f"It got no answer: {head['error']}.")
        data = b"".join(base64.b64decode(line) for line in lines[1:])
        digest = head["digest"]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise _unanswered(name, f"Its log has no answer: {' '.join(lines)[-200:]}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _unanswered(name, "A part of the answer is missing from its log.")
    return head, data


def _unanswered(name: str, why: str) -> UnavailableError:
    return UnavailableError(
        "target.kubernetes.ask",
        f"A Job could not ask the pod. {why}",
        where=f"Job {name}",
        hint="Let Jobs run there and reach its pods, or have `create pods/portforward` allowed.",
    )


def _kept(headers: Any) -> list[tuple[str, str]]:
    """Return headers without those of the connection."""
    return [(name, value) for name, value in headers if name.lower() not in _OF_CONNECTIONS]
