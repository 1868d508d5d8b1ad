"""Programs that JAX exported, served as they are and judged in JAX's own environment."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cloche.artifacts import Judge
from cloche.errors import ClocheError
from conftest import Prepare, described
from fixtures.saved_models import Saved

pytestmark = pytest.mark.timeout(900)
ON_GPU = Path(__file__).parent / "on_gpu"

SERVED = [
    ("plain.bin", "input FP32 ?,6", "output FP32 ?,3", True),
    (
        "named.stablehlo", "flag BOOL ?; image UINT8 ?,6; number INT32 ?",
        "kept BOOL ?; scores FP32 ?,3", True,
    ),
    ("fixed.bin", "input FP32 2,3; scale FP32 2,3", "output_0 FP32 2,3; output_1 FP32 2,3", False),
]  # fmt: skip


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case[0])
def test_a_program_is_served_as_it_is(
    jax: Saved, prepare: Prepare, case: tuple[str, str, str, bool]
) -> None:
    model, inputs, outputs, batches = case
    deployment = prepare(jax.spec(model))
    member = deployment.main
    assert described(member.facts.inputs) == inputs
    assert described(member.facts.outputs) == outputs
    assert member.facts.batch.present is batches
    assert member.facts.backend == "python"
    assert member.conversion is None
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    paths = {file.path for file in deployment.repository.files}
    assert f"{deployment.repository.main.name}/1/jax_model.py" in paths


def test_a_program_answers_what_its_function_does(
    jax: Saved, prepare: Prepare, tmp_path: Path
) -> None:
    example = tmp_path / "example.json"
    expected = [[math.tanh(0.6)] * 3, [math.tanh(-0.1)] * 3]
    given = {"input": [[1.0] * 6, [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]}
    example.write_text(json.dumps({"inputs": given, "outputs": {"output": expected}}))
    deployment = prepare(jax.spec("plain.bin"), example)
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.EXPECTED


def test_declared_inputs_have_to_be_those_of_the_program(jax: Saved, prepare: Prepare) -> None:
    inputs = {"input": "FP32 [batch, 6]"}
    assert prepare(jax.spec("plain.bin", inputs=inputs)).main.facts.inputs_declared
    with pytest.raises(ClocheError) as refused:
        prepare(jax.spec("plain.bin", inputs={"input": "FP32 [batch, 5]"}))
    said = "`inputs:` says input FP32 [batch, 5], and the model itself input FP32 [?, 6]."
    assert refused.value.what == said


def test_a_program_for_a_gpu_alone_is_refused_with_how_to_export_it(
    jax: Saved, prepare: Prepare
) -> None:
    with pytest.raises(ClocheError) as refused:
        prepare(jax.spec(str(ON_GPU / "stablehlo_cuda.bin")))
    assert refused.value.code == "inspection.jax.platform"
    assert "exported for cuda" in refused.value.what
    assert "platforms=['cpu', 'cuda']" in (refused.value.hint or "")
