"""Which golden request a deployment gets, what judges it, and what a trial shows of a model."""

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
    Golden,
    InferenceBody,
    Judge,
    Member,
    ModelFacts,
    ModelFormat,
    ModelMetadata,
    ModelRepository,
    ModelSnapshot,
    RepositoryMember,
    RequestOrigin,
    TensorSpec,
)
from cloche.clients.kserve.tensors import decode
from cloche.errors import ClocheError
from cloche.store import Store
from cloche.verification import (
    asked,
    bodies,
    declared_answer,
    examination,
    golden,
    model_example,
)
from cloche.verification import spec_example as given_example
from cloche.verification.reference.scripts import exchange

AXIS = BatchAxis(present=True, certainty=Certainty.CERTAIN, why="it is a test")
X = TensorSpec("x", "FP32", (-1, 2), ("batch", None))
SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(exchange.__file__).parent)!r})
import exchange, job
import numpy as np
class Model(job.Framework):
    def loaded(self):
        return {{loaded}}
    def run(self, inputs):
        {{body}}
job.work(Path(sys.argv[1]), Model())
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


def examined(
    deployed: Deployment,
    store: Store,
    body: str | None,
    *,
    loaded: Any = None,
    example: given_example.GivenExample | None = None,
) -> examination.Examined:
    """Examine a model that answers as `body` says."""
    model = None
    if body is not None:
        script = store.root / "script.py"
        text = SCRIPT.replace("{body}", body).replace("{loaded}", repr(loaded or {}))
        script.write_text(text)
        variants = (asked.Variant(), asked.Variant())
        model = asked.Model(str(script), Path(sys.executable), store.root, {}, variants)
    return examination.examine(
        deployed.main, deployed.repository.main, example, model, store, timeout=60
    )


def make(deployed: Deployment, store: Store, body: str | None, **more: Any) -> Golden:
    return examined(deployed, store, body, **more).golden(deployed.repository.main, store)


def tensors(body: InferenceBody | None, store: Store) -> dict[str, Any]:
    assert body is not None
    return decode(store.read(body.digest), body.header_length)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


Y = TensorSpec("y", "FP32", (-1, 2))


def test_a_request_is_made_and_the_same_again(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,))
    body = "return {'y': inputs['x'] * 2}"
    made = make(deployed, store, body)
    assert (made.origin, made.judge, made.why) == (RequestOrigin.MADE, Judge.REFERENCE, None)
    request = tensors(made.requests[0], store)
    assert request["x"].shape == (2, 2)
    np.testing.assert_array_equal(tensors(made.expected, store)["y"], request["x"] * 2)
    assert make(deployed, store, body) == made


def test_the_models_own_example_comes_first_and_gets_a_second_row(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), example={"inputs": [[0.5, 1.5]]})
    made = make(deployed, store, "return {'y': inputs['x']}")
    assert made.origin is RequestOrigin.STORED
    assert tensors(made.requests[0], store)["x"].tolist() == [[0.5, 1.5], [0.5, 1.5]]


def test_a_model_that_refuses_its_own_example_is_asked_another(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), example={"inputs": [[-1, -1]]})
    body = "assert (inputs['x'] >= 0).all(), 'negative'; return {'y': inputs['x']}"
    found = examined(deployed, store, body)
    assert found.golden(deployed.repository.main, store).origin is RequestOrigin.MADE
    assert [(each.code, "negative" in each.what) for each in found.facts.findings] == [
        ("golden.stored_example", True)
    ]


def given(store: Store, path: Path, deployed: Deployment) -> given_example.GivenExample:
    return given_example.keep(path, deployed.main.facts, deployed.repository, store)


def test_the_users_example_comes_before_the_models_own(store: Store, tmp_path: Path) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), example={"inputs": [[0.5, 1.5]]})
    path = tmp_path / "example.csv"
    path.write_text("7,8\n9,10\n")
    example = given(store, path, deployed)
    made = make(deployed, store, "return {'y': inputs['x']}", example=example)
    assert (made.origin, made.judge) == (RequestOrigin.GIVEN, Judge.REFERENCE)
    assert tensors(made.requests[0], store)["x"].tolist() == [[7, 8], [9, 10]]


