"""Files of PyTorch and folders of timm, by what is in them; nothing is loaded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from cloche.artifacts import FileEntry, ModelFacts, ModelFormat, ModelOptions, ModelSnapshot
from cloche.errors import ClocheError
from cloche.formats.pytorch import PyTorchFormat
from cloche.store import Store
from fixtures.hub_models import tensors


def facts_of(path: Path, options: ModelOptions | None = None) -> ModelFacts:
    form = PyTorchFormat()
    assert form.detect(path)
    found = form.files(path, Store(path.parent / "store", 2**20))
    entries = tuple(
        FileEntry(name, file.stat().st_size, name) for name, file in found.files.items()
    )
    root = path if path.is_dir() else path.parent
    for name, file in found.files.items():
        (root / name).write_bytes(file.read_bytes())
    snapshot = ModelSnapshot(
        "m", "m", "files", None, "sha256:0", ModelFormat.PYTORCH, entries, found.entry
    )
    return form.inspect(snapshot, root, options or ModelOptions())


def saved(path: Path, name: str) -> Path:
    """Write what torch.save makes of an object of a class, without the object."""
    module, _, kind = name.rpartition(".")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", f"c{module}\n{kind}\n.")
    return path


@pytest.mark.parametrize(
    ("name", "what", "remedy"),
    [
        ("ultralytics.nn.tasks.DetectionModel", "Ultralytics (YOLO)", "format='onnx'"),
        ("models.yolo.DetectionModel", "YOLOv5", "--include onnx"),
        ("fastai.learner.Learner", "a Learner of fastai", "torch.export.save"),
        ("flair.data.Dictionary", "Flair", "mlflow.pyfunc"),
    ],
)
def test_files_of_libraries_that_are_no_module_alone(
    tmp_path: Path, name: str, what: str, remedy: str
) -> None:
    path = saved(tmp_path / "best.pt", name)
    with pytest.raises(ClocheError) as refused:
        facts_of(path)
    assert refused.value.code == "inspection.pytorch.library"
    assert what in refused.value.what
    assert remedy in str(refused.value.hint)
    own = ModelOptions(requirements=("torch", name.partition(".")[0]))
    assert facts_of(path, own).requirements == own.requirements, "the user says what has the class"


def test_a_script_needs_the_packages_whose_operators_it_calls(tmp_path: Path) -> None:
    path = tmp_path / "detector.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("detector/data.pkl", "N.")
        code = "  x = ops.prim.NumToTensor(1)\n  keep = ops.torchvision.nms(boxes, scores, 0.5)\n"
        archive.writestr("detector/code/__torch__/net.py", code)
    assert facts_of(path).requirements == ("torch==2.15.0", "torchvision==0.29.2")


def test_weights_in_safetensors_need_a_class(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(tensors(8))
    with pytest.raises(ClocheError) as refused:
        facts_of(path)
    assert refused.value.code == "inspection.pytorch.class"
    facts = facts_of(path, ModelOptions(class_name="torchvision.models.resnet18"))
    assert facts.requirements == ("safetensors", "torch==2.15.0", "torchvision==0.29.2")
    assert facts.loading is not None
    assert (facts.loading.kind, facts.loading.path) == ("safetensors", "model.safetensors")


CONFIGURED = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": 2}


@pytest.mark.parametrize(
    ("more", "labels"),
    [
        ({"label_names": ["cat", "dog"], "num_classes": 2}, ("cat", "dog")),
        ({"pretrained_cfg": {**CONFIGURED, "label_names": ["a", "b"]}}, ("a", "b")),
        ({"label_names": ["cat"], "num_classes": 2}, ()),
        ({"label_names": "imagenet"}, ()),
        ({}, ()),
    ],
)
def test_the_facts_of_a_folder_of_timm(
    tmp_path: Path, more: dict[str, object], labels: tuple[str, ...]
) -> None:
    config = {"architecture": "resnet10t", "pretrained_cfg": CONFIGURED, **more}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(tensors(8))
    facts = facts_of(tmp_path)
    assert facts.labels == labels
    assert facts.framework == "pytorch, resnet10t of timm"
    assert facts.requirements == ("torch==2.15.0", "torchvision==0.29.2", "timm==1.0.31")
    [pixels, _] = facts.findings
    assert "(3 × 64 × 64)" in pixels.what


def test_a_configuration_that_names_no_architecture(tmp_path: Path) -> None:
    config = {"architecture": None, "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(tensors(8))
    with pytest.raises(ClocheError) as refused:
        facts_of(tmp_path)
    assert refused.value.code == "inspection.pytorch.timm"


_TENSOR = (
    "ctorch._utils\n_rebuild_tensor_v2\n"
    "((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI1\ntQ"
    "I0\n(I1\nt(I1\ntI00\nccollections\nOrderedDict\n(tRtR"
)
"""A tensor of one element, as torch.save writes it."""


def test_the_arguments_of_a_training_beside_its_weights_are_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    with zipfile.ZipFile(path, "w") as archive:
        pickled = f"(dVmodel\n(dVw\n{_TENSOR}ssVargs\ncargparse\nNamespace\n(tRs."
        archive.writestr("checkpoint/data.pkl", pickled)
    facts = facts_of(path, ModelOptions(class_name="torchvision.models.resnet18"))
    assert facts.loading is not None
    assert facts.loading.kind == "state_dict"


@pytest.mark.parametrize(
    ("pickled", "what"),
    [
        ("(dVmodel\n(Vtouch /tmp/x\ntp0\n0cposix\nsystem\n(Vid\ntRs.", "posix.system"),
        (f"(dVstate_dict\n(dVw\n{_TENSOR}ssVargs\ncnet\nArguments\n(tRs.", "net.Arguments"),
        ("cposix\nsystem\n(Vid\ntR.", "what posix.system returns, not a module"),
        ("c__builtin__\neval\n(V1\ntR.", "what __builtin__.eval returns, not a module"),
        (f"(dVnet\ncnet\nNet\n(tRsVw\n{_TENSOR}s.", "a dict with the keys net, w, not a module"),
        (f"({_TENSOR}I3\nt.", "no weights of a module, but a tuple"),
        (f"{_TENSOR}.", "no weights of a module, but a tensor"),
        ("(dVepoch\nI3\ns.", "no weights of a module, but a dict without tensors"),
    ],
)
def test_what_is_neither_a_module_nor_weights_is_refused_unread(
    tmp_path: Path, pickled: str, what: str
) -> None:
    path = tmp_path / "best.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickled)
    with pytest.raises(ClocheError) as refused:
        facts_of(path, ModelOptions(class_name="torchvision.models.resnet18"))
    assert refused.value.code == "conversion.content"
    assert what in refused.value.what
    assert "torch.save(model" in str(refused.value.hint)


@pytest.mark.parametrize("graph", ["{}", "[]", "{", '{"schema_version": {"major": 8}}'])
def test_an_exported_program_without_a_graph_is_damaged(tmp_path: Path, graph: str) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", graph)
        archive.writestr("net/archive_format", "pt2")
    with pytest.raises(ClocheError) as refused:
        facts_of(path)
    assert refused.value.code == "inspection.pytorch.damaged"
