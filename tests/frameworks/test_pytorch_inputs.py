"""What a file of PyTorch may leave open: its inputs, its class, and where it was saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cloche.artifacts import Judge
from cloche.errors import ClocheError
from conftest import Prepare, described, notes
from fixtures.saved_models import Saved
from fixtures.thorough import thorough

pytestmark = pytest.mark.timeout(900)


@pytest.mark.thorough
def test_values_that_belong_together_come_from_the_program(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare(pytorch.spec("bags.pt2"))
    assert described(deployment.main.facts.inputs) == "indices INT64 9; offsets INT64 2"
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


def test_inputs_of_several_types_come_from_the_example(pytorch: Saved, prepare: Prepare) -> None:
    deployment = prepare(pytorch.spec("mixed.pt"), pytorch.folder / "mixed.npz")
    inputs = described(deployment.main.facts.inputs)
    assert inputs == "floats FP32 ?,3; whole INT32 ?; flags BOOL ?"
    outputs = described(deployment.main.facts.outputs)
    assert outputs == "output_0 FP64 ?,3; output_1 INT32 ?; output_2 BOOL ?"


def test_arguments_of_a_script_that_are_no_tensors(pytorch: Saved, prepare: Prepare) -> None:
    deployment = prepare(pytorch.spec("scaled.pt"))
    assert described(deployment.main.facts.inputs) == (
        "x FP32 ?,4; times INT64 ; clip BOOL ; mode BYTES "
    )
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    assert deployment.main.conversion is None
    assert "keeps one value" in notes(deployment)["conversion.none"]


@pytest.mark.thorough
def test_a_script_that_calls_operators_of_torchvision(pytorch: Saved, prepare: Prepare) -> None:
    content = pytorch.spec("kept.pt", inputs={"boxes": "FP32 [boxes, 4]"})
    assert prepare(content).golden is not None


def test_nested_and_fixed_arguments_of_a_program(pytorch: Saved, prepare: Prepare) -> None:
    deployment = prepare(pytorch.spec("stepped.pt2"))
    assert described(deployment.main.facts.inputs) == (
        "x FP32 ?,4; state_0 FP32 ?,5; state_1 FP32 ?,5"
    )
    assert deployment.main.conversion is not None, notes(deployment)
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        ("quantised.pt", "input FP32 ?,4"),
        *thorough([("backwards.pt", "ids INT64 ?,?"), ("bag.pt", "input INT64 ?,?")]),
    ],
)
def test_what_layers_tell_of_the_inputs(
    pytorch: Saved, prepare: Prepare, model: str, inputs: str
) -> None:
    deployment = prepare(pytorch.spec(model))
    assert described(deployment.main.facts.inputs) == inputs
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


def test_a_list_of_tensors_is_one_of_its_items(pytorch: Saved, prepare: Prepare) -> None:
    deployment = prepare(pytorch.spec("summed.pt"))
    assert described(deployment.main.facts.inputs) == "parts FP32 ?,4"
    assert described(deployment.main.facts.outputs) == "output FP32 3"


@pytest.mark.parametrize(
    "model",
    ["squeezed.safetensors", "parallel.pth", "checkpoint.ckpt", *thorough([("squeezed.pth",)])],
)
def test_weights_alone_are_served_with_their_class(
    pytorch: Saved, prepare: Prepare, model: str
) -> None:
    more = {"class": "torchvision.models.squeezenet1_1", "arguments": {"num_classes": 7}}
    deployment = prepare(pytorch.spec(model, **more))
    assert described(deployment.main.facts.inputs) == "x FP32 ?,3,224,224"
    assert described(deployment.main.facts.outputs) == "output FP32 ?,7"
    assert deployment.main.conversion is not None


BILINEAR = {"left": "FP32 [batch, 3]", "right": "FP32 [batch, 4]"}
GRU = {"class": "torch.nn.GRU", "arguments": {"input_size": 4, "hidden_size": 6}}
STEPS = {"input": {"shape": ["steps", "batch", 4], "datatype": "FP32"}}
DECLARED: list[tuple[str, dict[str, object], str, str]] = [
    ("bilinear.pt", {"inputs": BILINEAR}, "left FP32 ?,3; right FP32 ?,4", "output FP32 ?,2"),
    (
        "scripted.pt", {"inputs": {"x": "FP32 [batch, 3]"}, "conversion": "off"},
        "x FP32 ?,3", "output FP32 ?,3",
    ),
]  # fmt: skip
MORE_DECLARED: list[tuple[str, dict[str, object], str, str]] = [
    ("recurrent.pth", {"inputs": STEPS, **GRU}, "input FP32 ?,?,4", "output_0 FP32 ?,?,6"),
    (
        "attention.pt",
        {"inputs": {"memory": "FP32 [batch, words, 8]", "query": "FP32 [batch, steps, 8]"}},
        "query FP32 ?,?,8; memory FP32 ?,?,8", "output FP32 ?,?,8",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", [*DECLARED, *thorough((each,) for each in MORE_DECLARED)], ids=lambda case: case[0]
)
def test_declared_inputs_are_proven_where_nothing_else_tells_them(
    pytorch: Saved, prepare: Prepare, case: tuple[str, dict[str, object], str, str]
) -> None:
    model, more, inputs, outputs = case
    deployment = prepare(pytorch.spec(model, **more))
    facts = deployment.main.facts
    assert described(facts.inputs) == inputs
    assert described(facts.outputs).startswith(outputs)
    assert facts.inputs_declared
    assert "of `inputs:` in cloche.yaml" in notes(deployment)["inspection.inputs"]
    if "conversion" not in more:
        assert deployment.main.conversion is not None, notes(deployment)
    named = [axis for spec in facts.inputs for axis in spec.labels if axis is not None]
    assert "batch" in named
    why = next(
        reason.why for reason in deployment.repository.reasons
        if reason.field == f"input.{facts.inputs[0].name}.dims"
    )  # fmt: skip
    assert why.startswith("inputs in cloche.yaml declares [")


def test_declared_inputs_that_the_model_refuses_are_to_be_corrected(
    pytorch: Saved, prepare: Prepare
) -> None:
    inputs = {"left": "FP32 [batch, 3]", "right": "FP32 [batch, 5]"}
    with pytest.raises(ClocheError) as refused:
        prepare(pytorch.spec("bilinear.pt", inputs=inputs))
    assert refused.value.code == "conversion.inputs"
    assert "right FP32 [batch, 5]" in refused.value.what
    assert (refused.value.hint or "").startswith("Correct `inputs:`")


def test_inputs_are_declared_for_a_module_that_mlflow_logged_without_a_signature(
    pytorch: Saved, prepare: Prepare
) -> None:
    content: dict[str, object] = {"model": str(pytorch.folder / "unsigned")}
    with pytest.raises(ClocheError) as asked:
        prepare(content)
    line = "`inputs: {input1: {shape: [batch, 16], datatype: FP32}, input2: "
    assert line in (asked.value.hint or "")
    assert "--example" in (asked.value.hint or "")
    deployment = prepare({**content, "inputs": BILINEAR})
    assert described(deployment.main.facts.inputs) == "left FP32 ?,3; right FP32 ?,4"


@pytest.mark.thorough
def test_inputs_that_say_what_the_file_says_change_nothing(
    pytorch: Saved, prepare: Prepare
) -> None:
    inputs = {"tokens": "INT64 [batch, length]", "mask": "FP32 [batch, length]"}
    deployment = prepare(pytorch.spec("reader.pt2", inputs=inputs))
    assert described(deployment.main.facts.inputs) == "tokens INT64 ?,?; mask FP32 ?,?"


ON_GPU = Path(__file__).parent / "on_gpu"


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("module.pt", "sequential"), ("traced.pt", "shifted"), ("exported.pt2", "shifted"),
        *thorough([("scripted.pt", "shifted")]),
    ],
)  # fmt: skip
def test_a_model_that_was_saved_on_a_gpu_answers_without_one(
    pytorch: Saved, prepare: Prepare, tmp_path: Path, model: str, answer: str
) -> None:
    """`on_gpu/save.py` made them on an NVIDIA H200, and their answers."""
    answers = np.load(ON_GPU / "answers.npz")
    example = tmp_path / "example.json"
    given = {
        "inputs": {"x": answers["x"].tolist()},
        "outputs": {"output": answers[answer].tolist()},
    }
    if model == "module.pt":
        given["inputs"] = {"input": answers["x"].tolist()}
    example.write_text(json.dumps(given))
    deployment = prepare(pytorch.spec(str(ON_GPU / model)), example)
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.EXPECTED
    assert deployment.main.conversion is not None
