"""A ready request, as curl and as Python."""

from __future__ import annotations

import json
import math
import shlex
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES

if TYPE_CHECKING:
    from cloche.artifacts import ModelRepository, TensorSpec

INLINE_ELEMENTS = 256
BINARY_ONLY = ("FP16", "BF16")


def of(repository: ModelRepository, url: str) -> dict[str, str]:
    """Return `{"curl": …, "python": …}`, ready to be pasted.

    The values are zeros (or the text "text"), since only the model knows their meaning. An open
    size is 1.
    """
    inputs = [
        tensor for tensor in repository.main.inputs if not tensor.optional
    ] or repository.main.inputs
    return {"curl": _curl([*inputs], url), "python": _python(repository, [*inputs], url)}


def _shape(tensor: TensorSpec) -> list[int]:
    return [size if size >= 0 else 1 for size in tensor.shape]


def _value(tensor: TensorSpec) -> Any:
    return {"BYTES": "text", "BOOL": False}.get(
        tensor.datatype, 0.0 if tensor.datatype.startswith("FP") else 0
    )


def _curl(inputs: list[TensorSpec], url: str) -> str:
    if any(tensor.datatype in BINARY_ONLY for tensor in inputs):
        return "# FP16 and BF16 have no JSON form in the protocol: use Python."
    sizes = [math.prod(_shape(tensor)) for tensor in inputs]
    send = f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json'"
    if sum(sizes) <= INLINE_ELEMENTS:
        entries = [
            _entry(tensor) | {"data": [_value(tensor)] * size}
            for tensor, size in zip(inputs, sizes, strict=True)
        ]
        return f"{send} -d {shlex.quote(json.dumps({'inputs': entries}))}"
    entries_text = ", ".join(
        f"{{**{_entry(tensor)!r}, 'data': [{_value(tensor)!r}] * {size}}}"
        for tensor, size in zip(inputs, sizes, strict=True)
    )
    program = f"import json; print(json.dumps({{'inputs': [{entries_text}]}}))"
    return f"python3 -c {shlex.quote(program)} |\n  {send} -d @-"


def _entry(tensor: TensorSpec) -> dict[str, Any]:
    return {"name": tensor.name, "shape": _shape(tensor), "datatype": tensor.datatype}


def _python(repository: ModelRepository, inputs: list[TensorSpec], url: str) -> str:
    address = url.partition("://")[2].partition("/")[0]
    lines = [
        "import numpy as np",
        "import tritonclient.http as triton  # pip install tritonclient[http]",
        "",
        "inputs = []",
    ]
    for tensor in inputs:
        name = json.dumps(tensor.name)
        lines += [
            f"value = {_array(tensor)}",
            f"inputs.append(triton.InferInput({name}, list(value.shape), {tensor.datatype!r}))",
            "inputs[-1].set_data_from_numpy(value)",
        ]
    lines += [
        f"client = triton.InferenceServerClient({address!r})",
        f"answer = client.infer({repository.main.name!r}, inputs)",
        *[
            f"print(answer.as_numpy({json.dumps(tensor.name)}))"
            for tensor in repository.main.outputs
        ],
    ]
    return "\n".join(lines)


def _array(tensor: TensorSpec) -> str:
    if tensor.datatype == "BYTES":
        return f'np.full({_shape(tensor)}, "text", dtype=object)'
    return f'np.zeros({_shape(tensor)}, dtype="{DATATYPES[tensor.datatype].numpy}")'
