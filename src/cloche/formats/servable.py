"""Refusing a model that cannot be served, by its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Severity
from cloche.errors import ClocheError, ErrorGroup

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts


def require_servable(facts: ModelFacts, where: str) -> None:
    """Raise the findings that prevent serving; `where` is the pinned reference."""
    errors = [
        ClocheError(finding.code, finding.what, where=finding.where or where, hint=finding.hint)
        for finding in facts.findings
        if finding.severity is Severity.ERROR
    ]
    ErrorGroup("inspection.unservable", "The model cannot be served.", errors).raise_if_any()
