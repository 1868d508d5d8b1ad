"""Making a golden request: inputs, and the answer of a direct run of the model outside Triton.

The inputs are the spec's example, or the model's own, or made from its signature. Of a batch
each row is also run alone: where that gives another answer, requests must not be joined, and the
revision is refused before it can mix the answers of two callers.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import Golden, GoldenKind, ModelFormat
from cloche.errors import ClocheError
from cloche.verification import bodies, samples
from cloche.verification import direct_run as direct
from cloche.verification import mlflow_example as examples
from cloche.verification.comparison import Answer, compare

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, TensorSpec
    from cloche.store import Store
    from cloche.verification.direct_run import Tensors

_ROWS = 2
"""Enough to tell whether rows are mixed; each more costs two runs of the model."""
_MOST_ROWS = 16


def make(
    deployment: Deployment,
    store: Store,
    *,
    server_python: Path,
    environment: Path | None,
    timeout: float = 300.0,
) -> Golden:
    """Return the golden request of a deployment, with both bodies in the store.

    `server_python` is an interpreter that has ONNX Runtime, `environment` the model's own virtual
    environment, `timeout` the seconds that the direct run may take. Raises ClocheError where the
    model does not run, or answers otherwise when its rows are joined (`golden.rows`).
    """
    kind, requests = _requests(deployment, store)
    model = _reference(deployment, store, server_python, environment)
    if model is None:
        served = _as_served(requests[0], deployment.repository.inputs)
        return Golden(GoldenKind.SMOKE, bodies.keep(served, "inputs", store), None)
    rows = _rows_of(deployment, requests[0])
    try:
        answer = direct.run(model, requests, rows=rows if rows > 1 else 0, timeout=timeout)
    except direct.RefusedError as error:
        if kind is not GoldenKind.EXAMPLE:
            raise
        raise error.with_(hint="Give it an example that it can answer.") from error
    if answer.alone is not None:
        _check_rows(answer.outputs, answer.alone, rows)
    request = _as_served(requests[answer.request], deployment.repository.inputs)
    expected = _as_served(answer.outputs, deployment.repository.outputs)
    return Golden(
        kind, bodies.keep(request, "inputs", store), bodies.keep(expected, "outputs", store)
    )


def _requests(deployment: Deployment, store: Store) -> tuple[GoldenKind, list[Tensors]]:
    """Return requests to try in turn, in the model's own shapes."""
    snapshot, facts = deployment.snapshot, deployment.facts
    most = deployment.repository.max_batch_size
    if deployment.example is not None:
        given = bodies.read(deployment.example, store)
        return GoldenKind.EXAMPLE, [_resized(given, most) if most else given]
    if snapshot.metadata.input_example is not None:
        path = store.tree_path(snapshot.digest) / snapshot.metadata.input_example
        example = examples.read(path, facts.inputs)
        return GoldenKind.EXAMPLE, [_resized(example, most) if most else example]
    specs = examples.inputs_of(facts, deployment.repository)
    rows = min(_ROWS, most)
    made = samples.candidates(specs, rows=rows, seed=deployment.repository.digest)
    return GoldenKind.GENERATED, list(made)


def _resized(example: Tensors, most: int) -> Tensors:
    """Return an example with at least two rows where a batch may have so many, and no more."""
    import numpy as np

    rows = len(next(iter(example.values())))
    wanted = min(max(rows, min(2, most)), most, _MOST_ROWS)
    return {name: array[np.arange(wanted) % rows] for name, array in example.items()}


def _rows_of(deployment: Deployment, request: Tensors) -> int:
    if deployment.repository.max_batch_size == 0:
        return 0
    return len(next(iter(request.values())))


def _reference(
    deployment: Deployment, store: Store, server_python: Path, environment: Path | None
) -> direct.Model | None:
    """Return how to run the model directly, None where nothing here can."""
    snapshot, facts, repository = deployment.snapshot, deployment.facts, deployment.repository
    if snapshot.format is ModelFormat.MLFLOW and facts.backend == "python":
        if environment is None:
            raise ClocheError("golden.environment", "The model's own environment is missing.")
        folder = store.tree_path(snapshot.digest) / PurePosixPath(snapshot.entry).parent
        signature = snapshot.metadata.signature
        description = {
            "columns": facts.columns,
            "inputs": _described(facts.inputs),
            "outputs": _described(facts.outputs),
            "unnamed": list(signature.unnamed) if signature else [facts.inputs[0].name],
        }
        return direct.Model("run_pyfunc.py", environment / "bin" / "python", folder, description)
    files = [entry.path for entry in repository.files if entry.path.endswith(".onnx")]
    if len(files) != 1 or len(repository.models) != 1:
        return None
    path = store.tree_path(repository.digest) / files[0]
    return direct.Model("run_onnx.py", server_python, path, {})


def _described(specs: tuple[TensorSpec, ...]) -> list[dict[str, str]]:
    return [{"name": spec.name, "datatype": spec.datatype} for spec in specs]


def _check_rows(whole: Tensors, alone: Tensors, rows: int) -> None:
    """Raise golden.rows where a batch is not the answers to its rows, one below the other."""
    hint = (
        "Serve each request alone: write `batching: {max_batch_size: 0}` in cloche.yaml, or export "
        "the model so that the first axis of every output is that of its inputs."
    )
    for name, array in whole.items():
        if not array.ndim or len(array) != rows:
            first = len(array) if array.ndim else "no"
            what = f"The output {name} has {first} rows for a request of {rows}"
            raise ClocheError("golden.rows", f"{what}: requests cannot be joined.", hint=hint)
    for difference in compare(_typed(alone), _typed(whole)):
        if difference.detail is not None:
            raise ClocheError(
                "golden.rows",
                "The model answers a batch otherwise than its rows one by one, so joining "
                f"requests would change what callers get. {difference.detail}",
                hint=hint,
            )


def _typed(tensors: Tensors) -> Answer:
    from cloche.verification.reference import exchange

    return Answer(tensors, {name: exchange.datatype_of(array) for name, array in tensors.items()})


def _as_served(tensors: Tensors, specs: tuple[TensorSpec, ...]) -> Tensors:
    """Return tensors in the shapes that a client sees: Triton has no scalars, they are [1]."""
    ranks = {spec.name: len(spec.shape) for spec in specs}
    return {
        name: array[..., None] if ranks.get(name) == array.ndim + 1 else array
        for name, array in tensors.items()
    }
