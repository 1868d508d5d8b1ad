"""Replaying a golden request and judging the answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import GoldenKind, TensorDifference, Verification
from cloche.errors import ClocheError
from cloche.verification.comparison import Answer, compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloche.artifacts import Golden, InferenceBody, ModelRepository, TensorSpec
    from cloche.clients.kserve.client import InferenceAnswer
    from cloche.store import Store


def verify(
    golden: Golden,
    url: str,
    *,
    model: str,
    store: Store,
    repository: ModelRepository,
    timeout: float = 60.0,
) -> Verification:
    """Send a golden request to the server at a base URL and compare the answer.

    A server that refuses the request or violates the protocol fails the verification. Raises
    UnavailableError if there was no answer (no connection, none within `timeout` seconds, a gateway
    without replicas): that says nothing about the model.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    answer, duration = _ask(golden, url, model, store, timeout)
    outputs: tuple[TensorDifference, ...] = ()
    if isinstance(answer, str):
        detail: str | None = answer
    else:
        try:
            got = read_answer(answer.body, answer.header_length)
            outputs = _judge(golden, got, store, repository)
            detail = " ".join(output.detail for output in outputs if output.detail) or None
        except ClocheError as error:
            detail = error.what
    return Verification(
        passed=detail is None,
        kind=golden.kind,
        outputs=outputs,
        duration_ms=round(duration, 3),
        at=at,
        url=url,
        detail=detail,
    )


def _ask(
    golden: Golden, url: str, model: str, store: Store, timeout: float
) -> tuple[InferenceAnswer | str, float]:
    """Return the answer or the reason of a refusal, and the milliseconds that it took."""
    from cloche.clients.kserve.client import InferenceClient

    request = store.read(golden.request.digest)
    answer: InferenceAnswer | str
    with InferenceClient(url, timeout=timeout) as client:
        started = time.perf_counter()
        try:
            answer = client.infer(model, request, golden.request.header_length)
        except ClocheError as error:
            if error.retriable:
                raise
            answer = error.what
        return answer, (time.perf_counter() - started) * 1000


def read_answer(body: bytes, header_length: int | None) -> Answer:
    """Return the tensors of an answer with the datatypes it declares; raises UsageError."""
    from cloche.clients.kserve import tensors

    arrays = tensors.decode(body, header_length)
    described = tensors.read_header(body, header_length).get("outputs") or ()
    return Answer(arrays, {tensor["name"]: tensor["datatype"] for tensor in described})


def _judge(
    golden: Golden, got: Answer, store: Store, repository: ModelRepository
) -> tuple[TensorDifference, ...]:
    if golden.kind is GoldenKind.SMOKE or golden.expected is None:
        return tuple(_smoke(spec, got) for spec in repository.main.outputs)
    return compare(_expected_answer(golden.expected, store), got)


def _expected_answer(body: InferenceBody, store: Store) -> Answer:
    return read_answer(store.read(body.digest), body.header_length)


def _smoke(spec: TensorSpec, got: Answer) -> TensorDifference:
    """Judge an output by its declared type and shape, and for finite values."""
    array = got.tensors.get(spec.name)
    detail = f"is missing; the answer has {', '.join(got.tensors) or 'no output at all'}"
    wrong = 1
    if array is not None:
        wrong, detail = _trouble(spec, array, got.datatypes[spec.name])
    return TensorDifference(
        name=spec.name,
        datatype=spec.datatype,
        elements=0 if array is None else array.size,
        mismatched=wrong,
        max_absolute=None,
        max_relative=None,
        absolute_tolerance=0.0,
        relative_tolerance=0.0,
        detail=f"The output {spec.name} {detail}." if detail else None,
    )


def _trouble(spec: TensorSpec, array: NDArray[Any], datatype: str) -> tuple[int, str]:
    import numpy as np

    if datatype != spec.datatype:
        return array.size, f"has the type {datatype} where {spec.datatype} is declared"
    fits = len(array.shape) == len(spec.shape) and all(
        declared in {-1, size} for declared, size in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        shapes = f"{list(array.shape)} where {list(spec.shape)} is declared"
        return array.size, f"has the shape {shapes}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        strange = ~np.isfinite(array)
        index = [int(axis) for axis in np.argwhere(strange)[0]]
        return int(strange.sum()), f"is not finite: at {index} it is {array[tuple(index)]}"
    return 0, ""
