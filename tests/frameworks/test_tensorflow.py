"""Models of TensorFlow and Keras as people save them, converted and judged in their environment."""

from __future__ import annotations

import pytest

from cloche.artifacts import Deployment, Judge
from conftest import Prepare, described, notes, require_converted_again, require_refused
from fixtures.local import LocalHome
from fixtures.saved_models import Saved
from fixtures.thorough import thorough

pytestmark = pytest.mark.timeout(900)

CONVERTED = [
    ("plain.keras", {}, "input_layer FP32 ?,4", "output_0 FP32 ?,3"),
    ("reader.keras", {}, "input_layer_1 FP32 ?,?", "output_0 FP32 ?,2"),
    ("network.keras", {}, "image UINT8 ?,32,32,3", "output_0 FP32 ?,5"),
    ("old.h5", {}, "input_layer FP32 ?,4", "output_0 FP32 ?,3"),
    ("columns", {}, "color BYTES ?,1; size FP32 ?,2", "output_0 FP32 ?,2"),
    (
        "several", {"signature": "mixed"},
        "flag BOOL ?; whole INT64 ?,3", "next INT64 ?,3; not BOOL ?",
    ),
]  # fmt: skip
TWO: tuple[str, dict[str, object], str, str] = (
    "two.keras", {}, "wide FP32 ?,4; narrow FP32 ?,3", "total FP32 ?,2; side FP32 ?,1"
)  # fmt: skip


def require_converted(deployment: Deployment) -> None:
    member = deployment.main
    assert member.facts.backend == "onnxruntime"
    assert member.conversion is not None
    for parity in member.conversion.parity:
        assert parity.max_absolute <= parity.tolerance, parity
        assert parity.rows >= 3
    assert member.facts.batch.present
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    assert deployment.repository.main.lock_digest is None, "ONNX needs no environment"


@pytest.mark.parametrize("case", [*CONVERTED, *thorough([(TWO,)])], ids=lambda case: case[0])
def test_a_model_is_converted_and_its_parity_is_known(
    tensorflow: Saved, prepare: Prepare, case: tuple[str, dict[str, object], str, str]
) -> None:
    model, more, inputs, outputs = case
    deployment = prepare(tensorflow.spec(model, **more))
    assert described(deployment.main.facts.inputs) == inputs
    assert described(deployment.main.facts.outputs) == outputs
    require_converted(deployment)


def test_a_conversion_is_made_again_to_the_same_bytes(
    tensorflow: Saved, prepare: Prepare, local_home: LocalHome
) -> None:
    require_converted_again(prepare, tensorflow.spec("exported"), local_home)


def test_a_model_of_texts_is_served_by_tensorflow_with_the_reason(
    tensorflow: Saved, prepare: Prepare
) -> None:
    deployment = prepare(tensorflow.spec("texts.keras"))
    member = deployment.main
    assert member.conversion is None
    assert member.facts.backend == "python"
    assert described(member.facts.inputs) == "text BYTES ?,1"
    assert described(member.facts.outputs) == "output_0 FP32 ?,1"
    assert "StringSplitV2" in notes(deployment)["conversion.none"]
    paths = {file.path for file in deployment.repository.files}
    name = deployment.repository.main.name
    scripts = ("model.py", "own_model.py", "tensorflow_model.py", "tensorflow_keras.py")
    assert {f"{name}/1/{script}" for script in scripts} <= paths


@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        ("logged", "wide FP32 ?,4; narrow FP32 ?,3", "total FP32 ?,2; side FP32 ?,1"),
        *thorough([("doubles", "input FP64 ?,4", "output FP32 ?,3")]),
    ],
)
def test_what_mlflow_logs_is_served_under_the_names_and_types_of_its_signature(
    tensorflow: Saved, prepare: Prepare, model: str, inputs: str, outputs: str
) -> None:
    deployment = prepare({"model": str(tensorflow.folder / model)})
    assert described(deployment.main.facts.inputs) == inputs
    assert described(deployment.main.facts.outputs) == outputs
    require_converted(deployment)


REFUSED: list[tuple[str, dict[str, object], str, str]] = [
    ("several", {}, "inspection.tensorflow.signature", "double (x → y); mixed (flag, whole → "),
    ("several", {"signature": "absent"}, "inspection.tensorflow.signature", "no signature absent"),
    ("unsigned", {}, "inspection.tensorflow.unsigned", "no signatures"),
    ("only.weights.h5", {}, "source.files.unsupported", "weights of Keras"),
    ("lambda.keras", {}, "inspection.keras.lambda", "Lambda"),
    ("lambda.h5", {}, "inspection.keras.lambda", "Lambda"),
    ("texts.keras", {"conversion": "required"}, "conversion.required", "StringSplitV2"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}-{case[2]}")
def test_a_model_that_cannot_be_served_is_refused_with_what_to_do(
    tensorflow: Saved, prepare: Prepare, case: tuple[str, dict[str, object], str, str]
) -> None:
    model, more, code, words = case
    require_refused(prepare, tensorflow.spec(model, **more), code, words)


def test_a_lambda_layer_runs_where_it_is_trusted(tensorflow: Saved, prepare: Prepare) -> None:
    deployment = prepare(tensorflow.spec("lambda.keras", trust=True))
    require_converted(deployment)
    said = [finding.what for finding in deployment.main.facts.findings]
    assert any("Lambda layer" in what for what in said)
