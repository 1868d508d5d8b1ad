"""Folders that TensorFlow saved (SavedModel), known without TensorFlow."""

from cloche.formats.tensorflow.format import TensorFlowFormat

__all__ = ["TensorFlowFormat"]
