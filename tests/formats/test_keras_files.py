"""What a file of Keras is, by its content alone."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.artifacts import ModelOptions
from cloche.errors import ClocheError
from cloche.formats.keras import inspection
from cloche.formats.keras.contents import Contents, contents
from cloche.formats.keras.format import KerasFormat

SAMPLES = Path(__file__).parent / "samples"
WHOLE = (SAMPLES / "keras_model.h5").read_bytes()
CONFIG = {"module": "keras", "class_name": "Sequential", "config": {}}
LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {}}


def archive(path: Path, config: object = CONFIG, metadata: object = None) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("metadata.json", json.dumps(metadata or {"keras_version": "3.15.1"}))
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    return path


def unpacked(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "metadata.json").write_text(json.dumps({"keras_version": "3.9.0"}))
    (folder / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (folder / "README.md").write_text("# A model")
    return folder


def test_a_file_is_known_by_what_it_holds(tmp_path: Path) -> None:
    """Nothing is known by its suffix."""
    assert contents(archive(tmp_path / "model.bin")) == Contents("keras", "3.15.1")
    assert contents(unpacked(tmp_path / "unpacked")) == Contents("folder", "3.9.0")
    for name in ("keras_model.h5", "keras_model_latest.h5"):
        assert contents(SAMPLES / name) == Contents("hdf5", "3.15.1")
    assert contents(SAMPLES / "keras_weights.h5") is None
    assert contents(archive(tmp_path / "m.keras", metadata={"version": 1})) is None
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as file:
        file.writestr("config.json", "{}")
    assert contents(tmp_path / "other.keras") is None


def test_the_entry_has_the_suffix_that_keras_wants(tmp_path: Path) -> None:
    form = KerasFormat()
    archive(tmp_path / "model.bin")
    assert form.files(tmp_path / "model.bin", None).entry == "model.keras"  # type: ignore[arg-type]
    assert form.files(SAMPLES / "keras_model.h5", None).entry == "model.h5"  # type: ignore[arg-type]
    files = form.files(unpacked(tmp_path / "unpacked"), None)  # type: ignore[arg-type]
    assert files.entry == "."
    assert set(files.files) == {"config.json", "metadata.json", "model.weights.h5"}


def test_a_folder_is_a_model_if_it_has_just_one(tmp_path: Path) -> None:
    form = KerasFormat()
    assert not form.detect(tmp_path)
    archive(tmp_path / "a.keras")
    (tmp_path / "config.json").write_text("{}")
    assert form.detect(tmp_path)
    assert set(form.files(tmp_path, None).files) == {"model.keras"}  # type: ignore[arg-type]
    (tmp_path / "model.onnx").write_bytes(b"")
    assert not form.detect(tmp_path), "the ONNX file is the model to serve"
    (tmp_path / "model.onnx").unlink()
    archive(tmp_path / "b.keras")
    assert not form.detect(tmp_path)


def test_a_lambda_layer_needs_trust(tmp_path: Path) -> None:
    archive(tmp_path / "m.keras", {**CONFIG, "config": {"layers": [LAMBDA]}})
    held = Contents("keras", "3.15.1")
    with pytest.raises(ClocheError) as refused:
        inspection.loading(held, tmp_path, "m.keras", ModelOptions(), "here")
    assert refused.value.code == "inspection.keras.lambda"
    trusted = inspection.loading(held, tmp_path, "m.keras", ModelOptions(trust=True), "here")
    assert trusted.options == {"trust": True}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200), keep=st.integers(8, len(WHOLE)), at=st.integers(8, len(WHOLE)))
def test_broken_files_are_no_error(tmp_path: Path, data: bytes, keep: int, at: int) -> None:
    path = tmp_path / "model.h5"
    changed = WHOLE[:at] + data + WHOLE[at + len(data) :]
    for broken in (data, WHOLE[:8] + data, b"PK\x03\x04" + data, WHOLE[:keep], changed):
        path.write_bytes(broken)
        held = contents(path)
        assert held is None or held.kind == "hdf5"
