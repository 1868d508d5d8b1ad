"""Which variant of a format a path is, as `cloche init` looks at it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cloche import composition
from cloche.formats import variant_of

TESTS = Path(__file__).parents[1]
ON_GPU, SAMPLES = TESTS / "frameworks" / "on_gpu", TESTS / "formats" / "samples"
PICKLES = TESTS / "pickles" / "samples" / "sklearn-1.9"
FORMATS = composition.formats().values()
Make = Callable[[Path], object]


def copied(source: Path) -> Make:
    return lambda path: shutil.copyfile(source, path)


def files(*names: str, **contents: str) -> Make:
    def make(folder: Path) -> None:
        for name, text in {**dict.fromkeys(names, "x"), **contents}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return make


def logged(flavor: str, *names: str, signature: str = "") -> Make:
    """An MLmodel with a flavor, and files beside it."""
    head = f"flavors:\n  {flavor}: {{}}\n  python_function: {{python_version: 3.11.7}}\n"
    return files(*names, MLmodel=head + signature)


def skops(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", '{"_skops_version": "0.14.0"}')


def keras(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))


TEXT = 'signature:\n  inputs: \'[{"type": "string", "name": "text"}]\'\n'
CONFIG = 'platform: "{}"\nmax_batch_size: 0\n'
MADE: dict[str, Make] = {
    "mlflow-pytorch-program": logged("pytorch", "data/model.pt2"),
    "mlflow-pytorch-module": logged("pytorch", "data/model.pth"),
    "mlflow-tensorflow": logged("tensorflow", "data/model.keras"),
    "mlflow-sklearn": logged("sklearn", "model.pkl"),
    "mlflow-xgboost": logged("xgboost", "model.ubj"),
    "mlflow-lightgbm": logged("lightgbm", "model.pkl"),
    "mlflow-transformers": logged("transformers", "model/config.json"),
    "mlflow-pipeline": logged("transformers", "model/config.json", signature=TEXT),
    "mlflow-sentence-transformers": logged("sentence_transformers", signature=TEXT),
    "mlflow-onnx": logged("onnx", "model.onnx"),
    "mlflow-pyfunc": logged("prophet"),
    "triton": files("digits/1/model.onnx", **{"digits/config.pbtxt": CONFIG.format("onnx")}),
    "triton-libtorch": files(
        "digits/1/model.pt", **{"digits/config.pbtxt": CONFIG.format("pytorch_libtorch")}
    ),
    "transformers": files("model.safetensors", **{"config.json": '{"model_type": "bert"}'}),
    "sentence-transformers": files("model.safetensors", **{"modules.json": "[]"}),
    "pytorch-program": copied(ON_GPU / "exported.pt2"),
    "pytorch-script": copied(ON_GPU / "traced.pt"),
    "pytorch-module": copied(ON_GPU / "module.pt"),
    "pytorch-weights": copied(ON_GPU / "weights.pt"),
    "pytorch-timm": files(
        "model.safetensors",
        **{"config.json": '{"architecture": "resnet18", "pretrained_cfg": {}}'},
    ),
    "xgboost": lambda path: path.write_text('{"learner":{"attributes":{}},"version":[3,2,0]}'),
    "lightgbm": lambda path: path.write_text("tree\nversion=v4\n\nend of trees\n"),
    "sklearn-pickle": copied(PICKLES / "XGBRegressor.pkl"),
    "sklearn-skops": skops,
    "tensorflow": files("saved_model.pb"),
    "keras": keras,
    "keras-hdf5": copied(SAMPLES / "keras_model.h5"),
    "jax": copied(ON_GPU / "stablehlo_cuda.bin"),
    "onnx": lambda path: path.write_bytes(b"\x08\x08\x12\x04made"),
}


def test_there_is_a_case_for_each_variant() -> None:
    assert list(MADE) == [variant.name for form in FORMATS for variant in form.variants]


@pytest.mark.parametrize("name", MADE)
def test_a_path_is_of_one_variant(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model"
    MADE[name](path)
    variant = variant_of(path, FORMATS)
    assert variant is not None
    assert variant.name == name


@pytest.mark.parametrize(
    "make",
    [
        files(MLmodel="flavors: 3"),
        files("README.md"),
        lambda path: path.write_bytes(b"GGUF"),
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"),
        lambda path: None,
    ],
)
def test_what_is_no_model_is_of_none(tmp_path: Path, make: Make) -> None:
    make(tmp_path / "model")
    assert variant_of(tmp_path / "model", FORMATS) is None
