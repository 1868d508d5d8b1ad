"""Save programs as JAX documents it: `save_jax.py FOLDER REQUIREMENTS…`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

FOLDER = Path(sys.argv[1])


def put(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Export a function for every usual platform, as its documentation advises."""
    program = export.export(jax.jit(function), platforms=["cpu", "cuda"])(*args, **kwargs)
    (FOLDER / name).write_bytes(program.serialize())


def shaped(*shape: Any, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def classify(rows: dict[str, Any]) -> dict[str, Any]:
    scores = jax.nn.softmax(rows["image"].astype(jnp.float32) @ jnp.ones((6, 3)))
    return {"scores": scores, "kept": rows["flag"] & (rows["number"] > 0)}


def main() -> None:
    (batch,) = export.symbolic_shape("batch")
    put("plain.bin", lambda x: jnp.tanh(x @ jnp.ones((6, 3)) * 0.1), shaped(batch, 6))
    rows = {
        "image": shaped(batch, 6, dtype=jnp.uint8),
        "number": shaped(batch, dtype=jnp.int32),
        "flag": shaped(batch, dtype=jnp.bool_),
    }
    put("named.stablehlo", classify, rows)
    put("fixed.bin", lambda x, *, scale: (x * scale, x + 1), shaped(2, 3), scale=shaped(2, 3))


if __name__ == "__main__":
    main()
