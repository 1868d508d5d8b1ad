"""Models through the real chain: resolved, inspected, built into a repository, served by Triton.

Many models share one Triton process, each in a repository that Cloche wrote for it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import plain

from cloche import pipeline
from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import decode, encode
from cloche.errors import ClocheError, ErrorGroup
from cloche.formats import require_servable
from cloche.progress import SilentProgress
from cloche.spec import ServiceSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx_suite import Arrays

    from cloche.artifacts import ModelRepository, TensorSpec
    from cloche.store import Store
    from fixtures.triton import RunningTriton, TritonStarter

_TOGETHER = 80
"""Models of one Triton: each has a process of its own."""
_DROPPED = ("--exit-on-error", "--strict-readiness", "--http-restricted-api")
_ADDED = ("--exit-on-error=false", "--strict-readiness=false")
"""One model that does not load must not end the others, and the server says why it did not."""


@dataclass(frozen=True)
class Question:
    """A model and a request in the model's own shapes."""

    name: str
    model: bytes
    inputs: Arrays


@dataclass(frozen=True)
class Outcome:
    """What became of a question: a verdict of `VERDICTS`, and the words behind it."""

    name: str
    verdict: str
    why: str = ""


EQUAL, UNSTEADY = "served as ONNX Runtime answers", "served, and another answer each time"
REFUSED, UNLOADED = "refused by Cloche", "not loaded by Triton"
UNANSWERED, DIFFERENT = "request refused", "another answer"
VERDICTS = (EQUAL, UNSTEADY, REFUSED, UNLOADED, UNANSWERED, DIFFERENT)


def ask_all(
    questions: Sequence[Question], folder: Path, store: Store, starter: TritonStarter
) -> Iterator[Outcome]:
    """Yield what became of each question, in their order within each Triton."""
    for start in range(0, len(questions), _TOGETHER):
        yield from _ask_some(questions[start : start + _TOGETHER], folder, store, starter)


def _ask_some(
    questions: Sequence[Question], folder: Path, store: Store, starter: TritonStarter
) -> Iterator[Outcome]:
    built: dict[str, ModelRepository] = {}
    for question in questions:
        try:
            built[question.name] = build(question, folder, store)
        except ClocheError as error:
            first = error.errors[0] if isinstance(error, ErrorGroup) else error
            yield Outcome(question.name, REFUSED, f"{first.code}: {first.what}")
    if built:
        yield from ask_built(questions, built, store, starter)


def ask_built(
    questions: Sequence[Question],
    built: Mapping[str, ModelRepository],
    store: Store,
    starter: TritonStarter,
) -> Iterator[Outcome]:
    """Yield what became of each question whose repository is built, all in one Triton."""
    tree = store.put_tree(tuple(file for one in built.values() for file in one.files))
    running = starter.start(store.tree_path(tree), built, drop=_DROPPED, add=_ADDED)
    try:
        unloaded = _unloaded(running)
        with InferenceClient(running.url) as client:
            for question in questions:
                if question.name in unloaded:
                    yield Outcome(question.name, UNLOADED, unloaded[question.name])
                elif question.name in built:
                    yield _ask(question, built[question.name], client)
    finally:
        running.stop()


def build(question: Question, folder: Path, store: Store) -> ModelRepository:
    """Return the repository of a model; raises ClocheError for what cannot be served."""
    path = folder / f"{question.name}.onnx"
    path.write_bytes(question.model)
    snapshot = pipeline.resolve(
        str(path), directory=folder, store=store, progress=SilentProgress(), environment={}
    )
    facts = pipeline.facts(snapshot, store)
    require_servable(facts, snapshot.pinned)
    spec = ServiceSpec(model=str(path))
    return pipeline.build(question.name, snapshot, facts, None, spec, store)


def _unloaded(running: RunningTriton) -> dict[str, str]:
    """Return why models are not ready, by name."""
    index = httpx.post(f"{running.url}/v2/repository/index", timeout=60, trust_env=False).json()
    return {
        one["name"]: one.get("reason") or "no reason given"
        for one in index
        if one.get("state") != "READY"
    }


def _ask(question: Question, repository: ModelRepository, client: InferenceClient) -> Outcome:
    served = repository.main
    body, length = encode(_as_served(question.inputs, served.inputs), binary=True)
    try:
        answer = client.infer(question.name, body, length)
    except ClocheError as error:
        return Outcome(question.name, UNANSWERED, error.what)
    got = decode(answer.body, answer.header_length)
    loaded = plain.session(question.model)
    expected = plain.run(loaded, question.inputs)
    fault = _difference({spec.name: expected[spec.name] for spec in served.outputs}, got)
    if fault is None:
        return Outcome(question.name, EQUAL)
    if _difference(expected, plain.run(loaded, question.inputs)) and not fault.endswith(_FORM):
        return Outcome(question.name, UNSTEADY)
    return Outcome(question.name, DIFFERENT, fault)


def _as_served(inputs: Arrays, specs: Iterable[TensorSpec]) -> Arrays:
    """Return arrays as clients send them: Triton has no scalars, they are [1]."""
    return {
        spec.name: array[..., None] if array.ndim + 1 == len(spec.shape) else array
        for spec in specs
        for array in (inputs.get(spec.name),)
        if array is not None
    }


_FORM = "another type or shape"


def _difference(expected: Arrays, got: Arrays) -> str | None:
    """Return how answers differ, None if they agree."""
    for name, array in expected.items():
        if name not in got:
            return f"{name} is missing"
        other = got[name]
        if other.dtype.kind == "O":
            array, other = _bytes(array), _bytes(other)  # noqa: PLW2901
        grown = other.shape == (*array.shape, 1)
        if other.dtype != array.dtype or not (grown or other.shape == array.shape):
            return f"{name} is {other.dtype} {other.shape} for {array.dtype} {array.shape}: {_FORM}"
        if not _alike(np.asarray(array), other.reshape(array.shape)):
            return f"{name} has other values"
    return None


def _alike(expected: NDArray[Any], got: NDArray[Any]) -> bool:
    if expected.dtype.kind != "f":
        return bool((expected == got).all())
    relative = 1e-2 if expected.dtype == np.float16 else 1e-4
    return np.allclose(expected, got, rtol=relative, atol=1e-6, equal_nan=True)


def _bytes(array: NDArray[Any]) -> NDArray[Any]:
    encoded = np.empty(array.size, dtype=object)
    encoded[:] = [
        element if isinstance(element, bytes) else str(element).encode() for element in array.flat
    ]
    return encoded.reshape(array.shape)
