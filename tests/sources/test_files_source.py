from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche import composition
from cloche.artifacts import ModelFormat, ModelSnapshot
from cloche.errors import ClocheError
from cloche.pipeline import resolve
from cloche.progress import SilentProgress
from cloche.sources import ResolveContext, current
from cloche.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home/store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def take(store: Store, folder: Path, text: str) -> ModelSnapshot:
    return resolve(text, directory=folder, store=store, progress=SilentProgress(), environment={})


def refused(store: Store, folder: Path, text: str) -> ClocheError:
    with pytest.raises(ClocheError) as raised:
        take(store, folder, text)
    assert raised.value.hint
    return raised.value


def save_onnx(path: Path, location: str | None = None) -> None:
    weights = numpy_helper.from_array(np.arange(512, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [512])],
        initializer=[weights],
    )
    model = helper.make_model(graph)
    if location is None:
        onnx.save(model, path)
        return
    # Written field by field: the library itself refuses the locations that are tried here.
    tensor = model.graph.initializer[0]
    data, tensor.raw_data = tensor.raw_data, b""
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value=str(len(data)))
    path.write_bytes(model.SerializeToString())


def external_bytes() -> bytes:
    return np.arange(512, dtype=np.float32).tobytes()


# ── ONNX ──────────────────────────────────────────────────────────────────────────────────────


def test_an_onnx_file_is_a_snapshot_whatever_it_is_called(store: Store, folder: Path) -> None:
    save_onnx(folder / "my model é.onnx")
    snapshot = take(store, folder, "my model é.onnx")
    assert snapshot.format is ModelFormat.ONNX
    assert snapshot.source == "files"
    assert snapshot.pinned == str(folder / "my model é.onnx")
    assert [entry.path for entry in snapshot.files] == ["model.onnx"] == [snapshot.entry]
    save_onnx(folder / "renamed.onnx")
    assert take(store, folder, "renamed.onnx").digest == snapshot.digest


def test_files_of_weights_come_along_under_their_own_names(store: Store, folder: Path) -> None:
    save_onnx(folder / "net.onnx", "weights é/w 1.bin")
    (folder / "weights é").mkdir()
    (folder / "weights é/w 1.bin").write_bytes(external_bytes())
    snapshot = take(store, folder, "net.onnx")
    assert [entry.path for entry in snapshot.files] == ["model.onnx", "weights é/w 1.bin"]
    tree = store.tree_path(snapshot.digest)
    assert (tree / "weights é/w 1.bin").read_bytes() == external_bytes()
    (folder / "weights é/w 1.bin").write_bytes(external_bytes()[::-1])
    assert take(store, folder, "net.onnx").digest != snapshot.digest


def test_a_folder_with_one_onnx_file_is_that_file(store: Store, folder: Path) -> None:
    save_onnx(folder / "net.onnx", "model.onnx.data")
    (folder / "model.onnx.data").write_bytes(external_bytes())
    (folder / "README.md").write_text("about")
    snapshot = take(store, folder, ".")
    assert snapshot.format is ModelFormat.ONNX
    assert [entry.path for entry in snapshot.files] == ["model.onnx", "model.onnx.data"]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("../secret", "external_escapes"),
        ("/etc/passwd", "external_escapes"),
        ("a/../../secret", "external_escapes"),
        ("", "external_escapes"),
        ("absent.bin", "external_missing"),
        ("short.bin", "external_truncated"),
    ],
)
def test_weights_that_are_elsewhere_or_not_whole(
    store: Store, folder: Path, location: str, code: str
) -> None:
    (folder.parent / "secret").write_bytes(external_bytes())
    (folder / "short.bin").write_bytes(external_bytes()[:-1])
    save_onnx(folder / "net.onnx", location)
    assert refused(store, folder, "net.onnx").code == f"source.onnx.{code}"


def test_weights_behind_a_link_out_of_the_folder_are_refused(store: Store, folder: Path) -> None:
    (folder.parent / "secret").write_bytes(external_bytes())
    (folder / "w.bin").symlink_to(folder.parent / "secret")
    save_onnx(folder / "net.onnx", "w.bin")
    assert refused(store, folder, "net.onnx").code == "source.files.escapes"


