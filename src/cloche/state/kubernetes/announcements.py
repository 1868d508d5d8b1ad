"""Events of Kubernetes, made of Cloche's own: `kubectl describe configmap cloche-SERVICE`.

They are a courtesy: the cluster drops them after a while, and where one cannot be made, none is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloche.artifacts import EventKind, Standing
from cloche.clients.kubernetes.kinds import CONFIG_MAP, EVENT
from cloche.errors import ClocheError
from cloche.state.kubernetes import names
from cloche.state.kubernetes.names import Part, object_name
from cloche.state.kubernetes.objects import Body, uid_of

if TYPE_CHECKING:
    from cloche.artifacts import Event
    from cloche.clients.kubernetes.cluster import Cluster

_log = logging.getLogger(__name__)
_LONGEST_MESSAGE = 1024
_SOMETHING = "Something happened."


class Announcements:
    """Tells events to a cluster, as being about the record of their service."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._uids: dict[str, str] = {}
        """Of the records: `kubectl describe` looks for the events of that very object."""
        self._refused = False

    def tell(self, event: Event, mark: str) -> None:
        """Tell an event, if the cluster takes it; `mark` makes its name one of its own."""
        if self._refused:
            return
        try:
            self._cluster.create(EVENT, self._body(event, mark))
        except ClocheError as error:
            self._refused = not error.retriable
            _log.info("%s: %s", error.code, error.what)
        if event.kind is EventKind.DELETED:
            self._uids.pop(event.service, None)

    def _body(self, event: Event, mark: str) -> Body:
        record = object_name(event.service, Part.RECORD)
        at = event.at[: len("2026-11-01T12:00:00")] + "Z"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{record}.{mark}",
                "namespace": self._namespace,
                "labels": {names.MANAGED_BY: names.CLOCHE, names.SERVICE: event.service},
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": record,
                "namespace": self._namespace,
                "uid": self._uid(event.service, record),
            },
            "reason": "".join(word.capitalize() for word in event.kind.value.split("_")),
            "message": (event.what or _SOMETHING)[:_LONGEST_MESSAGE],
            "type": "Warning" if _is_warning(event) else "Normal",
            "source": {"component": names.CLOCHE},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }

    def _uid(self, service: str, record: str) -> str:
        if service not in self._uids:
            body = self._cluster.get(CONFIG_MAP, record, self._namespace)
            if body is None:
                return ""
            self._uids[service] = uid_of(body)
        return self._uids[service]


def _is_warning(event: Event) -> bool:
    failed = event.detail.get("phase") == Standing.FAILED.value
    return failed or event.kind is EventKind.TROUBLE
