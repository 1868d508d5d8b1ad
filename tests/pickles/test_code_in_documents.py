"""Code that needs no pickle: layers of Keras, and what Hugging Face repositories ask for."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from evil import codes, outside, scanned

from cloche.pickles import scan_files, scan_folder
from cloche.pickles.hdf5 import MAGIC

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"units": 1, "kernel_initializer": {
        "module": "keras.initializers", "class_name": "GlorotUniform", "config": {},
        "registered_name": None}},
    "registered_name": None,
}  # fmt: skip
LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEA"}}},
    "registered_name": None,
}
CUSTOM = [
    LAMBDA,
    {"module": "my_layers", "class_name": "Mine", "config": {}, "registered_name": "Mine"},
    {"module": None, "class_name": "Mine", "config": {}, "registered_name": "Custom>Mine"},
    {"module": "keras.utils", "class_name": "get_file", "config": {}, "registered_name": None},
    {"module": "builtins", "class_name": "function", "config": "f", "registered_name": "function"},
    {"module": "keras.layers.core", "class_name": "X", "config": {}, "registered_name": None},
]


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "m", "layers": list(layers)},
        "registered_name": "Functional",
        "compile_config": {"optimizer": "adam"},
    }


def keras(document: Any, encoding: str = "utf-8") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(document).encode(encoding))
        archive.writestr("model.weights.h5", MAGIC + b"\0" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize("layer", CUSTOM, ids=lambda layer: f"{layer['module']}")
def test_layers_with_code_are_found(tmp_path: Path, layer: dict[str, Any]) -> None:
    found = scanned(tmp_path, keras(model(DENSE, layer)), "model.keras")
    assert codes(found) == {"pickle.keras"}
    assert found.problems[0].where == "model.keras/config.json"
    assert codes(scanned(tmp_path, keras(model(layer), "utf-16"), "m.keras")) == {"pickle.keras"}


def test_layers_of_keras_have_no_finding(tmp_path: Path) -> None:
    assert scanned(tmp_path, keras(model(DENSE)), "model.keras").findings == ()


@pytest.mark.parametrize("layer", CUSTOM[:4], ids=lambda layer: f"{layer['module']}")
def test_layers_in_hdf5_are_found(tmp_path: Path, layer: dict[str, Any]) -> None:
    data = MAGIC + b"\1" * 4_194_290 + json.dumps(model(layer)).encode() + b"\0" * 50
    assert codes(scanned(tmp_path, data, "model.h5")) == {"pickle.keras"}


def test_escapes_in_hdf5_are_a_finding(tmp_path: Path) -> None:
    text = json.dumps(model(DENSE)).encode()
    assert scanned(tmp_path, MAGIC + text, "model.h5").findings == ()
    hidden = MAGIC + text.replace(b'"Dense"', b'"Lamb\\u0064a"')
    assert codes(scanned(tmp_path, hidden, "model.h5")) == {"pickle.unresolved"}


def test_a_document_nested_too_deeply_is_a_finding(tmp_path: Path) -> None:
    data = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", data)
    assert codes(scanned(tmp_path, buffer.getvalue(), "model.keras")) == {"pickle.unreadable"}


@pytest.mark.parametrize(
    ("name", "document", "named"),
    [
        ("config.json", {"auto_map": {"AutoModel": "modeling_x.XModel"}}, "modeling_x.XModel"),
        (
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["owner/other--tokenization_x.X", None]}},
            "owner/other--tokenization_x.X",
        ),
        ("config.json", {"custom_pipelines": {"t": {"impl": "pipe.P"}}}, "pipe.P"),
    ],
)
def test_code_of_a_repository_is_named(
    tmp_path: Path, name: str, document: Any, named: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / name).write_text(json.dumps(document))
    (tmp_path / "modeling_x.py").write_text("import os\n")
    scans = scan_folder(tmp_path)
    assert set(scans) == {f"sub/{name}"}
    (problem,) = scans[f"sub/{name}"].problems
    assert problem.code == "pickle.custom"
    assert named in problem.what


def test_a_folder_of_other_files_has_no_scans(tmp_path: Path) -> None:
    """Documents, weights and programs are no pickles, however they begin."""
    texts = {
        "README.md": "copyright\nnobody\n", "config.json": '{"model_type": "bert"}',
        "vocab.txt": "cat\ndog\n(\ntR.", "merges.txt": "i n\n(\ni\nx\ny\n", "run.py": "import os\n",
        "x.txt": "xylophone", "brand.txt": "BZ is no archive", "license": "(c) me\n", "empty": "",
        "list.yaml": "- a\n- b\n", "notes.txt": "]\0lzma", "spec.json": "no json",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    header = json.dumps({"__metadata__": {"a": "b" * 600}}).ljust(640).encode()
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x02" + b"\0" * 6 + header)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a\x12\x07pytorch")
    (tmp_path / "link.pkl").symlink_to(tmp_path / "missing.pkl")
    assert scan_folder(tmp_path) == {}


def test_a_pickle_is_found_under_any_name_in_a_folder(tmp_path: Path) -> None:
    old = b"cos\nsystem\n(S'true'\ntR."
    for name, data in {"a.txt": old, "b": pickle.dumps([1]), "c.pkl": b"no pickle"}.items():
        (tmp_path / name).write_bytes(data)
    scans = scan_files({name: tmp_path / name for name in ("a.txt", "b", "c.pkl")})
    assert set(scans) == {"a.txt", "b", "c.pkl"}
    assert outside(scans["a.txt"]) == {"os.system"}
    assert scans["b"].findings == ()
    assert codes(scans["c.pkl"]) == {"pickle.unreadable"}


def test_names_of_the_script_that_wrote_a_file(tmp_path: Path) -> None:
    found = scanned(tmp_path, b"\x80\x02c__main__\nModel\n)\x81.")
    assert found.main == ("Model",)
    assert outside(found) == {"__main__.Model"}
