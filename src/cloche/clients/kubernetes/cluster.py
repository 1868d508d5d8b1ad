"""A cluster: its objects are read, written and watched as plain dicts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from cloche.clients.kubernetes import kubeconfig
from cloche.clients.kubernetes.credentials import Credentials
from cloche.clients.kubernetes.errors import FieldConflictError, MissingObjectError
from cloche.clients.kubernetes.listing import Listing, listing, selectors
from cloche.clients.kubernetes.logs import log
from cloche.clients.kubernetes.transport import PATIENCE, Request, Transport
from cloche.clients.kubernetes.watching import Change, watch
from cloche.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from cloche.clients.kubernetes.context import Context
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.clients.kubernetes.server_clock import ServerClock
    from cloche.clients.patience import Patience

OWN = "cloche"
"""The field manager of all that is written."""
_NO_SECONDS = 5.0
"""Seconds after which a kind that was missing is looked for again."""
_STRICT = {"fieldManager": OWN, "fieldValidation": "Strict"}
"""An unknown field is an error, never dropped."""
_DRY_RUN = {"dryRun": "All"}


def connect(
    context: str,
    environment: Mapping[str, str],
    *,
    patience: Patience = PATIENCE,
    clock: ServerClock | None = None,
) -> Cluster:
    """Return the cluster of a context, by the files of kubectl; nothing is asked there yet.

    `environment`: KUBECONFIG, HOME, and what exec plugins read. Raises ClocheError
    `kubernetes.kubeconfig`, `kubernetes.context` and `kubernetes.auth_provider`.
    """
    found = kubeconfig.find(context, environment)
    return Cluster(found, Transport(found, Credentials(found, environment), patience, clock))


class Cluster:
    """A connection to a cluster; safe for several threads.

    `namespace` is None for objects that have none. What can be repeated is asked again while the
    API server does not answer. Methods raise ClocheError `kubernetes.…`.
    """

    def __init__(self, context: Context, transport: Transport) -> None:
        self.context = context.name
        self.server = context.server.url
        self.namespace = context.namespace
        """The context's own; it is used only where the caller does."""
        self._transport = transport
        self._served: dict[Kind, tuple[bool, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; what other threads do there ends with `kubernetes.stopped`."""
        self._transport.close()

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return an object, or None if it is not there."""
        try:
            return self._ask("GET", kind, namespace, name)
        except MissingObjectError:
            return None

    def list(
        self, kind: Kind, namespace: str | None = None,
        *, labels: str = "", fields: str = "", since: str = "",
    ) -> Listing:  # fmt: skip
        """Return all objects of a kind in a namespace, or (None) in the cluster.

        `labels` and `fields` are selectors. `since` is the version of an object of this kind that
        was written a moment ago: the list is at least as new, and need not be the newest.
        """
        return listing(self._transport, kind, namespace, selectors(labels, fields), since)

    # ── writing ───────────────────────────────────────────────────────────────────────────────

    def create(
        self, kind: Kind, body: Mapping[str, Any], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Make an object and return it; StaleError if one of that name is there."""
        namespace, name = _place(body)
        path, what = kind.path(namespace), kind.words(namespace, name)
        request = Request("POST", path, what, _STRICT | (_DRY_RUN if dry_run else {}), body)
        return self._write(request, kind, body)

    def replace(self, kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write an object over the one of its `resourceVersion`; StaleError if that changed."""
        namespace, name = _place(body)
        path, what = kind.path(namespace, name), kind.words(namespace, name)
        return self._write(Request("PUT", path, what, _STRICT, body), kind, body)

    def apply(
        self, kind: Kind, body: Mapping[str, Any], *, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Have the fields of an object be as they are here, whether it is there or not.

        Raises FieldConflictError if others set some of them otherwise, unless with `force`.
        """
        namespace, name = _place(body)
        forced = {"force": "true" if force else "false"}
        try:
            return self._ask(
                "PATCH", kind, namespace, name, body=body,
                parameters=_STRICT | forced | (_DRY_RUN if dry_run else {}),
                content_type="application/apply-patch+yaml",
            )  # fmt: skip
        except FieldConflictError as error:
            if {owner for _, owner in error.conflicts} != {OWN}:
                raise
        # Another of our own writes set them (create, replace, patch): to the server one more owner.
        return self.apply(kind, body, force=True, dry_run=dry_run)

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        manager: str = OWN,
    ) -> dict[str, Any]:
        """Merge fields into an object (RFC 7396); StaleError if they have an old version."""
        return self._ask(
            "PATCH", kind, namespace, name, subresource,
            parameters=_STRICT | {"fieldManager": manager}, body=body,
            content_type="application/merge-patch+json",
        )  # fmt: skip

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        *,
        uid: str | None = None,
        version: str | None = None,
        foreground: bool = False,
    ) -> bool:
        """Delete an object, and in the background or (foreground) before it what it owns.

        Return False if it is gone already; StaleError if it is another, or was changed.
        """
        wanted = {"uid": uid, "resourceVersion": version}
        body = {
            "propagationPolicy": "Foreground" if foreground else "Background",
            "preconditions": {key: value for key, value in wanted.items() if value is not None},
        }
        try:
            self._ask("DELETE", kind, namespace, name, body=body)
        except MissingObjectError:
            return False
        return True

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a review, which changes nothing (SelfSubjectReview, SelfSubjectAccessReview)."""
        return self._transport.ask(Request("POST", path, str(body.get("kind", path)), body=body))

    # ── streams ───────────────────────────────────────────────────────────────────────────────

    def watch(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        version: str = "",
        seconds: int = 300,
    ) -> Iterator[Change]:
        """Yield changes after a version for so many seconds; with no version, first all as added.

        Connections that break are resumed. Raises StaleError if the version is too old: list again.
        """
        return watch(
            self._transport, kind, namespace,
            labels=labels, fields=fields, version=version, seconds=seconds,
        )  # fmt: skip

    def log(
        self,
        pod: str,
        namespace: str,
        container: str,
        *,
        lines: int | None = None,
        follow: bool = False,
        previous: bool = False,
    ) -> Iterator[str]:
        """Yield the last lines (None: all) of a container, or of the one before its restart.

        With `follow` also those to come until it ends; connections that break are resumed.
        """
        return log(
            self._transport, pod, namespace, container,
            lines=lines, follow=follow, previous=previous,
        )  # fmt: skip

    def forward(self, pod: str, namespace: str, port: int) -> AbstractContextManager[int]:
        """Lead a free port of 127.0.0.1 to a port of a pod, until the end of the block."""
        from cloche.clients.kubernetes.forward import forward  # loads asyncio and websockets

        return forward(self._transport, pod, namespace, port)

    # ── what the cluster is ───────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        """Return the time at the API server, to a second: the times in objects are of its clock."""
        return self._transport.clock.now()

    def version(self) -> str:
        """Return the version of the API server: `v1.36.3`."""
        answer = self._transport.ask(Request("GET", "/version", "its version"))
        return str(answer.get("gitVersion", ""))

    def serves(self, kind: Kind) -> bool:
        """Return whether the cluster has a kind, in its version; a no is kept for a moment."""
        served, until = self._served.get(kind, (False, 0.0))
        if not served and time.monotonic() >= until:
            request = Request("GET", kind.group_path, f"the group {kind.api_version}")
            try:
                resources = self._transport.ask(request).get("resources") or ()
            except NotFoundError:
                resources = ()
            served = any(one.get("name") == kind.plural for one in resources)
            self._served[kind] = served, time.monotonic() + _NO_SECONDS
        return served

    # ── requests ──────────────────────────────────────────────────────────────────────────────

    def _ask(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        name: str,
        subresource: str = "",
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        path, what = kind.path(namespace, name, subresource), kind.words(namespace, name)
        request = Request(method, path, what, parameters or {}, body, content_type)
        return self._transport.ask(request)

    def _write(self, request: Request, kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write an object once; what is there already may be this very write."""

        def landed() -> dict[str, Any] | None:
            namespace, name = _place(body)
            current = self.get(kind, name, namespace)
            return current if _has(current, _unversioned(body)) else None

        return self._transport.ask(request, landed=landed)


def _place(body: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return namespace and name of an object."""
    return body["metadata"].get("namespace"), body["metadata"]["name"]


def _unversioned(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what each write changes."""
    changed = ("resourceVersion", "managedFields", "generation")
    metadata = {key: value for key, value in body["metadata"].items() if key not in changed}
    return {**body, "metadata": metadata}


def _has(current: Any, wanted: Any) -> bool:
    """Return whether all fields that are wanted are so."""
    if isinstance(current, dict) and isinstance(wanted, dict):
        return all(key in current and _has(current[key], wanted[key]) for key in wanted)
    if isinstance(current, list) and isinstance(wanted, list):
        return len(current) == len(wanted) and all(map(_has, current, wanted))
    return bool(current == wanted)
