"""What differs on a base whose backends run in Python: shared memory, and threads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cloche.servers.triton
from cloche.artifacts import (
    FileEntry,
    ModelRepository,
    RepositoryMember,
    TensorSpec,
    digest_of_files,
)
from cloche.servers.triton import TritonServer
from cloche.servers.triton.base import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_BACKEND = Path(cloche.servers.triton.__file__).parent / "backends" / "onnxruntime"


@pytest.mark.parametrize(
    ("backend", "in_python", "needed"),
    [
        ("python", (), str(17 * 2**20)),
        ("onnxruntime", (), None),
        ("onnxruntime", ("onnxruntime", "pytorch"), str(17 * 2**20)),
        ("tensorrt", ("onnxruntime", "pytorch"), None),
    ],
)
def test_models_in_python_need_shared_memory(
    tmp_path: Path, backend: str, in_python: tuple[str, ...], needed: str | None
) -> None:
    tensor = TensorSpec("x", "FP32", (1024,))
    files = (FileEntry("scores/config.pbtxt", 1, "sha256:" + "0" * 64),)
    member = RepositoryMember("scores", backend, (tensor,), (tensor,), max_batch_size=0)
    repository = ModelRepository("scores", digest_of_files(files), files, (member,))
    start = TritonServer().container(repository, tmp_path, in_python)
    assert start.environment.get("CLOCHE_SHARED_MEMORY") == needed


def test_what_a_base_says_of_its_backends_is_what_ships() -> None:
    labels = describe("usr/lib/python", "3.11").labels
    assert labels["cloche.base.python_backends"] == "onnxruntime pytorch"
    assert labels["cloche.base.pythons"] == "3.11"


@pytest.fixture(scope="module")
def onnx_session() -> Iterator[ModuleType]:
    """Import the backend's module as the stub does: from its own folder, outside the package."""
    sys.path.insert(0, str(_BACKEND))
    try:
        import onnx_session

        yield onnx_session
    finally:
        sys.path.remove(str(_BACKEND))
        sys.modules.pop("onnx_session", None)


@pytest.mark.parametrize(
    ("allowed", "count", "threads"), [("6", 1, 6), ("6", 2, 3), ("1", 4, 1), ("", 1, 64)]
)
def test_instances_share_the_threads_that_a_container_may_use(
    onnx_session, monkeypatch, allowed, count, threads
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    options = onnx_session.session_options({"instance_group": [{"count": count}]})
    assert options.intra_op_num_threads == threads
