"""The revisions of services: a ControllerRevision each, and the whole deployment as a document.

The number of a revision is taken by making its object: of two that ask for one number, one gets it.
The document comes first, so what has a number can be read. A kill in between leaves a document
that nobody knows of; a kill after it leaves a number that no record knows of (`recovery.sweep`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cloche import artifacts
from cloche.artifacts import Deployment, Revision
from cloche.clients.kubernetes.kinds import CONTROLLER_REVISION
from cloche.errors import ClocheError, NotFoundError, StaleError
from cloche.refusals import stale_number
from cloche.state.kubernetes import names
from cloche.state.kubernetes.config_maps import SCHEMA, corrupt, newer
from cloche.state.kubernetes.names import Part
from cloche.state.kubernetes.objects import (
    Body,
    new_body,
    require_ours,
    uid_of,
    write_marked,
)

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state.kubernetes.documents import Documents

_log = logging.getLogger(__name__)
_DECODED = 16
"""Deployments that are held decoded: the live one and that of a rollout are read at each tick."""


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """Where the whole deployment is: in the target's registry, by its digest."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class RevisionEntry:
    """What the object of a revision holds."""

    schema: int
    digest: str
    document: DocumentEntry
    created_at: str
    by: str
    image: str | None = None
    pod: dict[str, Any] | None = None


class Revisions:
    """Adds, reads and removes the objects of revisions."""

    def __init__(self, cluster: Cluster, namespace: str, documents: Documents) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._documents = documents
        self._deployment = lru_cache(maxsize=_DECODED)(self._fetched)

    def add(self, revision: Revision) -> None:
        """Keep a revision; raises StaleError if its number was given."""
        service, data = revision.service, artifacts.encode(revision.deployment)
        document = DocumentEntry(self._documents.put(service, data), len(data))
        try:
            write_marked(
                self._cluster, CONTROLLER_REVISION, self._body(revision, _entry(revision, document))
            )
        except StaleError as error:
            self.body(service, revision.number)  # one that is not ours is named
            raise stale_number(service, revision.number) from error

    def get(self, service: str, number: int) -> Revision | None:
        """Return a revision; raises NotFoundError `state.document` if the registry lost it."""
        body = self.body(service, number)
        return None if body is None else self._revision(service, number, body)

    def all(self, service: str) -> tuple[Revision, ...]:
        """Return the revisions of a service, oldest first, but for those the registry lost."""
        found = []
        for number, body in self.bodies(service).items():
            try:
                found.append(self._revision(service, number, body))
            except NotFoundError as error:
                _log.warning("%s: %s", error.code, error.what)
        return tuple(found)

    def services(self) -> set[str]:
        """Return the names of the services that have revisions."""
        listing = self._cluster.list(
            CONTROLLER_REVISION, self._namespace, labels=names.selector(Part.REVISION)
        )
        return {body["metadata"]["labels"].get(names.SERVICE, "") for body in listing.items}

    def body(self, service: str, number: int) -> Body | None:
        """Return the object of a revision; None if there is none."""
        name = names.revision_name(service, number)
        body = self._cluster.get(CONTROLLER_REVISION, name, self._namespace)
        if body is not None:
            require_ours(body, service, Part.REVISION)
        return body

    def bodies(self, service: str) -> dict[int, Body]:
        """Return the objects of a service's revisions by their numbers, in order."""
        listing = self._cluster.list(
            CONTROLLER_REVISION,
            self._namespace,
            labels=names.selector(Part.REVISION, service),
        )
        found = {int(body.get("revision") or 0): body for body in listing.items}
        return {
            number: found[number]
            for number in sorted(found)
            if found[number]["metadata"]["name"] == names.revision_name(service, number)
        }

    def documents(self, service: str) -> frozenset[str]:
        """Return the digests of the documents of a service's revisions."""
        return frozenset(_entry_in(body).document.digest for body in self.bodies(service).values())

    def remove(self, body: Body) -> None:
        """Remove the object of a revision, if it is still that one."""
        metadata = body["metadata"]
        self._cluster.delete(
            CONTROLLER_REVISION, metadata["name"], metadata["namespace"], uid=uid_of(body)
        )

    def _body(self, revision: Revision, entry: RevisionEntry) -> Body:
        body = new_body(CONTROLLER_REVISION, self._namespace, revision.service, Part.REVISION)
        metadata = body["metadata"]
        metadata["name"] = names.revision_name(revision.service, revision.number)
        metadata["labels"][names.REVISION] = str(revision.number)
        return {**body, "revision": revision.number, "data": artifacts.to_builtins(entry)}

    def _revision(self, service: str, number: int, body: Body) -> Revision:
        entry = _entry_in(body)
        try:
            deployment = self._deployment(service, entry.document.digest)
        except ValueError as error:
            raise _unreadable(body, entry.schema, f"its document: {error}") from error
        return Revision(
            service=service,
            number=number,
            digest=entry.digest,
            deployment=deployment,
            created_at=entry.created_at,
            by=entry.by,
        )

    def _fetched(self, service: str, digest: str) -> Deployment:
        data = self._documents.get(service, digest)
        return artifacts.decode(Deployment, data)


def _entry_in(body: Body) -> RevisionEntry:
    data = body.get("data")
    try:
        return artifacts.convert(RevisionEntry, data)
    except ValueError as error:
        schema = data.get("schema") if isinstance(data, dict) else None
        raise _unreadable(
            body, schema if isinstance(schema, int) else SCHEMA, str(error)
        ) from error


def _unreadable(body: Body, schema: int, why: str) -> ClocheError:
    if schema > SCHEMA:
        return newer(body, schema)
    return corrupt(body, "data", why)


def _entry(revision: Revision, document: DocumentEntry) -> RevisionEntry:
    deployment = revision.deployment
    return RevisionEntry(
        SCHEMA,
        revision.digest,
        document,
        revision.created_at,
        revision.by,
        deployment.image,
        deployment.pod,
    )
