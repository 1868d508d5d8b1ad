"""Finished Triton repositories for tests: configurations, and how they are taken in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import (
    FileEntry,
    ModelFacts,
    ModelFormat,
    ModelOptions,
    ModelSnapshot,
    digest_of_files,
)
from cloche.formats.triton import Completion, ServedBackends, TritonFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.store import Store

IO = 'input { name: "x" data_type: TYPE_FP32 dims: [4] }\n'
IO += 'output { name: "y" data_type: TYPE_STRING dims: [-1] }\n'
ONNX = f'backend: "onnxruntime"\nmax_batch_size: 8\n{IO}'
PYTHON = f'backend: "python"\n{IO}'
STEP = 'step {{ model_name: "{}" model_version: {} input_map {{ key: "{}" value: "x" }} '
STEP += 'output_map {{ key: "y" value: "y" }} }}\n'


def ensemble(member: str = "member", version: int = -1, key: str = "x") -> str:
    return (
        f'platform: "ensemble"\n{IO}ensemble_scheduling {{ {STEP.format(member, version, key)} }}'
    )


def taken(store: Store, files: dict[str, str]) -> ModelSnapshot:
    entries = tuple(
        FileEntry(path, len(text.encode()), store.add_bytes(text.encode()))
        for path, text in sorted(files.items())
    )
    store.put_tree(entries)
    return ModelSnapshot(
        "./repo", "/repo", "files", None, digest_of_files(entries), ModelFormat.TRITON, entries, "."
    )


def facts_of(
    store: Store,
    files: dict[str, str],
    service: str | None = None,
    completions: Mapping[str, Completion] | None = None,
) -> ModelFacts:
    model = taken(store, files)
    form = TritonFormat(lambda: ServedBackends(("onnxruntime", "python"), completions or {}))
    return form.inspect(model, store.tree_path(model.digest), ModelOptions(), service=service)
