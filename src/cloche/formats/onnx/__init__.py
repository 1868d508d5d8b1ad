"""ONNX: all that a file says of itself, with no runtime and without reading its weights."""

from cloche.formats.onnx.format import OnnxFormat

__all__ = ["OnnxFormat"]
