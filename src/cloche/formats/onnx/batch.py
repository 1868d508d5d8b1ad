"""Whether requests to an ONNX model can be joined along the first axis.

Exporters do not declare it. Three signs together show it: the first axis of every input and output
is dynamic; its labels do not name something else (a sequence, a number of detections); and shape
inference with two different sizes finds the same size at the front of every output. Where the
graph reduces, sorts, cuts or joins along that axis, joining requests would mix them, whatever it is
called.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty, Finding, Severity
from cloche.formats.onnx import graph as walk
from cloche.formats.onnx import rows, shapes

if TYPE_CHECKING:
    from onnx import ModelProto

    from cloche.artifacts import TensorSpec

_BATCH = re.compile(r"batch|^(n|b|bs|m|none|samples?|rows?|examples?|num_samples|n_samples)$", re.I)
_MADE_UP = re.compile(r"^(unk_?_?\d*|\?|none|.*_dim_\d+|.*dynamicdimension.*|-1|u\d+)$", re.I)
"""Labels that exporters generate for unknown axes, a different one each time."""
_OTHER = re.compile(
    r"seq|time|length|^len|_len|token|step|frame|audio|width|height|^[hwltk]$|num_|past|cache"
    r"|detection|boxes|node|edge|point|chunk|sample_rate",
    re.I,
)
_PROBES = (7, 11)
"""Sizes that rarely occur as dimensions of a model, so that finding one is evidence."""
_OTHER_SIZE = 13
"""The size of every other dynamic axis while the rows are followed."""


def decide(
    model: ModelProto, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> BatchAxis:
    """Return the batch axis of a stripped model with these inputs and outputs."""
    if not inputs:
        return _no_axis(Certainty.CERTAIN, "the model has no inputs")
    unshaped = [value.name for value in walk.inputs(model.graph) if _rank(value) is None]
    if unshaped:
        return _no_axis(Certainty.UNKNOWN, f"the input {unshaped[0]} has no declared shape")
    everything = [(f"input {spec.name}", spec) for spec in inputs]
    everything += [
        (f"output {spec.name}", spec)
        for spec, value in zip(outputs, model.graph.output, strict=True)
        if _rank(value) is not None
    ]
    scalars = [name for name, spec in everything if not spec.shape]
    if scalars:
        return _no_axis(Certainty.CERTAIN, f"the {scalars[0]} is a scalar, which has no axis")
    fixed = [(name, spec.shape[0]) for name, spec in everything if spec.shape[0] >= 0]
    if fixed:
        return _fixed_axis(fixed, everything)
    return _dynamic_axis(model, everything, complete=len(everything) == len(inputs) + len(outputs))


def _rank(value: object) -> int | None:
    shape, _ = walk.dimensions(value)  # type: ignore[arg-type]
    return None if shape is None else len(shape)


def _no_axis(certainty: Certainty, why: str, maximum: int | None = None) -> BatchAxis:
    return BatchAxis(present=False, certainty=certainty, why=why, maximum=maximum)


def _fixed_axis(
    fixed: list[tuple[str, int]], everything: list[tuple[str, TensorSpec]]
) -> BatchAxis:
    sizes = {size for _, size in fixed}
    if len(fixed) == len(everything) and len(sizes) == 1:
        size = sizes.pop()
        why = f"the first axis of every input and output is fixed at {size}"
        return _no_axis(Certainty.CERTAIN if size == 1 else Certainty.LIKELY, why, size)
    name, size = fixed[0]
    others = [other for other, spec in everything if spec.shape[0] != size]
    return _no_axis(
        Certainty.LIKELY,
        f"the first axis of the {name} is fixed at {size} while that of the {others[0]} differs",
    )


def _dynamic_axis(
    model: ModelProto, everything: list[tuple[str, TensorSpec]], *, complete: bool
) -> BatchAxis:
    labels = {name: spec.labels[0] for name, spec in everything}
    telling = {label for label in labels.values() if label and not _MADE_UP.match(label)}
    for name, label in labels.items():
        if label and _OTHER.search(label) and not _BATCH.search(label):
            return _no_axis(
                Certainty.LIKELY, f"the first axis of the {name} is called {label}, not a batch"
            )
    if len(telling) > 1:
        named = ", ".join(sorted(telling))
        return _no_axis(Certainty.LIKELY, f"the first axes have different names: {named}")
    model = walk.unfolded(model)
    probes = {size: shapes.infer(model, first=size) for size in _PROBES}
    refuted = _contradiction(model, probes)
    if refuted:
        return _no_axis(Certainty.LIKELY, refuted)
    if complete and len(set(labels.values())) == 1 and telling:
        why = f"the first axis of every input and output is dynamic and called {telling.pop()}"
        return BatchAxis(present=True, certainty=Certainty.CERTAIN, why=why)
    proven = complete and all(
        inferred.values.get(value.name, (-1,))[0] == size
        for size, inferred in probes.items()
        for value in model.graph.output
    )
    why = "the first axis of every input and output is dynamic"
    why += ", and shape inference carries its size from the inputs to the outputs" if proven else ""
    certainty = Certainty.CERTAIN if proven and telling else Certainty.LIKELY
    return BatchAxis(present=True, certainty=certainty, why=why)


def _contradiction(model: ModelProto, probes: dict[int, shapes.Inferred]) -> str | None:
    """Return how shape inference contradicts a batch axis, None if it does not."""
    for size, inferred in probes.items():
        if inferred.trouble:
            return f"with a first axis of {size} the shapes contradict: {inferred.trouble}"
        for value in model.graph.output:
            shape = inferred.values.get(value.name, (-1,))
            if not shape:
                return f"the output {value.name} is a scalar"
            if shape[0] not in {-1, size}:
                return (
                    f"the output {value.name} has a first axis of {shape[0]} where the inputs "
                    f"have {size}"
                )
    given = tuple(value.name for value in walk.inputs(model.graph))
    whole = shapes.infer(model, first=_PROBES[0], dynamic=_OTHER_SIZE)
    known = probes[_PROBES[0]] if whole.trouble else whole
    return rows.why_mixed(model, given, known.values, _PROBES[0])


def finding(batch: BatchAxis) -> Finding | None:
    """Return the finding about a model's batch axis, None if there is nothing to say."""
    if batch.present:
        if batch.certainty is Certainty.CERTAIN:
            return None
        return Finding(
            Severity.NOTE,
            "inspection.batch.likely",
            f"Requests are joined along the first axis: {batch.why}.",
            hint="If that axis is not the batch, write `batching: {max_batch_size: 0}`.",
        )
    hint = "If requests can be joined nevertheless, write `batching: {max_batch_size: 8}`."
    if batch.maximum is not None:
        hint = (
            "Export the model again with a dynamic first axis (torch.onnx.export(dynamic_axes=…), "
            "tf2onnx with an input signature of None) to have requests served in batches."
        )
    what = f"Each request is served alone: {batch.why}."
    return Finding(Severity.NOTE, "inspection.batch.absent", what, hint=hint)
