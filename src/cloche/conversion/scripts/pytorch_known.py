"""What a module's class, configuration or first layer tells of its input.

torchvision's models document 224 × 224 pixels (299 for Inception), and 16 of them for films (of
112 × 112 for its ResNets); timm's carry `default_cfg`. The weights of a first layer tell the
features, channels or indices that it takes, in a script as well; where sizes stay unknown some are
tried, and layers after it where what it takes is refused. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import Any

import torch

_IMAGES = (224, 256, 128, 96, 64, 48, 32, 28)
"""Heights and widths that are tried where only the channels are known."""
_FLOATS = {torch.float16: "FP16", torch.float64: "FP64"}


_MOST_LAYERS = 8
"""Layers whose inputs are tried."""


def shapes(module: Any, inputs: int) -> list[list[tuple[str, list[int]]]]:
    """Return proposals for a module with one input, in the order in which they are tried."""
    if inputs != 1 or not isinstance(module, torch.nn.Module):
        return []
    known = _of_class(module)
    if known is not None:
        return [[(_floats(module), [-1, *known])]]
    layers = [each for each in module.modules() if kind_of(each) in _LAYERS]
    # Layers are listed in the order of their making, which need not be that of the call.
    proposals = [each for layer in layers[:_MOST_LAYERS] for each in _of_layer(layer)]
    return [[each] for place, each in enumerate(proposals) if each not in proposals[:place]]


def kind_of(layer: Any) -> str:
    """Return the class of a layer, also of one in a script."""
    name: str = getattr(layer, "original_name", type(layer).__name__)
    return name


def _floats(module: Any) -> str:
    """Return the datatype of a module's weights, which its input has too."""
    first = next((each for each in module.parameters() if each.is_floating_point()), None)
    return "FP32" if first is None else _FLOATS.get(first.dtype, "FP32")


def _of_class(module: Any) -> list[int] | None:
    configured = getattr(module, "default_cfg", None) or getattr(module, "pretrained_cfg", None)
    if isinstance(configured, dict) and "input_size" in configured:
        return list(configured["input_size"])
    name = type(module).__module__
    if not name.startswith("torchvision.models.") or ".detection." in name:
        return None
    if ".video." in name:
        size = 112 if name.endswith("resnet") else 224
        return [3, 16, size, size]
    size = 299 if name.endswith("inception") else getattr(module, "image_size", 224)
    return [3, size, size]


TABLES = ("Embedding", "EmbeddingBag")
"""Layers that look indices up."""
_LAYERS = frozenset({
    "Linear", *TABLES, "BatchNorm1d", "Conv1d", "Conv2d", "ConvTranspose2d", "LSTM", "GRU", "RNN",
    "MultiheadAttention",
})  # fmt: skip


def _of_layer(layer: Any) -> list[tuple[str, list[int]]]:
    try:
        return _of_kind(layer)
    except AttributeError:  # one that tells nothing, such as a quantised convolution
        return []


def _of_kind(layer: Any) -> list[tuple[str, list[int]]]:
    kind, floats = kind_of(layer), _floats(layer)
    if kind in TABLES:
        return [("INT64", [-1, -1])]
    if kind in {"LSTM", "GRU", "RNN", "MultiheadAttention"}:
        width = layer.embed_dim if kind == "MultiheadAttention" else layer.weight_ih_l0.shape[1]
        return [(floats, [-1, -1, width])] if getattr(layer, "batch_first", False) else []
    if kind == "BatchNorm1d":
        return [(floats, [-1, len(layer.running_mean)])]
    if kind == "Linear":
        # A quantised layer keeps its weights elsewhere.
        return [(floats, [-1, getattr(layer, "in_features", None) or layer.weight.shape[1]])]
    # Weights of a convolution are [out, in / groups, …]; transposed, [in, out / groups, …].
    channels = layer.weight.shape[0 if kind == "ConvTranspose2d" else 1]
    channels *= 1 if kind == "ConvTranspose2d" else int(getattr(layer, "groups", 1))
    if kind == "Conv1d":
        return [(floats, [-1, channels, -1])]
    sizes = [(floats, [-1, channels, size, size]) for size in _IMAGES]
    return [(floats, [-1, channels, -1, -1]), *sizes]
