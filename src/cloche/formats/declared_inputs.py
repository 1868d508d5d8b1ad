"""The inputs that a user declares: taken where files tell none, compared where they do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity, TensorSpec
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import ModelFacts, ModelOptions


def specs(options: ModelOptions) -> tuple[TensorSpec, ...]:
    """Return the declared inputs, empty without any."""
    return tuple(
        TensorSpec(
            each.name,
            each.datatype,
            tuple(axis if isinstance(axis, int) else -1 for axis in each.shape),
            tuple(axis if isinstance(axis, str) else None for axis in each.shape),
        )
        for each in options.inputs or ()
    )


def applied(known: ModelFacts, options: ModelOptions, where: str) -> ModelFacts:
    """Return facts with the declared inputs, where nothing else tells them.

    Raises UsageError `inspection.inputs` where the files tell others.
    """
    declared = specs(options)
    if not declared:
        return known
    if known.inputs and not known.inputs_declared:
        if not _agree(declared, known.inputs):
            raise UsageError(
                "inspection.inputs",
                f"`inputs:` says {_text(declared)}, and the model itself {_text(known.inputs)}.",
                where=where,
                hint="Correct `inputs:` in cloche.yaml, or remove it where the model tells them.",
            )
        return known
    what = f"Its inputs are those of `inputs:` in cloche.yaml: {_text(declared)}."
    noted = Finding(Severity.NOTE, "inspection.inputs", what)
    return replace(known, inputs=declared, inputs_declared=True, findings=(*known.findings, noted))


def _agree(declared: tuple[TensorSpec, ...], own: tuple[TensorSpec, ...]) -> bool:
    """Return whether names, types and sizes are the same; optional inputs may be left out."""
    by_name = {spec.name: spec for spec in own}
    needed = {spec.name for spec in own if not spec.optional}
    named = {spec.name for spec in declared}
    return needed <= named <= by_name.keys() and all(
        (spec.datatype, spec.shape) == (by_name[spec.name].datatype, by_name[spec.name].shape)
        for spec in declared
    )


def _text(inputs: Iterable[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} [{', '.join(_axes(spec))}]" for spec in inputs)


def _axes(spec: TensorSpec) -> list[str]:
    labels = (*spec.labels, *[None] * len(spec.shape))
    return [
        str(size) if size >= 0 else label or "?"
        for size, label in zip(spec.shape, labels, strict=False)
    ]
