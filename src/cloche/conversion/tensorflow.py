"""TensorFlow and Keras to ONNX, by tf2onnx."""

from __future__ import annotations


class TensorFlow:
    """tf2onnx; implements `cloche.conversion.Converter`."""

    framework = "tensorflow"
    requirements: tuple[str, ...] = ("numpy", "onnx", "onnxruntime", "tf2onnx")
