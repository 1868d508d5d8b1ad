"""A model of TensorFlow or Keras, loaded in its own environment and called with named arrays.

`how` says how it is loaded:

    kind       saved_model; else a whole model of Keras: keras, folder (an unpacked one) or hdf5
    signature  of a SavedModel: the name of the one that is served
    inputs     names in the place of the model's own, as a registry's signature has them
    outputs    the same for its outputs
    trust      true if Lambda layers may run

Syntax for Python 3.8.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from own_model import OwnModel, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]
    Tensors = dict[str, Any]

_MOST_THREADS = 4
"""Threads of one operator: more of them help large matrices alone, and take from other replicas."""
_BETWEEN = 2
"""Operators that run at the same time."""


class TensorFlowModel(OwnModel):
    """A function of tensors by name, compiled once for the shapes that its inputs leave open."""

    def __init__(
        self, kept: Any, answer: Callable[[Tensors], Any], inputs: list[Any] | None
    ) -> None:
        """Take what holds the variables, the function, and a TensorSpec of each input.

        Without `inputs` nothing tells them, and any tensors are taken.
        """
        super().__init__()
        self.kept, self.inputs = kept, inputs
        self.recorded = inputs
        """Its inputs with the sizes of a batch that the model was built with."""
        self._answer = answer
        signature = None if inputs is None else [{spec.name: spec for spec in inputs}]
        self._function = tf.function(
            self.tensors, input_signature=signature, reduce_retracing=signature is None
        )
        self.saved: tuple[str, str] | None = None
        """The folder and the signature, where TensorFlow saved just this function."""

    def tensors(self, tensors: Tensors) -> Tensors:
        """Return the answer to tensors by name; may be traced."""
        return flattened(self._answer(tensors))

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name; raises whatever TensorFlow raises."""
        known = {spec.name: spec.dtype for spec in self.inputs or []}
        tensors = {name: as_tensor(array, known.get(name)) for name, array in arrays.items()}
        answer = self._function(tensors)
        return {name: answer[name].numpy() for name in answer}


def as_tensor(array: Array, dtype: Any = None) -> Any:
    """Return an array as a tensor, of the type that the model wants; texts are bytes."""
    if array.dtype.kind in "OSU":
        return tf.constant(array.tolist(), tf.string, shape=array.shape)
    wanted = array if dtype is None else array.astype(dtype.as_numpy_dtype, copy=False)
    return tf.convert_to_tensor(np.ascontiguousarray(wanted).reshape(array.shape))


def flattened(answer: Any) -> Tensors:
    """Return what a model answers by name: `output_0` … as Keras exports it, or its own names."""
    if isinstance(answer, dict):
        named = {str(key): value for key, value in answer.items()}
    else:
        values = answer if isinstance(answer, (list, tuple)) else [answer]
        named = {f"output_{index}": value for index, value in enumerate(values)}
    for name, value in named.items():
        if not tf.is_tensor(value) or isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
            raise TypeError(f"The model answers {name} with no dense tensor.")
    # No request of a client can hold bfloat16; FP32 has all of its values.
    return {
        name: tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value
        for name, value in named.items()
    }


def load(path: str, how: dict[str, Any]) -> TensorFlowModel:
    """Return the model in a file or folder; raises Unusable."""
    _limit_threads()
    try:
        if how["kind"] == "saved_model":
            kept, answer, inputs = _saved_model(path, how)
        else:
            import tensorflow_keras

            kept, answer, inputs = tensorflow_keras.load(path, trust=bool(how.get("trust")))
    except Unusable:
        raise
    except Exception as error:
        raise _unloadable(error) from error
    if how["kind"] == "saved_model":
        model = _named(kept, answer, inputs, how)
        model.saved = (path, how["signature"])
        return model
    model = _named(kept, answer, _opened(inputs), how)
    model.recorded = inputs
    return model


def _opened(inputs: list[Any] | None) -> list[Any] | None:
    """Return inputs with an open batch: Keras records the size of the first one that it saw."""
    if inputs is None:
        return None
    return [
        tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, spec.name) if spec.shape.rank else spec
        for spec in inputs
    ]


def _limit_threads() -> None:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = int(os.environ.get("OMP_NUM_THREADS") or min(usable or 1, _MOST_THREADS))
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(_BETWEEN)
    except RuntimeError:  # it has begun to work: only where several models share a process
        pass


def _saved_model(path: str, how: dict[str, Any]) -> tuple[Any, Any, list[Any]]:
    kept = tf.saved_model.load(path)
    function = kept.signatures[how["signature"]]
    specs = function.structured_input_signature[1]
    inputs = [tf.TensorSpec(specs[name].shape, specs[name].dtype, name) for name in sorted(specs)]

    def answer(tensors: Tensors) -> Tensors:
        found = function(**tensors)
        return {name: found[name] for name in sorted(found)}

    return kept, answer, inputs


def _named(
    kept: Any, answer: Any, inputs: list[Any] | None, how: dict[str, Any]
) -> TensorFlowModel:
    """Return the model under the names of `how`, where it has others."""
    given = how.get("inputs") or []
    if inputs is not None and given and set(given) != {spec.name for spec in inputs}:
        if len(given) != 1 or len(inputs) != 1:
            told, own = ", ".join(given), ", ".join(spec.name for spec in inputs)
            raise Unusable(
                "conversion.signature",
                f"The signature has the inputs {told}, and the model {own}.",
                "Log the model again with a signature that names the model's inputs.",
            )
        answer = _taking(answer, inputs[0].name)
        inputs = [tf.TensorSpec(inputs[0].shape, inputs[0].dtype, given[0])]
    outputs = how.get("outputs") or []
    return TensorFlowModel(kept, _renamed(answer, outputs) if outputs else answer, inputs)


def _taking(answer: Any, name: str) -> Any:
    """Return a function that takes its one input under any name."""
    return lambda tensors: answer({name: next(iter(tensors.values()))})


def _renamed(answer: Any, names: list[str]) -> Any:
    """Return a function that answers under other names, if there are as many."""

    def under_names(tensors: Tensors) -> Tensors:
        found = flattened(answer(tensors))
        if len(found) != len(names) or set(found) == set(names):
            return found
        return dict(zip(names, found.values()))  # noqa: B905

    return under_names


def _unloadable(error: Exception) -> Unusable:
    # Keras puts what is wrong behind what it read.
    said = " ".join(str(error).rpartition("Exception encountered:")[2].split())
    said = said if len(said) <= 400 else said[:399] + "…"
    return Unusable(
        "conversion.load",
        f"TensorFlow {tf.__version__} cannot load the model: {said}",
        "Name the releases that it was saved with in `requirements:`. A model with layers of its"
        " own needs their code: export it where it was made (model.export(FOLDER)), and deploy that"
        " folder.",
    )
