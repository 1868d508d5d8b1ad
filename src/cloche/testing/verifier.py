"""A verifier with outcomes that a test chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.testing.deployments import verification

if TYPE_CHECKING:
    from cloche.artifacts import Golden, Revision, Verification
    from cloche.errors import ClocheError
    from cloche.targets import ReplicaAddress


class FixedVerifier:
    """Implements `cloche.control.Verifier`: every answer is right unless a test says otherwise."""

    def __init__(self) -> None:
        self.wrong: set[str] = set()
        """References of models whose answers are wrong."""
        self.broken: dict[str, ClocheError] = {}
        """By reference of a model: the error in place of an outcome."""
        self.outcomes: dict[str, Verification] = {}
        """By reference of a model: its outcome, if it is a particular one."""
        self.asked: list[tuple[int, str]] = []
        """The revisions and base URLs that were verified, in order."""

    def verify(
        self,
        revision: Revision,
        server: ReplicaAddress,
        *,
        limit: float,  # noqa: ARG002
        golden: Golden | None = None,  # noqa: ARG002
    ) -> Verification:
        self.asked.append((revision.number, server.http))
        reference = revision.deployment.main.snapshot.reference
        if reference in self.broken:
            raise self.broken[reference]
        return self.outcomes.get(reference) or verification(passed=reference not in self.wrong)
