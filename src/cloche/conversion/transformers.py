"""Models of transformers and sentence-transformers to ONNX."""

from __future__ import annotations

from cloche.conversion.pytorch import PyTorch


class Transformers:
    """torch.onnx and transformers' own exporter; implements `cloche.conversion.Converter`."""

    framework = "transformers"
    requirements: tuple[str, ...] = PyTorch.requirements
