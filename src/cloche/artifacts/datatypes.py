"""The element types of tensors, and the name of each in every format and protocol.

Scripts that run in another interpreter (the model's or the server's) cannot import this table. They
repeat the part they need; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Datatype:
    """One element type."""

    name: str
    """In the KServe v2 protocol and in every artefact: `FP32`."""
    config: str
    """In Triton's ModelConfig: `TYPE_FP32`."""
    onnx: int
    """In ONNX: its number in TensorProto.DataType."""
    size: int | None
    """Bytes of one element; None for BYTES, whose elements differ in length."""
    numpy: str
    """The numpy type that holds the values; float32 for bfloat16, which numpy does not have."""
    tensors: tuple[str, ...]
    """In MLflow's signature of a tensor: numpy's names."""
    columns: tuple[str, ...] = ()
    """In MLflow's signature of a table."""


DATATYPES: dict[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        Datatype("BOOL", "TYPE_BOOL", 9, 1, "bool", ("bool",), ("boolean",)),
        Datatype("UINT8", "TYPE_UINT8", 2, 1, "uint8", ("uint8",)),
        Datatype("UINT16", "TYPE_UINT16", 4, 2, "uint16", ("uint16",)),
        Datatype("UINT32", "TYPE_UINT32", 12, 4, "uint32", ("uint32",)),
        Datatype("UINT64", "TYPE_UINT64", 13, 8, "uint64", ("uint64",)),
        Datatype("INT8", "TYPE_INT8", 3, 1, "int8", ("int8",)),
        Datatype("INT16", "TYPE_INT16", 5, 2, "int16", ("int16",)),
        Datatype("INT32", "TYPE_INT32", 6, 4, "int32", ("int32",), ("integer",)),
        Datatype("INT64", "TYPE_INT64", 7, 8, "int64", ("int64",), ("long",)),
        Datatype("FP16", "TYPE_FP16", 10, 2, "float16", ("float16",)),
        Datatype("FP32", "TYPE_FP32", 1, 4, "float32", ("float32",), ("float",)),
        Datatype("FP64", "TYPE_FP64", 11, 8, "float64", ("float64",), ("double",)),
        Datatype("BF16", "TYPE_BF16", 16, 2, "float32", ("bfloat16",)),
        Datatype(
            "BYTES", "TYPE_STRING", 8, None, "object",
            ("str", "object", "bytes", "string"), ("string", "binary", "datetime"),
        ),
    )
}  # fmt: skip
"""Every datatype of the protocol by its name."""
