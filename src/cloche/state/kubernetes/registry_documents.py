"""Documents in a registry of images: an OCI artefact each, in the repository of its service.

Registries may delete what no tag names, so each has one of its own. A document that was read is
kept in a folder by its digest: it never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import digest_of, encode
from cloche.clients.oci.media_types import OCI_MANIFEST
from cloche.errors import NotFoundError
from cloche.progress import SilentProgress
from cloche.state.kubernetes import document_cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.clients.oci.registry import Registry

ARTIFACT = "application/vnd.cloche.deployment.v1+json"
"""The type of the artefact, and of the document in it: an encoded `Deployment`."""
_EMPTY_TYPE, _EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
_HEX = 40
_BLOCK = 1024 * 1024


class RegistryDocuments:
    """Implements `Documents` in `PREFIX/SERVICE` of a registry; errors are `registry.…`."""

    def __init__(self, registry: Registry, prefix: str, cache: Path) -> None:
        self._registry = registry
        self._prefix = prefix.strip("/")
        self._cache = cache

    def put(self, service: str, data: bytes) -> str:
        digest, name = digest_of(data), self._name(service)
        if not self.has(service, digest):
            self._upload(name, _EMPTY)
            self._upload(name, data)
            self._registry.put_manifest(name, tag_of(digest), _manifest(data), OCI_MANIFEST)
        document_cache.keep(self._cache, digest, data)
        return digest

    def get(self, service: str, digest: str) -> bytes:
        kept = document_cache.read(self._cache, digest)
        if kept is not None:
            return kept
        try:
            data = b"".join(self._registry.blob(self._name(service), digest))
        except NotFoundError as error:
            where = f"{self._registry.host}/{self._name(service)}:{tag_of(digest)}"
            raise NotFoundError(
                "state.document",
                f"A revision of {service} is gone from the registry: its document {digest} is"
                " not there.",
                where=where,
                hint="What runs is left as it is. A machine that deployed it still has the"
                " document: go on there, and have the registry keep tags that begin with"
                " deployment-.",
            ) from error
        document_cache.keep(self._cache, digest, data)
        return data

    def has(self, service: str, digest: str) -> bool:
        name = self._name(service)
        return self._registry.has_manifest(name, tag_of(digest)) and self._registry.has_blob(
            name, digest
        )

    def _name(self, service: str) -> str:
        return f"{self._prefix}/{service}" if self._prefix else service

    def _upload(self, name: str, data: bytes) -> None:
        def chunks(start: int) -> Iterator[bytes]:
            for at in range(start, len(data), _BLOCK):
                yield data[at : at + _BLOCK]

        digest = digest_of(data)
        if not self._registry.has_blob(name, digest):
            with SilentProgress().task("") as task:
                self._registry.upload(name, digest, len(data), chunks, task)


def tag_of(digest: str) -> str:
    """Return the tag of a document."""
    return f"deployment-{digest.removeprefix('sha256:')[:_HEX]}"


def _manifest(data: bytes) -> bytes:
    return encode({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": _descriptor(_EMPTY, _EMPTY_TYPE),
        "layers": [_descriptor(data, ARTIFACT)],
    })  # fmt: skip


def _descriptor(data: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
