"""Folders as people publish them: one model among other files, or the same one several times."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hub_user import refused, take

from cloche.artifacts import ModelFormat, ModelSnapshot
from cloche.errors import ClocheError
from cloche.store import Store
from fixtures.hub_models import net, tensors


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home/store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def taken(store: Store, folder: Path, text: str = ".") -> ModelSnapshot:
    return take(store, str(folder / text), {})


def error_of(store: Store, folder: Path) -> ClocheError:
    return refused(store, str(folder), {})


def test_a_folder_with_its_onnx_file_in_onnx_is_that_file(store: Store, folder: Path) -> None:
    """As in a clone of a repository that has the same weights for other frameworks, too."""
    (folder / "onnx").mkdir()
    net(1.0, folder / "onnx")
    (folder / "onnx/model_fp16.onnx").write_bytes(net())
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    (folder / "model.safetensors").write_bytes(tensors(8))
    snapshot = taken(store, folder)
    assert [entry.path for entry in snapshot.files] == ["model.onnx", "model.onnx_data"]
    assert snapshot.metadata.alternative == str(folder / "model.safetensors")
    other = taken(store, folder, snapshot.metadata.alternative)
    assert other.format is ModelFormat.TRANSFORMERS
    assert [entry.path for entry in other.files] == ["config.json", "model.safetensors"]
    assert other.metadata.alternative is None
    (folder / "onnx/model.onnx").rename(folder / "onnx/encoder.onnx")
    (folder / "onnx/model_fp16.onnx").rename(folder / "onnx/decoder.onnx")
    (folder / "model.safetensors").unlink()
    assert f"{folder}/onnx/decoder.onnx" in str(error_of(store, folder).hint)


def test_an_export_of_lower_precision_is_taken_only_if_nothing_else_is_there(
    store: Store, folder: Path
) -> None:
    (folder / "onnx").mkdir()
    (folder / "onnx/model_quantized.onnx").write_bytes(net())
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    assert taken(store, folder).format is ModelFormat.ONNX
    (folder / "pytorch_model.bin").write_bytes(b"x")
    snapshot = taken(store, folder)
    assert snapshot.format is ModelFormat.TRANSFORMERS
    assert snapshot.metadata.alternative == str(folder / "onnx/model_quantized.onnx")


def test_a_folder_of_timm_and_weights_that_are_named(store: Store, folder: Path) -> None:
    (folder / "config.json").write_text('{"architecture": "resnet10t", "pretrained_cfg": {}}')
    (folder / "model.safetensors").write_bytes(tensors(8))
    (folder / "pytorch_model.bin").write_bytes(b"x")
    for text, weights in ((".", "model.safetensors"), ("pytorch_model.bin", "pytorch_model.bin")):
        snapshot = taken(store, folder, text)
        assert (snapshot.format, snapshot.entry) == (ModelFormat.PYTORCH, ".")
        assert [entry.path for entry in snapshot.files] == ["config.json", weights]
    (folder / "config.json").write_text('{"width": 3}')
    alone = taken(store, folder, "model.safetensors")
    assert (alone.format, alone.entry) == (ModelFormat.PYTORCH, "model.safetensors")


def test_the_only_model_in_a_folder_is_served(store: Store, folder: Path) -> None:
    """As repositories of scikit-learn are: a file, and what describes it."""
    (folder / "model.pkl").write_bytes(pickle.dumps([1.0]))
    for name in ("config.json", "README.md", "confusion_matrix.png", "optimizer.pt"):
        (folder / name).write_bytes(b"{}")
    snapshot = taken(store, folder)
    assert (snapshot.format, snapshot.entry) == (ModelFormat.SKLEARN, "model.pkl")
    (folder / "scaler.pkl").write_bytes(pickle.dumps([2.0]))
    error = error_of(store, folder)
    assert error.code == "source.files.several"
    assert "model.pkl, scaler.pkl" in error.what
    assert taken(store, folder, str(error.hint).rpartition(" ")[2]).format is ModelFormat.SKLEARN


def test_the_only_file_in_a_folder_is_recognized(store: Store, folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"\xba\x16O/" + bytes(40))
    (folder / "README.md").write_text("about")
    assert "fastText" in error_of(store, folder).what
