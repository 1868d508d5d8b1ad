"""What refers to a manifest: signatures, SBOMs and other artefacts that name it as their subject.

A registry that does not list them itself has them in an index under the tag `sha256-…`, which
whoever pushes a referrer keeps:
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.clients.oci.media_types import OCI_INDEX
from cloche.clients.oci.reference import DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Referrer:
    """The descriptor of a manifest whose subject is another one."""

    digest: str
    size: int
    """Bytes of the manifest."""
    media_type: str
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def fallback_tag(digest: str) -> str:
    """Return the tag of the index of a manifest's referrers."""
    return digest.replace(":", "-")


def subject_of(manifest: bytes) -> str | None:
    """Return the digest of a manifest's subject; None without one."""
    subject = _object(_loaded(manifest).get("subject"))
    digest = str(subject.get("digest", ""))
    return digest if DIGEST.fullmatch(digest) else None


def referrer_of(manifest: bytes, digest: str, media_type: str) -> Referrer:
    """Return the descriptor of a manifest, as an index of referrers has it."""
    fields = _loaded(manifest)
    config = str(_object(fields.get("config")).get("mediaType", ""))
    artifact_type = str(fields.get("artifactType") or config)
    annotations = _texts(fields.get("annotations"))
    return Referrer(digest, len(manifest), media_type, artifact_type, annotations)


def listed(index: bytes) -> tuple[Referrer, ...] | None:
    """Return the referrers of an index; None if it is not one."""
    manifests = _loaded(index).get("manifests")
    if not isinstance(manifests, list):
        return None
    return tuple(_parsed(fields) for fields in manifests if isinstance(fields, dict))


def index_of(referrers: Iterable[Referrer]) -> bytes:
    """Return the index of referrers."""
    manifests = [
        {
            "mediaType": one.media_type,
            "digest": one.digest,
            "size": one.size,
            **({"artifactType": one.artifact_type} if one.artifact_type else {}),
            **({"annotations": dict(one.annotations)} if one.annotations else {}),
        }
        for one in referrers
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return json.dumps(index, separators=(",", ":")).encode()


def _parsed(fields: dict[str, Any]) -> Referrer:
    size = fields.get("size")
    return Referrer(
        str(fields.get("digest", "")),
        size if isinstance(size, int) else 0,
        str(fields.get("mediaType", "")),
        str(fields.get("artifactType", "")),
        _texts(fields.get("annotations")),
    )


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        return _object(json.loads(data))
    except ValueError:
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in _object(value).items()}
