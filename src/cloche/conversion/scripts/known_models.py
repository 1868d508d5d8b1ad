"""What a module's class, configuration or first layer tells of its input.

Sources: torchvision's models document 224 × 224 pixels (299 for Inception), timm's carry
`default_cfg`. A first layer tells the features, channels or indices that it takes, and where
sizes stay unknown some are tried. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import Any

import torch

_IMAGES = (224, 256, 128, 96, 64, 48, 32, 28)
"""Heights and widths that are tried where only the channels are known."""


def shapes(module: Any, inputs: int) -> list[list[tuple[str, list[int]]]]:
    """Return proposals for a module with one input, in the order in which they are tried."""
    if inputs != 1 or not isinstance(module, torch.nn.Module):
        return []
    known = _of_class(module)
    if known is not None:
        return [[(_floats(module), [-1, *known])]]
    layer = next((each for each in module.modules() if isinstance(each, _LAYERS)), None)
    return [[proposal] for proposal in _of_layer(layer)] if layer is not None else []


def _floats(module: Any) -> str:
    """Return the datatype of a module's weights, which its input has too."""
    kinds = {torch.float16: "FP16", torch.float64: "FP64"}
    first = next((each for each in module.parameters() if each.is_floating_point()), None)
    return "FP32" if first is None else kinds.get(first.dtype, "FP32")


def _of_class(module: Any) -> list[int] | None:
    configured = getattr(module, "default_cfg", None) or getattr(module, "pretrained_cfg", None)
    if isinstance(configured, dict) and "input_size" in configured:
        return list(configured["input_size"])
    name = type(module).__module__
    if not name.startswith("torchvision.models."):
        return None
    size = 299 if name.endswith("inception") else getattr(module, "image_size", 224)
    return [3, size, size] if ".detection." not in name and ".video." not in name else None


_CONVOLUTIONS = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
_RECURRENT = (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN)
_LAYERS = (
    torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.BatchNorm1d,
    *_CONVOLUTIONS, *_RECURRENT,
)  # fmt: skip


def _of_layer(layer: Any) -> list[Any]:
    floats = _floats(layer)
    if isinstance(layer, torch.nn.Linear):
        return [(floats, [-1, layer.in_features])]
    if isinstance(layer, torch.nn.BatchNorm1d):
        return [(floats, [-1, layer.num_features])]
    if isinstance(layer, torch.nn.Embedding):
        return [("INT64", [-1, -1])]
    if isinstance(layer, torch.nn.Conv1d):
        return [(floats, [-1, layer.in_channels, -1])]
    if isinstance(layer, _RECURRENT):
        return [(floats, [-1, -1, layer.input_size])] if layer.batch_first else []
    channels = layer.in_channels
    open_ = [(floats, [-1, channels, -1, -1])]
    return open_ + [(floats, [-1, channels, size, size]) for size in _IMAGES]
