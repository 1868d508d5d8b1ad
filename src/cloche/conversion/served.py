"""The facts of what is served of a model that its own framework loads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty, Finding, ModelFormat, Severity
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from cloche.artifacts import (
        Conversion,
        ModelFacts,
        ModelOptions,
        ModelSnapshot,
        OwnRun,
        TensorSpec,
    )


def converted_snapshot(snapshot: ModelSnapshot, conversion: Conversion) -> ModelSnapshot:
    """Return the converted files in the place of a snapshot's, as a model of their own."""
    return replace(
        snapshot,
        digest=conversion.digest,
        format=ModelFormat.ONNX,
        files=conversion.files,
        entry=conversion.entry,
    )


def as_converted(known: ModelFacts, onnx: ModelFacts, shown: OwnRun) -> ModelFacts:
    """Return the facts of a converted model; `onnx` are those of the file that it became."""
    assert shown.conversion is not None  # noqa: S101 - the caller has its file
    what = f"It is served as ONNX ({shown.conversion.converter}): {parity_text(shown.conversion)}."
    noted = Finding(Severity.NOTE, "conversion.done", what)
    return replace(
        onnx,
        format=known.format,
        framework=shown.framework,
        python=known.python,
        requirements=known.requirements,
        loading=known.loading,
        labels=known.labels,
        findings=(*known.findings, *_notes(shown), noted, *onnx.findings),
    )


def as_it_is(known: ModelFacts, shown: OwnRun) -> ModelFacts:
    """Return the facts of a model that is served by its own framework."""
    why = shown.why or "conversion is off"
    what = f"It is served by its own framework, with the Python backend: {why}."
    noted = Finding(
        Severity.NOTE if shown.why is None else Severity.WARNING,
        "conversion.none",
        what,
        hint="This costs an environment of its own on each machine, a slower start and more memory"
        " for each replica.",
    )
    return replace(
        known,
        framework=shown.framework,
        backend="python",
        inputs=shown.inputs,
        outputs=shown.outputs,
        outputs_assumed=False,
        batch=_batch(shown.inputs, shown.outputs),
        findings=(*known.findings, *_notes(shown), noted),
    )


def require(options: ModelOptions, shown: OwnRun, snapshot: ModelSnapshot) -> None:
    """Raise ClocheError `conversion.required` where the spec asks for what could not be done."""
    if options.conversion == "required":
        raise ClocheError(
            "conversion.required",
            f"The model cannot be converted: {shown.why}.",
            where=snapshot.reference,
            hint="Remove `conversion: required` to serve it with its own framework.",
        )


def parity_text(conversion: Conversion) -> str:
    """Return the numbers of a conversion as words: `output up to 5.2e-06 off at scale 7.2`."""
    parts = []
    for each in conversion.parity:
        text = f"{each.name} up to {each.max_absolute:.2g} off at scale {each.scale:.2g}"
        if each.labels is not None:
            text += f" and {each.labels[0]} of {each.labels[1]} labels equal"
        parts.append(text)
    count = conversion.requests
    return f"{', '.join(parts)}, in {count} request{'s' if count != 1 else ''} to both"


def _notes(shown: OwnRun) -> tuple[Finding, ...]:
    return tuple(
        Finding(Severity.NOTE, "conversion.note", note, where=None) for note in shown.notes
    )


def _batch(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> BatchAxis:
    for spec in (*inputs, *outputs):
        if not spec.shape or spec.shape[0] != -1:
            why = f"the first axis of {spec.name} is fixed: {list(spec.shape)}"
            return BatchAxis(present=False, certainty=Certainty.CERTAIN, why=why)
    why = "the model answered another size of the first axis of every input"
    return BatchAxis(present=True, certainty=Certainty.CERTAIN, why=why, measured=True)
