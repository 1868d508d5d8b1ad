"""MLflow's model signature, as tensors.

The file MLmodel holds `inputs` and `outputs` as JSON strings: a list of either columns (`type` is a
DataType such as `double`, or `array`, `map`, `object` with their content) or tensors (`type` is
`tensor`, with a NumPy dtype and a shape); see "Model Signatures and Input Examples" of MLflow.
"""

from __future__ import annotations

import json
from typing import Any

from cloche.artifacts import DATATYPES, Signature, TensorSpec
from cloche.errors import ClocheError

_OF_COLUMN = {kind: name for name, datatype in DATATYPES.items() for kind in datatype.columns}
_HELD = {
    "binary": "binary", "datetime": "date", "object": "json", "map": "json", "any": "json",
}  # fmt: skip
"""What the BYTES of a column stand for, by its type."""
_SAMPLES: dict[str, Any] = {
    "long": 1, "integer": 1, "double": 0.5, "float": 0.5, "boolean": True,
    "datetime": "2024-01-31T12:00:00", "binary": "bm9ydGg=",
}  # fmt: skip
_OF_TENSOR = {dtype: name for name, datatype in DATATYPES.items() for dtype in datatype.tensors}


def parse_signature(document: dict[str, Any], where: str) -> Signature | None:
    """Return the signature in MLmodel's `signature`, None if it has no inputs.

    A column is a tensor of shape (-1, 1), a column of lists one of (-1, -1), of lists of lists one
    of (-1, -1, -1); text, bytes, dates and structured values (as JSON) are BYTES. Raises
    source.mlflow.signature for a signature that MLflow itself would not read.
    """
    try:
        inputs = json.loads(document.get("inputs") or "[]")
        outputs = json.loads(document.get("outputs") or "[]")
        made_up: list[str] = []
        taken = tuple(_specs(inputs, "input", made_up))
        parsed = Signature(
            inputs=taken,
            outputs=tuple(_specs(outputs, "output", made_up)),
            columns=any(item["type"] != "tensor" for item in inputs),
            lists=any(item["type"] == "array" for item in outputs),
            samples={
                spec.name: json.dumps(_sample(_inmost(item)))
                for spec, item in zip(taken, inputs, strict=True)
                if spec.holds == "json"
            },
            unnamed=tuple(made_up),
        )
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ClocheError(
            "source.mlflow.signature",
            f"The signature of the model cannot be read ({type(error).__name__}: {error}).",
            where=where,
            hint="Log the model again with mlflow.models.infer_signature(inputs, outputs).",
        ) from None
    return parsed if parsed.inputs else None


def _specs(items: list[dict[str, Any]], prefix: str, made_up: list[str]) -> list[TensorSpec]:
    specs = []
    for position, item in enumerate(items):
        name = item.get("name")
        if name is None or name == "":
            name = prefix if len(items) == 1 else f"{prefix}_{position}"
            made_up.append(name)
        datatype, shape = _tensor(item) if item["type"] == "tensor" else _column(item)
        optional = not item.get("required", not item.get("optional", False))
        holds = _HELD.get(_innermost(item))
        specs.append(TensorSpec(str(name), datatype, shape, optional=optional, holds=holds))
    return specs


def _innermost(item: dict[str, Any]) -> Any:
    """Return the type of a column, or of the values in its lists."""
    return _inmost(item)["type"]


def _inmost(item: dict[str, Any]) -> dict[str, Any]:
    while item["type"] == "array":
        item = item["items"]
    return item


def _sample(item: dict[str, Any]) -> Any:
    """Return a value of a type, with the properties alone that an object has to have."""
    kind = item["type"]
    if kind == "object":
        properties = item["properties"].items()
        return {name: _sample(each) for name, each in properties if each.get("required", True)}
    if kind == "array":
        return [_sample(item["items"])]
    if kind == "map":
        return {"north": _sample(item["values"])}
    return _SAMPLES.get(kind, "north")


def _tensor(item: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    spec = item["tensor-spec"]
    dtype = str(spec["dtype"])
    if dtype not in _OF_TENSOR and not dtype.startswith(("<U", "|S", "datetime64")):
        raise ValueError(f"no tensor can hold the type {dtype!r}")
    return _OF_TENSOR.get(dtype, "BYTES"), tuple(int(size) for size in spec["shape"])


def _column(item: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    kind, axes = item["type"], 0
    while kind == "array":
        item = item["items"]
        kind, axes = item["type"], axes + 1
    datatype = _OF_COLUMN.get(kind, "BYTES")
    return datatype, (-1, *((-1,) * axes or (1,)))
