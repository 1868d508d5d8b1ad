"""Finished Triton repositories, read as Triton reads them and checked before they run."""

from cloche.formats.triton.completion import Completion, ServedBackends
from cloche.formats.triton.format import TritonFormat

__all__ = ["Completion", "ServedBackends", "TritonFormat"]
