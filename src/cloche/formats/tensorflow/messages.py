"""The messages of saved_model.pb, as far as they are read here.

Names and numbers of the fields are those of saved_model.proto, meta_graph.proto and
tensor_shape.proto in tensorflow/core, where the versions of TensorFlow keep them. All other fields,
the graph among them, are skipped as unknown. The entries of a map are messages with `key` and
`value`, as protobuf encodes them.
"""

from __future__ import annotations

import functools
from typing import Any

_NUMBER, _FLAG, _TEXT, _MESSAGE = 3, 8, 9, 11
"""FieldDescriptorProto.Type: TYPE_INT64, TYPE_BOOL, TYPE_STRING, TYPE_MESSAGE."""
_ONE, _MANY = 1, 3
"""FieldDescriptorProto.Label: LABEL_OPTIONAL, LABEL_REPEATED."""

_FIELDS: dict[str, dict[str, tuple[int, int, int | str]]] = {
    "SavedModel": {"meta_graphs": (2, _MANY, "MetaGraph")},
    "MetaGraph": {"meta_info": (1, _ONE, "MetaInfo"), "signatures": (5, _MANY, "Signature")},
    "MetaInfo": {"tags": (4, _MANY, _TEXT), "tensorflow_version": (5, _ONE, _TEXT)},
    "Signature": {"key": (1, _ONE, _TEXT), "value": (2, _ONE, "SignatureDef")},
    "SignatureDef": {
        "inputs": (1, _MANY, "Tensor"), "outputs": (2, _MANY, "Tensor"),
        "method_name": (3, _ONE, _TEXT),
    },
    "Tensor": {"key": (1, _ONE, _TEXT), "value": (2, _ONE, "TensorInfo")},
    "TensorInfo": {
        "name": (1, _ONE, _TEXT), "dtype": (2, _ONE, _NUMBER), "shape": (3, _ONE, "Shape"),
    },
    "Shape": {"dim": (2, _MANY, "Dimension"), "unknown_rank": (3, _ONE, _FLAG)},
    "Dimension": {"size": (1, _ONE, _NUMBER)},
}  # fmt: skip
"""Message → field → its number, label, and type or message."""


@functools.cache
def saved_model_class() -> Any:
    """Return the class of the message SavedModel.

    The messages stand in a pool of their own, so that TensorFlow's may be imported beside them.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="cloche/saved_model.proto", package="cloche.tensorflow", syntax="proto3"
    )
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, label, kind) in fields.items():
            field = described.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type = _MESSAGE  # type: ignore[assignment]
                field.type_name = f".{file.package}.{kind}"
            else:
                field.type = kind  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{file.package}.SavedModel")
    return message_factory.GetMessageClass(found)
