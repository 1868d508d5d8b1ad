"""Models of transformers and sentence-transformers, converted and judged by their libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cloche.artifacts import Deployment, Judge
from cloche.errors import ClocheError
from cloche.store import Store
from cloche.verification import bodies
from conftest import Saved
from fixtures.hub import LocalHub
from fixtures.local import LocalHome

pytestmark = pytest.mark.timeout(900)
Prepare = Callable[..., Deployment]

IDS = "input_ids INT64 ?,?; attention_mask INT64 ?,?"
TYPES = "token_type_ids INT64 ?,?"
CONVERTED = [
    ("classifier", f"{IDS}; {TYPES}", "logits FP32 ?,3"),
    ("binary", f"{IDS}; {TYPES}", "last_hidden_state FP32 ?,?,32"),
    ("sharded", IDS, "logits FP32 ?,?,5"),
    ("vit", "pixel_values FP32 ?,3,32,32", "logits FP32 ?,4"),
    ("resnet", "pixel_values FP32 ?,3,48,48", "logits FP32 ?,2"),
    ("swin", "pixel_values FP32 ?,3,32,32", "logits FP32 ?,2"),
    ("sentences", f"{IDS}; {TYPES}", "sentence_embedding FP32 ?,12"),
]


def described(specs: tuple) -> str:  # type: ignore[type-arg]
    return "; ".join(
        f"{spec.name} {spec.datatype} {','.join('?' if n < 0 else str(n) for n in spec.shape)}"
        for spec in specs
    )


def notes(deployment: Deployment) -> dict[str, str]:
    return {finding.code: finding.what for finding in deployment.main.facts.findings}


@pytest.mark.parametrize(("model", "inputs", "outputs"), CONVERTED)
def test_a_folder_is_converted_and_its_parity_is_known(
    transformers: Saved, prepare: Prepare, model: str, inputs: str, outputs: str
) -> None:
    deployment = prepare(transformers.spec(model))
    facts, conversion = deployment.main.facts, deployment.main.conversion
    assert (described(facts.inputs), described(facts.outputs)) == (inputs, outputs)
    assert facts.backend == "onnxruntime"
    assert facts.batch.present, "requests are joined"
    assert conversion is not None
    for parity in conversion.parity:
        assert parity.max_absolute <= parity.tolerance, parity
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE
    said = notes(deployment)
    assert ("no pooler" in said.get("conversion.note", "")) is (model == "binary")
    assert facts.labels == (("bad", "neither", "good") if model == "classifier" else ())
    if model == "swin":
        assert "transformers.exporters" in conversion.converter, "PyTorch's own cannot take it"


# ── what is answered ──────────────────────────────────────────────────────────────────────────


def asked(deployment: Deployment, store: Store) -> dict[str, NDArray[np.int64]]:
    assert deployment.golden is not None
    return bodies.read(deployment.golden.requests[0], store)


@pytest.mark.parametrize("model", ["classifier", "sentences"])
def test_the_golden_request_is_text_and_a_users_request_is_answered_as_by_the_library(
    transformers: Saved, prepare: Prepare, local_home: LocalHome, tmp_path: Path, model: str
) -> None:
    made = asked(prepare(transformers.spec(model)), local_home.store)
    assert made["input_ids"][:, 0].tolist() == [2, 2], "it begins as the tokenizer begins texts"
    assert made["attention_mask"].min() == 0, "one text is padded"
    saved = dict(np.load(transformers.folder / f"{model}.npz"))
    expected = saved.pop("answer")
    example = tmp_path / "request.npz"
    np.savez(example, **saved)  # type: ignore[arg-type]
    golden = prepare(transformers.spec(model), example).golden
    assert golden is not None
    assert golden.judge is Judge.REFERENCE
    assert golden.answer is not None
    (answer,) = bodies.read(golden.answer, local_home.store).values()
    assert np.abs(answer - expected).max() <= 1e-6


def test_conversion_can_be_turned_off(transformers: Saved, prepare: Prepare) -> None:
    deployment = prepare(transformers.spec("sentences", conversion="off"))
    assert deployment.main.facts.backend == "python"
    assert described(deployment.main.facts.inputs) == f"{IDS}; {TYPES}", "as if converted"
    name = deployment.repository.main.name
    paths = {file.path for file in deployment.repository.files}
    scripts = {f"{name}/1/{each}_model.py" for each in ("own", "transformers", "pytorch")}
    assert {*scripts, f"{name}/1/model/modules.json", f"{name}/1/loading.json"} <= paths


# ── where they come from ──────────────────────────────────────────────────────────────────────


def test_a_repository_of_the_hub_is_served_without_its_other_weights(
    transformers: Saved, prepare: Prepare, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = transformers.folder / "sentences"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip
    card = b"---\nlicense: apache-2.0\npipeline_tag: sentence-similarity\n---\n"
    hub.add("org/sentences", {**files, "README.md": card, "tf_model.h5": b"x" * 99})
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    content = {**transformers.spec("sentences"), "model": "hf://org/sentences"}
    main = prepare(content).main
    assert main.snapshot.metadata.tags["license"] == "apache-2.0"
    assert main.snapshot.digest == prepare(transformers.spec("sentences")).main.snapshot.digest
    assert main.conversion is not None


def test_what_mlflow_logs_without_text_is_served_as_the_network(
    transformers: Saved, prepare: Prepare, local_home: LocalHome
) -> None:
    deployment = prepare({"model": str(transformers.folder / "network")})
    assert described(deployment.main.facts.outputs) == "logits FP32 ?,3"
    assert deployment.main.facts.labels == ("bad", "neither", "good")
    assert asked(deployment, local_home.store)["input_ids"][0, 0] == 2, "its tokenizer is found"


def test_a_pipeline_of_mlflow_takes_text_as_before(transformers: Saved, prepare: Prepare) -> None:
    deployment = prepare({"model": str(transformers.folder / "encoded")})
    assert deployment.main.facts.inputs[0].datatype == "BYTES"
    assert deployment.main.conversion is None
    assert "Python function" in notes(deployment)["inspection.mlflow.pipeline"]


def test_a_head_that_nobody_trained_is_refused(transformers: Saved, prepare: Prepare) -> None:
    with pytest.raises(ClocheError) as refused:
        prepare(transformers.spec("headless"))
    assert refused.value.code == "conversion.weights"
    assert "classifier.weight" in refused.value.what
    assert "architectures" in str(refused.value.hint)
