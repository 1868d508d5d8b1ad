"""A model's inputs and outputs, checked against its configuration.

Rules and messages are those of the native backend (AutoCompleteConfig, ValidateInputs and
ValidateOutputs in src/onnxruntime.cc, CompareDimsSupported in src/onnxruntime_utils.cc), so that a
repository that loads here loads there, and one that fails gets the same message. Syntax for Python
3.8.
"""

# Before Python 3.10 zip() knows no strict.
# ruff: noqa: B905

from __future__ import annotations

import re
from typing import Any, NamedTuple

from onnx_session import ModelError  # type: ignore[import-not-found]

DEFAULT_MAX_BATCH_SIZE = 4  # default of `--backend-config=default-max-batch-size`
_TENSOR = re.compile(r"tensor\((\w+)\)")
_DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "bfloat16": "BF16",
    "string": "STRING",
}
_KINDS = {"seq": "ONNX_TYPE_SEQUENCE", "map": "ONNX_TYPE_MAP", "sparse": "ONNX_TYPE_SPARSETENSOR"}


class Tensor(NamedTuple):
    """One input or output; `datatype` as in config.pbtxt without TYPE_, -1 for a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Signature(NamedTuple):
    """All tensors of a model by name, in the model's order."""

    inputs: dict[str, Tensor]
    overridable: dict[str, Tensor]
    """Initializers that a request may replace."""
    outputs: dict[str, Tensor]


def read(session: Any) -> Signature:
    """Return the signature of a session; raises ModelError for values that are not tensors."""
    return Signature(
        _tensors(session.get_inputs()),
        _tensors(session.get_overridable_initializers()),
        _tensors(session.get_outputs()),
    )


def is_complete(config: dict[str, Any]) -> bool:
    """Return whether a configuration needs no completion."""
    inputs = len(config.get("input", [])) + len(config.get("batch_input", []))
    return inputs > 0 and len(config.get("output", [])) > 0


def complete(config: dict[str, Any], signature: Signature) -> list[str]:
    """Fill in what a configuration omits, in place; return warnings."""
    notes = _complete_batching(config, signature)
    for key, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        if not config.get(key):
            config[key] = [
                _entry_of(tensor, config["max_batch_size"]) for tensor in tensors.values()
            ]
    return notes


def validate(config: dict[str, Any], signature: Signature) -> None:
    """Raise ModelError if configuration and model do not match."""
    _refuse_unserved(config)
    model = config["name"]
    expected = sum(1 for entry in config["input"] if not entry.get("optional"))
    controls = config.get("sequence_batching", {}).get("control_input", [])
    expected += sum(len(entry.get("control", [])) for entry in controls)
    if len(signature.inputs) != expected:
        raise ModelError(
            f"unable to load model '{model}', configuration expects {expected} inputs, model"
            f" provides {len(signature.inputs)}"
        )
    allowed = dict(signature.inputs)
    allowed.update(signature.overridable)
    for entry in config["input"]:
        if entry.get("optional") and config["max_batch_size"] != 0:
            raise ModelError(
                f"unable to load model '{model}', optional input '{entry['name']}' is not supported"
                " for models that support batching"
            )
        _check(config, entry, allowed, "input")
    for entry in config["output"]:
        _check(config, entry, signature.outputs, "output")


def scalar_shapes(config: dict[str, Any], signature: Signature) -> dict[str, tuple[int, ...]]:
    """Return the shape in answers of each output that is a scalar in the model."""
    return {
        entry["name"]: tuple(int(size) for size in _configured_shape(entry))
        for entry in config["output"]
        if not signature.outputs[entry["name"]].shape
    }


def _tensors(arguments: list[Any]) -> dict[str, Tensor]:
    tensors = {}
    for argument in arguments:
        match = _TENSOR.fullmatch(argument.type)
        if match is None:
            kind = _KINDS.get(argument.type.split("(")[0].split("_")[0], "ONNX_TYPE_UNKNOWN")
            raise ModelError(
                f"Unsupported ONNX Type '{kind}' for I/O '{argument.name}', expected"
                " 'ONNX_TYPE_TENSOR'."
            )
        shape = tuple(size if isinstance(size, int) else -1 for size in argument.shape)
        datatype = _DATATYPES.get(match[1], "INVALID")
        tensors[argument.name] = Tensor(argument.name, datatype, shape)
    return tensors


