"""Requests to a model of transformers: text that its tokenizer knows, masks with padding, pictures.

Syntax for Python 3.8.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from interface import Tensor, Values

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers_model import TransformersModel

    Array = NDArray[Any]
    Arrays = dict[str, Array]

TEXTS = (
    ("two short texts", ["A small example.", "Another one, so that the first is padded."]),
    ("text of 300 words", [" ".join(["deploy", "the", "model"] * 100), "Short."]),
    ("an empty text", ["", "not empty"]),
    ("text outside ASCII", ["Été naïf, straße – 日本語 🙂", "Ωμέγα"]),
)  # fmt: skip
"""What is tokenized, each with its words for a report; the first is the sample."""
_TOKENS = {"input_ids", "attention_mask", "token_type_ids"}
_SECONDS_OF_SOUND, _SAMPLES = 1, 16_000
_PICTURE = 224


class TokenValues(Values):
    """Ids within the vocabulary, and masks that end with padding."""

    def __init__(self, model: TransformersModel, example: Arrays | None) -> None:
        """Take the model, whose configuration has the sizes of its tables."""
        super().__init__(example)
        config = model.network.config
        config = getattr(config, "text_config", None) or config
        self._tables = {
            "input_ids": int(getattr(config, "vocab_size", 2)),
            "token_type_ids": int(getattr(config, "type_vocab_size", 1) or 1),
        }

    def of(self, tensor: Tensor, sizes: dict[int, int], seed: int = 0) -> Array:
        """Return an array for an input with these sizes of its open axes."""
        random = np.random.default_rng(seed)
        shape = [sizes.get(axis, 1) if size < 0 else size for axis, size in enumerate(tensor.shape)]
        if tensor.name in self._tables:
            return random.integers(0, self._tables[tensor.name], shape)
        if tensor.name == "attention_mask":
            lengths = random.integers(1, shape[1] + 1, (shape[0], 1))
            return (np.arange(shape[1])[None] < lengths).astype(np.int64)
        return super().of(tensor, sizes, seed)


def tensors(model: TransformersModel) -> list[Tensor] | None:
    """Return the inputs of a model, None where its configuration does not tell them.

    An axis of -1 is open. A model of texts and pictures takes as many as it likes of each.
    """
    both = {"input_ids", "pixel_values"} <= set(model.parameters)
    found = []
    for name in model.parameters:
        is_text = name in _TOKENS
        shape = [-1] if is_text else _shape(model, name)
        if shape is None:
            return None
        symbols = {0: "texts" if is_text else "pictures"} if both else {}
        found.append(Tensor(name, "INT64" if is_text else "FP32", [-1, *shape], symbols))
    return found


def sample(model: TransformersModel, inputs: list[Tensor], values: Values, rows: int) -> Arrays:
    """Return a request: real text where the folder has a tokenizer, else what `values` gives."""
    tokens = model.tokenized(TEXTS[0][1][:rows]) if "input_ids" in model.parameters else None
    size = _SAMPLES * _SECONDS_OF_SOUND if "input_values" in model.parameters else 8
    made = {tensor.name: values.of(tensor, {0: rows, 1: size}) for tensor in inputs}
    return completed(made, tokens) if tokens is not None else made


def completed(made: Arrays, tokens: Arrays) -> Arrays:
    """Return a request with tokenized text as its ids; types that it lacks are 0."""
    ids = tokens["input_ids"]
    blank = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    texts = {name: tokens.get(name, blank.get(name, ids)).astype(np.int64) for name in _TOKENS}
    return {name: texts.get(name, array) for name, array in made.items()}


def _shape(model: TransformersModel, name: str) -> list[int] | None:
    """Return the shape of one picture, film, sound or series; None if nothing tells it."""
    config = model.network.config
    if name == "pixel_values":
        return [*_sizes(config, "num_frames"), *_picture(model)]
    if name == "input_values":  # a spectrogram, or sound as it is
        return _sizes(config, "max_length", "num_mel_bins") or [-1]
    if name == "input_features":
        return _features(config)
    if name == "past_values":
        return _sizes(config, "context_length", "num_input_channels") or None
    return None


def _features(config: Any) -> list[int] | None:
    """Return the shape of what is made of sound beforehand."""
    whisper = _sizes(config, "num_mel_bins", "max_source_positions")
    if whisper:  # its first layers halve the time
        return [whisper[0], 2 * whisper[1]]
    others = _sizes(config, "feature_projection_input_dim")
    return [-1, *others] if others else None


def _sizes(config: Any, *names: str) -> list[int]:
    """Return the sizes of these names in a configuration; empty unless it has them all."""
    found = [getattr(config, name, None) for name in names]
    return [each for each in found if isinstance(each, int)] if None not in found else []


def _picture(model: TransformersModel) -> list[int]:
    """Return channels, height and width: of the configuration, else of the image processor."""
    config = model.network.config
    config = getattr(config, "vision_config", None) or config
    size = getattr(config, "image_size", None)
    if size is None:
        path = Path(model.folder) / "preprocessor_config.json"
        told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        size = told.get("crop_size") or told.get("size") or _PICTURE
    if isinstance(size, dict):
        side = size.get("shortest_edge", _PICTURE)
        size = [size.get("height", side), size.get("width", side)]
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return [int(getattr(config, "num_channels", 3)), int(height), int(width)]
