"""The files of a repository: the same bytes wherever they are made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloche import pipeline
from cloche.artifacts import (
    BatchAxis,
    Certainty,
    FileEntry,
    Lock,
    ModelFacts,
    ModelFormat,
    ModelRepository,
    ModelSnapshot,
    TensorSpec,
    digest_of_files,
)
from cloche.errors import ClocheError
from cloche.model_config.messages import parse
from cloche.spec import ServiceSpec
from cloche.store import Store

SPEC = ServiceSpec(model="x")
LOCK = Lock("sha256:" + "1" * 64, "3.11", "numpy==2.1.0\n")
FACTS = ModelFacts(
    format=ModelFormat.ONNX,
    framework="onnx",
    backend="onnxruntime",
    inputs=(TensorSpec("x", "FP32", (-1, 4)),),
    outputs=(TensorSpec("y", "FP32", (-1, 2)),),
    batch=BatchAxis(True, Certainty.CERTAIN, "the first axis is a batch"),
    size_bytes=100,
    memory_bytes=200,
)
PYTHON = replace(FACTS, format=ModelFormat.MLFLOW, backend="python", framework="sklearn")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def snapshot(
    store: Store,
    files: dict[str, bytes],
    form: ModelFormat = ModelFormat.ONNX,
    entry: str = "model.onnx",
    pinned: str = "/somewhere/model",
) -> ModelSnapshot:
    entries = tuple(
        FileEntry(path, len(data), store.add_bytes(data)) for path, data in sorted(files.items())
    )
    digest = digest_of_files(entries)
    return ModelSnapshot("./model", pinned, "files", None, digest, form, entries, entry)


def contents(store: Store, built: ModelRepository) -> dict[str, bytes]:
    root = store.tree_path(built.digest)
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("files", "entry", "expected", "default_filename"),
    [
        ({"model.onnx": b"m"}, "model.onnx", {"model.onnx": b"m"}, ""),
        (
            {"model.onnx": b"m", "weights/a.bin": b"a"},
            "model.onnx",
            {"model.onnx": b"m", "weights/a.bin": b"a"},
            "",
        ),
        (
            {"net.onnx": b"m", "model.onnx": b"weights"},
            "net.onnx",
            {"net.onnx": b"m", "model.onnx": b"weights"},
            "net.onnx",
        ),
    ],
)
def test_onnx(
    store: Store,
    files: dict[str, bytes],
    entry: str,
    expected: dict[str, bytes],
    default_filename: str,
) -> None:
    model = snapshot(store, files, entry=entry)
    built = pipeline.build("digits", model, FACTS, None, SPEC, store)
    made = contents(store, built)
    config = parse(made.pop("digits/config.pbtxt"), "config.pbtxt")
    assert made == {f"digits/1/{path}": data for path, data in expected.items()}
    assert config.default_model_filename == default_filename
    assert (built.models, built.main.backend, built.main.max_batch_size) == (
        ("digits",),
        "onnxruntime",
        1024,
    )
    assert built.digest == digest_of_files(built.files)
    assert [entry.path for entry in built.files] == sorted(entry.path for entry in built.files)


def test_onnx_logged_with_mlflow_is_served_as_onnx(store: Store) -> None:
    files = {
        "MLmodel": b"flavors: {}",
        "conda.yaml": b"",
        "requirements.txt": b"onnx",
        "input_example.json": b"[]",
        "metadata/x": b"",
        "model.onnx": b"m",
        "4f2c-weights": b"w",
    }
    model = snapshot(store, files, ModelFormat.MLFLOW, "MLmodel")
    built = pipeline.build("digits", model, FACTS, None, SPEC, store)
    assert set(contents(store, built)) == {
        "digits/config.pbtxt",
        "digits/1/model.onnx",
        "digits/1/4f2c-weights",
    }
    empty = snapshot(store, {"MLmodel": b""}, ModelFormat.MLFLOW, "MLmodel")
    with pytest.raises(ClocheError, match=r"no \.onnx file"):
        pipeline.build("digits", empty, FACTS, None, SPEC, store)


def test_python(store: Store) -> None:
    files = {"MLmodel": b"flavors: {}", "data/model.pkl": b"pickle", "requirements.txt": b"numpy"}
    model = snapshot(store, files, ModelFormat.MLFLOW, "MLmodel")
    built = pipeline.build("churn", model, PYTHON, LOCK, SPEC, store)
    made = contents(store, built)
    assert made["churn/requirements.lock"] == b"# python 3.11\nnumpy==2.1.0\n"
    assert b"TritonPythonModel" in made["churn/1/model.py"]
    kept = {path.removeprefix("churn/1/model/"): data for path, data in made.items()}
    assert {path: kept[path] for path in files} == files
    config = parse(made["churn/config.pbtxt"], "config.pbtxt")
    environment = config.parameters["EXECUTION_ENV_PATH"].string_value
    assert environment == "$$TRITON_MODEL_DIRECTORY/environment"
    assert built.main.lock_digest == LOCK.digest


@pytest.mark.parametrize("backend", ["tensorrt", "python"])
def test_a_backend_that_does_not_serve_such_models_is_refused(store: Store, backend: str) -> None:
    model = snapshot(store, {"model.onnx": b"m"})
    with pytest.raises(ClocheError) as caught:
        pipeline.build("digits", model, replace(FACTS, backend=backend), None, SPEC, store)
    assert caught.value.code == "repository.backend"
    assert "onnxruntime, python" in (caught.value.hint or "")


def test_another_machine_makes_the_same_digest(tmp_path: Path) -> None:
    digests = set()
    for number, pinned in enumerate(("/home/a/model.onnx", "/srv/b/net.onnx")):
        store = Store(tmp_path / str(number), 2**30)
        model = snapshot(store, {"model.onnx": b"m", "w.bin": b"w"}, pinned=pinned)
        digests.add(pipeline.build("digits", model, FACTS, None, SPEC, store).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"max_batch_size": 8}},
        {"instances": 2},
        {"resources": {"cpu": 1}},
    ],
)
def test_what_is_served_is_in_the_digest(store: Store, changed: dict[str, object]) -> None:
    model = snapshot(store, {"model.onnx": b"m"})
    spec = ServiceSpec.model_validate({"model": "x", **changed})
    plain, other = (
        pipeline.build("digits", model, FACTS, None, one, store) for one in (SPEC, spec)
    )
    assert plain.digest != other.digest
