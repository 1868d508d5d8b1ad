"""`inputs` of cloche.yaml: what may be written, and what is said about the rest."""

from __future__ import annotations

from typing import get_args

import pytest

from cloche import artifacts, spec
from cloche.artifacts import DATATYPES, DeclaredInput, ModelOptions, Served
from cloche.errors import ErrorGroup
from cloche.spec import written
from cloche.spec.inputs import Datatype


def mistakes(text: str) -> list[tuple[str, str, str]]:
    """Return line, code and hint of each mistake."""
    with pytest.raises(ErrorGroup) as caught:
        spec.parse(text)
    return [
        ((error.where or "").rpartition(":")[2], error.code, error.hint or "")
        for error in caught.value.errors
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("inputs: {}", "instances:"),
        (
            "inputs:\n  x: FP32 [batch, 3, -1]",
            "inputs: {x: {shape: [batch, 3, -1], datatype: FP32}}",
        ),
        ("inputs:\n  x: BYTES[]", "inputs: {x: {shape: [], datatype: BYTES}}"),
    ],
)
def test_the_short_form_is_the_same(one: str, other: str) -> None:
    first, second = (spec.parse(f"model: x\n{text}\n") for text in (one, other))
    assert first.served() == second.served()


@pytest.mark.parametrize(
    ("text", "code", "line", "hint"),
    [
        ("model: x\ninputs: [x]", "spec.value", 2, "below it"),
        ("model: x\ninputs: {x: FP32}", "spec.value", 2, "FP32 [batch, 3, 224, 224]"),
        ("model: x\ninputs: {x: [1]}", "spec.value", 2, "below it"),
        ("model: x\ninputs: {'': {shape: [1], datatype: FP32}}", "spec.value", 2, "name"),
        ("model: x\ninputs:\n  x: FLOAT [1]", "spec.value", 3, "'FP32'"),
        ("model: x\ninputs:\n  x: BF16 [1]", "spec.value", 3, "'FP32'"),
        ("model: x\ninputs:\n  x: FP32 [0]", "spec.value", 3, "[batch, 3, 224, 224]"),
        ("model: x\ninputs:\n  x: FP32 [a b]", "spec.value", 3, "[batch, 3, 224, 224]"),
        ("model: x\ninputs: {x: {shape: [true], datatype: FP32}}", "spec.value", 2, "a name"),
        ("model: x\ninputs: {x: {shape: 3, datatype: FP32}}", "spec.value", 2, "a size"),
        ("model: x\ninputs: {x: {shape: [3]}}", "spec.missing", 2, "datatype: FP32"),
        ("model: x\ninputs: {x: {datatype: FP32}}", "spec.missing", 2, "shape: [batch"),
        (
            "model: x\ninputs: {x: {shape: [1], datatype: FP32, dtype: 1}}",
            "spec.unknown",
            2,
            "`inputs.x.datatype`",
        ),
    ],
)
def test_one_mistake(text: str, code: str, line: int, hint: str) -> None:
    ((where, found, said),) = mistakes(text)
    assert (where, found) == (str(line), code)
    assert hint in said


def test_all_mistakes_of_inputs_at_once() -> None:
    text = "model: x\ninputs:\n  a: FP31 [b, 0]\n  b: {shape: [c]}\n  c: FP32\n  d: {size: 1}\n"
    found = sorted((line, code) for line, code, _ in mistakes(text))
    assert found == [
        ("3", "spec.value"),
        ("3", "spec.value"),
        ("4", "spec.missing"),
        ("5", "spec.value"),
        ("6", "spec.missing"),
        ("6", "spec.missing"),
        ("6", "spec.unknown"),
    ]


def test_declared_inputs_keep_their_order_and_are_part_of_the_revision() -> None:
    made = spec.parse("model: x\ninputs:\n  z: FP32 [batch, 3]\n  a: INT64 [-1]\n").served()
    expected = (DeclaredInput("z", "FP32", ("batch", 3)), DeclaredInput("a", "INT64", (-1,)))
    assert made.model.inputs == expected
    assert artifacts.decode(Served, artifacts.encode(made)) == made
    assert written.served(made) == {"inputs": ["z FP32 [batch, 3]", "a INT64 [?]"]}


def test_declared_inputs_have_the_datatypes_that_numpy_has() -> None:
    assert set(get_args(Datatype)) == DATATYPES.keys() - {"BF16"}


def test_a_revision_of_before_there_were_inputs_is_the_same() -> None:
    options = Served(model=ModelOptions(class_name="a.B"))
    assert artifacts.asked_for(options) == {"model": {"class_name": "a.B"}}
    stored = artifacts.to_builtins(options)
    del stored["model"]["inputs"]
    assert artifacts.convert(Served, stored) == options
