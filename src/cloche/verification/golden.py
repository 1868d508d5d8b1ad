"""Making a golden request: inputs, and the answer of a direct run of the model outside Triton.

The inputs are the spec's example, or the model's own, or made from its signature. Each row of a
batch is also run alone: if that gives another answer, requests must not be joined, and the revision
is refused before it can mix the answers of two callers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Golden, GoldenKind
from cloche.errors import ClocheError
from cloche.verification import bodies, direct_run, model_example, samples
from cloche.verification.comparison import Answer, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Deployment, TensorSpec
    from cloche.store import Store
    from cloche.verification.direct_run import Tensors
    from cloche.verification.reference import Interpreters, Reference

_ROWS = 2
"""Enough rows to detect mixing; each further one costs two runs of the model."""
_MOST_ROWS = 16


def make(
    deployment: Deployment,
    store: Store,
    *,
    references: Mapping[str, Reference],
    interpreters: Interpreters,
    timeout: float = 300.0,
) -> Golden:
    """Return the golden request of a deployment, with both bodies in the store.

    `references` run models directly, by backend, with the Pythons in `interpreters`, for at most
    `timeout` seconds. Raises ClocheError if the model does not run, or answers differently when its
    rows are joined (`golden.rows`).
    """
    member = deployment.main
    facts = member.facts
    kind, requests = _requests(deployment, store)
    reference, model = references.get(facts.backend), None
    if reference is not None:
        repository = deployment.repository
        model = reference.model(member.snapshot, facts, repository, store, interpreters)
    if model is None:
        served = _as_served(requests[0], deployment.repository.main.inputs)
        return Golden(GoldenKind.SMOKE, bodies.keep(served, "inputs", store), None)
    rows = _rows_of(deployment, requests[0])
    try:
        answer = direct_run.run(model, requests, rows=rows if rows > 1 else 0, timeout=timeout)
    except direct_run.RefusedError as error:
        if kind is not GoldenKind.EXAMPLE:
            raise
        raise error.with_(hint="Give it an example that it can answer.") from error
    if answer.alone is not None:
        _check_rows(answer.outputs, answer.alone, rows)
    request = _as_served(requests[answer.request], deployment.repository.main.inputs)
    expected = _as_served(answer.outputs, deployment.repository.main.outputs)
    return Golden(
        kind, bodies.keep(request, "inputs", store), bodies.keep(expected, "outputs", store)
    )


def _requests(deployment: Deployment, store: Store) -> tuple[GoldenKind, list[Tensors]]:
    """Return the kind, and requests to try in turn, in the model's own shapes."""
    snapshot, facts = deployment.main.snapshot, deployment.main.facts
    most = deployment.repository.main.max_batch_size
    if deployment.example is not None:
        given = bodies.read(deployment.example, store)
        return GoldenKind.EXAMPLE, [_resize(given, most) if most else given]
    if snapshot.metadata.input_example is not None:
        path = store.tree_path(snapshot.digest) / snapshot.metadata.input_example
        example = model_example.read(path, facts.inputs)
        return GoldenKind.EXAMPLE, [_resize(example, most) if most else example]
    seed = deployment.repository.digest
    requests = samples.candidates(facts.inputs, rows=min(_ROWS, most), seed=seed)
    return GoldenKind.GENERATED, list(requests)


def _resize(example: Tensors, most: int) -> Tensors:
    """Return an example with at least two rows if a batch may have two, and at most `most`."""
    import numpy as np

    rows = len(next(iter(example.values())))
    wanted = min(max(rows, min(2, most)), most, _MOST_ROWS)
    return {name: array[np.arange(wanted) % rows] for name, array in example.items()}


def _rows_of(deployment: Deployment, request: Tensors) -> int:
    if deployment.repository.main.max_batch_size == 0:
        return 0
    return len(next(iter(request.values())))


def _check_rows(whole: Tensors, alone: Tensors, rows: int) -> None:
    """Raise golden.rows if the answer to a batch is not the joined answers to its rows."""
    hint = (
        "Serve each request alone: write `batching: {max_batch_size: 0}` in cloche.yaml, or export "
        "the model so that the first axis of every output is that of its inputs."
    )
    for name, array in whole.items():
        if not array.ndim or len(array) != rows:
            first = len(array) if array.ndim else "no"
            what = f"The output {name} has {first} rows for a request of {rows}"
            raise ClocheError("golden.rows", f"{what}: requests cannot be joined.", hint=hint)
    for difference in compare(_answer_of(alone), _answer_of(whole)):
        if difference.detail is not None:
            raise ClocheError(
                "golden.rows",
                "The model answers a batch differently from its rows one by one, so joining "
                f"requests would change what callers get. {difference.detail}",
                hint=hint,
            )


def _answer_of(tensors: Tensors) -> Answer:
    from cloche.verification.reference.scripts import exchange

    return Answer(tensors, {name: exchange.datatype_of(array) for name, array in tensors.items()})


def _as_served(tensors: Tensors, specs: tuple[TensorSpec, ...]) -> Tensors:
    """Return tensors in the shapes that clients see: Triton has no scalars, they are [1]."""
    ranks = {spec.name: len(spec.shape) for spec in specs}
    return {
        name: array[..., None] if ranks.get(name) == array.ndim + 1 else array
        for name, array in tensors.items()
    }
