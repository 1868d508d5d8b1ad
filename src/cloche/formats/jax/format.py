"""The format of programs that JAX exported: one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.format import Lookalike
from cloche.formats.jax.exported import BYTECODE, exported
from cloche.formats.one_file import OneFile
from cloche.formats.variant import LABELS, From, Served, Variant, requirements

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

ENTRY = "model.stablehlo"
_EXPORT = (
    "export the function that they are for:"
    " jax.export.export(jax.jit(f), platforms=['cpu', 'cuda'])(…).serialize()"
)

LOOKALIKES = (
    Lookalike(
        "a checkpoint of JAX (Orbax): weights without the function", _EXPORT,
        names=frozenset({"_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA"}),
    ),
    Lookalike("weights of Flax, without the function", _EXPORT, suffixes=(".msgpack",)),
    Lookalike(
        "a program of StableHLO without what JAX says of its inputs",
        "keep what jax.export.export(…)(…).serialize() returns, not its MLIR module",
        starts=(BYTECODE,),
    ),
)  # fmt: skip


class JaxFormat(OneFile):
    """Programs that JAX exported; implements `cloche.formats.Format`."""

    name = ModelFormat.JAX
    entry = ENTRY
    title = "programs that JAX exported"
    marked = True
    lookalikes: tuple[Lookalike, ...] = LOOKALIKES
    variants: tuple[Variant, ...] = (
        Variant(
            "jax", "a program that JAX exported",
            "jax.export.export(jax.jit(f), platforms=['cpu', 'cuda'])(…).serialize()",
            (From.FILE,), Served.FRAMEWORK, (requirements("jax==0.10.2"), LABELS),
        ),
    )  # fmt: skip

    def detect(self, path: Path) -> bool:
        """Return whether a path is a file that jax.export wrote."""
        return exported(path) is not None

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return what the file tells without being loaded."""
        from cloche.formats.jax.inspection import inspect_file

        return inspect_file(snapshot, root / snapshot.entry, options)
