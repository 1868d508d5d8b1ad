"""The contract of a verifier, which an engine has golden requests made and answers checked by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Revision, Verification


class Verifier(Protocol):
    """Makes golden requests and checks answers; both take their time and have their own limits.

    Raise ClocheError; a retriable one is tried again until the limit of the phase.
    """

    def golden(self, revision: Revision, *, limit: float) -> Golden:
        """Make the golden request of a revision by a direct run of its model.

        `limit` is how many seconds the direct run may take.
        """

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:
        """Send the golden request to the server at a base URL and compare the answer."""
