"""The files of weights in a repository, recognised by their names.

The names are those that transformers, optimum, sentence-transformers and the libraries of the hub
write (`transformers.utils`: WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME …).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cloche.errors import ClocheError
from cloche.formats import weight_files


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of weights, what they are called, and the index that names more of them."""

    paths: tuple[str, ...]
    title: str
    index: str | None = None


_FRAMEWORKS = {
    ".onnx": "ONNX", ".safetensors": "safetensors", ".bin": "PyTorch", ".pt": "PyTorch",
    ".pth": "PyTorch", ".ckpt": "PyTorch", ".h5": "TensorFlow", ".pb": "TensorFlow",
    ".msgpack": "Flax", ".ot": "Rust", ".gguf": "GGUF", ".tflite": "TensorFlow Lite",
    ".mlmodel": "Core ML", ".mlpackage": "Core ML", ".onnx_data": "ONNX", ".keras": "Keras",
    ".ort": "ONNX Runtime",
}  # fmt: skip
_FOLDERS = {"openvino": "OpenVINO", "coreml": "Core ML"}
_OTHER = {
    ".skops": ("scikit-learn", False), ".joblib": ("a pickle of joblib", False),
    ".pkl": ("a pickle", False), ".pickle": ("a pickle", False), ".keras": ("Keras", True),
    ".h5": ("Keras or TensorFlow in HDF5", True), ".pt": ("PyTorch", True),
    ".pt2": ("PyTorch", True), ".pth": ("PyTorch", True), ".ckpt": ("PyTorch", True),
    ".gguf": ("GGUF", True), ".tflite": ("TensorFlow Lite", True), ".msgpack": ("Flax", True),
    ".bin": ("weights", True),
}  # fmt: skip
"""By ending: what a file at the top is, and whether two of them are two models."""
_MODULE = re.compile(r"\d+_\w+/")
_TRITON = re.compile(r"([^/]+/)?(config\.pbtxt|\d+/model\.[^/]+)")


def framework(path: str) -> str | None:
    """Return the framework that a file of weights is for, None for another file."""
    parts = PurePosixPath(path)
    folder = next((_FOLDERS[part] for part in parts.parts[:-1] if part in _FOLDERS), None)
    return folder or _FRAMEWORKS.get(parts.suffix.lower())


def whole(paths: Sequence[str]) -> str | None:
    """Return what a folder is that is kept as it is, None if it is another one."""
    if "MLmodel" in paths:
        return "a folder saved by MLflow"
    if "model_index.json" in paths:
        return "a pipeline of diffusers"
    return "a Triton repository" if any(map(_TRITON.fullmatch, paths)) else None


def of_file(wanted: str, paths: Sequence[str]) -> Weights:
    """Return the one file that a user named, with the files that keep its weights.

    A shard stands for all that the index beside it names.
    """
    index = weight_files.index_of(wanted)
    if index in paths and index != f"{wanted}{weight_files.INDEX}":
        return Weights((), f"the shards of {index}", index)
    return _onnx_file(wanted, paths) if wanted.endswith(".onnx") else Weights((wanted,), wanted)


def best(paths: Sequence[str]) -> Weights | None:
    """Return the weights to take of several kinds; None where no name is a usual one."""
    kinds = [_safetensors, _pytorch, _modules, _onnx, _reduced]
    if weight_files.is_exported(paths):
        kinds.insert(0, _onnx)
    return next((found for find in kinds if (found := find(paths))), None)


def _onnx(paths: Sequence[str]) -> Weights | None:
    """Return the export to ONNX in full precision."""
    found = weight_files.export(paths)
    return _onnx_file(found, paths) if found else None


def _reduced(paths: Sequence[str]) -> Weights | None:
    """Return the only ONNX file, whatever its precision."""
    found = weight_files.exports(paths)
    return _onnx_file(found[0], paths) if len(found) == 1 else None


