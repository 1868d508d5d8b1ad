"""What a user declares of a model's inputs, beside what its files tell."""

from __future__ import annotations

import pytest

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    DeclaredInput,
    ModelFacts,
    ModelFormat,
    ModelOptions,
    TensorSpec,
)
from cloche.errors import UsageError
from cloche.formats import declared_inputs

IMAGE = TensorSpec("image", "FP32", (-1, 3, 32, 32), ("n", None, None, None))
FLAG = TensorSpec("flag", "BOOL", (1,), optional=True)


def facts(*inputs: TensorSpec) -> ModelFacts:
    batch = BatchAxis(present=False, certainty=Certainty.UNKNOWN, why="")
    return ModelFacts(ModelFormat.ONNX, "onnx", "onnxruntime", inputs, (), batch, 1, None)


def declared(name: str, datatype: str, *shape: int | str) -> DeclaredInput:
    return DeclaredInput(name, datatype, shape)


def applied(known: ModelFacts, *inputs: DeclaredInput) -> ModelFacts:
    return declared_inputs.applied(known, ModelOptions(inputs=inputs or None), "./model")


def test_they_are_taken_where_nothing_tells_and_that_is_said() -> None:
    made = applied(facts(), declared("x", "INT64", "batch", -1, 3))
    assert made.inputs == (TensorSpec("x", "INT64", (-1, -1, 3), ("batch", None, None)),)
    assert made.inputs_declared
    (said,) = made.findings
    assert "x INT64 [batch, ?, 3]" in said.what


@pytest.mark.parametrize("known", [facts(), facts(IMAGE, FLAG)])
def test_without_them_nothing_changes(known: ModelFacts) -> None:
    assert applied(known) == known


@pytest.mark.parametrize(
    "inputs",
    [
        (declared("image", "FP32", "batch", 3, 32, 32),),
        (declared("flag", "BOOL", 1), declared("image", "FP32", -1, 3, 32, 32)),
    ],
)
def test_what_the_model_itself_tells_may_be_said_again(inputs: tuple[DeclaredInput, ...]) -> None:
    known = facts(IMAGE, FLAG)
    assert applied(known, *inputs) == known


@pytest.mark.parametrize(
    "inputs",
    [
        (declared("picture", "FP32", "batch", 3, 32, 32),),
        (declared("image", "FP16", "batch", 3, 32, 32),),
        (declared("image", "FP32", "batch", 3, 64, 64),),
        (declared("image", "FP32", "batch", 3, "height", 32),),
        (declared("image", "FP32", 3, 32, 32),),
        (declared("image", "FP32", "b", 3, 32, 32), declared("mask", "BOOL", 1)),
        (declared("flag", "BOOL", 1),),
    ],
)
def test_others_are_refused_with_both(inputs: tuple[DeclaredInput, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        applied(facts(IMAGE, FLAG), *inputs)
    assert refused.value.code == "inspection.inputs"
    assert f"`inputs:` says {inputs[0].name} {inputs[0].datatype} [" in refused.value.what
    assert "the model itself image FP32 [n, 3, 32, 32], flag BOOL [1]" in refused.value.what
