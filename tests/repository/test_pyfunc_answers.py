"""Answers as users of MLflow write them: the served code and the reference read them alike.

The two are written apart, so this table says what both have to give. What a signature declares is
what MLflow infers for each result.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.artifacts import TensorSpec
from cloche.repository.pyfunc import model as serving

# isort: split
# The served files import each other from their own folder, which the first one names.
import pyfunc_categories
import pyfunc_inputs
import pyfunc_outputs

# isort: split
from cloche.errors import ClocheError
from cloche.verification import declared_answer
from cloche.verification.reference.scripts import pyfunc_answers

assert serving  # it names the folder
assert Path(pyfunc_outputs.__file__).parent in [Path(each) for each in sys.path]


def text(name: str = "output", shape: tuple[int, ...] = (-1, 1)) -> TensorSpec:
    return TensorSpec(name, "BYTES", shape)


def number(datatype: str, name: str = "output", shape: tuple[int, ...] = (-1, 1)) -> TensorSpec:
    return TensorSpec(name, datatype, shape)


@dataclasses.dataclass
class Point:
    x: float
    when: dt.date


class Model:
    """Stands in for an object of pydantic."""

    def model_dump(self) -> dict[str, Any]:
        return {"name": "a", "tags": None}


MOMENT = dt.datetime(2026, 1, 2, 3)  # noqa: DTZ001 - tables have times without a zone
LISTS = text("t", (-1, -1))

CASES: list[tuple[str, list[TensorSpec], Any, dict[str, Any]]] = [
    ("one text", [text()], "hello", {"output": [[b"hello"]]}),
    ("one number", [number("FP64")], np.float64(3.5), {"output": [[3.5]]}),
    ("one flag", [number("BOOL")], True, {"output": [[True]]}),
    (
        "one record",
        [text("label"), number("FP64", "scores", (-1, -1)), number("INT64", "n")],
        {"label": "x", "scores": [0.1, 0.9], "n": 2},
        {"label": [[b"x"]], "scores": [[0.1, 0.9]], "n": [[2]]},
    ),
    (
        "a record of structures",
        [text("id"), text("choices", (-1, -1))],
        {"id": "a", "choices": [{"index": 0}, {"index": 1}]},
        {"id": [[b"a"]], "choices": [[b'{"index": 0}', b'{"index": 1}']]},
    ),
    (
        "records as rows",
        [number("INT64", "a"), text("b")],
        [{"a": 1, "b": "x"}, {"b": "y", "a": 2, "more": 0}],
        {"a": [[1], [2]], "b": [[b"x"], [b"y"]]},
    ),
    (
        "records with gaps",
        [number("FP64", "a"), text("b"), TensorSpec("b.missing", "BOOL", (-1, 1), marks="b")],
        [{"a": 1.5}, {"a": None, "b": "y"}],
        {"a": [[1.5], [np.nan]], "b": [[b""], [b"y"]], "b.missing": [[True], [False]]},
    ),
    (
        "structures that are no table",
        [text()],
        [{"a": 1}, {"a": 2}],
        {"output": [[b'{"a": 1}'], [b'{"a": 2}']]},
    ),
    (
        "lists of text",
        [LISTS],
        pd.DataFrame({"t": [["a", "b"], ["c", "d"]]}),
        {"t": [[b"a", b"b"], [b"c", b"d"]]},
    ),
    (
        "lists of text, unequal",
        [LISTS],
        pd.DataFrame({"t": [["a", "b"], ["c"]]}),
        {"t": [[b'["a", "b"]'], [b'["c"]']]},
    ),
    (
        "lists of structures",
        [LISTS],
        pd.DataFrame({"t": [[{"a": 1}], [{"a": 2}]]}),
        {"t": [[b'{"a": 1}'], [b'{"a": 2}']]},
    ),
    (
        "lists where one value per row is declared",
        [text()],
        [["a", 1], ["b", 2]],
        {"output": [[b'["a", 1]'], [b'["b", 2]']]},
    ),
    (
        "whole numbers with gaps",
        [number("INT64"), TensorSpec("output.missing", "BOOL", (-1, 1), marks="output")],
        pd.Series([1, None], dtype="Int64"),
        {"output": [[1], [0]], "output.missing": [[False], [True]]},
    ),
    (
        "nothing but gaps",
        [number("INT64"), TensorSpec("output.missing", "BOOL", (-1, 1), marks="output")],
        pd.Series([None, None], dtype="Int64"),
        {"output": [[0], [0]], "output.missing": [[True], [True]]},
    ),
    (
        "flags with gaps",
        [number("BOOL"), TensorSpec("output.missing", "BOOL", (-1, 1), marks="output")],
        pd.Series([True, None], dtype="boolean"),
        {"output": [[True], [False]], "output.missing": [[False], [True]]},
    ),
    (
        "flags with gaps as objects",
        [number("BOOL", "a"), TensorSpec("a.missing", "BOOL", (-1, 1), marks="a")],
        pd.DataFrame({"a": [True, None]}),
        {"a": [[True], [False]], "a.missing": [[False], [True]]},
    ),
    (
        "whole numbers with gaps in a list",
        [number("INT64"), TensorSpec("output.missing", "BOOL", (-1, 1), marks="output")],
        [1, None],
        {"output": [[1], [0]], "output.missing": [[False], [True]]},
    ),
    (
        "floats of pandas with gaps",
        [number("FP64")],
        pd.Series([1.5, None], dtype="Float64"),
        {"output": [[1.5], [np.nan]]},
    ),
    (
        "text of pandas with gaps",
        [text(), TensorSpec("output.missing", "BOOL", (-1, 1), marks="output")],
        pd.Series(["a", pd.NA], dtype="string"),
        {"output": [[b"a"], [b""]], "output.missing": [[False], [True]]},
    ),
    (
        "durations",
        [text("a")],
        pd.DataFrame({"a": pd.to_timedelta([1, 36], unit="h")}),
        {"a": [[b"P0DT1H0M0S"], [b"P1DT12H0M0S"]]},
    ),
    ("durations of Python", [text()], [dt.timedelta(hours=1)], {"output": [[b"P0DT1H0M0S"]]}),
    (
        "times",
        [text("a"), text("b"), text("c")],
        pd.DataFrame({"a": [MOMENT.date()], "b": [MOMENT], "c": [MOMENT.time()]}),
        {"a": [[b"2026-01-02"]], "b": [[b"2026-01-02T03:00:00"]], "c": [[b"03:00:00"]]},
    ),
    (
        "objects",
        [text()],
        [Model(), Point(1.0, MOMENT.date())],
        {"output": [[b'{"name": "a", "tags": null}'], [b'{"x": 1.0, "when": "2026-01-02"}']]},
    ),
    (
        "objects in a structure",
        [text()],
        [{"at": MOMENT, "who": Model()}],
        {"output": [[b'{"at": "2026-01-02T03:00:00", "who": {"name": "a", "tags": null}}']]},
    ),
    (
        "what is yielded",
        [number("FP64")],
        lambda: (one / 2 for one in (1, 2)),
        {"output": [[0.5], [1.0]]},
    ),
    ("an index", [number("INT64")], pd.Index([1, 2]), {"output": [[1], [2]]}),
    ("decimals", [text()], [decimal.Decimal("1.10")], {"output": [[b"1.10"]]}),
    (
        "columns of one output",
        [text()],
        (np.ones(2), ["a", "b"]),
        {"output": [[b"1.0", b"a"], [b"1.0", b"b"]]},
    ),
]


def as_config(spec: TensorSpec) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape[1:])}


@pytest.mark.parametrize(("specs", "result", "expected"), [c[1:] for c in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_served_and_reference_read_an_answer_alike(
    specs: list[TensorSpec], result: Any, expected: dict[str, Any]
) -> None:
    rows = len(next(iter(expected.values())))
    made = result if callable(result) else lambda: result
    served = pyfunc_outputs.Outputs([as_config(spec) for spec in specs], batches=True)
    got = served.read(made(), rows)
    assert str({name: got[name].tolist() for name in expected}) == str(expected)
    own = {
        spec.name: {"datatype": spec.datatype, "shape": list(spec.shape)}
        for spec in specs
        if spec.marks is None
    }
    answer = dict(pyfunc_answers.read(made(), own))
    declared = declared_answer.as_declared(answer, tuple(specs))
    assert str({name: declared[name].tolist() for name in expected}) == str(expected)


def test_lists_of_unequal_length_are_named_as_such() -> None:
    result = pd.DataFrame({"v": [[1.0, 2.0], [3.0]]})
    spec = number("FP64", "v", (-1, -1))
    answer = dict(pyfunc_answers.read(result, {"v": {"datatype": "FP64", "shape": [-1, -1]}}))
    with pytest.raises(ClocheError, match="lists of different lengths"):
        declared_answer.as_declared(answer, (spec,))
    with pytest.raises(ValueError, match="different lengths"):
        pyfunc_outputs.Outputs([as_config(spec)], batches=True).read(result, 2)


class Schema:
    """Stands in for MLflow's schema of named columns."""

    def __init__(self, **types: Any) -> None:
        self._types = types

    def is_tensor_spec(self) -> bool:
        return False

    def has_input_names(self) -> bool:
        return True

    def input_names(self) -> list[str]:
        return list(self._types)

    def input_types(self) -> list[Any]:
        return list(self._types.values())


