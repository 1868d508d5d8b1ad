"""Finished Triton repositories: kept as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche import pipeline
from cloche.artifacts import BatchAxis, Certainty, ModelFacts, ModelFormat, TensorSpec
from cloche.errors import UsageError
from cloche.formats.triton import Completion
from cloche.spec import ServiceSpec
from cloche.store import Store
from finished_repository import ONNX, PYTHON, ensemble, facts_of, taken


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def test_it_is_kept_byte_for_byte(store: Store) -> None:
    files = {
        "net/config.pbtxt": ONNX + "# a comment\n",
        "net/1/model.onnx": "old",
        "net/3/model.onnx": "new",
        "net/labels.txt": "a",
        "README.md": "read me",
    }
    model = taken(store, files)
    facts = facts_of(store, files)
    built = pipeline.build("anything", model, facts, None, ServiceSpec(model="x"), store)
    assert built.digest == model.digest
    assert built.files == model.files
    assert (built.models, built.main.backend, built.main.max_batch_size) == (
        ("net",),
        "onnxruntime",
        8,
    )
    assert built.main.inputs == (TensorSpec("x", "FP32", (-1, 4)),)
    assert built.main.outputs == (TensorSpec("y", "BYTES", (-1, -1)),)
    assert facts.batch.present
    assert facts.framework == "triton (net: onnxruntime)"


def test_an_ensemble_answers_for_its_members_and_gets_its_version_folder(store: Store) -> None:
    files = {
        "pipeline/config.pbtxt": ensemble(),
        "member/config.pbtxt": PYTHON,
        "member/1/model.py": "",
    }
    model = taken(store, files)
    facts = facts_of(store, files)
    built = pipeline.build("service", model, facts, None, ServiceSpec(model="x"), store)
    assert built.models == ("pipeline", "member")
    assert built.main.backend == facts.backend == "ensemble"
    added = {entry.path: entry.size for entry in set(built.files) - set(model.files)}
    assert added == {"pipeline/1/.keep": 0}


@pytest.mark.parametrize(
    ("service", "main"),
    [("a", "a"), ("b", "b"), ("c-d", "c_d"), ("other", None)],
)
def test_which_model_answers(store: Store, service: str, main: str | None) -> None:
    names = ("a", "b", "c_d")
    files = {f"{name}/config.pbtxt": PYTHON for name in names}
    files |= {f"{name}/1/model.py": "" for name in names}
    model, facts = taken(store, files), facts_of(store, files, service)
    if main is not None:
        built = pipeline.build(service, model, facts, None, ServiceSpec(model="x"), store)
        assert built.models[0] == main
        assert set(built.models) == set(names)
        return
    assert facts.inputs == ()
    with pytest.raises(UsageError) as caught:
        pipeline.build(service, model, facts, None, ServiceSpec(model="x"), store)
    assert caught.value.code == "repository.ambiguous"
    assert "--name" in (caught.value.hint or "")


@pytest.mark.parametrize("missing", ["", 'platform: "onnxruntime_onnx"', None])
def test_what_triton_completes_is_taken_from_the_model(store: Store, missing: str | None) -> None:
    known = ModelFacts(
        ModelFormat.ONNX,
        "onnx",
        "onnxruntime",
        (TensorSpec("in", "FP32", (-1, 3)),),
        (TensorSpec("out", "FP32", (-1, 3)),),
        BatchAxis(True, Certainty.CERTAIN, "it is a batch"),
        10,
        None,
    )
    files = {"net/2/model.onnx": "m"} | ({"net/config.pbtxt": missing} if missing else {})
    model = taken(store, files)
    asked: list[Path] = []
    root = store.tree_path(model.digest)
    completion = Completion(lambda path, where: asked.append(path.relative_to(root)) or known, 4)
    facts = facts_of(store, files, completions={"onnxruntime": completion})
    assert asked == [Path("net/2/model.onnx")]
    assert (facts.backend, facts.inputs, facts.outputs) == (
        "onnxruntime",
        known.inputs,
        known.outputs,
    )
    built = pipeline.build("net", model, facts, None, ServiceSpec(model="x"), store)
    assert (built.main.inputs, built.main.max_batch_size) == (known.inputs, 4)
    assert facts_of(store, files).inputs == ()


@pytest.mark.parametrize(
    "asked",
    [{"batching": {"max_batch_size": 4}}, {"instances": 2}, {"server": {"warmup": True}}],
)
def test_settings_are_refused_and_not_ignored(store: Store, asked: dict[str, object]) -> None:
    files = {"m/config.pbtxt": PYTHON, "m/1/model.py": ""}
    spec = ServiceSpec.model_validate({"model": "x", **asked})
    with pytest.raises(UsageError) as caught:
        pipeline.build("m", taken(store, files), facts_of(store, files), None, spec, store)
    assert caught.value.code == "repository.kept"


def test_the_release_of_the_server_is_no_part_of_it(store: Store) -> None:
    files = {"m/config.pbtxt": PYTHON, "m/1/model.py": ""}
    plain, other = (
        pipeline.build(
            "m", taken(store, files), facts_of(store, files), None,
            ServiceSpec.model_validate({"model": "x", **asked}), store,
        )
        for asked in ({}, {"server": {"release": "26.05"}})
    )  # fmt: skip
    assert plain.digest == other.digest
