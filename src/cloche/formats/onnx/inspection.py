"""The facts of an ONNX file."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, ModelFacts, ModelFormat, Severity
from cloche.errors import ClocheError, ErrorGroup
from cloche.formats import lookalikes
from cloche.formats.onnx import batch, defaults, empty, operators, shapes, unshaped, uses
from cloche.formats.onnx import graph as walk
from cloche.formats.onnx.codes import INSPECTION, not_a_model
from cloche.formats.onnx.external import weights
from cloche.formats.onnx.file import external_data
from cloche.formats.onnx.lookalikes import LOOKALIKES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import ModelProto

    from cloche.artifacts import TensorSpec


def inspect_file(
    path: Path, where: str | None = None, declared: tuple[TensorSpec, ...] = ()
) -> ModelFacts:
    """Return the facts of an ONNX file whose weights are in it or beside it.

    `where` is the file as the user knows it, if `path` is a copy of it; errors name it. `declared`
    are the inputs in cloche.yaml, which tell the axes of those that have no shape in the file.
    `memory_bytes` counts the weights and the values that are alive at once when every dynamic axis
    is 1, but not the runtime itself and its arenas. Raises ClocheError for a file that is not a
    model, is cut off, lacks its weights, or has inputs or outputs that are not tensors.
    """
    shown = where or str(path)
    with _shown_as(path, shown):
        return _facts(path, shown, declared)


@contextmanager
def _shown_as(path: Path, where: str) -> Iterator[None]:
    """Have errors name the place that the user knows instead of the copy."""
    try:
        yield
    except ErrorGroup as group:
        errors = [_placed(error, path, where) for error in group.errors]
        raise ErrorGroup(group.code, group.what, errors) from None
    except ClocheError as error:
        raise _placed(error, path, where) from None


def _placed(error: ClocheError, path: Path, where: str) -> ClocheError:
    if error.where is None or not error.where.startswith(str(path.parent)):
        return error
    if error.where == str(path):
        return error.with_(where=where)
    return error.with_(where=str(PurePath(where).parent / Path(error.where).name))


def _facts(path: Path, where: str, declared: tuple[TensorSpec, ...]) -> ModelFacts:
    model = read(path, where)
    external = weights(path, external_data(path, INSPECTION), INSPECTION)
    held = shapes.weights(model)
    shapes.strip_weights(model)
    given = unshaped.declare(model, declared)
    shapes.complete_outputs(model)
    inputs = walk.specs(walk.inputs(model.graph), "input", model, where)
    outputs = walk.specs(model.graph.output, "output", model, where)
    offered = defaults.of(model, where)
    counted = walk.count_operators(model)
    opsets = {walk.standard(entry.domain): entry.version for entry in model.opset_import}
    axis = batch.decide(model, inputs, outputs)
    activations = shapes.peak_activations(model, shapes.infer(model, first=1, dynamic=1))
    findings = operators.findings(counted, opsets, model.ir_version)
    findings += _shapes_missing(model)
    findings += unshaped.findings(given)
    findings += empty.findings(inputs, outputs)
    findings += offered.findings
    noted = batch.finding(axis)
    used = uses.find(model, inputs)
    return ModelFacts(
        format=ModelFormat.ONNX,
        framework=_framework(model),
        backend="onnxruntime",
        inputs=(*empty.opened(inputs), *offered.inputs),
        opened=tuple(spec.name for spec in inputs if 0 in spec.shape or spec.name in given),
        outputs=empty.served(outputs),
        batch=axis,
        size_bytes=path.stat().st_size + sum(file.stat().st_size for file in external.values()),
        memory_bytes=None if activations is None else held + activations,
        opsets=opsets,
        operators=counted,
        unsupported_operators=operators.unsupported(counted),
        findings=(*findings, *([noted] if noted else [])),
        ranges=used.ranges,
        sizes=used.sizes,
    )


def read(path: Path, where: str | None = None) -> ModelProto:
    """Return the model without its external data; raises ClocheError for other files.

    `where` is the file as the user knows it, if `path` is a copy of it.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    name = PurePath(where or path).name
    _refuse_lookalike(path, name)
    external_data(path, INSPECTION)  # tells a cut file from one that was never a model
    try:
        model = ModelProto.FromString(path.read_bytes())
    except DecodeError:
        why = f"it begins like one, but its {path.stat().st_size:,} bytes do not decode"
        raise not_a_model(INSPECTION.damaged, str(path), name, why) from None
    if not model.graph.output:
        raise ClocheError(
            "inspection.onnx.outputs",
            f"{name} is an ONNX model whose graph has no outputs.",
            where=str(path),
            hint="Export it again with the outputs that clients should get.",
        )
    return model


def _refuse_lookalike(path: Path, name: str) -> None:
    if path.stat().st_size == 0:
        return
    lookalike = lookalikes.of_file(path, (*LOOKALIKES, *lookalikes.GENERAL))
    if lookalike is not None:
        raise not_a_model(INSPECTION.invalid, str(path), name, f"it is {lookalike.what}")


def _shapes_missing(model: ModelProto) -> list[Finding]:
    inputs, outputs = (
        [value.name for value in values if walk.dimensions(value)[0] is None]
        for values in (walk.inputs(model.graph), model.graph.output)
    )
    if not inputs and not outputs:
        return []
    way = "Set the shape, with onnx.tools.update_model_dims or in the exporter"
    if inputs:
        way = "Write the axes of the inputs in cloche.yaml, with a name for each of any size: "
        way += f"`inputs: {{{inputs[0]}: {{shape: [batch, 4], datatype: FP32}}}}`"
    what = f"The model declares no shape for {', '.join([*inputs, *outputs])}, "
    what += "and none can be inferred."
    hint = f"{way}; Triton needs the number of axes of each input and output."
    return [Finding(Severity.ERROR, "inspection.onnx.shape", what, hint=hint)]


def _framework(model: ModelProto) -> str:
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return f"onnx ({producer})" if producer else "onnx"
