"""Folders of sentence-transformers: modules, one after the other.

`modules.json` lists them, each with its type and folder; the first is a network of transformers.
https://sbert.net/docs/sentence_transformer/usage/custom_models.html, "Structure".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.formats.transformers import documents
from cloche.formats.weight_files import MODULES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SETTINGS = "config_sentence_transformers.json"
CROSS_ENCODER = "CrossEncoder"
_SERVED = frozenset({"Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout"})
_POOLINGS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max", "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip

_LENGTHS = (
    ("sentence_bert_config.json", "max_seq_length"),
    ("tokenizer_config.json", "model_max_length"),
)
_UNLIMITED = 2**30
"""Tokenizers without a limit record a number far above this one."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """The modules of a model of sentence-transformers."""

    folders: tuple[str, ...]
    """Those of the modules, in order; `""` is the top."""
    words: str
    """`mean pooling, normalised, at most 256 tokens`"""
    releases: dict[str, str]
    """Releases of the libraries that saved it, as far as it records them."""
    scores_pairs: bool = False
    """Whether it is a CrossEncoder, whose answer is a score of two texts."""


def read(files: Mapping[str, Path], where: str) -> Sentences | None:
    """Return the modules of a folder, None if it has none.

    Raises ClocheError `source.transformers.modules` for modules that are not served.
    """
    if MODULES not in files:
        return None
    settings = documents.mapping(files.get(SETTINGS), where)
    modules = documents.read(files[MODULES], where)
    try:
        listed = [(str(each["path"]).strip("/"), str(each["type"])) for each in modules]
    except (KeyError, TypeError):
        listed = []
    _check([kind for _, kind in listed], str(settings.get("model_type")), where)
    _check_layers([folder for folder, kind in listed if kind.endswith(".Dense")], files, where)
    folders = tuple(folder for folder, _ in listed)
    kinds = [kind.rpartition(".")[2] for _, kind in listed]
    words = _words(dict(zip(kinds, folders, strict=True)), files, where)
    releases = settings.get("__version__")
    written = releases if isinstance(releases, dict) else {}
    scores_pairs = settings.get("model_type") == CROSS_ENCODER
    check_activation(settings.get("activation_fn"), where)
    return Sentences(
        folders, words, {key: str(value) for key, value in written.items()}, scores_pairs
    )


def _check(types: list[str], model: str, where: str) -> None:
    own = [kind for kind in types if not kind.startswith("sentence_transformers.")]
    others = [kind for kind in types if kind.rpartition(".")[2] not in _SERVED]
    if model in {"SparseEncoder", "MultiVectorEncoder"}:
        what = f"a {model} of sentence-transformers, whose answer is not one vector for each text"
    elif own:
        what = f"a model of sentence-transformers with code of its own ({own[0]})"
    elif others:
        what = f"a model of sentence-transformers with the module {others[0].rpartition('.')[2]}"
    elif not types or not types[0].endswith(".Transformer"):
        what = "a model of sentence-transformers that does not begin with a network of transformers"
    else:
        return
    raise _refused(what, where)


def _check_layers(folders: list[str], files: Mapping[str, Path], where: str) -> None:
    """Refuse dense layers whose activation is imported from anywhere but PyTorch."""
    for folder in folders:
        layer = documents.mapping(files.get(f"{folder}/config.json"), where)
        check_activation(layer.get("activation_function"), where)


def check_activation(name: object, where: str) -> None:
    """Refuse an activation that is imported from anywhere but PyTorch; None is the library's own.

    Raises ClocheError `source.transformers.modules`.
    """
    if name is not None and not str(name).startswith("torch.nn."):
        raise _refused(f"a model of sentence-transformers with code of its own ({name})", where)


def _refused(what: str, where: str) -> ClocheError:
    return ClocheError(
        "source.transformers.modules",
        f"This is {what}; this version serves {', '.join(sorted(_SERVED))}.",
        where=where,
        hint="Log it with mlflow.sentence_transformers, which serves it as a Python function.",
    )


def _words(folders: Mapping[str, str], files: Mapping[str, Path], where: str) -> str:
    parts = []
    if "Pooling" in folders:
        pooling = documents.mapping(files.get(f"{folders['Pooling']}/config.json"), where)
        modes = pooling.get("pooling_mode") or [
            name for key, name in _POOLINGS.items() if pooling.get(key)
        ]
        parts.append(f"{' and '.join([modes] if isinstance(modes, str) else modes)} pooling")
    parts += ["a dense layer"] if "Dense" in folders else []
    parts += ["normalised"] if "Normalize" in folders else []
    longest = _longest(folders["Transformer"], files, where)
    parts += [f"at most {longest} tokens"] if longest else []
    return ", ".join(parts) or "a network alone"


def _longest(folder: str, files: Mapping[str, Path], where: str) -> int | None:
    """Return the most tokens of a text: of the module, else of its tokenizer."""
    for name, key in _LENGTHS:
        path = files.get(str(PurePosixPath(folder) / name))
        longest = documents.mapping(path, where).get(key)
        if isinstance(longest, int) and 0 < longest < _UNLIMITED:
            return longest
    return None
