"""What JSON says of code: layers of Keras, objects of skops, code of a Hugging Face repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.pickles import limits
from cloche.pickles.streams import TooLarge, Unreadable
from cloche.pickles.values import Global

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content

KERAS_MODULES = frozenset({
    "keras", "keras.activations", "keras.constraints", "keras.dtype_policies", "keras.initializers",
    "keras.layers", "keras.losses", "keras.metrics", "keras.models", "keras.optimizers",
    "keras.optimizers.schedules", "keras.quantizers", "keras.regularizers",
    "keras.src.engine.functional", "keras.src.engine.sequential", "keras.src.models.functional",
    "keras.src.models.model", "keras.src.models.sequential", "keras.src.optimizers.adam",
})  # fmt: skip
"""Modules of Keras whose classes are those of layers and models, and call nothing they are given.

`keras.utils` and `keras.saving` are not among them: they hold functions that read and write files.
"""
LAMBDA_LAYER = "It has a Lambda layer, which is a program."
_LAMBDAS = frozenset({"Lambda", "__lambda__"})
_CUSTOM = ("auto_map", "custom_pipelines", "custom_code")


def read_json(content: Content, found: Found) -> None:
    """Note what a document names; one that is no JSON says nothing.

    Raises TooLarge, and Unreadable for one that is nested too deeply.
    """
    data = content.head(limits.LONGEST_JSON + 1)
    if len(data) > limits.LONGEST_JSON:
        raise TooLarge("It is a larger document than that of any model.")
    try:
        document = json.loads(data)
    except ValueError:
        return
    except RecursionError:
        raise Unreadable("It is nested too deeply.") from None
    note_document(document, content.place, found)


def note_document(document: Any, place: str, found: Found) -> None:
    """Note what the objects of a document name."""
    for entry in _objects(document):
        note_keras(entry, place, found)
        _note_skops(entry, place, found)
        _note_custom_code(entry, place, found)


def note_keras(entry: dict[str, Any], place: str, found: Found) -> None:
    """Note an object of Keras that brings code, or names code beyond Keras.

    A Lambda layer carries a marshalled function. Other objects name a module and a class
    (keras.saving.serialize_keras_object), which loading imports.
    """
    kind, module = entry.get("class_name"), entry.get("module")
    if not isinstance(kind, str) or "config" not in entry:
        return
    registered = entry.get("registered_name")
    if kind in _LAMBDAS:
        found.finding("pickle.keras", LAMBDA_LAYER, place)
    elif isinstance(module, str) and module not in KERAS_MODULES:
        what = f"Loading it imports {module}.{registered or kind}, which is no layer of Keras."
        found.finding("pickle.keras", what, place)
    elif isinstance(registered, str) and registered != kind:
        what = f"It has an object of its own, {registered}, whose code is not in Keras."
        found.finding("pickle.keras", what, place)


def _note_skops(entry: dict[str, Any], place: str, found: Found) -> None:
    """Note the class of an object of skops; `__loader__` marks one (skops.io)."""
    module, name = entry.get("__module__"), entry.get("__class__")
    if "__loader__" in entry and isinstance(module, str) and isinstance(name, str):
        found.name(Global(module, name), place)


def _note_custom_code(entry: dict[str, Any], place: str, found: Found) -> None:
    """Note code that transformers or diffusers would import from a repository."""
    for key in _CUSTOM:
        code = entry.get(key)
        if code:
            named = ", ".join(sorted(_texts(code))[:8]) or "code of its own"
            what = f"It asks for code beside the model ({key}): {named}."
            hint = "That code runs when the model is loaded with trust_remote_code."
            found.finding("pickle.custom", what, place, hint)


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = list(value.values())
    return set().union(*map(_texts, value)) if isinstance(value, list) else set()


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
