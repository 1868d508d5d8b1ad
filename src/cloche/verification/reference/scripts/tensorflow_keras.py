"""A whole model of Keras, as a function of named tensors. Syntax for Python 3.8."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf


def load(path: str, *, trust: bool) -> tuple[Any, Any, list[Any] | None]:
    """Return a model, how it is called with tensors by name, and its inputs if it tells them.

    Keras refuses Lambda layers without `trust`. What a training needs (losses, optimisers) is left
    out. Raises whatever Keras raises.
    """
    model = keras.models.load_model(path, compile=False, safe_mode=not trust)
    structure = _structure(model)
    if structure is None:
        return model, lambda tensors: model(_argument(tensors), training=False), None
    named = _named(structure)
    inputs = [
        tf.TensorSpec(tensor.shape, tf.as_dtype(tensor.dtype), name) for name, tensor in named
    ]
    names = [spec.name for spec in inputs]

    def answer(tensors: dict[str, Any]) -> Any:
        flat = [tensors[name] for name in names]
        return model(tf.nest.pack_sequence_as(structure, flat), training=False)

    return model, answer, inputs


def _structure(model: Any) -> Any:
    """Return the symbolic inputs of a model as it takes them; None if it was never built so."""
    try:
        return model.input if not isinstance(model, keras.Sequential) else model.inputs[0]
    except (AttributeError, ValueError, IndexError, TypeError):
        return None


def _named(structure: Any) -> list[tuple[str, Any]]:
    """Return the symbolic inputs in Keras' order, by their keys, else by the names of layers."""
    if isinstance(structure, dict):
        return [(str(key), structure[key]) for key in sorted(structure)]
    return [(_plain(tensor.name), tensor) for tensor in tf.nest.flatten(structure)]


def _plain(name: str) -> str:
    return name.partition(":")[0]


def _argument(tensors: dict[str, Any]) -> Any:
    """Return the argument of a model that does not tell how it takes its inputs."""
    return next(iter(tensors.values())) if len(tensors) == 1 else tensors
