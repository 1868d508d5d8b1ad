"""Opening the axes of size 0 of an ONNX file's inputs: Triton's configuration cannot hold them.

The rest of the file stays as it is; what it computes does not depend on a declared size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.store import Store


def open_empty(file: FileEntry, names: Collection[str], store: Store) -> FileEntry:
    """Return the entry of a file whose inputs of these names have no axis of size 0."""
    from onnx import ModelProto

    model = ModelProto.FromString(store.read(file.digest))
    for value in model.graph.input:
        if value.name not in names:
            continue
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.WhichOneof("value") == "dim_value" and dimension.dim_value == 0:
                dimension.dim_param = f"{value.name}_{axis}"
    data = model.SerializeToString(deterministic=True)
    return FileEntry(file.path, len(data), store.add_bytes(data))