@pytest.mark.parametrize(
    "outputs",
    [{"y": [[7, 8]]}, [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [7, 8]}]],
)
def test_expected_values_judge(outputs: Any, store: Store, tmp_path: Path) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), most=0)
    path = tmp_path / "example.json"
    path.write_text(json.dumps({"inputs": {"x": [[7, 8]]}, "outputs": outputs}))
    example = given(store, path, deployed)
    for body in ("return {'y': inputs['x']}", None):
        made = make(deployed, store, body, example=example)
        assert made.judge is Judge.EXPECTED
        assert tensors(made.expected, store)["y"].tolist() == [[7, 8]]
    with pytest.raises(ClocheError) as caught:
        make(deployed, store, "return {'y': inputs['x'] * 2}", example=example)
    assert caught.value.code == "golden.expected"


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("raise ValueError('too short')", "golden.refused", "refuses the example"),
        ("import nothing_of_this_name", "golden.failed", "nothing_of_this_name"),
        ("raise MemoryError('8 TiB')", "golden.refused", "8 TiB"),
    ],
)
def test_a_given_example_that_the_model_refuses(
    body: str, code: str, words: str, store: Store, tmp_path: Path
) -> None:
    deployed = deployment(store, (X,), (X,), (Y,))
    path = tmp_path / "example.csv"
    path.write_text("7,8\n")
    with pytest.raises(ClocheError, match=words) as caught:
        make(deployed, store, body, example=given(store, path, deployed))
    assert caught.value.code == code


def test_a_model_that_accepts_nothing_is_judged_by_its_refusals(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,))
    made = make(deployed, store, "raise ValueError('no such city')")
    assert (made.judge, made.expected) == (Judge.NONE, None)
    assert made.requests
    assert "no such city" in str(made.why)
    with pytest.raises(ClocheError, match="AttributeError") as caught:
        make(deployed, store, "return inputs['x'].no_such")
    assert "log it again" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("body", "judge", "words"),
    [
        ("return {'y': np.random.rand(2, 2).astype('f4')}", Judge.TYPES, "differ in y"),
        ("return {'y': (inputs['x'] + np.random.rand() * 1e-4).astype('f4')}", Judge.REFERENCE, ""),
        ("return {'y': np.full((2, 2), np.nan, 'f4')}", Judge.SMOKE, "finite value"),
        ("return {'y': np.array([[1, -np.inf]] * 2, 'f4')}", Judge.REFERENCE, ""),
    ],
)
def test_an_answer_that_proves_less(body: str, judge: Judge, words: str, store: Store) -> None:
    made = make(deployment(store, (X,), (X,), (Y,)), store, body)
    assert made.judge is judge
    assert words in (made.why or "")


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


def test_without_a_reference_several_requests_are_tried(store: Store) -> None:
    open_size = (TensorSpec("x", "FP32", (-1, -1)),)
    made = make(deployment(store, open_size, open_size, (Y,), most=0), store, None)
    assert (made.judge, made.expected, bool(made.why)) == (Judge.SMOKE, None, True)
    assert len(made.requests) > 1


def test_a_stateful_model_is_asked_a_whole_sequence_of_one(store: Store) -> None:
    deployed = deployment(store, (X,), (X,), (Y,))
    member = dataclasses.replace(deployed.repository.main, sequence_idle=5.0)
    stateful = dataclasses.replace(deployed.repository, members=(member,))
    made = make(dataclasses.replace(deployed, repository=stateful), store, None)
    assert tensors(made.requests[0], store)["x"].shape == (1, 2)
    given = bodies.parameters_of(made.requests[0], store)
    assert given["sequence_id"] > 0
    assert (given["sequence_start"], given["sequence_end"]) == (True, True)


