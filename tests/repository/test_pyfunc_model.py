"""The code that serves MLflow models, without Triton: mapping, casting, joining and splitting."""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.repository.pyfunc import model as serving

# isort: split
# The served files import each other from their own folder, which the first one names.
import pyfunc_inputs
import pyfunc_outputs

# isort: split
from cloche.verification.reference.scripts import exchange

REFERENCE = Path(exchange.__file__).parent


def output(name: str, kind: str = "TYPE_FP64", dims: Any = (1,), **more: Any) -> dict[str, Any]:
    return {"name": name, "data_type": kind, "dims": list(dims), **more}


SERVED = Path(serving.__file__).parent


@pytest.mark.parametrize("path", [*SERVED.glob("*.py"), *REFERENCE.glob("*.py")], ids=str)
def test_what_runs_in_a_models_environment_keeps_to_python_3_8(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    imported |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not [name for name in imported if name.split(".")[0] == "cloche"]


@pytest.mark.parametrize(
    "result",
    [
        pd.DataFrame({"b": [3.0, 4.0], "a": [1, 2]}),
        {"a": [1, 2], "b": [3, 4]},
        {"b": np.array([3.0, 4.0]), "a": np.array([[1], [2]]), "more": [0, 0]},
        {"b": [3.0, 4.0], "a": [1, 2], "a.missing": [True, True]},
        ([1, 2], [3, 4]),
        pd.DataFrame({"first": [1, 2], "second": [3, 4]}),
    ],
)
def test_outputs_are_found_by_name_and_else_by_position(result: Any) -> None:
    outputs = pyfunc_outputs.Outputs([output("a", "TYPE_INT64"), output("b")], batches=True)
    arrays = outputs.read(result, 2)
    assert arrays["a"].tolist() == [[1], [2]]
    assert arrays["b"].tolist() == [[3.0], [4.0]]
    assert arrays["a"].dtype == np.int64


@pytest.mark.parametrize(
    ("declared", "result", "expected"),
    [
        (output("y"), [1, 2], [[1.0], [2.0]]),
        (output("y", dims=[1], reshape={"shape": []}), [[1], [2]], [1.0, 2.0]),
        (output("y", dims=[2]), pd.DataFrame({"p": [0.5], "q": [0.5]}), [[0.5, 0.5]]),
        (output("y", dims=[-1]), pd.Series([1, 2]), [[1.0], [2.0]]),
        (output("y", "TYPE_STRING"), ["a", "é"], [[b"a"], ["é".encode()]]),
        (output("y", "TYPE_STRING"), np.array([1, 2]), [[b"1"], [b"2"]]),
        (output("y", "TYPE_BOOL"), np.array([1, 0]), [[True], [False]]),
        (output("y", "TYPE_INT32"), np.array([3.0]), [[3]]),
        (output("y", "TYPE_STRING"), [{"a": np.arange(2)}], [[b'{"a": [0, 1]}']]),
        (output("y", "TYPE_STRING"), [[1.0], [2.0, 3.0]], [[b"[1.0]"], [b"[2.0, 3.0]"]]),
        (
            output("y", "TYPE_STRING"),
            pd.Series(pd.to_datetime(["2026-01-31"])),
            [[b"2026-01-31T00:00:00"]],
        ),
        (output("y", dims=[-1]), [[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]),
        (output("y", "TYPE_STRING", dims=[-1]), [["a", "b"]], [[b"a", b"b"]]),
    ],
)
def test_shapes_and_types_become_the_declared_ones(
    declared: Any, result: Any, expected: Any
) -> None:
    outputs = pyfunc_outputs.Outputs([declared], batches=True)
    assert outputs.read(result, len(result))["y"].tolist() == expected


@pytest.mark.parametrize(
    ("declared", "result", "words"),
    [
        (output("y", "TYPE_INT64"), [1.5], "is of float64, declared as int64"),
        (output("y", "TYPE_INT8"), [300], "declared as int8"),
        (output("y"), ["5"], "declared as float64"),
        (output("y"), np.ones((1, 2, 3)), r"has the shape \[1, 2, 3\]"),
        (output("y"), [1, 2, 3], "has 3 rows for 1 rows"),
        (output("y", "TYPE_STRING"), [None], "misses a value"),
    ],
)
def test_what_was_not_declared_is_an_error(declared: Any, result: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pyfunc_outputs.Outputs([declared], batches=True).read(result, 1)


@pytest.mark.parametrize(
    "result", [{"step": [1], "yhat": [2.0]}, pd.DataFrame({"yhat": [2.0], "yhat_low": [1.0]})]
)
def test_a_name_that_is_missing_among_named_answers_is_an_error(result: Any) -> None:
    outputs = pyfunc_outputs.Outputs([output("yhat"), output("yhat_lower")], batches=True)
    with pytest.raises(ValueError, match="and not yhat_lower"):
        outputs.read(result, 1)


def test_missing_values_are_marked_where_that_is_declared() -> None:
    declared = [
        output("label", "TYPE_STRING"), output("label.missing", "TYPE_BOOL"),
        output("count", "TYPE_INT64"), output("count.missing", "TYPE_BOOL"), output("score"),
    ]  # fmt: skip
    outputs = pyfunc_outputs.Outputs(declared, batches=True)
    table = pd.DataFrame(
        {"label": ["a", None], "count": pd.array([None, 3], "Int64"), "score": [1.0, None]}
    )
    read = {name: array.ravel().tolist() for name, array in outputs.read(table, 2).items()}
    assert str(read.pop("score")) == "[1.0, nan]"
    assert read == {
        "label": [b"a", b""], "label.missing": [False, True],
        "count": [0, 3], "count.missing": [True, False],
    }  # fmt: skip


class Tensor:
    """Stands in for the Python backend's tensor."""

    def __init__(self, name: str, array: Any) -> None:
        self._name, self.array = name, np.asarray(array)

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Any:
        return self.array


class Request:
    """Stands in for the Python backend's request."""

    def __init__(self, **arrays: Any) -> None:
        self._tensors = [Tensor(name, array) for name, array in arrays.items()]

    def inputs(self) -> list[Tensor]:
        return self._tensors


class TensorSchema:
    """Stands in for MLflow's schema of one unnamed tensor."""

    def is_tensor_spec(self) -> bool:
        return True

    def has_input_names(self) -> bool:
        return False

    def input_types(self) -> list[Any]:
        return [np.dtype("f8")]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A served model that doubles its rows, refuses negative ones, and keeps what it was asked."""
    utils: Any = types.ModuleType("triton_python_backend_utils")
    utils.Tensor = Tensor
    utils.TritonError = type("TritonError", (Exception,), {"INVALID_ARG": 3})
    utils.InferenceResponse = lambda output_tensors=(), error=None: (
        error or {tensor.name(): tensor.array.tolist() for tensor in output_tensors}
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils)
    served: Any = serving.TritonPythonModel()
    served.asked = []

    def predict(array: Any) -> Any:
        served.asked.append(len(array))
        if (array < 0).any():
            raise ValueError("negative")
        return array * 2

    metadata = types.SimpleNamespace(get_input_schema=TensorSchema)
    loaded = types.SimpleNamespace(metadata=metadata, predict=predict)
    inputs = [{"name": "input", "data_type": "TYPE_FP64", "dims": [-1]}]
    served._batches = True
    served._inputs = pyfunc_inputs.Inputs(inputs, loaded)
    served._outputs = pyfunc_outputs.Outputs([output("y", dims=[-1])], batches=True)
    return served


def test_requests_of_one_layout_are_joined_and_split_again(model: Any) -> None:
    answers = model.execute([
        Request(input=[[1.0]]), Request(input=[[2.0], [3.0]]), Request(input=[[4.0, 5.0]]),
        Request(input=np.ones((0, 1))),
    ])  # fmt: skip
    assert answers == [{"y": [[2.0]]}, {"y": [[4.0], [6.0]]}, {"y": [[8.0, 10.0]]}, {"y": []}]
    assert model.asked == [3, 1]


def test_only_the_wrong_request_gets_an_error(model: Any) -> None:
    rows = [1.0, 2.0, 3.0, 4.0, 5.0, -1.0, 7.0, 8.0]
    answers = model.execute([Request(input=[[row]]) for row in rows])
    assert [str(answer) for answer in answers if isinstance(answer, Exception)] == [
        "ValueError: negative"
    ]
    assert [answers[i] for i in (0, 4, 6)] == [{"y": [[2.0]]}, {"y": [[10.0]]}, {"y": [[14.0]]}]
    # Halving finds it: eight, then four and four, two and two, one and one.
    assert model.asked == [8, 4, 4, 2, 1, 1, 2]


def test_a_missing_input_is_named_and_harms_no_other(model: Any) -> None:
    missing, right = model.execute([Request(), Request(input=[[1.0]])])
    assert "input input is missing; it is FP64" in str(missing)
    assert right == {"y": [[2.0]]}
