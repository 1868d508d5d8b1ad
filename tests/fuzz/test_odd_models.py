"""Whatever stands in a model's folder: facts, or an error with a remedy."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import DOCUMENTS, TEXTS, WORDS, only_our_errors
from ruamel.yaml import YAML

from cloche import pipeline
from cloche.artifacts import (
    FileEntry,
    Lock,
    ModelFacts,
    ModelFormat,
    ModelOptions,
    ModelSnapshot,
)
from cloche.environments import requirements
from cloche.formats.mlflow import MlflowFormat
from cloche.formats.mlflow.mlmodel import read_metadata
from cloche.formats.triton import ServedBackends, TritonFormat
from cloche.model_config.messages import messages, parse, to_text
from cloche.spec import ServiceSpec
from cloche.store import Store

COLUMN = st.fixed_dictionaries({"type": WORDS | DOCUMENTS}, optional={
    "name": DOCUMENTS, "required": DOCUMENTS, "items": DOCUMENTS, "optional": DOCUMENTS,
    "tensor-spec": DOCUMENTS | st.fixed_dictionaries({
        "dtype": st.sampled_from(("float32", "<U4", "object")) | DOCUMENTS,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | DOCUMENTS}),
})  # fmt: skip
SIGNATURES = st.fixed_dictionaries({}, optional={
    "inputs": st.lists(COLUMN, max_size=3).map(json.dumps) | DOCUMENTS | TEXTS,
    "outputs": st.lists(COLUMN, max_size=3).map(json.dumps) | DOCUMENTS | TEXTS,
    "params": DOCUMENTS.map(json.dumps) | DOCUMENTS | TEXTS,
})  # fmt: skip
MLMODELS = st.fixed_dictionaries({}, optional={
    "flavors": DOCUMENTS | st.fixed_dictionaries({"python_function": DOCUMENTS}),
    "signature": DOCUMENTS | SIGNATURES, "metadata": DOCUMENTS, "run_id": DOCUMENTS,
    "model_id": DOCUMENTS, "mlflow_version": DOCUMENTS,
    "saved_input_example_info": DOCUMENTS | st.fixed_dictionaries({
        "serving_input_path": st.sampled_from(("example.json", "..", "", ".", "a\x00")) | DOCUMENTS,
    }),
})  # fmt: skip
LINES = st.lists(
    st.sampled_from((
        "numpy==2.1", "numpy<2", "numpy", "-r more.txt", "-c more.txt", "-r requirements.txt",
        "--pre", "--index-url https://u:p@i/s", "x @ https://i/x.whl", "-e .", "numpy[a,b]>=1",
        "python=3.11", "numpy=1.2|1.3", "a==1; python_version < '3'", "a==1; extra == 'x'",
        "a==1 --hash=sha256:00", "\\", "a===x y", "a==1.*.*", "-r \x00", "- r", "a @",
    )) | TEXTS, max_size=5,
)  # fmt: skip
CONDA = st.fixed_dictionaries({"dependencies": DOCUMENTS | st.lists(
    TEXTS | LINES.map(lambda lines: {"pip": lines}) | DOCUMENTS, max_size=4)})  # fmt: skip
PYTHON_ENV = st.fixed_dictionaries({}, optional={
    "python": st.sampled_from(("3.11.7", "3", "", "x", 3.11)) | DOCUMENTS,
    "dependencies": LINES | DOCUMENTS,
})  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd") / "model"


def yaml(value: Any) -> str:
    stream = io.StringIO()
    YAML(typ="safe").dump(value, stream)
    return stream.getvalue()


def write(place: Path, files: dict[str, str]) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return place


def snapshot(place: Path, form: ModelFormat, entry: str, **more: Any) -> ModelSnapshot:
    store = stored(place)
    entries = tuple(
        FileEntry(path.relative_to(place).as_posix(), path.stat().st_size,
                  store.add_bytes(path.read_bytes()))
        for path in sorted(place.rglob("*")) if path.is_file()
    )  # fmt: skip
    digest = store.put_tree(entries)
    return ModelSnapshot("./m", "/m", "files", None, digest, form, entries, entry, **more)


def stored(place: Path) -> Store:
    return Store(place.parent / "store", 2**30)


def build(place: Path, taken: ModelSnapshot, facts: ModelFacts) -> None:
    lock = Lock("sha256:" + "1" * 64, facts.python or "", "") if facts.requirements else None
    pipeline.build("m", taken, facts, lock, ServiceSpec(model="x"), stored(place))


def inspect_mlflow(place: Path) -> None:
    metadata = read_metadata(place)
    taken = snapshot(place, ModelFormat.MLFLOW, "MLmodel", metadata=metadata)
    build(place, taken, MlflowFormat().inspect(taken, place, ModelOptions()))


@given(MLMODELS | DOCUMENTS, DOCUMENTS)
def test_any_mlmodel(place: Path, document: Any, example: Any) -> None:
    write(place, {"MLmodel": yaml(document), "example.json": json.dumps(example)})
    with only_our_errors():
        inspect_mlflow(place)


@given(TEXTS)
def test_any_text_as_mlmodel(place: Path, text: str) -> None:
    write(place, {"MLmodel": text})
    with only_our_errors():
        inspect_mlflow(place)


GOOD = """
flavors: {python_function: {python_version: 3.11.7}}
signature: {inputs: '[{"type": "double", "name": "a"}]'}
"""


@given(LINES, CONDA | DOCUMENTS, PYTHON_ENV | DOCUMENTS, LINES)
def test_any_files_of_an_environment(
    place: Path, lines: list[str], conda: Any, python_env: Any, more: list[str]
) -> None:
    files = {
        "MLmodel": GOOD, "requirements.txt": "\n".join(lines), "conda.yaml": yaml(conda),
        "python_env.yaml": yaml(python_env), "more.txt": "\n".join(more),
    }  # fmt: skip
    write(place, files)
    with only_our_errors():
        inspect_mlflow(place)


@given(DOCUMENTS)
def test_any_example_of_a_model_without_a_signature(place: Path, example: Any) -> None:
    text = "flavors: {python_function: {}}\nsaved_input_example_info: {artifact_path: e.json}"
    write(place, {"MLmodel": text, "e.json": json.dumps(example)})
    with only_our_errors():
        inspect_mlflow(place)


@given(LINES)
def test_any_requirement_is_sorted_or_refused(lines: list[str]) -> None:
    with only_our_errors():
        requirements.parse(tuple(lines))


# ── finished repositories ─────────────────────────────────────────────────────────────────────

TENSOR = st.fixed_dictionaries({}, optional={
    "name": st.sampled_from(("x", "")), "data_type": st.sampled_from((0, 11, 13, 14, 99)),
    "dims": st.lists(st.sampled_from((-1, 0, 4, 2**40)), max_size=3), "optional": st.booleans(),
})  # fmt: skip
PLACES = st.sampled_from((
    "m/1/model.py", "m/1/model.onnx", "m/2/model.py", "m/0/model.py", "m/01/model.py",
    "n/1/model.py",
    "m/requirements.txt", "m/1/requirements.txt", "m/.python-version", "m/environment/x", "x.txt",
    "m/١/model.py", "m/99999999999999999999/model.py", "n/config.pbtxt", "m/model.py",
))  # fmt: skip


def configuration(fields: dict[str, Any]) -> str:
    config = messages().ModelConfig()
    for side in ("input", "output"):
        for tensor in fields.get(side, ()):
            optional = {"optional": True} if side == "input" and tensor.get("optional") else {}
            given = {key: value for key, value in tensor.items() if key != "optional"}
            getattr(config, side).add(**given, **optional)
    for step in fields.get("steps", ()):
        added = config.ensemble_scheduling.step.add(model_name=step[0], model_version=step[1])
        added.input_map["x"] = "x"
    for kind in fields.get("kinds", ()):
        config.instance_group.add(kind=kind)
    for key, value in fields.get("parameters", {}).items():
        config.parameters[key].string_value = value
    for name in ("backend", "platform", "name", "default_model_filename", "max_batch_size"):
        if name in fields:
            setattr(config, name, fields[name])
    config.version_policy.specific.versions.extend(fields.get("versions", ()))
    return to_text(config).decode()


CONFIGURATIONS = st.fixed_dictionaries({}, optional={
    "input": st.lists(TENSOR, max_size=2), "output": st.lists(TENSOR, max_size=2),
    "backend": st.sampled_from(("python", "onnxruntime", "ensemble", "other", "")),
    "platform": st.sampled_from(("ensemble", "onnxruntime_onnx", "?")),
    "steps": st.lists(st.tuples(st.sampled_from(("m", "n", "")), st.sampled_from((-1, 0, 1, 7))),
                      max_size=2),
    "kinds": st.lists(st.integers(0, 4), max_size=2), "name": st.sampled_from(("m", "n", "")),
    "versions": st.lists(st.sampled_from((1, 2, -1, 2**40)), max_size=2),
    "parameters": st.dictionaries(st.sampled_from(("EXECUTION_ENV_PATH", "a")), st.sampled_from((
        "$$TRITON_MODEL_DIRECTORY/environment", "$$TRITON_MODEL_DIRECTORY/", "/x", "",
    )), max_size=2),
    "default_model_filename": st.sampled_from(("model.py", "", "../x")),
    "max_batch_size": st.sampled_from((0, 1, 8, -1)),
}).map(configuration)  # fmt: skip


def inspect_triton(place: Path) -> None:
    form = TritonFormat(lambda: ServedBackends(("onnxruntime", "python"), {}))
    taken = snapshot(place, ModelFormat.TRITON, ".")
    for service in (None, "m"):
        build(place, taken, form.inspect(taken, place, ModelOptions(), service=service))


@given(st.dictionaries(PLACES, TEXTS, max_size=6), CONFIGURATIONS | TEXTS)
def test_any_repository(place: Path, files: dict[str, str], configuration: str) -> None:
    write(place, files | {"m/config.pbtxt": configuration})
    with only_our_errors():
        inspect_triton(place)


@given(st.binary(max_size=60) | CONFIGURATIONS.map(str.encode))
def test_any_configuration_is_read_or_refused(data: bytes) -> None:
    with only_our_errors():
        parse(data, "m/config.pbtxt")
