"""What a file or folder that cannot be served looks like, so that the error can say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

SERVED = "This version serves ONNX files, folders saved by MLflow, and Triton model repositories"

_EXPORT = "export the model to ONNX or log it with MLflow"

_BY_SUFFIX = {
    ".pt": ("a PyTorch file", "torch.onnx.export(…, dynamo=True) makes an ONNX file of the model"),
    ".safetensors": ("weights in the safetensors format", _EXPORT),
    ".keras": ("a Keras model", "model.export(…, format='onnx') makes an ONNX file of it"),
    ".h5": ("a Keras model in HDF5", "load it and call model.export(…, format='onnx')"),
    ".pkl": ("a pickle", "log the model with MLflow, such as mlflow.sklearn.log_model"),
    ".tflite": ("a TensorFlow Lite model", "convert it with tf2onnx"),
    ".gguf": ("a language model in the GGUF format", _EXPORT),
    ".plan": ("a TensorRT engine", "put it into a Triton model repository with its config.pbtxt"),
    ".pb": ("a TensorFlow graph", "convert it with tf2onnx"),
    ".pbtxt": ("a Triton configuration", "name the folder of the model or of the repository"),
    ".zip": ("a zip archive", "unpack it and name what is in it"),
    ".gz": ("a compressed file", "unpack it and name what is in it"),
    ".tar": ("a tar archive", "unpack it and name what is in it"),
    ".json": ("a JSON file", _EXPORT),
    ".npy": ("a NumPy array", "name the model; arrays are the input of `cloche infer`"),
    ".py": ("Python code", "log the model with MLflow, such as mlflow.pyfunc.log_model"),
    ".yaml": ("a YAML file", "for a cloche.yaml use `cloche deploy -f FILE`"),
}
_SAME = {
    ".pth": ".pt", ".ckpt": ".pt", ".pt2": ".pt", ".hdf5": ".h5", ".pickle": ".pkl",
    ".joblib": ".pkl", ".sav": ".pkl", ".engine": ".plan", ".tgz": ".gz", ".npz": ".npy",
    ".yml": ".yaml", ".xz": ".gz", ".zst": ".gz", ".bz2": ".gz",
}  # fmt: skip
_BY_START = (
    (b"PK\x03\x04", ".zip"),
    (b"\x1f\x8b", ".gz"),
    (b"\x89HDF\r\n", ".h5"),
    (b"GGUF", ".gguf"),
    (b"\x93NUMPY", ".npy"),
    (b"\x80\x02", ".pkl"),
    (b"\x80\x03", ".pkl"),
    (b"\x80\x04", ".pkl"),
    (b"\x80\x05", ".pkl"),
)


def check_file(path: Path) -> None:
    """Raise an error that says what a file is when it is certainly no ONNX model."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise _error("empty", path, "The file is empty", "export or download the model again")
    _check_text(path, start)
    suffix = path.suffix.lower()
    suffix = _SAME.get(suffix, suffix)
    by_start = next((kind for magic, kind in _BY_START if start.startswith(magic)), None)
    if start[4:8] == b"TFL3":
        by_start = ".tflite"
    kind = suffix if suffix in _BY_SUFFIX else by_start
    if kind is not None:
        what, remedy = _BY_SUFFIX[kind]
        raise _error("unsupported", path, f"This is {what}, which Cloche does not serve", remedy)


def _check_text(path: Path, start: bytes) -> None:
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"version https://git-lfs"):
        what = "This is a pointer of Git LFS; the model itself has not been fetched"
        raise _error("lfs", path, what, "run `git lfs pull` in its folder")
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        what = "This is a web page, not a model; a download was probably answered with it"
        raise _error("html", path, what, "download the model again, logged in if need be")
    if path.name == "MLmodel":
        what = "This is the description of an MLflow model"
        raise _error("unsupported", path, what, f"name its folder: {path.parent}")
    if path.suffix.lower() in {".onnx", ""} and _is_text(start):
        raise _error("text", path, "This is a text file, not a model", "name the model's file")


def _is_text(start: bytes) -> bool:
    if any(byte < 9 or 13 < byte < 32 for byte in start):
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4 and len(start) == 4096
    return True


def unknown_folder(folder: Path, names: list[str]) -> ClocheError:
    """Return the error for a folder that is no model, saying what it looks like."""
    present = set(names)
    models = sorted(name for name in names if (folder / name / "MLmodel").is_file())
    if not names:
        return _error("empty", folder, "The folder is empty", "name the folder of a model")
    if models:
        what = "This folder holds MLflow models, and is none itself"
        return _error("several", folder, what, f"name one: {folder / models[0]}")
    if "saved_model.pb" in present:
        what = "This is a TensorFlow SavedModel, which Cloche does not serve"
        return _error("unsupported", folder, what, "convert it with tf2onnx")
    if present & {"mlruns", "mlartifacts", "mlflow.db", "meta.yaml"}:
        what = "This is a store of MLflow, not a model"
        remedy = f"set MLFLOW_TRACKING_URI to it and name the model: models:/NAME@ALIAS ({folder})"
        return _error("unsupported", folder, what, remedy)
    if "config.json" in present and any(n.endswith((".safetensors", ".bin")) for n in names):
        what = "This is a model of Hugging Face's libraries, which Cloche does not serve"
        return _error("unsupported", folder, what, "export it with optimum-cli export onnx")
    shown = ", ".join(sorted(names)[:5]) + (" …" if len(names) > 5 else "")
    what = f"The folder holds no model that Cloche knows; it has {shown}"
    return _error("unknown", folder, what, "name the model's own file or folder")


def _error(code: str, path: Path, what: str, remedy: str) -> ClocheError:
    hint = f"{remedy[0].upper()}{remedy[1:]}. {SERVED}."
    return ClocheError(f"source.files.{code}", f"{what}.", where=str(path), hint=hint)
