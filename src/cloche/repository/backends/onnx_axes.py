"""Declaring the axes of an ONNX file's inputs where Triton's configuration cannot hold them.

An axis of size 0 is opened, and an input without a shape gets that of its facts. The rest of the
file stays as it is; what it computes does not depend on a declared size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry

if TYPE_CHECKING:
    from collections.abc import Collection

    from onnx import TensorShapeProto

    from cloche.artifacts import TensorSpec
    from cloche.store import Store


def declare(file: FileEntry, inputs: Collection[TensorSpec], store: Store) -> FileEntry:
    """Return the entry of a file whose inputs have a shape, and no axis of size 0."""
    from onnx import ModelProto

    model = ModelProto.FromString(store.read(file.digest))
    by_name = {spec.name: spec for spec in inputs}
    for value in model.graph.input:
        spec = by_name.get(value.name)
        if spec is None:
            continue
        described = value.type.tensor_type
        if not described.HasField("shape"):
            _give(described.shape, spec)
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.WhichOneof("value") == "dim_value" and dimension.dim_value == 0:
                dimension.dim_param = f"{value.name}_{axis}"
    data = model.SerializeToString(deterministic=True)
    return FileEntry(file.path, len(data), store.add_bytes(data))


def _give(shape: TensorShapeProto, spec: TensorSpec) -> None:
    shape.SetInParent()
    for axis, size in enumerate(spec.shape):
        dimension = shape.dim.add()
        if size >= 0:
            dimension.dim_value = size
        else:
            label = spec.labels[axis] if axis < len(spec.labels) else None
            dimension.dim_param = label or f"{spec.name}_dim_{axis}"
