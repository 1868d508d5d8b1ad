"""Models of PyTorch as people save them, converted and judged in PyTorch's own environment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloche.artifacts import Judge, Severity
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
