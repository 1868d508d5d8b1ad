"""Why each field of a configuration has its value, collected while it is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Origin, Reason

if TYPE_CHECKING:
    from cloche.artifacts import Severity


@dataclass(slots=True)
class Reasons:
    """The reasons and findings of one configuration, in the order of its fields."""

    reasons: list[Reason] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def model(self, path: str, value: object, why: str) -> None:
        """Record a value that the model dictates."""
        self.reasons.append(Reason(path, str(value), Origin.MODEL, why))

    def asked(self, path: str, value: object, why: str) -> None:
        """Record a value that the spec asks for."""
        self.reasons.append(Reason(path, str(value), Origin.SPEC, why))

    def measured(self, path: str, value: object, why: str) -> None:
        """Record a value that a measurement decided."""
        self.reasons.append(Reason(path, str(value), Origin.MEASURED, why))

    def default(self, path: str, value: object, why: str) -> None:
        """Record a value that Cloche chose."""
        self.reasons.append(Reason(path, str(value), Origin.DEFAULT, why))

    def find(self, severity: Severity, code: str, what: str, hint: str | None = None) -> None:
        """Record a finding for the user."""
        self.findings.append(Finding(severity, f"repository.{code}", what, hint=hint))
