"""What a format tells of a model that its own framework has to load; nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty, Finding, ModelFacts, Severity

if TYPE_CHECKING:
    from cloche.artifacts import Loading, ModelSnapshot, TensorSpec

PYTHON = "3.12"
"""The Python for files that name none: everything newest has wheels for it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The Python and the packages that load a model, and what is to be said of them."""

    python: str
    requirements: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def assumed(lines: tuple[str, ...] | list[str], why: str) -> Finding:
    """Return the note on requirements that nothing names; `why` says where these are from."""
    return Finding(
        Severity.NOTE,
        "inspection.requirements",
        f"Nothing names the model's requirements; served with {', '.join(lines)}: {why}.",
        hint="Write `requirements:` in cloche.yaml for others.",
    )


def unconverted(known: ModelFacts, why: str, hint: str | None = None) -> ModelFacts:
    """Return the facts of a model with the note that it is not converted, and why."""
    what = f"It is not converted to ONNX: {why}."
    noted = Finding(Severity.NOTE, "conversion.none", what, hint=hint)
    return replace(known, findings=(*known.findings, noted))


def facts(
    snapshot: ModelSnapshot,
    framework: str,
    loading: Loading,
    environment: Environment,
    *,
    inputs: tuple[TensorSpec, ...] = (),
    outputs: tuple[TensorSpec, ...] = (),
    memory_bytes: int | None = None,
    labels: tuple[str, ...] = (),
) -> ModelFacts:
    """Return what is known before the model runs; inputs and outputs are empty if nothing is."""
    return ModelFacts(
        format=snapshot.format,
        framework=framework,
        backend="python",
        inputs=inputs,
        outputs=outputs,
        outputs_assumed=not outputs,
        batch=BatchAxis(present=False, certainty=Certainty.UNKNOWN, why="a run of the model tells"),
        size_bytes=snapshot.size,
        memory_bytes=memory_bytes,
        python=environment.python,
        requirements=environment.requirements,
        loading=loading,
        labels=labels,
        findings=environment.findings,
    )