def test_clients_see_scalars_as_one_element(store: Store) -> None:
    inside = (TensorSpec("x", "INT64", (-1,)),)
    outside = (TensorSpec("x", "INT64", (-1, 1)),)
    output = (TensorSpec("y", "INT64", (-1, 1)),)
    deployed = deployment(store, inside, outside, output)
    made = make(deployed, store, "return {'y': inputs['x'] + 1}")
    assert tensors(made.requests[0], store)["x"].shape == (2, 1)
    assert tensors(made.expected, store)["y"].shape == (2, 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return {'y': inputs['x'] - inputs['x'].mean(axis=0)}", "from its rows one by one"),
        ("return {'y': inputs['x'].cumsum(axis=0)}", "from its rows one by one"),
        ("return {'y': inputs['x'].sum(axis=0, keepdims=True)}", "has 1 rows for a request of 2"),
        ("return {'y': inputs['x'].sum()}", "has no rows"),
        ("assert len(inputs['x']) > 1, 'too few'; return {'y': inputs['x']}", "too few"),
    ],
)
def test_rows_that_depend_on_each_other_are_served_without_batches(
    body: str, words: str, store: Store
) -> None:
    found = examined(deployment(store, (X,), (X,), (Y,)), store, body)
    assert (found.facts.batch.present, found.facts.batch.measured) == (False, True)
    assert words in found.facts.batch.why
    found.refuse_batches(None)
    found.refuse_batches(0)
    with pytest.raises(ClocheError) as caught:
        found.refuse_batches(8)
    assert caught.value.code == "golden.rows"


def test_noise_of_the_model_is_not_blamed_on_batches(store: Store) -> None:
    body = "return {'y': inputs['x'] * (1 + 1e-3 * np.random.rand(len(inputs['x']), 1))}"
    found = examined(deployment(store, (X,), (X,), (Y,)), store, body)
    assert found.facts.batch.present
    assert found.trial is not None
    assert found.trial.noise["y"] is not None


def test_the_runtimes_own_shapes_win(store: Store) -> None:
    declared = TensorSpec("y", "FP32", (-1, -1, 2), ("batch", "sequence", None))
    loaded = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3, 2]}],
    }
    deployed = deployment(store, (X,), (X,), (declared,))
    body = "return {'y': np.ones((len(inputs['x']), 3, 2), 'f4')}"
    found = examined(deployed, store, body, loaded=loaded).facts
    assert found.inputs == (X,)
    assert found.outputs == (
        TensorSpec("y", "FP32", (-1, 3, 2), ("batch", None, None), declared=(-1, -1, 2)),
    )


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
    read, _ = model_example.read(path, specs)
    assert read["a"].tolist() == [[1], [2]]
    assert read["b"].tolist() == [["u"], ["v"]]


