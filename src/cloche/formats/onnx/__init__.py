"""ONNX files, read without a runtime and without their weights."""

from cloche.formats.onnx.format import OnnxFormat

__all__ = ["OnnxFormat"]
