"""Programs that JAX exported as StableHLO, known without JAX."""

from cloche.formats.jax.format import JaxFormat

__all__ = ["JaxFormat"]
