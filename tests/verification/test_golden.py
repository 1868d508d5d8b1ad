"""Which golden request a deployment gets, and what its direct run must show."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Deployment,
    FileEntry,
    GoldenKind,
    InferenceBody,
    Member,
    ModelFacts,
    ModelFormat,
    ModelMetadata,
    ModelRepository,
    ModelSnapshot,
    RepositoryMember,
    TensorSpec,
)
from cloche.clients.kserve.tensors import decode
from cloche.errors import ClocheError
from cloche.store import Store
from cloche.verification import direct_run as direct
from cloche.verification import golden, model_example, samples
from cloche.verification import spec_example as given_example
from cloche.verification.reference import Interpreters
from cloche.verification.reference.scripts import exchange

AXIS = BatchAxis(present=True, certainty=Certainty.CERTAIN, why="it is a test")
X = TensorSpec("x", "FP32", (-1, 2), ("batch", None))
SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(exchange.__file__).parent)!r})
import exchange, numpy as np
exchange.answer(Path(sys.argv[1]), lambda inputs: {{answer}})
"""


def deployment(
    store: Store,
    inputs: tuple[TensorSpec, ...],
    served: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    *,
    most: int = 8,
    example: Any = None,
) -> Deployment:
    data = json.dumps(example).encode()
    files = (FileEntry("example.json", len(data), store.add_bytes(data)),)
    metadata = ModelMetadata(input_example="example.json" if example is not None else None)
    tree = store.put_tree(files)
    snapshot = ModelSnapshot(
        "./m", "/m", "files", None, tree, ModelFormat.ONNX, files, "m.onnx", metadata
    )
    facts = ModelFacts(ModelFormat.ONNX, "onnx", "onnxruntime", inputs, outputs, AXIS, 1, 1)
    repository = ModelRepository(
        "m", tree, files, (RepositoryMember("m", "onnxruntime", served, outputs, most),)
    )
    return Deployment("m", (Member("m", snapshot, facts),), repository)


class Answering:
    """A framework that answers as a script says."""

    def __init__(self, model: direct.Model | None) -> None:
        self._model = model

    def model(self, *_: object) -> direct.Model | None:
        return self._model


def make(
    deployed: Deployment, store: Store, answer: str | None
) -> tuple[GoldenKind, dict[str, Any], dict[str, Any] | None]:
    model = None
    if answer is not None:
        script = store.root / "script.py"
        script.write_text(SCRIPT.replace("{answer}", answer))
        model = direct.Model(str(script), Path(sys.executable), store.root, {})
    made = golden.make(
        deployed, store, references={"onnxruntime": Answering(model)},
        interpreters=Interpreters(Path(sys.executable), None),
    )  # fmt: skip
    request = decode(store.read(made.request.digest), made.request.header_length)
    expected = None
    if made.expected is not None:
        expected = decode(store.read(made.expected.digest), made.expected.header_length)
    return made.kind, request, expected


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


Y = TensorSpec("y", "FP32", (-1, 2))


def test_inputs_are_generated_and_the_same_again(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,))
    answer = "{'y': inputs['x'] * 2}"
    kind, request, expected = make(deployed, store, answer)
    assert kind is GoldenKind.GENERATED
    assert request["x"].shape == (2, 2)
    assert expected is not None
    np.testing.assert_array_equal(expected["y"], request["x"] * 2)
    again = make(deployed, store, answer)[1]
    np.testing.assert_array_equal(again["x"], request["x"])


def test_the_models_own_example_comes_first_and_gets_a_second_row(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), example={"inputs": [[0.5, 1.5]]})
    kind, request, _ = make(deployed, store, "{'y': inputs['x']}")
    assert kind is GoldenKind.EXAMPLE
    assert request["x"].tolist() == [[0.5, 1.5], [0.5, 1.5]]


def test_the_specs_example_comes_before_the_models_own(store: Store, tmp_path: Path) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), example={"inputs": [[0.5, 1.5]]})
    path = tmp_path / "example.csv"
    path.write_text("7,8\n9,10\n")
    kept = given_example.keep(path, deployed.main.facts, deployed.repository, store)
    deployed = dataclasses.replace(deployed, example=kept)
    kind, request, _ = make(deployed, store, "{'y': inputs['x']}")
    assert kind is GoldenKind.EXAMPLE
    assert request["x"].tolist() == [[7, 8], [9, 10]]


