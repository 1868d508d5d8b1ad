"""What PyTorch saves, in the table of what is served."""

from __future__ import annotations

from cloche.formats.pytorch.archive import Kind
from cloche.formats.variant import (
    ARGUMENTS,
    CLASS,
    CONVERSION,
    INPUTS,
    LABELS,
    TRUST,
    From,
    Served,
    Variant,
    requirements,
)

_NEEDED = requirements("torch==2.15.0")
_WEIGHTS = Variant(
    "pytorch-weights", "a state dict, also in a checkpoint of training or in safetensors",
    "torch.save(model.state_dict(), 'model.pth')",
    (From.FILE, From.HUB), Served.CONVERTED,
    (CLASS, ARGUMENTS, INPUTS, _NEEDED, LABELS, CONVERSION), "torch.onnx",
)  # fmt: skip
TIMM = Variant(
    "pytorch-timm", "a folder of timm", "timm.models.save_for_hf(model, FOLDER)",
    (From.FOLDER, From.HUB), Served.CONVERTED, (_NEEDED, LABELS, CONVERSION), "torch.onnx",
)  # fmt: skip
_SOURCES = (From.FILE, From.HUB)
_CONVERTER = "torch.onnx"

VARIANTS = {
    Kind.EXPORTED: Variant(
        "pytorch-program", "an exported program",
        "torch.export.save(torch.export.export(model, (example,)), 'model.pt2')",
        _SOURCES, Served.CONVERTED, (LABELS, CONVERSION), _CONVERTER,
    ),
    Kind.TORCHSCRIPT: Variant(
        "pytorch-script", "TorchScript", "torch.jit.trace(model, example).save('model.pt')",
        _SOURCES, Served.CONVERTED, (INPUTS, LABELS, CONVERSION), _CONVERTER,
    ),
    Kind.MODULE: Variant(
        "pytorch-module", "a whole module", "torch.save(model, 'model.pt')",
        _SOURCES, Served.CONVERTED, (INPUTS, _NEEDED, TRUST, LABELS, CONVERSION), _CONVERTER,
    ),
    Kind.STATE_DICT: _WEIGHTS,
    Kind.SAFETENSORS: _WEIGHTS,
}  # fmt: skip
"""By what a file holds."""