def _onnx_file(model: str, paths: Sequence[str]) -> Weights:
    beside = tuple(path for path in paths if _is_data_of(path, model, paths))
    return Weights((model, *beside), f"{model} (ONNX)")


def _is_data_of(path: str, model: str, paths: Sequence[str]) -> bool:
    """Return whether a file keeps weights of an ONNX file beside it, by its name.

    `model.onnx_data` and `model.onnx.data` are usual. Older exporters write one file per tensor
    (`encoder.layer.0.weight`): those are taken where the folder has one ONNX file alone.
    """
    file, own = PurePosixPath(path), PurePosixPath(model)
    if file.parent != own.parent or path == model or file.suffix.lower() == ".onnx":
        return False
    if file.name.startswith((f"{own.name}_", f"{own.name}.")) or file.name == f"{own.stem}.data":
        return True
    alone = not any(
        other != model and other.endswith(".onnx") and PurePosixPath(other).parent == own.parent
        for other in paths
    )
    tensor = file.name.startswith("onnx__") or file.suffix in {".weight", ".bias"}
    return alone and tensor


def _safetensors(paths: Sequence[str]) -> Weights | None:
    """Return `model.safetensors`, the sharded one, or the only file of safetensors at the top."""
    return _weights(paths, "model.safetensors", ".safetensors", "safetensors")


def _pytorch(paths: Sequence[str]) -> Weights | None:
    """Return `pytorch_model.bin`, or the sharded one."""
    return _weights(paths, "pytorch_model.bin", None, "PyTorch")


def _weights(paths: Sequence[str], name: str, ending: str | None, title: str) -> Weights | None:
    if name in paths:
        return Weights((name,), f"{name} ({title})")
    index = f"{name}{weight_files.INDEX}"
    if index in paths:
        return Weights((), f"the shards of {index} ({title})", index)
    only = [path for path in paths if ending and path.endswith(ending) and "/" not in path]
    return Weights((only[0],), f"{only[0]} ({title})") if len(only) == 1 else None


def _modules(paths: Sequence[str]) -> Weights | None:
    """Return the weights in the module folders of sentence-transformers, if it has any."""
    files = module_files(paths)
    found = tuple(path for path in files if framework(path))
    return Weights(found, f"the modules of {weight_files.MODULES}") if found else None


def module_files(paths: Collection[str]) -> tuple[str, ...]:
    """Return the files of all modules of sentence-transformers, with one kind of weights each."""
    if weight_files.MODULES not in paths:
        return ()
    files = [path for path in paths if _MODULE.match(path)]
    folders = {str(PurePosixPath(path).parent) for path in files if path.endswith(".safetensors")}
    return tuple(path for path in files if _belongs(path, folders))


def _belongs(path: str, with_safetensors: set[str]) -> bool:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".bin":
        return str(PurePosixPath(path).parent) not in with_safetensors
    return suffix == ".safetensors" or framework(path) is None


def other(paths: Sequence[str], where: str) -> str | None:
    """Return what a model of another library is; raises source.huggingface.several for several."""
    if any(PurePosixPath(path).name == "saved_model.pb" for path in paths):
        return "a TensorFlow SavedModel"
    several = [path for path in paths if re.fullmatch(r"(onnx/)?[^/]+\.(onnx|safetensors)", path)]
    if several:
        raise _several(several, where)
    top = [path for path in paths if "/" not in path and path not in weight_files.LEFTOVERS]
    for ending, (title, single) in _OTHER.items():
        found = [path for path in top if path.lower().endswith(ending)]
        if single and len(found) > 1:
            raise _several(found, where)
        if found:
            return f"{found[0]} ({title})"
    return None


def _several(found: list[str], where: str) -> ClocheError:
    shown = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
    return ClocheError(
        "source.huggingface.several",
        f"The repository holds {len(found)} models: {shown}.",
        where=where,
        hint=f"Name the one to serve: {where}/{found[0]}",
    )
