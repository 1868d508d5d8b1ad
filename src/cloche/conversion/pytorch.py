"""PyTorch to ONNX, by PyTorch's own exporters."""

from __future__ import annotations


class PyTorch:
    """torch.onnx; implements `cloche.conversion.Converter`."""

    framework = "pytorch"
    requirements: tuple[str, ...] = ("numpy", "onnx", "onnxscript", "onnxruntime")
