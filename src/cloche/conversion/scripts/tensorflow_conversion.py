"""TensorFlow and Keras to ONNX, by tf2onnx. Syntax for Python 3.8.

A SavedModel is taken as it is. Any other model, or one whose signature has other names, types or
shapes than clients see, is saved anew with one of those: tf2onnx fails with models of Keras
themselves where they are Sequential. An operator that it cannot convert it only logs, and writes
down as it is.
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import asking
import interface
import numpy as np
import onnx
import onnx_naming
import tensorflow as tf
from converting import Converting, Exported
from interface import NUMPY, Interface, Tensor, Values, datatype_of
from own_model import Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorflow_model import TensorFlowModel

_OPSET = 18
_SIGNATURE = "serving_default"


class Conversion(Converting):
    """One model on its way to ONNX."""

    model: TensorFlowModel

    def framework(self) -> str:
        """Return TensorFlow with its release."""
        return f"tensorflow {tf.__version__}"

    def tells(self) -> bool:
        """Return whether the model was saved with its inputs."""
        return self.model.inputs is not None

    def interface(self, told: list[dict[str, Any]] | None) -> Interface:
        """Return what a signature, the model or the example tells, proven by calling."""
        proposals = self._proposals(told)
        names = [tensor.name for tensor in proposals[0]]
        return interface.answered(self.model.call, names, proposals, self.example, self.values())

    def _proposals(self, told: list[dict[str, Any]] | None) -> list[list[Tensor]]:
        if told:
            return [interface.told_tensors(told)]
        if self.model.inputs is not None and self.model.recorded is not None:
            opened = [_tensor(spec) for spec in self.model.inputs]
            recorded = [_tensor(spec) for spec in self.model.recorded]
            return [opened, recorded]
        if self.example is not None:
            return [
                [
                    Tensor(name, datatype_of(array), [-1, *array.shape[1:]])
                    for name, array in self.example.items()
                ]
            ]
        raise Unusable(
            "conversion.inputs",
            "Nothing tells the inputs of the model: its class takes any.",
            asking.ask(["x"]),
        )

    def exports(self, found: Interface) -> Iterator[Exported | str]:
        """Yield the result of tf2onnx, or its own words where it fails."""
        import tf2onnx

        try:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                as_saved = self.model.saved if _is_as_saved(self.model, found) else None
                model = _converted(as_saved or _saved(self.model, found, folder), folder)
            _put_in_order(model, found)
            _name_axes(model, found)
            onnx_naming.rename(model, found)
            onnx_naming.anonymise(model)
        except Exception as error:  # noqa: BLE001 - a converter raises whatever comes
            yield f"tf2onnx {tf2onnx.__version__}: {' '.join(str(error).split())[:300]}"
            return
        yield Exported(model, f"tf2onnx {tf2onnx.__version__}")

    def values(self) -> Values:
        """Return values with indices that every table of the model has."""
        tables = _tables(self.model.kept)
        return Values(self.example, indices=min(tables, default=2), whole=bool(tables))


def _tensor(spec: Any) -> Tensor:
    if spec.shape.rank is None:
        raise Unusable(
            "conversion.inputs",
            f"The model takes any number of axes as {spec.name}.",
            "Give its first layer a shape: keras.Input(shape=…).",
        )
    return Tensor(spec.name, _type_of(spec), _sizes(spec))


def _type_of(spec: Any) -> str:
    """Return the protocol's datatype of a TensorSpec; raises Unusable if it has none."""
    return datatype_of(np.empty(0, spec.dtype.as_numpy_dtype))


def _sizes(spec: Any) -> list[int]:
    return [-1 if size is None else size for size in spec.shape]


def _type(datatype: str) -> Any:
    return tf.string if datatype == "BYTES" else tf.as_dtype(np.dtype(NUMPY[datatype]))


def _tables(model: Any) -> list[int]:
    """Return the rows of each table of a model of Keras that indices go into."""
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else []
    return [layer.input_dim for layer in layers if type(layer).__name__ == "Embedding"]