@pytest.mark.parametrize("example", ["[", '{"a": 1}', "[[1, 2, 3]]", '{"inputs": [["x", "y"]]}'])
def test_an_example_that_does_not_fit(example: str, tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    path.write_text(example)
    with pytest.raises(ClocheError) as caught:
        model_example.read(path, (X,))
    assert caught.value.code == "golden.example"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"columns": ["b"], "data": [["u"], [NaN]]}', "b misses a value"),
        ('{"columns": ["b"], "data": [["u"], [null]]}', "b misses a value"),
    ],
)
def test_a_missing_text_that_nothing_can_mark_never_becomes_text(
    content: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "example.json"
    path.write_text(content)
    with pytest.raises(ClocheError, match=words):
        model_example.read(path, (TensorSpec("b", "BYTES", (-1, 1)),))


def test_lists_of_unequal_length_are_no_example(tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    path.write_text('{"columns": ["v"], "data": [[[1.0, 2.0]], [[3.0]]]}')
    with pytest.raises(ClocheError, match="its lists differ in length") as caught:
        model_example.read(path, (TensorSpec("v", "FP64", (-1, -1)),))
    assert "--example" in (caught.value.hint or "")


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_an_example_of_mlflow_may_miss_values_and_have_parameters(
    gap: float | None, tmp_path: Path
) -> None:
    path = tmp_path / "example.json"
    table = {"columns": ["city", "age"], "data": [["Rome", 3.0], [gap, float("nan")]]}
    parameters = {"power": 2, "stops": ["a"], "off": None}
    path.write_text(json.dumps({"dataframe_split": table, "params": parameters}))
    specs = (
        TensorSpec("city", "BYTES", (-1, 1), optional=True),
        TensorSpec("city.missing", "BOOL", (-1, 1), optional=True, marks="city"),
        TensorSpec("age", "FP64", (-1, 1)),
    )
    read, given = model_example.read(path, specs)
    assert read["city"].tolist() == [["Rome"], [""]]
    assert read["city.missing"].tolist() == [[False], [True]]
    assert str(read["age"].ravel().tolist()) == "[3.0, nan]"
    assert given == {"power": 2, "stops": '["a"]'}


@pytest.mark.parametrize(
    ("example", "specs", "expected"),
    [
        ({"dataframe_split": {"data": [[1.0, 2.0]]}},
         (TensorSpec("0", "FP64", (-1, 1)), TensorSpec("1", "FP64", (-1, 1))),
         {"0": [[1.0]], "1": [[2.0]]}),
        ([{"a": [1]}, {"b": 2}], (TensorSpec("input", "BYTES", (-1, 1)),),
         {"input": [['{"a": [1]}'], ['{"b": 2}']]}),
        ({"inputs": ["x", "y"]}, (TensorSpec("input", "BYTES", (-1, 1)),),
         {"input": [["x"], ["y"]]}),
        ({"columns": ["t"], "data": [[["a", "b"]]]}, (TensorSpec("t", "BYTES", (-1, -1)),),
         {"t": [["a", "b"]]}),
    ],
)  # fmt: skip
def test_examples_without_names_and_of_structures(
    example: Any, specs: tuple[TensorSpec, ...], expected: Any, tmp_path: Path
) -> None:
    path = tmp_path / "example.json"
    path.write_text(json.dumps(example))
    read, _ = model_example.read(path, specs)
    assert {name: array.tolist() for name, array in read.items()} == expected


@pytest.mark.parametrize(
    ("there", "here", "specs", "fits"),
    [
        (8, 8, (X, Y), True),
        (8, 32, (X, Y), True),
        (8, 0, (X, Y), True),
        (8, 1, (X, Y), False),  # two rows are refused
        (1, 8, (X, Y), False),  # one row shows no mixing
        (8, 8, (TensorSpec("x", "FP32", (-1,)), Y), False),
        (8, 8, (X, TensorSpec("y", "FP32", (-1, 2, 1))), False),
        (8, 8, (X, TensorSpec("z", "FP32", (-1, 2))), False),
    ],
)
def test_a_golden_request_of_another_machine_fits_what_is_served_alike(
    there: int, here: int, specs: tuple[TensorSpec, TensorSpec], fits: bool, store: Store
) -> None:
    deployed = deployment(store, (X,), (X,), (Y,), most=there)
    made = make(deployed, store, "return {'y': inputs['x'] * 2}")
    served = RepositoryMember("m", "onnxruntime", specs[:1], specs[1:], here)
    assert golden.fits(made, served, store) is fits


NAMED = (TensorSpec("yhat", "FP64", (-1, 1)), TensorSpec("yhat_lower", "FP64", (-1, 1)))


@pytest.mark.parametrize(
    ("answer", "specs", "expected"),
    [
        ({"output": [1, 2]}, (TensorSpec("y", "FP32", (-1, 1)),), {"y": [[1], [2]]}),
        ({"0": [1], "1": [2]}, NAMED, {"yhat": [[1]], "yhat_lower": [[2]]}),
        ({"yhat_lower": [1], "yhat": [2]}, NAMED, {"yhat": [[2]], "yhat_lower": [[1]]}),
        ({"p": [1], "q": [2]}, (TensorSpec("y", "FP64", (-1, 2)),), {"y": [[1, 2]]}),
        ({"output": [7]}, (TensorSpec("y", "BYTES", (-1, 1)),), {"y": [[b"7"]]}),
        ({"step": [1], "yhat": [2], "yhat_low": [3]}, NAMED, None),
        ({"output": [1.5]}, (TensorSpec("y", "INT64", (-1, 1)),), None),
        ({"output": [b"a"]}, (TensorSpec("y", "INT64", (-1, 1)),), None),
    ],
)
def test_an_answer_of_the_framework_goes_by_name_and_else_by_position(
    answer: Any, specs: tuple[TensorSpec, ...], expected: Any
) -> None:
    arrays = {
        name: np.array(value, object if isinstance(value[0], bytes) else None)
        for name, value in answer.items()
    }
    if expected is None:
        with pytest.raises(ClocheError) as caught:
            declared_answer.as_declared(arrays, specs)
        assert caught.value.code == "golden.outputs"
        return
    declared = declared_answer.as_declared(arrays, specs)
    assert {name: array.tolist() for name, array in declared.items()} == expected
