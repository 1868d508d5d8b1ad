"""Requests that a model may accept, made from its facts: the same ones on any machine.

They come in a fixed order, the ones that tell most first: values that vary within what the graph
allows, then smaller and constant ones. A model answers constants and zeros even where it is wrong,
and some cancel on them. What an input is called makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.verification.samples import axes, pictures, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import ModelFacts, TensorSpec
    from cloche.verification.asked import Tensors

MOST = 24
"""The most requests that are made for one model."""
_MOST_ELEMENTS = 16 * 2**20


@dataclass(frozen=True, slots=True)
class _Try:
    """A way to make a request: a size for open axes, and a kind of values."""

    size: int
    kind: values.Kind


_SMALL, _MEDIUM, _LARGE, _ONE = 4, 32, 224, 1
_TRIES = (
    _Try(_MEDIUM, values.Kind.PICTURE),
    _Try(_SMALL, values.Kind.VARIED),
    _Try(_SMALL, values.Kind.DIGITS),
    _Try(_SMALL, values.Kind.TIMES),
    _Try(_MEDIUM, values.Kind.VARIED),
    _Try(_LARGE, values.Kind.VARIED),
    _Try(_ONE, values.Kind.VARIED),
    _Try(_SMALL, values.Kind.BITS),
    _Try(_MEDIUM, values.Kind.BITS),
    _Try(_LARGE, values.Kind.BITS),
    _Try(_SMALL, values.Kind.SIZES),
    _Try(_SMALL, values.Kind.LAST_SIZES),
    _Try(_SMALL, values.Kind.ONE_CHANNEL),
    _Try(_SMALL, values.Kind.AXES),
    _Try(_SMALL, values.Kind.ONES),
    _Try(_SMALL, values.Kind.ZEROS),
    _Try(_SMALL, values.Kind.COUNTS),
    _Try(_SMALL, values.Kind.SIGNED),
    _Try(_SMALL, values.Kind.UNASKED),
    _Try(_MEDIUM, values.Kind.ONES),
    _Try(_LARGE, values.Kind.ONES),
    _Try(_ONE, values.Kind.ONES),
    _Try(64, values.Kind.VARIED),
    _Try(128, values.Kind.VARIED),
)
"""Some networks shrink a small image to nothing, others attend to no more than 128 tokens."""


def candidates(facts: ModelFacts, *, rows: int, seed: str = "") -> Iterator[Tensors]:
    """Yield at most MOST different requests to try in turn.

    `rows` > 0 is the size of the first axis of every input. `seed` is a digest, or empty; its
    hexadecimal digits seed the random numbers. Inputs with a default in the
    graph keep it: they are not served where requests are joined.
    """
    import numpy as np

    facts = replace(facts, inputs=tuple(spec for spec in facts.inputs if _is_sent(spec, facts)))
    digits = seed.rpartition(":")[2][:16]
    seen: set[bytes] = set()
    seeing = any(pictures.is_picture(spec) for spec in facts.inputs)
    for attempt in _TRIES:
        if attempt.kind is values.Kind.PICTURE and not seeing:
            continue
        shapes = axes.shapes(facts, rows=rows, size=attempt.size)
        if any(np.prod(shape) > _MOST_ELEMENTS for shape in shapes.values()):
            continue
        generator = np.random.default_rng(int(digits or "0", 16))
        made = values.fill(facts, shapes, attempt.kind, generator)
        digest = values.digest(made)
        if digest not in seen:
            seen.add(digest)
            yield made


def _is_sent(spec: TensorSpec, facts: ModelFacts) -> bool:
    return not spec.optional or facts.backend != "onnxruntime"
