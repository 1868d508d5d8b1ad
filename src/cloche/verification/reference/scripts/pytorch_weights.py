"""Weights alone, put into the module that a user names. Syntax for Python 3.8."""

from __future__ import annotations

import argparse
import codecs
import importlib
from typing import Any

import numpy as np
import torch
from own_model import Unusable

_PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning write before the names of weights."""
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Where checkpoints of training keep the weights."""
_SHOWN = 5


def module(path: str, how: dict[str, Any]) -> tuple[Any, list[str]]:
    """Return the module of a class with the weights in a file, and what is noted of them.

    `how` is as for `pytorch_model.load`. Raises Unusable, and whatever the class raises.
    """
    state, notes = _state(_loaded(path, how["kind"]))
    made = _made(how["class"], how.get("arguments") or {})
    expected = set(made.state_dict())
    state, more = _without_prefix(state, expected)
    missing, unexpected = sorted(expected - set(state)), sorted(set(state) - expected)
    problems = []
    if missing:
        problems.append(f"the file lacks {_some(missing)}")
    if unexpected:
        problems.append(f"the class has no {_some(unexpected)}")
    problems += [
        f"{name} is {list(state[name].shape)} in the file and {list(own.shape)} in the class"
        for name, own in made.state_dict().items()
        if name in state and state[name].shape != own.shape
    ][:_SHOWN]
    if problems:
        raise Unusable(
            "conversion.weights",
            "The weights are not those of {}: {}.".format(how["class"], "; ".join(problems)),
            "Name the class and the arguments that the weights were trained with.",
        )
    made.load_state_dict(state)
    return made, notes + more


def _loaded(path: str, kind: str) -> Any:
    if kind == "safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if hasattr(torch.serialization, "add_safe_globals"):
        torch.serialization.add_safe_globals(_beside_weights())
    return torch.load(path, map_location="cpu", weights_only=True)


def _beside_weights() -> list[Any]:
    """Return what checkpoints of training hold beside weights: arguments, and numbers of numpy."""
    number = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    return [argparse.Namespace, codecs.encode, np.dtype, number, *kinds]


def _state(loaded: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the weights in what was saved: a state dict, or a checkpoint that has one."""
    if not isinstance(loaded, dict):
        raise Unusable("conversion.content", f"The file holds a {type(loaded).__name__}.")
    if loaded and all(isinstance(value, torch.Tensor) for value in loaded.values()):
        return dict(loaded), []
    for key in _NESTED:
        inner = loaded.get(key)
        if isinstance(inner, dict) and inner:
            others = [str(name) for name in loaded if name != key]
            note = "It is a checkpoint of training; the weights under {!r} are served, and {} left"
            return dict(inner), [note.format(key, _some(others)) + " out."]
    tensors = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise Unusable(
            "conversion.content",
            f"The file holds no weights: it has {_some([str(name) for name in loaded])}.",
            "Save the weights: torch.save(model.state_dict(), FILE).",
        )
    return tensors, []


def _made(name: str, arguments: dict[str, Any]) -> Any:
    package, _, attribute = name.rpartition(".")
    maker = getattr(importlib.import_module(package), attribute)
    try:
        made = maker(**arguments)
    except TypeError as error:
        raise Unusable(
            "conversion.class",
            f"{name} cannot be made: {error}",
            "Write its arguments under `arguments:` in cloche.yaml.",
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise Unusable("conversion.class", f"{name} makes a {type(made).__name__}, no module.")
    return made


def _without_prefix(state: dict[str, Any], expected: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Return weights without the prefix of a wrapper, if only it keeps them from fitting."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state) and not set(state) & expected:
            stripped = {name[len(prefix) :]: value for name, value in state.items()}
            inner, notes = _without_prefix(stripped, expected)
            return inner, [f"The prefix {prefix!r} of its weights was taken off.", *notes]
    return state, []


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f", … ({len(names)} in all)" if len(names) > _SHOWN else "")
