"""A verifier with outcomes that a test chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.testing.deployments import GOLDEN, verification

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Revision, Verification
    from cloche.errors import ClocheError


class FixedVerifier:
    """Implements `cloche.control.Verifier` with the same golden request for all models."""

    def __init__(self) -> None:
        self.wrong: set[str] = set()
        """References of models whose answers are wrong."""
        self.broken: dict[str, ClocheError] = {}
        """By reference of a model: the error of its direct run."""
        self.asked: list[tuple[int, str]] = []
        """The revisions and base URLs that were verified, in order."""

    def golden(self, revision: Revision, *, limit: float) -> Golden:  # noqa: ARG002
        error = self.broken.get(revision.deployment.main.snapshot.reference)
        if error is not None:
            raise error
        return GOLDEN

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:  # noqa: ARG002
        self.asked.append((revision.number, url))
        reference = revision.deployment.main.snapshot.reference
        return verification(passed=reference not in self.wrong)