def test_a_truncated_onnx_file(store: Store, folder: Path) -> None:
    save_onnx(folder / "net.onnx")
    data = (folder / "net.onnx").read_bytes()
    (folder / "net.onnx").write_bytes(data[: len(data) // 2])
    assert refused(store, folder, "net.onnx").code == "source.onnx.truncated"


def test_the_state_of_files_changes_with_any_of_them(store: Store, folder: Path) -> None:
    save_onnx(folder / "net.onnx", "w.bin")
    (folder / "w.bin").write_bytes(external_bytes())
    context = ResolveContext(folder, {}, store, SilentProgress())
    before = current("net.onnx", composition.sources(), context)
    assert before.pinned == str(folder / "net.onnx")
    (folder / "w.bin").write_bytes(external_bytes()[::-1])
    assert current("net.onnx", composition.sources(), context).state != before.state


# ── look-alikes ────────────────────────────────────────────────────────────────────────────────


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.onnx", b"x")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.onnx", b"", "files.empty: empty"),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1\noid", "files.lfs: Git LFS"),
        ("m.onnx", b"<!DOCTYPE html><html>Sign in</html>", "files.html: web page"),
        ("m.onnx", b"404: Not Found", "files.text: text file"),
        ("m.onnx", b"\x89PNG\r\n\x1a\n" + bytes(100), "onnx.invalid: not the protobuf"),
        ("m.onnx", b"\x1f\x8b" + bytes(50), "files.unsupported: compressed"),
        ("model.pt", b"PK\x03\x04" + bytes(50), "files.cut: cut off"),
        ("model.keras", b"PK\x03\x04" + bytes(50), "files.cut: cut off"),
        ("model.pt", b"\x80\x02ab" + bytes(50), "files.unsupported: PyTorch"),
        ("model.pth", b"\x80\x02ab", "files.unsupported: PyTorch"),
        ("model.pkl", b"\x80\x04ab", "files.unsupported: pickle"),
        ("model.safetensors", b"\x08" + bytes(30), "files.damaged: safetensors header"),
        ("m.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(90), "files.unsupported: weights of Keras"),
        ("net.mar", b"PK\3\4PK\5\6" + bytes(18), "files.unsupported: TorchServe"),
        ("cat.cbm", b"CBM1" + bytes(50), "files.unsupported: CatBoost"),
        ("cat.bin", b"CBM1" + bytes(50), "files.unsupported: CatBoost"),
        ("net.mlmodel", b"\x08\x04", "files.unsupported: Core ML"),
        ("frozen.pb", b"\n\x10" + bytes(50), "files.unsupported: frozen graph"),
        ("model.tflite", b"\x1c\0\0\0TFL3" + bytes(50), "files.unsupported: TensorFlow Lite"),
        ("model.ckpt.index", bytes(50), "files.unsupported: checkpoint"),
        ("saved_model.pb", b"\x08\x01", "files.unsupported: graph of a SavedModel"),
        ("flax_model.msgpack", b"\x82" + bytes(50), "files.unsupported: Flax"),
        ("model.mlir", b"ML\xefR" + bytes(50), "files.unsupported: StableHLO"),
        ("model.gguf", b"GGUF" + bytes(50), "files.unsupported: language model"),
        ("model", b"\x00" * 64, "onnx.invalid: not"),
        ("config.pbtxt", b'name: "x"', "files.unsupported: Triton configuration"),
        ("MLmodel", b"flavors: {}", "files.unsupported: description of an MLflow model"),
        ("cloche.yaml", b"model: x", "files.unsupported: YAML"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_model_is_recognized(
    store: Store, folder: Path, name: str, content: bytes, expected: str
) -> None:
    (folder / name).write_bytes(content)
    error = refused(store, folder, name)
    code, says = expected.split(": ")
    assert error.code == f"source.{code}"
    assert says in error.what
    assert error.where == str(folder / name)


def test_an_archive_called_onnx(store: Store, folder: Path) -> None:
    _zip(folder / "m.onnx")
    error = refused(store, folder, "m.onnx")
    assert error.code == "source.files.unsupported"
    assert "Unpack it" in (error.hint or "")


@pytest.mark.parametrize(
    ("names", "code", "says"),
    [
        ([], "empty", "empty"),
        (["a.onnx", "b.onnx"], "several", "2 ONNX files"),
        (["x/MLmodel", "y/MLmodel"], "several", "MLflow models"),
        (["a/saved_model.pb", "b/saved_model.pb"], "several", "SavedModels"),
        (["checkpoint", "ckpt-1.index"], "unsupported", "checkpoint of a training in TensorFlow"),
        (["_METADATA", "manifest.ocdbt", "d/0"], "unsupported", "Orbax"),
        (["0/meta.yaml", "mlflow.db"], "unsupported", "store of MLflow"),
        (["notes.txt", "data.csv"], "unknown", "data.csv, notes.txt"),
        (["config_setfit.json", "modules.json", "model.safetensors"], "library", "SetFit"),
        (["gliner_config.json", "pytorch_model.bin", "tokenizer.json"], "library", "GLiNER"),
        (["config.cfg", "meta.json", "vocab/strings.json"], "library", "spaCy"),
        (["model.weights.h5", "tokenizer.json", "config.json"], "library", "KerasHub"),
        (["training.log", "loss.tsv", "pytorch_model.bin"], "library", "Flair"),
    ],
)
def test_a_folder_that_is_not_a_model(
    store: Store, folder: Path, names: list[str], code: str, says: str
) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    error = refused(store, folder, ".")
    assert error.code == f"source.files.{code}"
    assert says in error.what


@pytest.mark.parametrize(
    ("text", "hint"),
    [("modle.onnx", "model.onnx"), ("digits@champion", "models:/digits@champion"), ("x", "path")],
)
def test_a_path_that_is_not_there(store: Store, folder: Path, text: str, hint: str) -> None:
    (folder / "model.onnx").write_bytes(b"x")
    error = refused(store, folder, text)
    assert error.code == "source.files.missing"
    assert hint in (error.hint or "")


def test_a_device_is_not_a_model(store: Store, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert refused(store, folder, "pipe").code == "source.files.special"
    assert refused(store, folder, "/dev/null").code == "source.files.special"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; run as a plain user")
def test_a_file_without_permission(store: Store, folder: Path) -> None:
    save_onnx(folder / "m.onnx")
    (folder / "m.onnx").chmod(0)
    assert refused(store, folder, "m.onnx").code == "source.files.unreadable"


# ── folders ───────────────────────────────────────────────────────────────────────────────────


def write_mlflow(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: x\n")
    (folder / "data").mkdir()
    (folder / "data/model.bin").write_bytes(b"weights")


def test_a_folder_of_mlflow_comes_whole_without_droppings(store: Store, folder: Path) -> None:
    write_mlflow(folder / "m")
    (folder / "m/__pycache__").mkdir()
    (folder / "m/__pycache__/x.pyc").write_bytes(b"x")
    (folder / "m/.DS_Store").write_bytes(b"x")
    snapshot = take(store, folder, "m")
    assert (snapshot.format, snapshot.entry) == (ModelFormat.MLFLOW, "MLmodel")
    assert [entry.path for entry in snapshot.files] == ["MLmodel", "data/model.bin"]
    assert snapshot.metadata.flavors == ("python_function",)


def test_links_inside_a_folder_are_followed_and_links_out_refused(
    store: Store, folder: Path
) -> None:
    write_mlflow(folder / "m")
    (folder / "m/again.bin").symlink_to("data/model.bin")
    (folder / "m/more").symlink_to("data")
    paths = [entry.path for entry in take(store, folder, "m").files]
    assert paths == ["MLmodel", "again.bin", "data/model.bin", "more/model.bin"]

    (folder / "m/loop").symlink_to(".")
    assert "leads back" in refused(store, folder, "m").what
    (folder / "m/loop").unlink()
    (folder / "m/dangling").symlink_to("nowhere")
    assert refused(store, folder, "m").code == "source.files.dangling"
    (folder / "m/dangling").unlink()
    (folder / "m/out").symlink_to("/etc/hostname")
    assert refused(store, folder, "m").code == "source.files.escapes"
    (folder / "m/out").unlink()
    os.mkfifo(folder / "m/pipe")
    assert refused(store, folder, "m").code == "source.files.special"


def write_files(folder: Path, names: dict[str, str]) -> None:
    for name, text in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("names", "text", "paths"),
    [
        (  # a repository
            {"a/config.pbtxt": "", "a/1/model.onnx": "x", "b/1/model.plan": "y"},
            ".",
            ["a/1/model.onnx", "a/config.pbtxt", "b/1/model.plan"],
        ),
        (  # one without any configuration
            {"a/1/model.onnx": "x", "a/2/model.onnx": "y"},
            ".",
            ["a/1/model.onnx", "a/2/model.onnx"],
        ),
        (  # one model by its folder, which gives the name
            {"net/config.pbtxt": 'backend: "onnxruntime"', "net/1/model.onnx": "x"},
            "net",
            ["net/1/model.onnx", "net/config.pbtxt"],
        ),
        (  # or the configuration does
            {"v7/config.pbtxt": '# name: "no"\n  name: "net"\n', "v7/1/model.onnx": "x"},
            "v7",
            ["net/1/model.onnx", "net/config.pbtxt"],
        ),
        (  # never a path
            {"v7/config.pbtxt": 'name: "../../net"', "v7/1/model.onnx": "x"},
            "v7/",
            ["net/1/model.onnx", "net/config.pbtxt"],
        ),
    ],
)
def test_triton_repositories(
    store: Store, folder: Path, names: dict[str, str], text: str, paths: list[str]
) -> None:
    write_files(folder, names)
    snapshot = take(store, folder, text)
    assert (snapshot.format, snapshot.entry) == (ModelFormat.TRITON, ".")
    assert [entry.path for entry in snapshot.files] == paths
