"""The inputs that the configuration of a model of transformers tells, without its libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

WHISPER = {"num_mel_bins": 80, "max_source_positions": 1500}
PICTURES = SimpleNamespace(image_size=32, num_channels=1)
WORDS = SimpleNamespace(vocab_size=5)


@pytest.fixture(scope="module")
def script(imported: Callable[[str], Any]) -> Any:
    return imported("transformers_inputs")


def model(folder: Path, parameters: str, **config: Any) -> SimpleNamespace:
    network = SimpleNamespace(config=SimpleNamespace(**config))
    return SimpleNamespace(network=network, folder=str(folder), parameters=parameters.split())


@pytest.mark.parametrize(
    ("parameters", "config", "shapes"),
    [
        ("input_ids attention_mask", {}, [[-1, -1], [-1, -1]]),
        ("pixel_values", {"image_size": [48, 64]}, [[-1, 3, 48, 64]]),
        ("pixel_values", {"image_size": 48, "num_channels": 1}, [[-1, 1, 48, 48]]),
        ("pixel_values", {}, [[-1, 3, 224, 224]]),
        ("pixel_values", {"image_size": 32, "num_frames": 8}, [[-1, 8, 3, 32, 32]]),
        ("input_values", {"num_conv_pos_embeddings": 4, "max_length": 20}, [[-1, -1]]),
        ("input_values", {"max_length": 1024, "num_mel_bins": 128}, [[-1, 1024, 128]]),
        ("input_features", WHISPER, [[-1, 80, 3000]]),
        ("input_features", {"feature_projection_input_dim": 160}, [[-1, -1, 160]]),
        ("past_values", {"context_length": 32, "num_input_channels": 7}, [[-1, 32, 7]]),
        ("past_values", {"context_length": 32}, None),
        ("input_features", {}, None),
        ("waveform", {}, None),
    ],
)  # fmt: skip
def test_shapes(
    script: Any, tmp_path: Path, parameters: str, config: dict[str, Any], shapes: list[Any] | None
) -> None:
    found = script.tensors(model(tmp_path, parameters, **config))
    assert (None if found is None else [tensor.shape for tensor in found]) == shapes


def test_texts_and_pictures_are_counted_apart(script: Any, tmp_path: Path) -> None:
    given = model(tmp_path, "input_ids pixel_values", text_config=WORDS, vision_config=PICTURES)
    ids, pictures = script.tensors(given)
    assert (ids.datatype, pictures.datatype, pictures.shape) == ("INT64", "FP32", [-1, 1, 32, 32])
    assert (ids.symbols, pictures.symbols) == ({0: "texts"}, {0: "pictures"})
    values = script.TokenValues(given, None)
    made = {tensor.name: values.of(tensor, {0: 2, 1: 4}) for tensor in (ids, pictures)}
    assert made["input_ids"].max() < 5
    filled = script.completed(made, {"input_ids": np.array([[1, 2, 3]])})
    assert filled["input_ids"].tolist() == [[1, 2, 3]]
    assert filled["pixel_values"] is made["pixel_values"]
