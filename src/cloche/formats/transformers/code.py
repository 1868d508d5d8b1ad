"""Classes of a model's own, in files of Python beside its weights: `auto_map` names them.

A reference is `modeling_net.Net`: the class Net in modeling_net.py. `ORG/NAME--modeling_net.Net` is
in another repository. https://huggingface.co/docs/transformers/custom_models
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_ELSEWHERE = "--"


def elsewhere(config: Mapping[str, Any]) -> str | None:
    """Return the reference to a class in another repository, None without any."""
    return next((name for name in _references(config) if _ELSEWHERE in name), None)


def beside(config: Mapping[str, Any], paths: Collection[str], folder: str) -> tuple[str, ...]:
    """Return the references whose files are in a folder (`""` for the top)."""
    place = PurePosixPath(folder)
    return tuple(
        name for name in _references(config)
        if str(place / f"{name.partition('.')[0]}.py") in paths
    )  # fmt: skip


def made_by(architecture: str, config: Mapping[str, Any], code: Collection[str]) -> str:
    """Return what to load an architecture with: the reference of its class, else its name."""
    named = config.get("auto_map")
    automatic = named.get(architecture) if isinstance(named, dict) else None
    own = (name for name in code if name == automatic or name.endswith(f".{architecture}"))
    return next(own, architecture)


def files(paths: Collection[str]) -> tuple[str, ...]:
    """Return the files of Python among the files of a model."""
    return tuple(sorted(path for path in paths if path.endswith(".py")))


def _references(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield each reference once; a tokenizer has a list of two."""
    named = config.get("auto_map")
    values = named.values() if isinstance(named, dict) else ()
    every = (each for value in values for each in (value if isinstance(value, list) else [value]))
    yield from dict.fromkeys(each for each in every if isinstance(each, str) and "." in each)
