from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.artifacts import TensorSpec
from cloche.errors import ClocheError
from cloche.formats.mlflow.mlmodel import read_metadata
from cloche.formats.mlflow.signature import parse_signature


def signature(inputs: list[Any], outputs: list[Any] | None = None) -> dict[str, Any]:
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs) if outputs else None}


def tensor(dtype: str, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **more}


def test_tensors_keep_their_names_types_and_shapes() -> None:
    parsed = parse_signature(
        signature(
            [tensor("float32", [-1, 3, -1], name="x"), tensor("str", [-1], name="s")],
            [tensor("float64", [-1, 10])],
        ),
        "MLmodel",
    )
    assert parsed is not None
    assert parsed.inputs == (
        TensorSpec("x", "FP32", (-1, 3, -1)),
        TensorSpec("s", "BYTES", (-1,)),
    )
    assert parsed.outputs == (TensorSpec("output", "FP64", (-1, 10)),)
    assert not parsed.columns
    assert parsed.unnamed == ("output",)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"type": "double", "name": "a"}, TensorSpec("a", "FP64", (-1, 1))),
        ({"type": "long", "name": "a", "required": True}, TensorSpec("a", "INT64", (-1, 1))),
        ({"type": "string", "name": "a"}, TensorSpec("a", "BYTES", (-1, 1))),
        ({"type": "datetime", "name": "a"}, TensorSpec("a", "BYTES", (-1, 1), holds="date")),
        (
            {"type": "boolean", "name": "a", "required": False},
            TensorSpec("a", "BOOL", (-1, 1), optional=True),
        ),
        (
            {"type": "integer", "name": "a", "optional": True},  # before MLflow 2.10
            TensorSpec("a", "INT32", (-1, 1), optional=True),
        ),
        (
            {"type": "array", "items": {"type": "float"}, "name": "a"},
            TensorSpec("a", "FP32", (-1, -1)),
        ),
        (
            {"type": "array", "items": {"type": "array", "items": {"type": "long"}}, "name": "a"},
            TensorSpec("a", "INT64", (-1, -1, -1)),
        ),
        (
            {"type": "object", "properties": {"x": {"type": "long"}}, "name": "a"},
            TensorSpec("a", "BYTES", (-1, 1), holds="json"),
        ),
        ({"type": "double"}, TensorSpec("input", "FP64", (-1, 1))),
    ],
)
def test_columns(column: dict[str, Any], expected: TensorSpec) -> None:
    parsed = parse_signature(signature([column]), "MLmodel")
    assert parsed is not None
    assert parsed.inputs == (expected,)
    assert parsed.columns


def test_columns_without_names_are_numbered() -> None:
    parsed = parse_signature(signature([{"type": "long"}, {"type": "long"}]), "MLmodel")
    assert parsed is not None
    assert parsed.unnamed == ("input_0", "input_1")


def test_a_signature_of_outputs_only_does_not_count() -> None:
    assert parse_signature({"inputs": None, "outputs": "[]"}, "MLmodel") is None


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": "not json"},
        {"inputs": "{}"},
        {"inputs": '[{"name": "x"}]'},
        {"inputs": '["x"]'},
        signature([{"type": "tensor", "name": "x"}]),
        signature([tensor("complex128", [-1])]),
        signature([tensor("float32", ["n"])]),
    ],
)
def test_a_signature_that_cannot_be_read_is_said(document: dict[str, Any]) -> None:
    if document["inputs"] == "{}":
        assert parse_signature(document, "MLmodel") is None
        return
    with pytest.raises(ClocheError) as raised:
        parse_signature(document, "MLmodel")
    assert raised.value.code == "source.mlflow.signature"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "name", "items", "tensor-spec"]), inner)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_a_signature_or_our_error(value: Any) -> None:
    with suppress(ClocheError):
        parse_signature({"inputs": json.dumps(value)}, "MLmodel")


# ── the folder ────────────────────────────────────────────────────────────────────────────────

MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.10.1}
  sklearn: {sklearn_version: 1.5.2}
mlflow_version: 3.1.0
model_id: m-1
run_id: abc
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: null
  params: '[{"name": "t", "type": "float", "default": 0.5, "shape": null}]'
metadata: {team: vision}
"""
CONDA = """
dependencies:
  - python=3.9.18
  - pip<=24
  - pip: [mlflow==3.1.0, "scikit-learn==1.5.2"]
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_all_files_beside_the_model_are_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        MLmodel=MLMODEL,
        requirements__txt="# made by MLflow\nmlflow==3.1.0\nscikit-learn==1.5.2  # why\n\n"
        "torch==2.9 \\\n  --hash=sha256:ab\n",
        python_env__yaml="python: 3.11.7\nbuild_dependencies: [pip]\n",
        conda__yaml=CONDA,
        input_example__json="{}",
        serving_input_example__json="{}",
    )
    metadata = read_metadata(tmp_path)
    assert metadata.flavors == ("python_function", "sklearn")
    assert metadata.requirements[:2] == ("mlflow==3.1.0", "scikit-learn==1.5.2")
    assert metadata.requirements[2].split() == ["torch==2.9", "--hash=sha256:ab"]
    assert metadata.python == "3.11.7"
    assert metadata.input_example == "serving_input_example.json"
    assert metadata.signature is not None
    assert metadata.run_id == "abc"
    assert metadata.tags["metadata.team"] == "vision"
    assert json.loads(metadata.tags["signature.params"])[0]["name"] == "t"


@pytest.mark.parametrize(
    ("files", "python", "requirements"),
    [
        ({}, "3.10.1", ()),
        ({"conda__yaml": CONDA}, "3.9.18", ("mlflow==3.1.0", "scikit-learn==1.5.2")),
        ({"requirements__txt": "a==1\n", "conda__yaml": CONDA}, "3.9.18", ("a==1",)),
    ],
)
def test_older_folders_say_less(
    tmp_path: Path, files: dict[str, str], python: str, requirements: tuple[str, ...]
) -> None:
    metadata = read_metadata(write(tmp_path, MLmodel=MLMODEL, **files))
    assert (metadata.python, metadata.requirements) == (python, requirements)
    assert metadata.input_example is None


def test_a_password_of_an_index_is_not_recorded(tmp_path: Path) -> None:
    lines = (
        "--extra-index-url https://me:secret@index.example/simple\nb @ https://t@x.example/b.whl"
    )
    metadata = read_metadata(write(tmp_path, MLmodel=MLMODEL, requirements__txt=lines))
    assert metadata.requirements == (
        "--extra-index-url https://index.example/simple", "b @ https://x.example/b.whl",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flavors: [", "while parsing"),
        ("just text", "not a mapping"),
        ("flavors: {}", "lists no flavors"),
        ("a: 1", "lists no flavors"),
        ("a: 2026-99-99", "a value cannot be read"),
        ("a: !!bool x", "a value cannot be read"),
        ("[" * 3000, "a value cannot be read"),
        ("flavors: {x: }\nsignature: {params: 'x'}", "not JSON"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_a_broken_mlmodel_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ClocheError) as raised:
        read_metadata(write(tmp_path, MLmodel=text))
    assert raised.value.code == "source.mlflow.mlmodel"
    assert says in raised.value.what
