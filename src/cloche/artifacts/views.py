"""The documented JSON objects that several commands and the API show alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloche.artifacts.model import ModelSnapshot


def model_view(snapshot: ModelSnapshot) -> dict[str, Any]:
    """Return `{reference, source, pinned, version, digest, format}` of a model."""
    return {
        "reference": snapshot.reference,
        "source": snapshot.source,
        "pinned": snapshot.pinned,
        "version": snapshot.version,
        "digest": snapshot.digest,
        "format": snapshot.format.value,
    }
