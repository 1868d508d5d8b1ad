"""Which files of a repository serving needs: one kind of weights, and the settings beside them.

People publish the same weights for several frameworks: one repository may hold them ten times. Of
those the choice is ONNX, then safetensors, then PyTorch's own file, and ONNX in a lower precision
only where nothing else is. A folder of MLflow, a finished Triton repository and the models of other
libraries are kept as they are. Only names are looked at: what a folder is, and whether it is
served, the formats say later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from cloche.errors import ClocheError
from cloche.formats import libraries, weight_files
from cloche.sources.huggingface import weights
from cloche.sources.huggingface.weights import Weights
from cloche.units import count_text, size_text

ShardsOf = Callable[[str], Collection[str]]
"""Returns the paths of the shards that an index names."""

_SETTINGS = frozenset({
    ".json", ".txt", ".model", ".jinja", ".tiktoken", ".vocab", ".bpe", ".spm", ".yaml", ".yml",
    ".py",
})  # fmt: skip
"""Endings of small files beside weights: configuration, tokenizer, code."""
_ABOUT_TRAINING = frozenset({
    "all_results.json", "eval_results.json", "predict_results.json", "train_results.json",
    "trainer_state.json", "data_config.json", "train_script.py", "training_args.json",
})  # fmt: skip
_ABOUT = frozenset({"readme.md", "license", "license.txt", "license.md", "notice", "notice.txt"})
CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Choice:
    """The paths of the chosen files, in order, and what they are.

    `title` names the weights (`onnx/model.onnx (ONNX)`); `why` is the choice in a sentence without
    a full stop.
    """

    paths: tuple[str, ...]
    title: str
    why: str


def choose(
    sizes: Mapping[str, int],
    shards_of: ShardsOf,
    *,
    where: str,
    holder: str = "the repository",
    wanted: str | None = None,
) -> Choice:
    """Choose from the sizes of all files by path; `wanted` is the file that a user named.

    Raises source.huggingface.nomodel, .several and .shard, and source.files.library; `where` is the
    reference for them, and `holder` says in words what has the files.
    """
    paths = sorted(path for path in sizes if not _is_about(path))
    if wanted is None and (kind := weights.whole(paths)):
        return _whole(kind, paths, sizes)
    top = list(dict.fromkeys(PurePosixPath(path).parts[0] for path in paths))
    refused = libraries.refusal(top, where)
    if refused is not None and wanted is None and not weight_files.is_exported(paths):
        raise refused
    if found := weights.best(paths) if wanted is None else weights.of_file(wanted, paths):
        return _described(_with_shards(found, sizes, shards_of, where, holder), paths, sizes)
    if kind := weights.other(paths, where):
        return _whole(kind, paths, sizes)
    raise _no_model(top, where, holder)


def _whole(kind: str, paths: Collection[str], sizes: Mapping[str, int]) -> Choice:
    return Choice(tuple(paths), kind, f"{kind}, kept whole: {_count(paths, sizes)}")


def _with_shards(
    found: Weights, sizes: Mapping[str, int], shards_of: ShardsOf, where: str, holder: str
) -> Weights:
    """Return weights with the shards that their index names; raises source.huggingface.shard."""
    if found.index is None:
        return found
    shards = sorted(shards_of(found.index))
    missing = [shard for shard in shards if shard not in sizes]
    if missing or not shards:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        lacks = f"{missing[0]}{more}, which {found.index} names" if missing else "every shard"
        raise ClocheError(
            "source.huggingface.shard",
            f"The weights are incomplete: {holder} lacks {lacks}.",
            where=where,
            hint="Name a revision that has all shards, or have them uploaded.",
        )
    return Weights((found.index, *shards, *found.paths), found.title)


def _described(found: Weights, paths: Collection[str], sizes: Mapping[str, int]) -> Choice:
    """Return weights with the settings beside them, and say what is left out."""
    settings = {*weights.module_files(paths), *filter(_is_setting, paths)} - set(found.paths)
    chosen = tuple(sorted({*found.paths, *settings}))
    why = found.title + (f" and {_files(settings)} of settings" if settings else "")
    why += f", {size_text(_size(chosen, sizes))}"
    left = sorted(set(paths) - set(chosen))
    if left:
        kinds = sorted({kind for path in left if (kind := weights.framework(path))})
        why += f"; left out: {_count(left, sizes)}" + (f" ({', '.join(kinds)})" if kinds else "")
    return Choice(chosen, found.title, why)


def _is_setting(path: str) -> bool:
    """Return whether a file at the top is read beside weights, whatever their kind."""
    name = PurePosixPath(path)
    if "/" in path or path.endswith(".index.json") or path in _ABOUT_TRAINING:
        return False
    return name.suffix.lower() in _SETTINGS


def _is_about(path: str) -> bool:
    """Return whether a file tells people of the repository, and is nothing that serving needs."""
    parts = PurePosixPath(path).parts
    return path.lower() in _ABOUT or any(part.startswith(".") for part in parts)


def _count(paths: Collection[str], sizes: Mapping[str, int]) -> str:
    return f"{_files(paths)}, {size_text(_size(paths, sizes))}"


def _files(paths: Collection[str]) -> str:
    return count_text(len(paths), "file")


def _size(paths: Collection[str], sizes: Mapping[str, int]) -> int:
    return sum(sizes[path] for path in paths)


def _no_model(top: list[str], where: str, holder: str) -> ClocheError:
    shown = ", ".join(top[:6]) + (" …" if len(top) > 6 else "")
    return ClocheError(
        "source.huggingface.nomodel",
        f"No file in {holder} is a model that Cloche looks for; it has {shown or 'nothing'}.",
        where=where,
        hint="Name the folder or the file of the model in it, such as hf://ORG/NAME@REVISION/PATH.",
    )
