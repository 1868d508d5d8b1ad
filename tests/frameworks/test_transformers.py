"""Models of transformers and sentence-transformers, converted and judged by their libraries."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cloche import pipeline
from cloche.artifacts import Deployment, Judge
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.verification import bodies
from conftest import Prepare, described, notes, require_refused
from fixtures.hub import LocalHub
from fixtures.local import LocalHome
from fixtures.saved_models import Saved
from fixtures.thorough import thorough

pytestmark = pytest.mark.timeout(900)

IDS = "input_ids INT64 ?,?; attention_mask INT64 ?,?"
TYPES = "token_type_ids INT64 ?,?"
CONVERTED = [
    ("binary", f"{IDS}; {TYPES}", "last_hidden_state FP32 ?,?,32"),
    ("sharded", IDS, "logits FP32 ?,?,5"),
    ("wordless", IDS, "last_hidden_state FP32 ?,?,32; pooler_output FP32 ?,32"),
    ("swin", "pixel_values FP32 ?,3,32,32", "logits FP32 ?,2"),
]
RESNET = ("resnet", "pixel_values FP32 ?,3,48,48", "logits FP32 ?,2")


def check_converted(deployment: Deployment, inputs: str, outputs: str) -> None:
    facts, conversion = deployment.main.facts, deployment.main.conversion
    assert (described(facts.inputs), described(facts.outputs)) == (inputs, outputs)
    assert facts.backend == "onnxruntime"
    assert facts.batch.present, "requests are joined"
    assert conversion is not None
    for parity in conversion.parity:
        assert parity.max_absolute <= parity.tolerance, parity
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize(("model", "inputs", "outputs"), [*CONVERTED, *thorough([RESNET])])
def test_a_folder_is_converted_and_its_parity_is_known(
    transformers: Saved, prepare: Prepare, model: str, inputs: str, outputs: str
) -> None:
    deployment = prepare(transformers.spec(model))
    check_converted(deployment, inputs, outputs)
    said = [each.what for each in deployment.main.facts.findings if each.code == "conversion.note"]
    expected = ["half precision", "no pooler"] if model == "binary" else []
    assert [words in what for words, what in zip(expected, said, strict=True)] == [True] * len(said)
    if model == "swin":
        assert deployment.main.conversion is not None
        by = deployment.main.conversion.converter
        assert "transformers.exporters" in by, "PyTorch's own cannot take it"


@pytest.mark.thorough
def test_texts_beside_pictures(transformers: Saved, prepare: Prepare) -> None:
    facts = prepare(transformers.spec("clip")).main.facts
    assert facts.backend == "onnxruntime"
    texts, mask, pictures = facts.inputs
    assert described((texts, mask)) == IDS
    assert described((pictures,)) == "pixel_values FP32 ?,3,32,32"
    by_name = {output.name: output for output in facts.outputs}
    assert by_name["logits_per_image"].shape == (-1, -1)
    assert not facts.batch.present, "there are as many texts and pictures as you like"


@pytest.mark.thorough
def test_a_detector_with_a_decoder(transformers: Saved, prepare: Prepare) -> None:
    deployment = prepare(transformers.spec("detr"))
    outputs = {output.name: output.shape for output in deployment.main.facts.outputs}
    assert outputs["logits"] == (-1, 5, 3)
    assert outputs["pred_boxes"] == (-1, 5, 4)
    assert deployment.golden is not None
    assert deployment.golden.judge is Judge.REFERENCE


def test_a_classifier_answers_as_its_library_and_its_classes_have_names(
    transformers: Saved, prepare: Prepare, local_home: LocalHome, tmp_path: Path
) -> None:
    saved = dict(np.load(transformers.folder / "classifier.npz"))
    expected = saved.pop("answer")
    example = tmp_path / "request.npz"
    np.savez(example, **saved)  # type: ignore[arg-type]
    deployment = prepare(transformers.spec("classifier"), example)
    check_converted(deployment, f"{IDS}; {TYPES}", "logits FP32 ?,3")
    assert deployment.main.facts.labels == ("bad", "neither", "good")
    assert deployment.golden is not None
    assert deployment.golden.expected is not None
    answer = bodies.read(deployment.golden.expected, local_home.store)["logits"]
    assert np.abs(answer - expected).max() <= 1e-6


@pytest.mark.parametrize("model", ["pairs", *thorough([("reranker",)])])
def test_a_cross_encoder_answers_as_its_library_scores_pairs(
    transformers: Saved, prepare: Prepare, local_home: LocalHome, tmp_path: Path, model: str
) -> None:
    saved = dict(np.load(transformers.folder / "pairs.npz"))
    expected = saved.pop("answer")
    saved.setdefault("token_type_ids", np.zeros_like(saved["input_ids"]))
    example = tmp_path / "request.npz"
    np.savez(example, **saved)  # type: ignore[arg-type]
    deployment = prepare(transformers.spec(model), example)
    check_converted(deployment, f"{IDS}; {TYPES}", "scores FP32 ?,1")
    assert deployment.golden is not None
    assert deployment.golden.expected is not None
    answer = bodies.read(deployment.golden.expected, local_home.store)["scores"]
    assert np.abs(answer[:, 0] - expected).max() <= 1e-6


def test_a_repository_of_the_hub_is_served_and_asked_with_text(
    transformers: Saved,
    prepare: Prepare,
    local_home: LocalHome,
    hub: LocalHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = files_of(transformers.folder / "sentences")
    card = b"---\nlicense: apache-2.0\npipeline_tag: sentence-similarity\n---\n"
    hub.add("org/sentences", {**files, "README.md": card, "tf_model.h5": b"x" * 99})
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    deployment = prepare({**transformers.spec("sentences"), "model": "hf://org/sentences"})
    check_converted(deployment, f"{IDS}; {TYPES}", "sentence_embedding FP32 ?,12")
    assert deployment.main.snapshot.metadata.tags["license"] == "apache-2.0"
    assert (
        "dense layer, normalised, at most 24"
        in notes(deployment)["inspection.transformers.sentences"]
    )
    assert deployment.golden is not None
    asked = bodies.read(deployment.golden.requests[0], local_home.store)
    assert asked["input_ids"][:, 0].tolist() == [2, 2], "it begins as the tokenizer begins texts"
    assert asked["attention_mask"].min() == 0, "one text is padded"


def test_code_of_a_repository_is_loaded_if_it_is_trusted(
    transformers: Saved, prepare: Prepare, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/own", files_of(transformers.folder / "own"))
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    content = {**transformers.spec("own"), "model": "hf://org/own"}
    words = "modeling_net.NetForSequenceClassification (auto_map in config.json), in configuration_"
    require_refused(prepare, content, "source.transformers.code", words)
    assert "model.safetensors" not in hub.files_asked()
    deployment = prepare({**content, "trust": True})
    check_converted(deployment, IDS, "logits FP32 ?,3")
    said = notes(deployment)["pickle.outside"]
    assert "modeling_net.NetForSequenceClassification" in said
    assert "Its code is in configuration_net.py, layers.py, modeling_net.py." in said
    require_refused(prepare, content, "pickle.untrusted", "code beside the model")


def test_a_module_that_own_code_imports_and_nothing_installs_is_named(
    transformers: Saved, prepare: Prepare, tmp_path: Path
) -> None:
    folder = shutil.copytree(transformers.folder / "own", tmp_path / "own")
    layers = folder / "layers.py"
    layers.write_text(layers.read_text().replace("import torch", "import rotary_of_nobody, torch"))
    content = {**transformers.spec("own"), "model": str(folder), "conversion": "off"}
    with pytest.raises(ClocheError) as refused:
        prepare(content)
    assert refused.value.code == "conversion.module"
    assert "rotary_of_nobody" in refused.value.what
    assert "requirements: [torch==" in str(refused.value.hint)


def test_conversion_can_be_turned_off(transformers: Saved, prepare: Prepare) -> None:
    deployment = prepare(transformers.spec("sentences", conversion="off"))
    assert deployment.main.facts.backend == "python"
    assert described(deployment.main.facts.inputs) == f"{IDS}; {TYPES}", "as if converted"
    name = deployment.repository.main.name
    paths = {file.path for file in deployment.repository.files}
    scripts = {f"{name}/1/{each}_model.py" for each in ("own", "transformers", "pytorch")}
    assert {*scripts, f"{name}/1/model/modules.json", f"{name}/1/loading.json"} <= paths


def test_what_mlflow_logs_without_text_is_served_as_the_network(
    transformers: Saved, prepare: Prepare, local_home: LocalHome
) -> None:
    deployment = prepare({"model": str(transformers.folder / "network"), "conversion": "off"})
    assert described(deployment.main.facts.outputs) == "logits FP32 ?,3"
    assert deployment.main.facts.labels == ("bad", "neither", "good")
    assert deployment.golden is not None
    asked = bodies.read(deployment.golden.requests[0], local_home.store)
    assert asked["input_ids"][0, 0] == 2, "its tokenizer is found"


@pytest.mark.parametrize("model", ["pipeline", "encoded"])
def test_a_pipeline_of_mlflow_takes_text_as_before(
    transformers: Saved, local_home: LocalHome, model: str
) -> None:
    path = str(transformers.folder / model)
    settings, progress = local_home.settings, SilentProgress()
    _, facts = pipeline.inspect(path, directory=Path.cwd(), settings=settings, progress=progress)
    assert [spec.datatype for spec in facts.inputs] == ["BYTES"]
    assert facts.loading is None
    assert "inspection.mlflow.pipeline" in {finding.code for finding in facts.findings}


def test_a_head_that_nobody_trained_is_refused(transformers: Saved, prepare: Prepare) -> None:
    with pytest.raises(ClocheError) as refused:
        prepare(transformers.spec("headless"))
    assert refused.value.code == "conversion.weights"
    assert "classifier.weight" in refused.value.what
    assert "architectures" in str(refused.value.hint)
