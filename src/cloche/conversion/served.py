"""The facts of what is served of a model that its own framework loads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty, Finding, ModelFormat, Severity, to_builtins
from cloche.errors import ClocheError
from cloche.rendering import parity_text
from cloche.verification.comparison import FLOORS, as_noise

if TYPE_CHECKING:
    from cloche.artifacts import (
        Conversion,
        Golden,
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
        metadata=replace(snapshot.metadata, alternative=None),
    )


def as_converted(known: ModelFacts, onnx: ModelFacts, shown: OwnRun) -> ModelFacts:
    """Return the facts of a converted model; `onnx` are those of the file that it became."""
    assert shown.conversion is not None  # noqa: S101 - the caller has its file
    close = parity_text(to_builtins(shown.conversion.parity), shown.conversion.requests)
    what = f"It is served as ONNX ({shown.conversion.converter}): {close}."
    noted = Finding(Severity.NOTE, "conversion.done", what)
    return replace(
        onnx,
        format=known.format,
        framework=shown.framework,
        python=known.python,
        requirements=known.requirements,
        loading=known.loading,
        convertible=known.convertible,
        columns=known.columns,
        inputs_declared=known.inputs_declared,
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


def unconverted(known: ModelFacts, why: str) -> ModelFacts:
    """Return the facts of a model that a conversion was tried for, and that is served as before."""
    what = f"It is served as it is, with the {known.backend.capitalize()} backend: {why}."
    noted = Finding(Severity.NOTE, "conversion.none", what.replace("..", "."))
    return replace(known, convertible=None, findings=(*known.findings, noted))


def as_close_as_measured(golden: Golden, conversion: Conversion | None) -> Golden:
    """Return a golden request whose outputs may be as far off as their parity allows.

    A converted model computes FP64 outputs in FP32, and the spec may allow more.
    """
    noise = {}
    for each in conversion.parity if conversion is not None else ():
        allowed = each.tolerance / (each.scale or 1.0)
        if allowed > 1.001 * FLOORS.get(each.datatype, (1.0,))[0]:  # no more by rounding alone
            noise[each.name] = as_noise(allowed)
    return replace(golden, noise={**golden.noise, **noise}) if noise else golden


def require(options: ModelOptions, why: str | None, snapshot: ModelSnapshot) -> None:
    """Raise ClocheError `conversion.required` where the spec asks for what could not be done."""
    if options.conversion == "required":
        raise ClocheError(
            "conversion.required",
            f"The model cannot be converted: {why}.".replace("..", "."),
            where=snapshot.reference,
            hint="Remove `conversion: required` to serve it with its own framework.",
        )


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
