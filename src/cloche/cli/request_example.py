"""A ready request, as curl and as Python: the golden request, which the model accepts.

The parameters of that request belong to it: a model with sequences answers none without them.
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES
from cloche.clients.kserve import sequences

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
    """Its values in row-major order; None stands for the filler everywhere."""
    filler: Any = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def shown(self) -> list[Any]:
        """Return the different values that are written."""
        return [self.filler] if self.values is None else self.values

    @property
    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "shape": self.shape, "datatype": self.datatype}

    @property
    def data(self) -> list[Any]:
        return [self.filler] * self.size if self.values is None else self.values

    @property
    def data_text(self) -> str:
        """Return the values as Python."""
        return f"[{self.filler!r}] * {self.size}" if self.values is None else repr(self.values)


@dataclass(frozen=True, slots=True)
class Addressed:
    """Where a service answers."""

    url: str
    """Of its model's requests over HTTP."""
    gateway: str
    """Host and port, HTTP and gRPC."""
    service: str

    @property
    def host(self) -> str:
        """Return the host and port of the URL, or the gateway's where Python may not find that."""
        host = self.url.partition("://")[2].partition("/")[0]
        return self.gateway if host.partition(":")[0].endswith(".localhost") else host

    @property
    def headers(self) -> dict[str, str]:
        """Return what the gateway needs to find the service where its host is not asked."""
        return {} if self.url.startswith(f"http://{self.host}/") else {NAMED: self.service}


NAMED = "cloche-service"
"""The header and metadata that names a service."""


def of(
    repository: ModelRepository,
    at: Addressed,
    golden: Mapping[str, NDArray[Any]] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return `{"curl": …, "python": …}`, ready to be pasted.

    `golden` has the inputs of the golden request, `parameters` its parameters. A large input keeps
    its shape, and has its first value everywhere. Without a golden request the values are zeros (or
    the text "text") and an open size is 1.
    """
    inputs = _of_golden(repository, golden) if golden else _zeros(repository)
    given = dict(parameters or {})
    streams = repository.main.decoupled
    return {
        "curl": _STREAMS if streams else _curl(inputs, given, at.url),
        "python": _python(repository, inputs, given, at),
    }


_STREAMS = "# It answers with streams, which need gRPC: use Python."


def _zeros(repository: ModelRepository) -> list[_Input]:
    declared = repository.main.inputs
    return [
        _Input(
            spec.name,
            spec.datatype,
            [size if size >= 0 else 1 for size in spec.shape],
            filler=_FILLERS.get(spec.datatype, 0.0 if spec.datatype.startswith("FP") else 0),
        )
        for spec in [spec for spec in declared if not spec.optional] or declared
    ]


_FILLERS: dict[str, Any] = {"BYTES": "text", "BOOL": False}


def _of_golden(repository: ModelRepository, golden: Mapping[str, NDArray[Any]]) -> list[_Input]:
    """Return the first item of the golden request."""
    batches = repository.main.max_batch_size > 0
    inputs = []
    for spec in repository.main.inputs:
        if spec.name not in golden:
            continue
        array = golden[spec.name][:1] if batches else golden[spec.name]
        large = array.size > INLINE_ELEMENTS
        flat = array.ravel()[: 1 if large else None]
        values = [_plain(one) for one in flat.tolist()]
        shape = list(array.shape)
        if large:
            inputs.append(_Input(spec.name, spec.datatype, shape, filler=values[0]))
        else:
            inputs.append(_Input(spec.name, spec.datatype, shape, values))
    return inputs


def _plain(value: Any) -> Any:
    """Return text where bytes are UTF-8; anything else as it is."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _curl(inputs: list[_Input], parameters: dict[str, Any], url: str) -> str:
    if any(tensor.datatype in BINARY_ONLY for tensor in inputs):
        return "# FP16 and BF16 have no JSON form in the protocol: use Python."
    if any(not _in_json(value) for tensor in inputs for value in tensor.shown):
        return "# NaN, infinity and bytes that are no text have no JSON form: use Python."
    send = f"curl -s {shlex.quote(url)} -H 'Content-Type: application/json'"
    for name, value in sequences.headers(parameters).items():
        send += f" -H {shlex.quote(f'{name}: {value}')}"
    more = {"parameters": parameters} if parameters else {}
    if sum(tensor.size for tensor in inputs) <= INLINE_ELEMENTS:
        entries = [tensor.entry | {"data": tensor.data} for tensor in inputs]
        body = json.dumps({"inputs": entries, **more}, ensure_ascii=False)
        return f"{send} -d {shlex.quote(body)}"
    entries_text = ", ".join(
        f"{{**{tensor.entry!r}, 'data': {tensor.data_text}}}" for tensor in inputs
    )
    more_text = f", 'parameters': {parameters!r}" if parameters else ""
    document = f"{{'inputs': [{entries_text}]{more_text}}}"
    program = f"import json; print(json.dumps({document}))"
    return f"python3 -c {shlex.quote(program)} |\n  {send} -d @-"


def _in_json(value: Any) -> bool:
    return not isinstance(value, bytes) and (not isinstance(value, float) or math.isfinite(value))


def _python(
    repository: ModelRepository, inputs: list[_Input], parameters: dict[str, Any], at: Addressed
) -> str:
    protocol = "grpc" if repository.main.decoupled else "http"
    lines = [
        "import numpy as np",
        f"import tritonclient.{protocol} as triton  # pip install tritonclient[{protocol}]",
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
    streams = repository.main.decoupled
    address = at.gateway if streams else at.host
    lines.append(f"client = triton.InferenceServerClient({address!r})")
    outputs = [json.dumps(tensor.name) for tensor in repository.main.outputs]
    headers = at.headers | sequences.headers(parameters)
    model = repr(repository.main.name)
    more = f", headers={headers!r}" if headers else ""
    if streams:
        lines += [
            "shown = lambda answer, error: print(error or answer.get_response())",
            f"client.start_stream(shown{more})",
            f"client.async_stream_infer({model}, inputs{_arguments(parameters)})",
            "client.stop_stream()",
        ]
    else:
        lines.append(f"answer = client.infer({model}, inputs{more}{_arguments(parameters)})")
        lines += [f"print(answer.as_numpy({name}))" for name in outputs]
    return "\n".join(lines)


def _arguments(parameters: dict[str, Any]) -> str:
    """Return parameters as keyword arguments of Triton's client, which has some of its own."""
    known = {name: value for name, value in parameters.items() if name.startswith("sequence_")}
    others = {name: value for name, value in parameters.items() if name not in known}
    given = known | ({"parameters": others} if others else {})
    return "".join(f", {name}={value!r}" for name, value in given.items())


def _array(tensor: _Input) -> str:
    kind = "object" if tensor.datatype == "BYTES" else f'"{DATATYPES[tensor.datatype].numpy}"'
    if tensor.values is not None:
        values = ", ".join(map(_literal, tensor.values))
        return f"np.array([{values}], dtype={kind}).reshape({tensor.shape})"
    if tensor.filler == 0 and tensor.datatype != "BOOL":
        return f"np.zeros({tensor.shape}, dtype={kind})"
    return f"np.full({tensor.shape}, {_literal(tensor.filler)}, dtype={kind})"


def _literal(value: Any) -> str:
    finite = not isinstance(value, float) or math.isfinite(value)
    return repr(value) if finite else f'float("{value}")'
