"""The contract of a verifier, which sends golden requests and judges the answers for an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Revision, Verification
    from cloche.targets import ReplicaAddress


class Verifier(Protocol):
    """Judges answers; the call is slow and has its own limits."""

    def verify(
        self,
        revision: Revision,
        server: ReplicaAddress,
        *,
        limit: float,
        golden: Golden | None = None,
    ) -> Verification:
        """Send a golden request to a server and return the judgement.

        `golden` is another request than the revision's own. Where the answer differs, the model may
        run again for `limit` seconds, to find how far its own answers differ. Raises ClocheError;
        a retriable one is tried again until the limit of the phase.
        """
