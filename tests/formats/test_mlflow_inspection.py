"""What is known of an MLflow folder without loading its model."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx_models import mlp

from cloche.artifacts import (
    FileEntry,
    ModelFacts,
    ModelFormat,
    ModelMetadata,
    ModelOptions,
    ModelSnapshot,
    Signature,
    TensorSpec,
)
from cloche.errors import ClocheError
from cloche.formats.mlflow import MlflowFormat, example
from cloche.formats.requirement_files import inline
from cloche.verification import model_example

if TYPE_CHECKING:
    from pathlib import Path

TABLE = Signature(
    (TensorSpec("age", "INT64", (-1, 1)), TensorSpec("city", "BYTES", (-1, 1))),
    (TensorSpec("output", "BYTES", (-1,)),),
    columns=True,
)
RECORDED = ModelMetadata(
    signature=TABLE,
    requirements=("mlflow==3.17.2", "scikit-learn==1.9.1"),
    python="3.11.7",
    flavors=("python_function", "sklearn"),
    tags={"mlflow_version": "3.17.2"},
)


def snapshot(metadata: ModelMetadata, *files: str) -> ModelSnapshot:
    entries = tuple(FileEntry(name, 1, "sha256:" + "0" * 64) for name in ("MLmodel", *files))
    return ModelSnapshot(
        "./m", "/m", "files", None, "sha256:" + "0" * 64, ModelFormat.MLFLOW, entries, "MLmodel",
        metadata,
    )  # fmt: skip


def facts_of(folder: Path, *files: str, **changes: Any) -> ModelFacts:
    return MlflowFormat().inspect(
        snapshot(replace(RECORDED, **changes), *files), folder, ModelOptions()
    )


def codes(facts: ModelFacts) -> list[str]:
    return [finding.code for finding in facts.findings]


def test_a_table_has_one_tensor_per_column_and_a_certain_batch_axis(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert (facts.backend, facts.framework, facts.python) == ("python", "sklearn", "3.11")
    assert facts.inputs == TABLE.inputs
    assert facts.columns
    assert (facts.batch.present, facts.batch.certainty) == (True, "certain")
    assert facts.findings == ()


def test_requirements_are_kept_and_what_serving_needs_is_added(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, requirements=("Pandas==2.2", "scikit_learn", "numpy[extra]>1"))
    recorded = ("Pandas==2.2", "scikit_learn", "numpy[extra]>1")
    assert facts.requirements == (*recorded, "mlflow==3.17.2")
    assert facts_of(tmp_path, requirements=("mlflow-skinny==3.1",)).requirements == (
        "mlflow-skinny==3.1", "numpy", "pandas",
    )  # fmt: skip
    old = facts_of(tmp_path, requirements=("numpy", "pandas"), tags={"mlflow_version": "2.9.2"})
    assert old.requirements == ("numpy", "pandas", "mlflow==2.9.2", "setuptools<81")


def test_files_that_requirements_refer_to_are_put_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("numpy<2  # old\n\nscipy==1.1\n")
    (tmp_path / "more.txt").write_text("-c constraints.txt\npandas\n")
    lines = inline(("a", "-r more.txt"), tmp_path)
    assert lines == ("a", "-c numpy<2", "-c scipy==1.1", "pandas")
    for outside in ("-r ../secret.txt", "-c /etc/hostname", "--requirement missing.txt"):
        with pytest.raises(ClocheError, match="not in its folder"):
            inline((outside,), tmp_path)


@pytest.mark.parametrize("python", ["3.14.0", "3.7.16", "2.7.18"])
def test_a_python_without_a_stub_is_refused(python: str, tmp_path: Path) -> None:
    with pytest.raises(ClocheError, match="which Triton cannot run") as caught:
        facts_of(tmp_path, python=python)
    assert "3.13" in str(caught.value.hint)


def test_without_a_signature_the_example_is_used(tmp_path: Path) -> None:
    with pytest.raises(ClocheError, match="no signature") as caught:
        facts_of(tmp_path, signature=None)
    assert "infer_signature" in str(caught.value.hint)
    (tmp_path / "example.json").write_text(json.dumps({"inputs": [[0.5, 1.0]]}))
    facts = facts_of(tmp_path, signature=None, input_example="example.json")
    assert facts.inputs == (TensorSpec("input", "FP64", (-1, 2)),)
    assert facts.outputs == (TensorSpec("output", "FP64", (-1, -1)),)
    assert codes(facts) == ["inspection.mlflow.example", "inspection.mlflow.outputs"]


def test_an_example_of_records_is_used_too(tmp_path: Path) -> None:
    records = {"dataframe_records": [{"age": 40, "city": "Rome"}, {"age": 7, "city": "Oslo"}]}
    (tmp_path / "example.json").write_text(json.dumps(records))
    facts = facts_of(tmp_path, signature=None, input_example="example.json")
    assert facts.inputs == TABLE.inputs
    assert facts.columns
    read, _ = model_example.read(tmp_path / "example.json", facts.inputs)
    assert read["age"].tolist() == [[40], [7]]
    assert read["city"].tolist() == [["Rome"], ["Oslo"]]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"columns": ["a", "b"], "data": [[1, "x"], [2, None]]},
         [("a", "INT64", (-1, 1)), ("b", "BYTES", (-1, 1))]),
        ({"dataframe_split": {"columns": ["a"], "data": [[1.5], [None]]}},
         [("a", "FP64", (-1, 1))]),
        ({"dataframe_records": [{"a": 1, "b": "x"}, {"b": None, "a": 2}]},
         [("a", "INT64", (-1, 1)), ("b", "BYTES", (-1, 1))]),
        ([{"a": 1.5}, {"a": 2}], [("a", "FP64", (-1, 1))]),
        ({"inputs": [[0.5]], "params": {"top": 3}}, [("input", "FP64", (-1, 1))]),
        ({"columns": ["a"], "data": [[True]]}, [("a", "BOOL", (-1, 1))]),
        ([[[1], [2]]], [("input", "INT64", (-1, 2, 1))]),
        ({"x": [[1.0]], "y": ["a"]}, [("x", "FP64", (-1, 1)), ("y", "BYTES", (-1,))]),
    ],
)  # fmt: skip
def test_signatures_from_examples(document: Any, expected: list[Any]) -> None:
    derived = example.derive(document)
    assert derived is not None
    assert [(spec.name, spec.datatype, spec.shape) for spec in derived.inputs] == expected


@pytest.mark.parametrize("document", [None, {}, [], "text", {"a": 1}])
def test_examples_that_say_nothing(document: Any) -> None:
    assert example.derive(document) is None


def test_a_fixed_first_axis_is_not_a_batch(tmp_path: Path) -> None:
    fixed = Signature((TensorSpec("x", "FP32", (1, 4)),), (TensorSpec("y", "FP32", (-1,)),))
    facts = facts_of(tmp_path, signature=fixed)
    assert not facts.batch.present
    assert "first axis of x" in facts.batch.why


@pytest.mark.parametrize(
    ("name", "content", "kind", "options"),
    [
        ("model.pkl", pickle.dumps([1]), "pickle", {"method": "predict"}),
        ("model.xgb", b'{"learner":{},"version":[3,2,0]}', "xgboost", {}),
        ("model.lgb", b"tree\nversion=v4\n", "lightgbm", {}),
    ],
)
def test_without_a_signature_the_estimator_tells_its_inputs(
    tmp_path: Path, name: str, content: bytes, kind: str, options: dict[str, str]
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "MLmodel").write_text("flavors: {}")
    tags = {
        "mlflow_version": "3.17.2",
        "python_function.loader_module": "mlflow.sklearn",
        "python_function.predict_fn": "predict",
    }
    facts = facts_of(tmp_path, name, signature=None, tags=tags)
    assert facts.loading is not None
    assert (facts.loading.framework, facts.loading.kind) == ("sklearn", kind)
    assert (facts.loading.path, facts.loading.options) == (name, options)
    assert facts.inputs == ()
    assert "scikit-learn==1.9.1" in facts.requirements


def test_flavors_that_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(ClocheError, match="flavors spark"):
        facts_of(tmp_path, flavors=("spark",))
    with pytest.raises(ClocheError, match=r"2 \.onnx files"):
        facts_of(tmp_path, "a.onnx", "b.onnx", flavors=("onnx",))


def test_of_an_onnx_flavor_the_file_counts_and_differences_are_told(tmp_path: Path) -> None:
    onnx.save(mlp(), tmp_path / "model.onnx")
    said = Signature(
        (TensorSpec("x", "FP64", (-1, 64)),),
        (TensorSpec("output", "FP32", (-1, 10)),),
        unnamed=("output",),
    )
    facts = facts_of(tmp_path, "model.onnx", flavors=("onnx", "python_function"), signature=said)
    assert (facts.backend, facts.format, facts.python) == ("onnxruntime", "mlflow", None)
    assert facts.inputs[0].datatype == "FP32"
    (finding,) = facts.findings
    assert "FP64 in the signature and FP32 in the ONNX file" in finding.what
