"""What saved_model.pb tells: signatures, and the release of TensorFlow that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import TensorSpec
from cloche.formats.tensorflow.messages import saved_model_class

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = "saved_model.pb"
SERVING = "serving_default"
_SERVE = "serve"
"""The tag of the graph to serve (tf.saved_model.SERVING), and the name that Keras gives the twin of
the default signature."""
_INITIALISER = "__saved_model_init_op"
DATATYPES = {
    1: "FP32", 2: "FP64", 3: "INT32", 4: "UINT8", 5: "INT16", 6: "INT8", 7: "BYTES", 9: "INT64",
    10: "BOOL", 17: "UINT16", 19: "FP16", 22: "UINT32", 23: "UINT64",
}  # fmt: skip
"""The protocol's datatypes by their number in TensorFlow (types.proto)."""


class Malformed(Exception):
    """The file is no SavedModel, or not whole."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function that is called by name; its tensors are in the order of their names.

    `unservable` says what about a tensor no request can hold, as a sentence without a full stop.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    unservable: str | None = None


@dataclass(frozen=True, slots=True)
class SavedModel:
    """The graph to serve."""

    signatures: tuple[Signature, ...]
    version: str | None
    """The release of TensorFlow that wrote it: `2.21.0`"""


def read(path: Path) -> SavedModel:
    """Return what a file tells; raises Malformed."""
    from google.protobuf.message import DecodeError

    message = saved_model_class()()
    try:
        message.ParseFromString(path.read_bytes())
    except (DecodeError, OSError):
        raise Malformed("it cannot be parsed") from None
    graphs = [graph for graph in message.meta_graphs if _SERVE in graph.meta_info.tags]
    if not message.meta_graphs:
        raise Malformed("it has no graph")
    graph = (graphs or message.meta_graphs)[0]
    found = [_signature(entry.key, entry.value) for entry in graph.signatures]
    return SavedModel(_distinct(found), graph.meta_info.tensorflow_version or None)


def _signature(name: str, definition: Any) -> Signature:
    inputs, outputs = _tensors(definition.inputs), _tensors(definition.outputs)
    problems = [
        *(_problem(entry) for entry in (*definition.inputs, *definition.outputs)),
        *(_rank_problem(entry) for entry in definition.inputs),
        None if inputs else "it takes no inputs",
    ]
    return Signature(name, inputs, outputs, next(filter(None, problems), None))


def _tensors(entries: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            entry.key,
            DATATYPES.get(entry.value.dtype, "BYTES"),
            tuple(max(-1, dim.size) for dim in entry.value.shape.dim),
        )
        for entry in sorted(entries, key=lambda entry: entry.key)
    )


def _problem(entry: Any) -> str | None:
    if not entry.value.name:
        return f"{entry.key} is sparse or ragged, and a request holds dense tensors"
    if entry.value.dtype not in DATATYPES:
        return f"{entry.key} has a type (number {entry.value.dtype}) that no request can hold"
    return None


def _rank_problem(entry: Any) -> str | None:
    if entry.value.shape.unknown_rank:
        return f"{entry.key} may have any number of axes, and a served tensor has a fixed number"
    return None


def _distinct(found: list[Signature]) -> tuple[Signature, ...]:
    """Return the signatures that can be served, without Keras' twin of the default one."""
    served = {each.name: each for each in found if each.name != _INITIALISER and each.outputs}
    twin, default = served.get(_SERVE), served.get(SERVING)
    if twin is not None and default is not None and _tensors_of(twin) == _tensors_of(default):
        del served[_SERVE]
    return tuple(served[name] for name in sorted(served))


def _tensors_of(signature: Signature) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    return signature.inputs, signature.outputs
