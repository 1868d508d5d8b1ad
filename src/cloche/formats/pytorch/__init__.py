"""Files of PyTorch, told apart by what the archive holds, never by the suffix."""

from cloche.formats.pytorch.format import PyTorchFormat

__all__ = ["PyTorchFormat"]
