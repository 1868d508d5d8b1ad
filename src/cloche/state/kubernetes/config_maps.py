"""The ConfigMaps that hold one part of the state, one for each service.

A value of a ConfigMap is JSON under a key. Errors name the ConfigMap and the key:

    state.foreign   a ConfigMap of that name is not Cloche's
    state.newer     a later Cloche wrote it: this one cannot write it, or not even understand it
    state.corrupt   it was edited into something that cannot be understood
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from cloche import artifacts
from cloche.clients.kubernetes.kinds import CONFIG_MAP
from cloche.errors import ClocheError, StaleError
from cloche.refusals import stale_record
from cloche.state.kubernetes import names
from cloche.state.kubernetes.objects import Body, new_body, require_ours, title_of, write_marked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state.kubernetes.names import Part

SCHEMA = 1
"""The form in which this version writes; a later one that an earlier cannot read has a higher."""
_ATTEMPTS = 30
_LONGEST_PAUSE = 0.2
T = TypeVar("T")


class ConfigMaps:
    """Reads and writes the ConfigMaps of one part; calls may come from any thread."""

    def __init__(self, cluster: Cluster, namespace: str, part: Part) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._part = part

    def read(self, service: str) -> Body | None:
        """Return the ConfigMap of a service; None if there is none."""
        name = names.object_name(service, self._part)
        body = self._cluster.get(CONFIG_MAP, name, self._namespace)
        if body is not None:
            require_ours(body, service, self._part)
        return body

    def all(self) -> dict[str, Body]:
        """Return the ConfigMaps of all services by the names of these, sorted."""
        listing = self._cluster.list(CONFIG_MAP, self._namespace, labels=names.selector(self._part))
        found = {body["metadata"]["labels"].get(names.SERVICE, ""): body for body in listing.items}
        return {
            service: found[service]
            for service in sorted(found)
            if found[service]["metadata"]["name"] == names.object_name(service, self._part)
        }

    def write(self, service: str, values: Mapping[str, object], over: Body | None) -> Body:
        """Write values over a ConfigMap that was read; None expects none. Other keys stay.

        Raises StaleError `state.stale` if it is another one by now, and `state.newer`.
        """
        body = over or new_body(CONFIG_MAP, self._namespace, service, self._part)
        if over is not None:
            require_writable(over)
        texts = {key: artifacts.encode(value).decode() for key, value in values.items()}
        annotations = {**(body["metadata"].get("annotations") or {}), names.SCHEMA: str(SCHEMA)}
        written = {
            **body,
            "metadata": {**body["metadata"], "annotations": annotations},
            "data": {**(body.get("data") or {}), **texts},
        }
        try:
            return write_marked(self._cluster, CONFIG_MAP, written)
        except StaleError as error:
            self.read(service)  # one that is not ours is named
            raise stale_record(service) from error

    def change(
        self, service: str, rule: Callable[[Body | None], Mapping[str, object] | None]
    ) -> None:
        """Write what a rule makes of a ConfigMap, again if that changed meanwhile; None: nothing.

        Raises StaleError if it still changes after many attempts.
        """
        for attempt in range(_ATTEMPTS):
            body = self.read(service)
            values = rule(body)
            if values is None:
                return
            try:
                self.write(service, values, body)
            except StaleError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, min(0.01 * 2**attempt, _LONGEST_PAUSE)))  # noqa: S311
            else:
                return


def require_writable(body: Body) -> None:
    """Raise `state.newer` for what a later Cloche wrote: what only that knows would be lost."""
    if _schema(body) > SCHEMA:
        raise newer(body, _schema(body))


def value_in(body: Body, key: str, kind: type[T]) -> T:
    """Return the value under a key; raises `state.corrupt`, and `state.newer` if it is newer."""
    schema = _schema(body)
    text = (body.get("data") or {}).get(key)
    try:
        if text is None:
            raise ValueError("it is not there")
        return artifacts.decode(kind, text)
    except ValueError as error:
        if schema > SCHEMA:
            raise newer(body, schema) from error
        raise corrupt(body, f"key {key}", str(error)) from error


def corrupt(body: Body, place: str, why: str) -> ClocheError:
    """Return the error for an object that was edited into something else."""
    return ClocheError(
        "state.corrupt",
        f"{title_of(body)} cannot be read: {place}: {why}.",
        where=title_of(body),
        hint=f"What runs goes on. Restore it from a backup, or remove it (`kubectl delete"
        f" {body['kind'].lower()} {body['metadata']['name']} -n {body['metadata']['namespace']}`):"
        " the next deploy, rollback or scale makes a record anew from the revisions, and a revision"
        " is deployed again.",
    )


def newer(body: Body, schema: int) -> ClocheError:
    """Return the error for an object that a later Cloche wrote."""
    return ClocheError(
        "state.newer",
        f"{title_of(body)} was written by a later Cloche: its schema is {schema}, and this one"
        f" knows up to {SCHEMA}.",
        where=title_of(body),
        hint="Use the later Cloche for this service.",
    )


def _schema(body: Body) -> int:
    text = (body["metadata"].get("annotations") or {}).get(names.SCHEMA, str(SCHEMA))
    if not text.isdecimal():
        raise corrupt(body, f"annotation {names.SCHEMA}", f"{text!r} is no number")
    return int(text)
