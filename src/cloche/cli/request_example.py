"""A ready request, as curl and as Python: the golden request, which the model accepts."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cloche.artifacts import ModelRepository

INLINE_ELEMENTS = 256
BINARY_ONLY = ("FP16", "BF16")


@dataclass(frozen=True, slots=True)
class _Input:
    """One tensor of the request."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any] | None = None
    """Its values in row-major order; None stands for zeros, or the text "text"."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def filler(self) -> Any:
        zero: Any = 0.0 if self.datatype.startswith("FP") else 0
        return {"BYTES": "text", "BOOL": False}.get(self.datatype, zero)

    @property
    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "shape": self.shape, "datatype": self.datatype}

    @property
    def data(self) -> list[Any]:
        return [self.filler] * self.size if self.values is None else self.values


def of(
    repository: ModelRepository, url: str, golden: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, str]:
    """Return `{"curl": …, "python": …}`, ready to be pasted.

    `golden` has the inputs of the golden request. If there is none, or it is large or not text, the
    values are zeros (or the text "text") and an open size is 1.
    """
    inputs = _of_golden(repository, golden or {}) or _zeros(repository)
    return {"curl": _curl(inputs, url), "python": _python(repository, inputs, url)}


def _zeros(repository: ModelRepository) -> list[_Input]:
    declared = repository.main.inputs
    return [
        _Input(spec.name, spec.datatype, [size if size >= 0 else 1 for size in spec.shape])
        for spec in [spec for spec in declared if not spec.optional] or declared
    ]


def _of_golden(repository: ModelRepository, golden: Mapping[str, NDArray[Any]]) -> list[_Input]:
    """Return the first item of the golden request; empty if it cannot be written as text."""
    import numpy as np

    batches = repository.main.max_batch_size > 0
    inputs = []
    for spec in repository.main.inputs:
        if spec.name not in golden:
            continue
        array = golden[spec.name][:1] if batches else golden[spec.name]
        if array.size > INLINE_ELEMENTS or spec.datatype in BINARY_ONLY:
            return []
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return []
        values = _texts(array) if array.dtype.kind == "O" else array.ravel().tolist()
        if values is None:
            return []
        inputs.append(_Input(spec.name, spec.datatype, list(array.shape), values))
    return inputs


def _texts(array: NDArray[Any]) -> list[str] | None:
    try:
        return [element.decode("utf-8") for element in array.ravel()]
    except UnicodeDecodeError:
        return None


def _curl(inputs: list[_Input], url: str) -> str:
    if any(tensor.datatype in BINARY_ONLY for tensor in inputs):
        return "# FP16 and BF16 have no JSON form in the protocol: use Python."
    send = f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json'"
    if sum(tensor.size for tensor in inputs) <= INLINE_ELEMENTS:
        entries = [tensor.entry | {"data": tensor.data} for tensor in inputs]
        body = json.dumps({"inputs": entries}, ensure_ascii=False)
        return f"{send} -d {shlex.quote(body)}"
    entries_text = ", ".join(
        f"{{**{tensor.entry!r}, 'data': [{tensor.filler!r}] * {tensor.size}}}" for tensor in inputs
    )
    program = f"import json; print(json.dumps({{'inputs': [{entries_text}]}}))"
    return f"python3 -c {shlex.quote(program)} |\n  {send} -d @-"


def _python(repository: ModelRepository, inputs: list[_Input], url: str) -> str:
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


def _array(tensor: _Input) -> str:
    kind = "object" if tensor.datatype == "BYTES" else f'"{DATATYPES[tensor.datatype].numpy}"'
    if tensor.values is not None:
        return f"np.array({tensor.values!r}, dtype={kind}).reshape({tensor.shape})"
    if tensor.datatype == "BYTES":
        return f'np.full({tensor.shape}, "text", dtype=object)'
    return f"np.zeros({tensor.shape}, dtype={kind})"
