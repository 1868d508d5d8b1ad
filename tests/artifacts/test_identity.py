"""Which snapshots are versions of one model."""

from __future__ import annotations

import pytest

from cloche.artifacts import FileEntry, ModelFormat, ModelMetadata, ModelSnapshot
from cloche.artifacts.identity import are_versions_of_one, described, registered_name

HERE, THERE = "http://registry:5000", "http://other:5000"


def snapshot(
    reference: str,
    pinned: str | None = None,
    registry: str | None = HERE,
    experiment: str | None = None,
) -> ModelSnapshot:
    pinned = pinned or reference
    return ModelSnapshot(
        reference=reference,
        pinned=pinned,
        source="files" if registry is None else "mlflow",
        version=None,
        digest=f"sha256:{reference}{pinned}{registry}{experiment}",
        format=ModelFormat.MLFLOW,
        files=(FileEntry("MLmodel", 1, "sha256:0"),),
        entry="MLmodel",
        metadata=ModelMetadata(experiment_id=experiment),
        registry=registry,
    )


def file(path: str) -> ModelSnapshot:
    return snapshot(path, registry=None)


LOGGED = "models:/m-0a1b"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # a registered model: its name in its registry
        (snapshot("models:/a@x", "models:/a/1"), snapshot("models:/a@y", "models:/a/2"), True),
        (snapshot("models:/a/latest", "models:/a/7"), snapshot("models:/a/1"), True),
        (snapshot("models:/a/1"), snapshot("models:/b/1"), False),
        (snapshot("models:/信用评分/1"), snapshot("models:/客户流失/1"), False),
        (snapshot("models:/a/1"), snapshot("models:/a/1", registry=THERE), False),
        (snapshot("models:/A/1"), snapshot("models:/a/1"), False),
        # what a run logged: its path in the experiment
        (snapshot("runs:/1/d", LOGGED, HERE, "5"), snapshot("runs:/2/d", HERE, HERE, "5"), True),
        (snapshot("runs:/1/d/", experiment="5"), snapshot("runs:/2/d", experiment="5"), True),
        (snapshot("runs:/1/d", experiment="5"), snapshot("runs:/2/e", experiment="5"), False),
        (snapshot("runs:/1/d", experiment="5"), snapshot("runs:/2/d", experiment="6"), False),
        (snapshot("runs:/1/d", experiment="5"), snapshot("models:/d/1"), False),
        # a logged model is itself alone
        (snapshot(LOGGED), snapshot(LOGGED), True),
        (snapshot(LOGGED), snapshot("models:/m-ffff"), False),
        # a repository of a hub: its name there, and the path in it
        (snapshot("hf://o/n", "hf://o/n@1"), snapshot("hf://o/n@v2", "hf://o/n@2"), True),
        (snapshot("hf://o/n/a", "hf://o/n@1/a"), snapshot("hf://o/n@2/a"), True),
        (snapshot("hf://o/n/a", "hf://o/n@1/a"), snapshot("hf://o/n@1"), False),
        (snapshot("hf://o/n@1"), snapshot("hf://o/m@1"), False),
        (snapshot("hf://o/n@1"), snapshot("hf://o/n@2", registry=THERE), False),
        # a file: its absolute path
        (file("/a/model.onnx"), file("/a/b/../model.onnx"), True),
        (file("/a/model.onnx"), file("/b/model.onnx"), False),
        (file("/a/1"), snapshot("models:/a/1"), False),
    ],
)
def test_what_counts_as_the_same_model(
    one: ModelSnapshot, other: ModelSnapshot, *, same: bool
) -> None:
    assert are_versions_of_one(one, other) is same
    assert are_versions_of_one(other, one) is same


def test_the_same_bytes_are_the_same_model() -> None:
    from dataclasses import replace

    moved = replace(file("/b/model.onnx"), digest=file("/a/model.onnx").digest)
    assert are_versions_of_one(file("/a/model.onnx"), moved)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (snapshot("models:/a@x", "models:/a/1"), "models:/a/1 of http://registry:5000"),
        (snapshot("runs:/1/d", LOGGED), "runs:/1/d of http://registry:5000"),
        (file("/a/model.onnx"), "/a/model.onnx"),
    ],
)
def test_a_model_is_named_with_its_registry(one: ModelSnapshot, words: str) -> None:
    assert described(one) == words


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (snapshot("models:/My_Model@x", "models:/My_Model/1"), "My_Model"),
        (snapshot("models:/信用评分/latest", "models:/信用评分/7"), "信用评分"),
        (snapshot(LOGGED), None),
        (snapshot("runs:/1/d", LOGGED), None),
        (file("/a/model.onnx"), None),
    ],
)
def test_only_a_registered_model_has_a_name_of_its_own(
    one: ModelSnapshot, name: str | None
) -> None:
    assert registered_name(one) == name
