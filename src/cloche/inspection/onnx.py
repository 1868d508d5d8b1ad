"""ONNX: all that the protobuf says, with no runtime and without reading the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding, ModelFacts, ModelFormat, Severity
from cloche.inspection import batch, onnx_file, operators, shapes
from cloche.inspection import graph as walk

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto, TensorProto


def inspect_file(path: Path, *, root: Path) -> ModelFacts:
    """Return the facts of an ONNX file whose external data must stand inside `root`.

    `memory_bytes` counts the weights and the values that are alive at once when every dynamic axis
    is 1; the runtime's own share and its arenas come on top. Raises ClocheError for a file that is
    no model, is cut off, lacks its weights, or has inputs or outputs that are no tensors.
    """
    model = onnx_file.read(path)
    external = onnx_file.check_external_data(_external(model), path, root)
    weights = shapes.weights(model)
    shapes.strip_weights(model)
    shapes.complete_outputs(model)
    inputs = walk.specs(walk.inputs(model.graph), "input", model, path)
    outputs = walk.specs(model.graph.output, "output", model, path)
    counted = walk.count_operators(model)
    opsets = {walk.standard(entry.domain): entry.version for entry in model.opset_import}
    axis = batch.decide(model, inputs, outputs)
    activations = shapes.peak_activations(model, shapes.infer(model, first=1, dynamic=1))
    found = operators.findings(counted, opsets, model.ir_version)
    found += _shapes_missing(model)
    noted = batch.finding(axis)
    return ModelFacts(
        format=ModelFormat.ONNX,
        framework=_framework(model),
        backend="onnxruntime",
        inputs=inputs,
        outputs=outputs,
        batch=axis,
        size_bytes=path.stat().st_size + sum(external.values()),
        memory_bytes=None if activations is None else weights + activations,
        opsets=opsets,
        operators=counted,
        unsupported_operators=operators.unsupported(counted),
        findings=(*found, *([noted] if noted else [])),
    )


def _external(model: ModelProto) -> list[TensorProto]:
    from onnx import TensorProto

    return [t for t in walk.tensors(model) if t.data_location == TensorProto.EXTERNAL]


def _shapes_missing(model: ModelProto) -> list[Finding]:
    values = [*walk.inputs(model.graph), *model.graph.output]
    names = [value.name for value in values if walk.dimensions(value)[0] is None]
    if not names:
        return []
    return [
        Finding(
            Severity.ERROR,
            "inspection.onnx.shape",
            f"The model declares no shape for {', '.join(names)}, and none can be inferred.",
            hint="Set the shape, with onnx.tools.update_model_dims or in the exporter; Triton "
            "needs the number of dimensions of each input and output.",
        )
    ]


def _framework(model: ModelProto) -> str:
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return f"onnx ({producer})" if producer else "onnx"