def _complete_batching(config: dict[str, Any], signature: Signature) -> list[str]:
    tensors = list(signature.inputs.values()) + list(signature.outputs.values())
    if not all(tensor.shape and tensor.shape[0] == -1 for tensor in tensors):
        if config["max_batch_size"] != 0:
            raise ModelError(
                f"autofill failed for model '{config['name']}': model does not support batching"
                " while non-zero max_batch_size is specified"
            )
        return []
    notes = []
    if config["max_batch_size"] == 0:
        config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
        notes.append(
            f"autofilled max_batch_size to {DEFAULT_MAX_BATCH_SIZE} for model '{config['name']}'"
            " since batching is supporrted but no max_batch_size is specified in model"
            " configuration. Must specify max_batch_size to utilize autofill with a larger max"
            " batch size"
        )
    if config["max_batch_size"] > 1 and "sequence_batching" not in config:
        config.setdefault("dynamic_batching", {})
    return notes


def _entry_of(tensor: Tensor, max_batch_size: int) -> dict[str, Any]:
    dims = list(tensor.shape[1:] if max_batch_size > 0 else tensor.shape)
    entry: dict[str, Any] = {"name": tensor.name, "data_type": "TYPE_" + tensor.datatype}
    if not dims:
        dims = [1]
        if max_batch_size > 0:
            entry["reshape"] = {"shape": []}
    entry["dims"] = dims
    return entry


def _refuse_unserved(config: dict[str, Any]) -> None:
    sequence = config.get("sequence_batching", {})
    for used, what in (
        (sequence.get("state"), "implicit state (sequence_batching.state)"),
        (config.get("batch_input"), "batch_input"),
        (config.get("batch_output"), "batch_output"),
        (any(entry.get("allow_ragged_batch") for entry in config["input"]), "allow_ragged_batch"),
    ):
        if used:
            raise ModelError(
                f"unable to load model '{config['name']}', configuration uses {what}, which only"
                " the native ONNX Runtime backend serves: run this repository in Triton's"
                " container image"
            )


def _check(
    config: dict[str, Any], entry: dict[str, Any], tensors: dict[str, Tensor], kind: str
) -> None:
    model, name = config["name"], entry["name"]
    tensor = tensors.get(name)
    if tensor is None:
        raise ModelError(
            f"unexpected inference {kind} '{name}', allowed {kind}s are: "
            + ", ".join(sorted(tensors))
        )
    datatype = entry["data_type"]
    if datatype[len("TYPE_") :] not in _DATATYPES.values():
        raise ModelError(f"unsupported datatype {datatype} for {kind} '{name}' for model '{model}'")
    if datatype != "TYPE_" + tensor.datatype:
        provided = {"STRING": "BYTES", "INVALID": "<invalid>"}.get(tensor.datatype, tensor.datatype)
        raise ModelError(
            f"unable to load model '{model}', configuration expects datatype {datatype} for {kind}"
            f" '{name}', model provides TYPE_{provided}"
        )
    dims = [int(size) for size in _configured_shape(entry)]
    if not tensor.shape and config["max_batch_size"] == 0:
        if any(size != 1 for size in dims):
            raise ModelError(
                f"unable to load model '{model}', scalar tensor '{name}', should only provide 1 in"
                " the model configuration when the model doesn't support batching. Model"
                f" configuration provided: {_text(dims)}."
            )
        return
    _compare(model, tensor, dims, config["max_batch_size"] > 0, exact=kind == "output")


def _compare(model: str, tensor: Tensor, dims: list[int], batched: bool, exact: bool) -> None:
    shape = tensor.shape
    start = f"model '{model}', tensor '{tensor.name}': "
    if batched and (not shape or shape[0] != -1):
        raise ModelError(
            start + "for the model to support batching the shape should have at least 1 dimension"
            " and the first dimension must be -1; but shape expected by the model is "
            + _text(shape)
        )
    full = [-1, *dims] if batched else dims
    fits = len(shape) == len(full) and all(
        configured == has for configured, has in zip(full, shape) if exact or has != -1
    )
    if fits:
        return
    detail = "shape "
    if batched:
        detail = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor"
            " shape, making complete shape "
        )
    raise ModelError(
        f"{start}the model expects {len(shape)} dimensions (shape {_text(shape)}) but the model"
        f" configuration specifies {len(full)} dimensions ({detail}{_text(full)})"
    )


def _configured_shape(entry: dict[str, Any]) -> list[Any]:
    reshape = entry.get("reshape")
    shape: list[Any] = entry["dims"] if reshape is None else reshape.get("shape", [])
    return shape


def _text(shape: Any) -> str:
    return "[" + ",".join(str(size) for size in shape) + "]"
