"""A model that is refused before it runs leaves no temporary file and no half-written store."""

from __future__ import annotations

import json
import pickle
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from cloche import pipeline
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _folder(path: Path, weights: bytes, **config: Any) -> Path:
    path.mkdir()
    described = {"model_type": "bert", "architectures": ["BertModel"], **config}
    (path / "config.json").write_text(json.dumps(described))
    (path / "model.safetensors").write_bytes(weights)
    return path


def _pointer(path: Path) -> Path:
    return _folder(path, b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n")


def _header(path: Path) -> Path:
    return _folder(path, (10**12).to_bytes(8, "little") + bytes(64))


def _quantised(path: Path) -> Path:
    method = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return _folder(path, (2).to_bytes(8, "little") + b"{}", quantization_config=method)


def _shard(path: Path) -> Path:
    folder = _folder(path, b"")
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def _adapter(path: Path) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (path / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return path


def _pickle(path: Path) -> Path:
    file = path.with_suffix(".npy")
    file.write_bytes(b"\x93NUMPY\x01\x00" + pickle.dumps({}))
    return file


def _pointer_in_mlflow(path: Path) -> Path:
    path.mkdir()
    (path / "MLmodel").write_text("flavors: {python_function: {loader_module: mlflow.sklearn}}\n")
    (path / "model.pkl").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 9\n")
    return path


@pytest.mark.parametrize(
    "make", [_pointer_in_mlflow, _pointer, _header, _quantised, _shard, _adapter, _pickle]
)
def test_a_refusal_leaves_nothing(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = make(tmp_path / "model")
    store = Store(tmp_path / "store", 2**30)
    with pytest.raises(ClocheError) as refused:
        pipeline.resolve(
            str(path), directory=tmp_path, store=store, progress=SilentProgress(), environment={}
        )
    assert refused.value.hint
    assert list(temporary.iterdir()) == []
    left = [one for one in (tmp_path / "store").rglob("*") if one.is_file()]
    assert not [one for one in left if "index" not in one.parts and one.stat().st_size]