def test_an_example_makes_another_revision(store: Store) -> None:
    without = deployment(store, (X,), (X,), (Y,))
    first, second = (
        dataclasses.replace(without, example=InferenceBody(f"sha256:{letter * 64}", 1))
        for letter in "ab"
    )
    assert len({without.digest, first.digest, second.digest}) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("{", "not JSON"),
        ('{"x": [[1, 2, 3]]}', r"\[1, 3\]"),
        ('{"z": [[1, 2]]}', "does not fit"),
    ],
)
def test_a_given_example_that_does_not_fit(
    store: Store, tmp_path: Path, text: str, words: str
) -> None:
    deployed = deployment(store, (X,), (X,), (Y,))
    path = tmp_path / "example.json"
    path.write_text(text)
    with pytest.raises(ClocheError, match=words) as caught:
        given_example.keep(path, deployed.main.facts, deployed.repository, store)
    assert (caught.value.code, caught.value.exit_code) == ("spec.example", 2)
    members = getattr(caught.value, "errors", [caught.value])
    assert all(str(path) in str(error.where) and error.hint for error in members)


def test_without_a_reference_it_is_a_smoke_test(store: Store) -> None:
    kind, request, expected = make(deployment(store, (X,), (X,), (Y,), most=0), store, None)
    assert (kind, expected) == (GoldenKind.SMOKE, None)
    assert request["x"].shape == (4, 2)


def test_clients_see_scalars_as_one_element(store: Store) -> None:
    inside = (TensorSpec("x", "INT64", (-1,)),)
    outside = (TensorSpec("x", "INT64", (-1, 1)),)
    output = (TensorSpec("y", "INT64", (-1, 1)),)
    deployed = deployment(store, inside, outside, output)
    _, request, expected = make(deployed, store, "{'y': inputs['x'] + 1}")
    assert request["x"].shape == (2, 1)
    assert expected is not None
    assert expected["y"].shape == (2, 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("{'y': inputs['x'] - inputs['x'].mean(axis=0)}", "differently from its rows one by one"),
        ("{'y': inputs['x'].sum(axis=0, keepdims=True)}", "has 1 rows for a request of 2"),
        ("{'y': inputs['x'].sum()}", "has no rows"),
    ],
)
def test_rows_that_are_not_independent_are_refused(answer: str, words: str, store: Store) -> None:
    with pytest.raises(ClocheError, match=words) as caught:
        make(deployment(store, (X,), (X,), (Y,)), store, answer)
    assert caught.value.code == "golden.rows"
    assert "max_batch_size: 0" in str(caught.value.hint)


@pytest.mark.parametrize(
    "example",
    [
        {"inputs": {"a": [1, 2], "b": ["u", "v"]}},
        {"dataframe_split": {"columns": ["b", "a"], "data": [["u", 1], ["v", 2]]}},
        {"columns": ["a", "b"], "data": [[1, "u"], [2, "v"]]},
        {"dataframe_records": [{"a": 1, "b": "u"}, {"a": 2, "b": "v"}]},
        {"instances": [{"a": 1, "b": "u"}, {"a": 2, "b": "v"}]},
        {"a": [[1], [2]], "b": [["u"], ["v"]]},
    ],
)
def test_examples_of_every_form(example: Any, tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    path.write_text(json.dumps(example))
    specs = (TensorSpec("a", "INT64", (-1, 1)), TensorSpec("b", "BYTES", (-1, 1)))
    read = model_example.read(path, specs)
    assert read["a"].tolist() == [[1], [2]]
    assert read["b"].tolist() == [["u"], ["v"]]


@pytest.mark.parametrize("example", ["[", '{"a": 1}', "[[1, 2, 3]]", '{"inputs": [["x", "y"]]}'])
def test_an_example_that_does_not_fit(example: str, tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    path.write_text(example)
    with pytest.raises(ClocheError) as caught:
        model_example.read(path, (X,))
    assert caught.value.code == "golden.example"


def test_generated_values_are_such_that_most_models_take_them() -> None:
    specs = (
        TensorSpec("ids", "INT64", (-1, -1)),
        TensorSpec("attention_mask", "INT64", (-1, -1)),
        TensorSpec("text", "BYTES", (-1, 1)),
        TensorSpec("image", "FP16", (-1, 3, -1, -1)),
        TensorSpec("flag", "BOOL", (-1,)),
    )
    made = list(samples.candidates(specs, rows=2, seed="sha256:" + "ab" * 32))
    assert [one["image"].shape for one in made[::2]] == [(2, 3, s, s) for s in (4, 32, 224)]
    first = made[0]
    assert set(np.unique(first["ids"])) <= {0, 1}
    assert (first["attention_mask"] == 1).all()
    assert first["image"].dtype == np.float16
    assert all(isinstance(word, str) for word in first["text"].ravel())
    assert made[1]["text"].ravel()[0].startswith("2024-")