def _is_as_saved(model: TensorFlowModel, found: Interface) -> bool:
    """Return whether the interface is that of the model's own signature."""
    own = {spec.name: (_type_of(spec), _sizes(spec)) for spec in model.inputs or []}
    return own == {tensor.name: (tensor.datatype, tensor.shape) for tensor in found.inputs}


def _saved(model: TensorFlowModel, found: Interface, folder: Path) -> tuple[str, str]:
    """Save a model with a signature of the interface's types and shapes.

    Its names are their places, since a name of TensorFlow may not have every letter.
    """
    specs = [
        tf.TensorSpec(
            [None if size < 0 else size for size in tensor.shape],
            _type(tensor.datatype),
            f"in_{place:03}",
        )
        for place, tensor in enumerate(found.inputs)
    ]
    wanted = {spec.name: spec.dtype for spec in model.inputs or []}

    def served(*tensors: Any) -> dict[str, Any]:
        named = {
            tensor.name: value
            if wanted.get(tensor.name, value.dtype) == value.dtype
            else tf.cast(value, wanted[tensor.name])
            for tensor, value in zip(found.inputs, tensors)  # noqa: B905
        }
        answer = model.tensors(named)
        return {f"out_{place:03}": answer[each.name] for place, each in enumerate(found.outputs)}

    module = tf.Module()
    module.kept = model.kept
    module.served = tf.function(served, input_signature=specs)
    # TensorFlow does not find the seeds of layers that are random in training by itself.
    module.variables_of_keras = [
        each if isinstance(each, tf.Variable) else each.value
        for each in getattr(model.kept, "variables", None) or ()
    ]
    tf.saved_model.save(module, str(folder / "saved"), {_SIGNATURE: module.served})
    return str(folder / "saved"), _SIGNATURE


def _converted(saved: tuple[str, str], folder: Path) -> Any:
    """Return the ONNX model that the command of tf2onnx makes of a folder and its signature."""
    from tf2onnx import convert

    target = folder / "model.onnx"
    heard = _Unsupported()
    arguments = [
        "--saved-model", saved[0], "--signature_def", saved[1], "--tag", "serve",
        "--output", str(target), "--opset", str(_OPSET),
    ]  # fmt: skip
    with mock.patch.object(sys, "argv", ["tf2onnx", *arguments]):
        logging.getLogger("tf2onnx").addHandler(heard)
        convert.main()
    if heard.operators:
        raise ValueError(f"it does not know the operators {', '.join(heard.operators)}")
    return onnx.load_model(str(target))


def _name_axes(model: Any, found: Interface) -> None:
    """Give each open axis the name that its place has in the interface.

    tf2onnx gives every axis a symbol of its own, the batch of two inputs too. Of other axes only
    those of one input are known to have one size.
    """
    shared = {
        axis: sum(axis in axes for axes in found.axes().values()) > 1 for axis in found.places()
    }
    pairs = (*zip(model.graph.input, found.inputs), *zip(model.graph.output, found.outputs))  # noqa: B905
    for value, tensor in pairs:
        shape = value.type.tensor_type.shape
        shape.ClearField("dim")
        for axis, size in enumerate(tensor.shape):
            dimension = shape.dim.add()
            if size >= 0:
                dimension.dim_value = size
            elif axis and shared.get(axis):
                dimension.dim_param = f"{tensor.name}_{axis}"
            else:
                dimension.dim_param = tensor.labels.get(axis) or f"{tensor.name}_{axis}"


class _Unsupported(logging.Handler):
    """The operators that tf2onnx says it left as they were."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__(logging.ERROR)
        self.operators: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take the names in `Unsupported ops: Counter({'StringSplitV2': 1})`."""
        words = record.getMessage()
        if words.startswith("Unsupported ops"):
            self.operators += re.findall(r"'(\w+)'", words)


def _put_in_order(model: Any, found: Interface) -> None:
    """Put inputs and outputs that have their names already into the order of the interface."""
    for values, tensors in ((model.graph.input, found.inputs), (model.graph.output, found.outputs)):
        by_name = {value.name: value for value in values}
        if set(by_name) == {tensor.name for tensor in tensors}:
            ordered = [by_name[tensor.name] for tensor in tensors]
            del values[:]
            values.extend(ordered)
