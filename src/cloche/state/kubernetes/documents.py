"""The contract of documents: what is too large for an object of a cluster, by its digest."""

from __future__ import annotations

from typing import Protocol


class Documents(Protocol):
    """Keeps the whole deployment of each revision where every host of a target reaches it."""

    def put(self, service: str, data: bytes) -> str:
        """Keep a document, unless it is kept already; return its digest, `sha256:…`."""

    def get(self, service: str, digest: str) -> bytes:
        """Return a document, checked; raises NotFoundError `state.document` if it is gone."""

    def has(self, service: str, digest: str) -> bool:
        """Return whether a document is kept."""
