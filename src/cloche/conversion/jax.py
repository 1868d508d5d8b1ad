"""Programs that JAX exported; nothing converts them to ONNX."""

from __future__ import annotations


class Jax:
    """Only the interface is found; implements `cloche.conversion.Converter`."""

    framework = "jax"
    requirements: tuple[str, ...] = ("numpy", "flatbuffers")
    """jax.export reads its files with flatbuffers, which JAX does not ask for."""
