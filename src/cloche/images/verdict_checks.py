"""What has to hold of a verdict that anybody may have written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES, digest_of_files
from cloche.clients.oci.reference import DIGEST
from cloche.store import trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.artifacts import Conversion, Golden, Lock, ModelFacts, TensorSpec, Verdict

_KEY = re.compile(r"[0-9a-f]{64}")
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal would act on."""
_BACKEND = re.compile(r"[a-z0-9_]{1,64}")
_MOST_TENSORS = 4096
_MOST_AXES = 64
_LARGEST_AXIS = 2**40
_LONGEST_NAME = 1024


def problems(verdict: Verdict, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a verdict beside an image with these labels.

    Labels are part of the image's digest. Raises ClocheError `store.path`.
    """
    made = verdict.conversion.digest if verdict.conversion is not None else None
    if not DIGEST.fullmatch(verdict.model) or not _KEY.fullmatch(verdict.asked):
        yield "it does not say what was asked of which model"
    if verdict.model != labels.get("cloche.model.digest"):
        yield "it is of another model than the image's"
    if verdict.facts.format != labels.get("cloche.model.format"):
        yield "it is of another format than the image's model"
    if made != labels.get("cloche.conversion.digest"):
        yield "it is of another conversion than the image's"
    yield from _of_facts(verdict.facts, verdict.conversion)
    yield from _of_conversion(verdict.conversion)
    yield from _of_lock(verdict.lock)
    yield from _of_golden(verdict.golden)


def hidden(data: bytes) -> bool:
    """Return whether a text in a document has characters that a terminal would act on."""
    waiting: list[Any] = [json.loads(data)]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str) and _HIDDEN.search(each):
            return True
    return False


def _of_facts(facts: ModelFacts, made: Conversion | None) -> Iterator[str]:
    of_conversion = made is None or facts.backend == "onnxruntime"
    if not _BACKEND.fullmatch(facts.backend) or not of_conversion:
        yield f"nothing is served by {facts.backend!r} so"
    if facts.batch.maximum is not None and not 0 < facts.batch.maximum < _LARGEST_AXIS:
        yield "the size of its batches is none"
    for tensors in (facts.inputs, facts.outputs):
        names = [each.name for each in tensors]
        if len(names) > _MOST_TENSORS or len(set(names)) < len(names):
            yield "its tensors are too many, or have the same name"
        if not all(_is_tensor(each, names) for each in tensors):
            yield "it has a tensor that no model has"


def _is_tensor(tensor: TensorSpec, names: list[str]) -> bool:
    shapes = (tensor.shape, tensor.declared or ())
    return (
        0 < len(tensor.name) <= _LONGEST_NAME
        and tensor.datatype in DATATYPES
        and all(len(shape) <= _MOST_AXES for shape in shapes)
        and all(-1 <= size < _LARGEST_AXIS for shape in shapes for size in shape)
        and len(tensor.labels) in {0, len(tensor.shape)}
        and tensor.marks in {None, *names}
        and tensor.holds in {None, "binary", "date", "json"}
    )


def _of_conversion(made: Conversion | None) -> Iterator[str]:
    if made is None:
        return
    trees.check_paths(made.files)
    if made.digest != digest_of_files(made.files):
        yield "the digest of the conversion is not that of its files"
    if not all(DIGEST.fullmatch(each.digest) and each.size >= 0 for each in made.files):
        yield "a file of the conversion has no digest of SHA-256"
    if made.entry not in {each.path for each in made.files}:
        yield f"the conversion lacks {made.entry!r}"


def _of_lock(lock: Lock | None) -> Iterator[str]:
    if lock is None:
        return
    if not lock.names_itself:
        yield "the digest of the lock is not that of its text"
    if not all(DIGEST.fullmatch(wheel.digest) for wheel in lock.built):
        yield "a wheel of the lock has no digest of SHA-256"


def _of_golden(asked: Golden | None) -> Iterator[str]:
    if asked is None:
        return
    if asked.answer_from is not None:
        yield "it names where its answer came from"
    bodies = asked.bodies()
    if not asked.requests or not all(DIGEST.fullmatch(body.digest) for body in bodies):
        yield "a request that it names has no digest of SHA-256"