def inputs_of(schema: Schema, entries: list[dict[str, Any]]) -> Any:
    metadata = SimpleNamespace(get_input_schema=lambda: schema)
    loaded = SimpleNamespace(metadata=metadata, predict=None, _model_impl=None)
    return pyfunc_inputs.Inputs(entries, loaded)


def test_a_column_may_be_called_like_a_mark() -> None:
    kind = SimpleNamespace(name="string")
    schema = Schema(**{"city": kind, "city.missing": SimpleNamespace(name="boolean")})
    entries = [
        {"name": "city", "data_type": "TYPE_STRING"},
        {"name": "city.missing", "data_type": "TYPE_BOOL"},
    ]
    table = inputs_of(schema, entries).make(
        {"city": np.array([["a"], ["b"]], object), "city.missing": np.array([[True], [False]])}
    )
    assert table.to_dict("list") == {"city": ["a", "b"], "city.missing": [True, False]}


def test_structures_in_the_lists_of_a_column() -> None:
    structures = type("Array", (), {"dtype": type("Object", (), {})()})()
    entries = [{"name": "messages", "data_type": "TYPE_STRING"}]
    table = inputs_of(Schema(messages=structures), entries).make(
        {"messages": np.array([['{"role": "user"}', '{"role": "bot"}']], object)}
    )
    assert table["messages"].tolist() == [[{"role": "user"}, {"role": "bot"}]]


def test_categories_of_lightgbm_by_the_place_of_their_column() -> None:
    booster = SimpleNamespace(
        pandas_categorical=[[3, 5, 9], ["u", "v"]],
        model_to_string=lambda num_iteration: "tree\nfeature_infos=0:1:2 [-1:1] 0:1\n",
    )
    loaded = SimpleNamespace(_model_impl=SimpleNamespace(lgb_model=booster))
    found = pyfunc_categories.categories(loaded, ["a", "size", "b"], ["b"])
    assert {label: list(kind.categories) for label, kind in found.items()} == {
        "a": [3, 5, 9], "b": ["u", "v"],
    }  # fmt: skip
