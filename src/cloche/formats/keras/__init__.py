"""Whole models of Keras, told apart by their content, known without Keras."""

from cloche.formats.keras.format import KerasFormat

__all__ = ["KerasFormat"]
