"""The contract of a verifier, which makes golden requests and checks answers for an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Revision, Verification


class Verifier(Protocol):
    """Makes golden requests and checks answers; both calls are slow and have their own limits.

    Both raise ClocheError; a retriable one is tried again until the limit of the phase.
    """

    def golden(self, revision: Revision, *, limit: float) -> Golden:
        """Return the golden request of a revision, made by a direct run of its model.

        The direct run may take `limit` seconds.
        """

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:
        """Send the golden request to the server at a base URL and return the comparison."""
