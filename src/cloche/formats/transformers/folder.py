"""What a folder of Hugging Face's libraries is, from its names and settings alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError
from cloche.formats.transformers import code, documents, refusals, sentences, weights
from cloche.formats.transformers.sentences import Sentences
from cloche.formats.weight_files import CONFIGURATION, INDEX, MODULES, NAMES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_MARKS = frozenset({
    MODULES, "model_index.json", "adapter_config.json", "tokenizer.json",
    "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    *NAMES, *(f"{name}{INDEX}" for name in NAMES),
})  # fmt: skip
_OF_OTHERS = frozenset({
    ".safetensors", ".bin", ".h5", ".msgpack", ".ot", ".pt", ".pth", ".ckpt", ".onnx", ".gguf",
    ".tflite", ".npz", ".md", ".pkl", ".zip",
})  # fmt: skip
"""Weights for other libraries, what a training leaves behind, and what people read."""
_OPENVINO = "openvino_model.bin"
_TOKENIZER = "tokenizer_config.json"
_CROSS_ENCODERS = frozenset({"sentence_transformers", "sbert_ce_default_activation_function"})
"""Keys of config.json by which sentence-transformers says what follows a CrossEncoder's logits."""
_ABOUT = frozenset({"LICENSE", "LICENSE.txt", "NOTICE", "NOTICE.txt"})


@dataclass(frozen=True, slots=True)
class Identity:
    """What the settings of a model say that it is."""

    config: dict[str, Any]
    architecture: str
    """The class of transformers; `AutoModel` where the configuration names none."""
    sentences: Sentences | None
    code: tuple[str, ...] = ()
    """References to classes in files of the model's own."""

    @property
    def scores_pairs(self) -> bool:
        """Return whether it is a CrossEncoder of sentence-transformers.

        Before release 6 it has no list of modules, and config.json says what follows the logits.
        """
        if self.sentences is not None:
            return self.sentences.scores_pairs
        classifies = self.architecture.endswith("ForSequenceClassification")
        return classifies and bool(_CROSS_ENCODERS & self.config.keys())

    @property
    def modules(self) -> tuple[str, ...]:
        """Return the folders of the modules of sentence-transformers."""
        return self.sentences.folders if self.sentences is not None else ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A model that is served, and the files that serving needs by their path in it."""

    files: dict[str, Path]
    weights: tuple[str, ...]
    """The paths of the files of weights."""
    identity: Identity


def looks_like(names: Collection[str]) -> bool:
    """Return whether the names at the top of a folder are those of Hugging Face's libraries."""
    return bool(_MARKS & set(names)) or any(
        name.endswith((".gguf", ".safetensors")) for name in names
    )


def identify(settings: Mapping[str, Path], names: Collection[str], where: str) -> Identity:
    """Return what a model is by its settings alone; `names` are those at the top of its folder.

    Raises ClocheError (`source.transformers.…`) for one that is not served.
    """
    refused = refusals.of_names(names, where)
    if refused is not None:
        raise refused
    modules = sentences.read(settings, where)
    first = modules.folders[0] if modules is not None else ""
    name = str(PurePosixPath(first) / CONFIGURATION)
    config = documents.mapping(settings.get(name), where)
    architecture = _architecture(config, name, where)
    refused = refusals.of_configuration(config, architecture, where)
    if refused is not None:
        raise refused
    own = [config, documents.mapping(settings.get(str(PurePosixPath(first) / _TOKENIZER)), where)]
    for key in _CROSS_ENCODERS & config.keys():
        told = config[key]
        activation = told.get("activation_fn") if isinstance(told, dict) else told
        sentences.check_activation(activation, where)
    brought = (name for each in own for name in code.beside(each, settings, first))
    return Identity(config, architecture, modules, tuple(dict.fromkeys(brought)))


def understand(files: Mapping[str, Path], where: str, wanted: str | None = None) -> Folder:
    """Return what a folder is; `where` is its reference, `wanted` the weights that a user named.

    Raises ClocheError (`source.transformers.…`) for a folder that is not whole, or not served.
    """
    names = {path for path in files if "/" not in path}
    identity = identify(files, names, where)
    modules = identity.modules
    found = weights.find(files, modules[0] if modules else "", where, wanted)
    if not found:
        raise _no_weights(names, where)
    taken = _needed(files, modules, where) | found
    return Folder(taken, tuple(path for path in found if not path.endswith(".json")), identity)


def _architecture(config: Mapping[str, Any], name: str, where: str) -> str:
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return named[0]
    if isinstance(config.get("model_type"), str):
        return "AutoModel"
    raise ClocheError(
        "source.transformers.config",
        f"{name} does not say which model it is of: it has neither `architectures` nor"
        " `model_type`.",
        where=where,
        hint="Save the model with save_pretrained of transformers, which writes both. For weights"
        " of a module of your own name their file, and write its `class:` in cloche.yaml.",
    )


def _needed(files: Mapping[str, Path], modules: Collection[str], where: str) -> dict[str, Path]:
    """Return the settings at the top, and the files of modules with one kind of weights each."""
    taken = {
        path: file
        for path, file in files.items()
        if str(PurePosixPath(path).parent) in {".", *modules}
        and PurePosixPath(path).suffix.lower() not in _OF_OTHERS
        and not path.endswith(INDEX)
        and path not in _ABOUT
    }
    for module in filter(None, modules):
        taken |= weights.find(files, module, where)
    return taken


def _no_weights(names: Collection[str], where: str) -> ClocheError:
    others = sorted(
        name for name in names if name.endswith((".h5", ".msgpack", ".safetensors", ".bin"))
    )
    found = f"; it has {', '.join(others)}" if others else ""
    hint = "Save the model with save_pretrained of transformers."
    if _OPENVINO in others:
        hint = "It is an export for OpenVINO: name the model that it was made from."
    return ClocheError(
        "source.transformers.weights",
        f"The folder has no weights that PyTorch reads ({' or '.join(NAMES)}){found}.",
        where=where,
        hint=hint,
    )
