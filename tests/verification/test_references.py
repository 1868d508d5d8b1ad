"""How models are run directly: which of them say how they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloche import composition
from cloche.artifacts import (
    BatchAxis,
    Certainty,
    FileEntry,
    ModelFacts,
    ModelFormat,
    ModelMetadata,
    ModelRepository,
    ModelSnapshot,
    RepositoryMember,
    Signature,
    TensorSpec,
)
from cloche.errors import ClocheError
from cloche.store import Store
from cloche.verification.asked import Model
from cloche.verification.reference import Interpreters

AXIS = BatchAxis(present=True, certainty=Certainty.CERTAIN, why="it is a test")
INPUT = TensorSpec("input", "FP64", (-1, 2))
PYTHONS = Interpreters(Path("/server/python"), Path("/own/python"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def reference_of(
    store: Store,
    backend: str,
    *files: str,
    metadata: ModelMetadata | None = None,
    inputs: tuple[TensorSpec, ...] = (INPUT,),
    columns: bool = False,
    pythons: Interpreters = PYTHONS,
) -> Model | None:
    entries = tuple(FileEntry(path, 1, store.add_bytes(b"x")) for path in files)
    tree = store.put_tree(entries)
    form = ModelFormat.MLFLOW if metadata else ModelFormat.TRITON
    snapshot = ModelSnapshot("./m", "/m", "files", None, tree, form, entries, "MLmodel")
    snapshot = replace(snapshot, metadata=metadata or ModelMetadata())
    facts = ModelFacts(form, "x", backend, inputs, (INPUT,), AXIS, 1, 1, columns=columns)
    repository = ModelRepository(
        "m", tree, entries, (RepositoryMember("m", backend, inputs, (INPUT,), 8),)
    )
    reference = composition.references()[backend]
    return reference.model(snapshot, facts, repository, store, pythons)


def test_one_onnx_file_runs_on_the_servers_own_runtime(store: Store) -> None:
    model = reference_of(store, "onnxruntime", "m/1/model.onnx", "m/config.pbtxt")
    assert model is not None
    assert (model.script, model.python) == ("run_onnx.py", PYTHONS.server)
    assert model.path.name == "model.onnx"
    assert reference_of(store, "onnxruntime", "m/1/a.onnx", "m/1/b.onnx") is None


def test_code_of_a_finished_repository_says_nothing_of_how_it_is_called(store: Store) -> None:
    assert reference_of(store, "python", "m/1/model.py", "m/1/part.onnx") is None


SAVED = ModelMetadata(flavors=("python_function", "sklearn"))


def test_what_mlflow_saved_runs_in_its_own_environment(store: Store) -> None:
    signature = Signature((INPUT,), unnamed=("input",))
    model = reference_of(store, "python", "MLmodel", metadata=replace(SAVED, signature=signature))
    assert model is not None
    assert (model.script, model.python) == ("run_pyfunc.py", PYTHONS.own)
    assert model.description["inputs"] == [{"name": "input", "datatype": "FP64"}]
    with pytest.raises(ClocheError) as caught:
        reference_of(
            store, "python", "MLmodel", metadata=SAVED, pythons=Interpreters(Path("/p"), None)
        )
    assert caught.value.code == "golden.environment"
