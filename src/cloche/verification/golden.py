"""The golden request of a deployment: which requests are tried, and what judges the answer.

The request is the user's example, else the model's own, else made. What judges the answer is the
values that the user gave, else the answer of the model's own framework in a trial.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Finding, Golden, Judge, RequestOrigin, Severity
from cloche.errors import ClocheError
from cloche.verification import bodies, declared_answer, model_example, samples
from cloche.verification.asked import Request
from cloche.verification.comparison import LARGEST, Answer, Tolerances, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.artifacts import (
        InferenceBody,
        Member,
        ModelFacts,
        RepositoryMember,
        TensorSpec,
    )
    from cloche.store import Store
    from cloche.verification.asked import Tensors
    from cloche.verification.trial import Trial

_ROWS = 2
"""Enough rows to detect mixing; each further one costs two runs of the model."""
_MOST_ROWS = 16
_WHOLE_SEQUENCE = {"sequence_id": 1_867_000_001, "sequence_start": True, "sequence_end": True}
"""A sequence of one request (Triton's extension_sequence.md); an id that callers hardly use."""
_MOST_ASKED = 8
"""Made requests that a server without a reference is asked in turn."""


def requests(
    member: Member,
    served: RepositoryMember,
    example: InferenceBody | None,
    store: Store,
    *,
    known: InferenceBody | None = None,
) -> tuple[list[Request], tuple[Finding, ...]]:
    """Return the requests to try in turn, in the model's own shapes, and what was unusable.

    `example` is the user's; no other request takes its place. `known` is one that the model has
    answered.
    """
    most = served.max_batch_size
    if example is not None:
        given = bodies.request(example, RequestOrigin.GIVEN, store)
        return [_resized(given, served)], ()
    stored, findings = _stored(member, served, store)
    most = min(1 if served.stateful else _ROWS, most)
    parameters = _WHOLE_SEQUENCE if served.stateful else {}
    made = [
        Request(tensors, RequestOrigin.MADE, rows=most, parameters=parameters)
        for tensors in samples.candidates(
            _without_marks(member.facts), rows=most, seed=member.snapshot.digest
        )
    ]
    if known is not None:
        made.insert(0, _resized(bodies.request(known, RequestOrigin.MADE, store), served))
    return [*stored, *made], findings


def _without_marks(facts: ModelFacts) -> ModelFacts:
    """Return facts without the inputs that mark missing values: made requests miss none."""
    return replace(facts, inputs=tuple(spec for spec in facts.inputs if spec.marks is None))


def _stored(
    member: Member, served: RepositoryMember, store: Store
) -> tuple[list[Request], tuple[Finding, ...]]:
    snapshot = member.snapshot
    if snapshot.metadata.input_example is None:
        return [], ()
    path = store.tree_path(snapshot.digest) / snapshot.metadata.input_example
    try:
        example, parameters = model_example.read(path, member.facts.inputs)
    except ClocheError as error:
        finding = Finding(Severity.WARNING, error.code, error.what, error.where, error.hint)
        return [], (finding,)
    stored = Request(example, RequestOrigin.STORED, parameters=parameters)
    return [_resized(stored, served)], ()


def _resized(request: Request, served: RepositoryMember) -> Request:
    """Return a request with at least two rows if a batch may have two, and at most the maximum.

    A request of a sequence has one row and the sequence's id; it begins and ends it.
    """
    most = served.max_batch_size
    if served.stateful:
        request = replace(request, parameters={**_WHOLE_SEQUENCE, **request.parameters})
    if not most:
        return request
    import numpy as np

    rows = len(next(iter(request.tensors.values())))
    wanted = 1 if served.stateful else min(max(rows, min(_ROWS, most)), most, _MOST_ROWS)
    order = np.arange(wanted) % rows
    resized = {name: array[order] for name, array in request.tensors.items()}
    return replace(request, tensors=resized, rows=wanted)


def fits(known: Golden, served: RepositoryMember, store: Store) -> bool:
    """Return whether a golden request, and its answer, are what a repository would be asked.

    A model that is served with other batches is asked other rows.
    """
    for body in known.requests:
        asked = bodies.request(body, known.origin, store)
        if not _has_ranks(asked.tensors, served.inputs):
            return False
        rows = {name: array.shape for name, array in asked.tensors.items()}
        resized = _resized(asked, served).tensors
        if rows != {name: array.shape for name, array in resized.items()}:
            return False
    return known.expected is None or _has_ranks(bodies.read(known.expected, store), served.outputs)


def _has_ranks(tensors: Tensors, specs: tuple[TensorSpec, ...]) -> bool:
    ranks = {spec.name: len(spec.shape) for spec in specs}
    return all(ranks.get(name) == array.ndim for name, array in tensors.items())


def of_trial(
    trial: Trial, served: RepositoryMember, store: Store, *, expected: InferenceBody | None = None
) -> Golden:
    """Return the golden request that a trial found; `expected` are the values that the user gave.

    Raises ClocheError `golden.expected` if the framework itself does not give those values.
    """
    kept = tuple(_keep_request(request, served, store) for request in trial.requests)
    origin = trial.requests[0].origin
    if trial.answer is None:
        why = f"No request is known that the model accepts ({trial.why_refused})."
        return Golden(origin, Judge.NONE, kept, why=why)
    declared = declared_answer.as_declared(trial.answer.outputs, served.outputs)
    answer = _keep(declared, served.outputs, "outputs", store)
    if expected is not None:
        _check_expected(expected, answer, trial, store)
        return Golden(origin, Judge.EXPECTED, kept, expected, noise=trial.noise)
    judge, reason = _judge_of(trial)
    return Golden(origin, judge, kept, answer, reason, trial.noise)


def without_trial(
    tried: Sequence[Request],
    served: RepositoryMember,
    store: Store,
    *,
    expected: InferenceBody | None = None,
) -> Golden:
    """Return the golden request of a model that nothing but its server can run."""
    few = islice(tried, _MOST_ASKED)
    kept = tuple(_keep_request(request, served, store) for request in few)
    origin = tried[0].origin
    if expected is not None:
        return Golden(origin, Judge.EXPECTED, kept[:1], expected)
    why = "Only the server can run this model, so types and shapes are judged."
    return Golden(origin, Judge.SMOKE, kept, why=why)


def refused_example(trial: Trial) -> tuple[Finding, ...]:
    """Return the finding about a model that refuses its own stored example."""
    if trial.refused_example is None:
        return ()
    what = f"The model refuses the example that is stored with it: {trial.refused_example}"
    hint = "Deploy with --example FILE, or log the model again with an example that it can answer."
    return (Finding(Severity.WARNING, "golden.stored_example", what, hint=hint),)


def _judge_of(trial: Trial) -> tuple[Judge, str | None]:
    assert trial.answer is not None  # noqa: S101 - asked only of a trial with an answer
    if not trial.answer.shows_values:
        why = "No request is known whose answer has a finite value in each output."
        return Judge.SMOKE, why
    varying = varying_outputs(trial.answer.outputs, trial.noise)
    return (Judge.TYPES, why_types(varying)) if varying else (Judge.REFERENCE, None)


def varying_outputs(outputs: Tensors, noise: dict[str, float | None]) -> list[str]:
    """Return the outputs that the model itself does not answer alike twice."""
    from cloche.verification.reference.scripts import exchange

    tolerances = Tolerances(noise)
    return [
        name
        for name, array in outputs.items()
        if tolerances.of(name, exchange.datatype_of(array)) is None
    ]


def why_types(varying: Sequence[str]) -> str:
    """Return the sentence about outputs that vary by themselves."""
    return (
        f"The model's own answers to one request differ in {', '.join(varying)} by more than "
        f"{LARGEST:.0%} of the largest value, so types, shapes and finite values are judged."
    )


def _check_expected(
    expected: InferenceBody, answer: InferenceBody, trial: Trial, store: Store
) -> None:
    wanted, got = read_answer(expected, store), read_answer(answer, store)
    wrong = [each.detail for each in compare(wanted, got, Tolerances(trial.noise)) if each.detail]
    if wrong:
        raise ClocheError(
            "golden.expected",
            "The model, run by its own framework, does not give the expected values: "
            + " ".join(wrong),
            hint="Correct the `outputs` of the example, or leave them out.",
        )


def read_answer(body: InferenceBody, store: Store) -> Answer:
    """Return the tensors of a stored answer."""
    from cloche.verification import answers

    return answers.read(store.read(body.digest), body.header_length)


def _keep_request(request: Request, served: RepositoryMember, store: Store) -> InferenceBody:
    return _keep(request.tensors, served.inputs, "inputs", store, request.parameters)


def _keep(
    tensors: Tensors,
    specs: tuple[TensorSpec, ...],
    key: str,
    store: Store,
    parameters: dict[str, Any] | None = None,
) -> InferenceBody:
    """Store tensors in the shapes that clients see: Triton has no scalars, they are [1]."""
    ranks = {spec.name: len(spec.shape) for spec in specs}
    served = {
        name: array[..., None] if ranks.get(name) == array.ndim + 1 else array
        for name, array in tensors.items()
    }
    return bodies.keep(served, key, store, parameters)
