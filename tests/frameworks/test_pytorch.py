"""Models of PyTorch as people save them, converted and judged in PyTorch's own environment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cloche.artifacts import Judge, Severity
from cloche.errors import ClocheError
from conftest import Prepare, described, notes, require_converted_again, require_refused
from fixtures.local import LocalHome
from fixtures.saved_models import Saved
from fixtures.thorough import thorough

pytestmark = pytest.mark.timeout(900)

CONVERTED = [
    ("training.pt", "input FP32 ?,3,?,?", "output FP32 ?,5"),
    ("digits.pt", "input FP32 ?,1,28,28", "output FP32 ?,10"),
    ("half.pt", "input FP16 ?,3,?,?", "output FP16 ?,5"),
    ("traced.pth", "input FP32 ?,3,?,?", "output FP32 ?,5"),
    ("brain.pt", "input FP32 ?,4", "output FP32 ?,2"),
    ("compiled.pt", "input FP32 ?,4", "output FP32 ?,2"),
    (
        "reader.pt2",
        "tokens INT64 ?,?; mask FP32 ?,?",
        "logits FP32 ?,3; states FP32 ?,?,8",
    ),
]
MORE_CONVERTED = [
    ("gpu.pt", "input FP32 ?,3,?,?", "output FP32 ?,5"),
    ("encoder.pt", "src FP32 ?,?,16", "output FP32 ?,?,16"),
    ("keywords.pt2", "wide FP32 ?,4; deep FP32 ?,3", "output FP32 ?,8"),
    ("e.pt2", "input FP32 ?,3,24,24", "output FP32 ?,5"),
]


@pytest.mark.parametrize(("model", "inputs", "outputs"), [*CONVERTED, *thorough(MORE_CONVERTED)])
def test_a_model_is_converted_and_its_parity_is_known(
    pytorch: Saved, prepare: Prepare, model: str, inputs: str, outputs: str
) -> None:
    deployment = prepare(pytorch.spec(model))
    member = deployment.main
    assert described(member.facts.inputs) == inputs
    assert described(member.facts.outputs) == outputs
    assert member.facts.backend == "onnxruntime"
    assert member.conversion is not None
    for parity in member.conversion.parity:
        assert parity.max_absolute <= parity.tolerance, parity
        assert parity.rows >= 3
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    assert deployment.repository.main.lock_digest is None, "ONNX needs no environment"


@pytest.mark.thorough
def test_values_that_belong_together_come_from_the_program(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare(pytorch.spec("bags.pt2"))
    assert described(deployment.main.facts.inputs) == "indices INT64 9; offsets INT64 2"
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


def test_a_model_in_training_mode_is_put_into_evaluation_and_that_is_said(
    pytorch: Saved, prepare: Prepare
) -> None:
    found = notes(prepare(pytorch.spec("training.pt")))
    assert "training mode" in found["conversion.note"]


def test_a_conversion_is_remembered_and_made_again_to_the_same_bytes(
    pytorch: Saved, prepare: Prepare, local_home: LocalHome
) -> None:
    require_converted_again(prepare, pytorch.spec("digits.pt"), local_home)


def test_what_no_exporter_takes_is_served_by_pytorch_with_the_reason(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare(pytorch.spec("pooled.pt"))
    assert deployment.main.conversion is None
    assert deployment.main.facts.backend == "python"
    assert deployment.repository.main.lock_digest == deployment.main.lock.digest  # type: ignore[union-attr]
    assert described(deployment.main.facts.inputs) == "input FP32 ?,3,?,?", "as if converted"
    assert "adaptive_avg_pool2d" in notes(deployment)["conversion.none"]
    assert "/" not in notes(deployment)["conversion.none"].replace("W: {5,16}", "")


def test_a_branch_on_values_is_kept_where_it_is_kept_right(
    pytorch: Saved, prepare: Prepare, tmp_path: Path
) -> None:
    example = tmp_path / "x.npy"
    np.save(example, np.array([[1.0, -3.0], [0.5, 0.25]], np.float32))
    deployment = prepare(pytorch.spec("scripted.pt"), example)
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    conversion = deployment.main.conversion
    if conversion is not None:
        assert all(each.max_absolute <= each.tolerance for each in conversion.parity)


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
        ("backwards.pt", "ids INT64 ?,?"),
        ("quantised.pt", "input FP32 ?,4"),
        *thorough([("bag.pt", "input INT64 ?,?")]),
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
    ("recurrent.pth", {"inputs": STEPS, **GRU}, "input FP32 ?,?,4", "output_0 FP32 ?,?,6"),
    (
        "scripted.pt", {"inputs": {"x": "FP32 [batch, 3]"}, "conversion": "off"},
        "x FP32 ?,3", "output FP32 ?,3",
    ),
]  # fmt: skip
ATTENTION: tuple[str, dict[str, object], str, str] = (
    "attention.pt",
    {"inputs": {"memory": "FP32 [batch, words, 8]", "query": "FP32 [batch, steps, 8]"}},
    "query FP32 ?,?,8; memory FP32 ?,?,8", "output FP32 ?,?,8",
)  # fmt: skip


@pytest.mark.parametrize("case", [*DECLARED, *thorough([(ATTENTION,)])], ids=lambda case: case[0])
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


def test_inputs_that_say_what_the_file_says_change_nothing(
    pytorch: Saved, prepare: Prepare
) -> None:
    inputs = {"tokens": "INT64 [batch, length]", "mask": "FP32 [batch, length]"}
    deployment = prepare(pytorch.spec("reader.pt2", inputs=inputs))
    assert described(deployment.main.facts.inputs) == "tokens INT64 ?,?; mask FP32 ?,?"


def test_a_folder_of_timm_answers_as_its_library_with_the_names_of_its_classes(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare(pytorch.spec("timm"), pytorch.folder / "timm.json")
    facts = deployment.main.facts
    assert described(facts.inputs) == "x FP32 ?,3,160,160"
    assert facts.labels == ("cat", "dog", "bird")
    said = notes(deployment)["inspection.pytorch.pixels"]
    assert "pixels (3 × 160 × 160), scaled to 0 … 1" in said
    assert deployment.main.conversion is not None
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.EXPECTED


def test_what_mlflow_logs_by_default_is_served_under_the_names_of_its_signature(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare({"model": str(pytorch.folder / "logged")})
    assert described(deployment.main.facts.inputs) == "input FP32 1,3,24,24"
    assert "training mode" in notes(deployment)["conversion.note"]
    assert deployment.golden is not None
    assert (deployment.golden.origin, deployment.golden.judge) == ("stored", Judge.REFERENCE)


def test_a_program_whose_arguments_have_other_names_is_converted_under_those_of_its_signature(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare({"model": str(pytorch.folder / "renamed")})
    assert described(deployment.main.facts.inputs) == "input FP32 ?,3,64,64"
    assert deployment.main.conversion is not None, notes(deployment)


def test_a_pickled_module_without_a_signature_is_known_by_its_class(
    pytorch: Saved, prepare: Prepare
) -> None:
    deployment = prepare({"model": str(pytorch.folder / "pickled")})
    assert described(deployment.main.facts.inputs) == "x FP32 ?,3,224,224"


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


REFUSED: list[tuple[str, dict[str, object], str, str]] = [
    ("squeezed.pth", {}, "inspection.pytorch.class", "weights alone"),
    (
        "squeezed.pth", {"class": "torchvision.models.resnet18"}, "conversion.weights",
        "the file lacks",
    ),
    ("squeezed.pth", {"class": "nowhere.Net"}, "conversion.class", "nowhere"),
    ("squeezed.pth", {"class": "torchvision.models.absent"}, "conversion.class", "absent"),
    (
        "squeezed.pth",
        {"class": "torchvision.models.squeezenet1_1", "arguments": {"classes": 7}},
        "conversion.class", "classes",
    ),
    ("history.pt", {"class": "torchvision.models.resnet18"}, "conversion.content", "no weights"),
    ("main.pt", {}, "inspection.pytorch.main", "Reader"),
    ("scripted.pt", {}, "conversion.inputs", "shapes"),
    ("nested.pt", {}, "conversion.arguments", "Dict[str, Tensor]"),
    ("brain.pt2", {}, "conversion.inputs", "torch.bfloat16, which clients do not have"),
    ("bilinear.pt", {}, "conversion.inputs", "input1, input2"),
    ("bilinear.pt", {"inputs": {"x": "FP32 [batch, 3]"}}, "conversion.inputs", "x FP32 [batch, 3]"),
    (
        "reader.pt2", {"inputs": {"tokens": "INT64 [batch, 7]", "mask": "FP32 [batch, 7]"}},
        "conversion.inputs", "the model itself tokens INT64 [?, ?]",
    ),
    (
        "digits.pt", {"inputs": {"image": "FP32 [batch, 1, height, 28]"}}, "conversion.inputs",
        "refuses",
    ),
    ("pooled.pt", {"conversion": "required"}, "conversion.required", "adaptive_avg_pool2d"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}-{case[2]}")
def test_a_model_that_cannot_be_served_is_refused_with_what_to_do(
    pytorch: Saved, prepare: Prepare, case: tuple[str, dict[str, object], str, str]
) -> None:
    model, more, code, words = case
    require_refused(prepare, pytorch.spec(model, **more), code, words)


def test_conversion_can_be_turned_off(pytorch: Saved, prepare: Prepare) -> None:
    deployment = prepare(pytorch.spec("digits.pt", conversion="off"))
    assert deployment.main.conversion is None
    severities = {
        finding.severity
        for finding in deployment.main.facts.findings
        if finding.code == "conversion.none"
    }
    assert severities == {Severity.NOTE}, "it was asked for"
    paths = {file.path for file in deployment.repository.files}
    name = deployment.repository.main.name
    assert {f"{name}/1/model.py", f"{name}/1/pytorch_model.py", f"{name}/1/loading.json"} <= paths
