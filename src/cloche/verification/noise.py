"""How far a model's own answers to one request differ.

The same request is answered again in fresh processes: with one thread and with several, with other
graph optimisations, and with each float moved to its neighbour. No server can be closer to the
reference than the reference is to itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche import artifacts
from cloche.verification import direct_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cloche.artifacts import Golden
    from cloche.store import Store
    from cloche.verification.asked import Model, Request, Tensors

Noise = dict[str, float | None]

_REMEMBERED = "noise"

_TIMES = 3
"""Twice the same request, since random operators begin alike in each process; once moved."""


def measure(model: Model, request: Request, answer: Tensors, *, timeout: float) -> Noise:
    """Return by output how far `answer` and further answers differ.

    The unit is the largest finite magnitude of the output; None means that they differ in more than
    rounding: in shape, in integers or text, in where a value is finite. Raises ClocheError as
    `direct_run.repeat`.
    """
    runs: list[Tensors] = []
    for variant in model.variants:
        runs += direct_run.repeat(model, request, variant, times=_TIMES, timeout=timeout)
    return {
        name: spread([*(run[name] for run in runs if name in run), array])
        for name, array in answer.items()
    }


def recall(repository: str, request: Golden, store: Store) -> Noise | None:
    """Return what was measured for a golden request to the model of a repository, by its digest."""
    remembered = store.recall(_REMEMBERED, _key(repository, request))
    return None if remembered is None else artifacts.decode(dict[str, float | None], remembered)


def remember(repository: str, request: Golden, measured: Noise, store: Store) -> None:
    """Keep what was measured, for `recall`."""
    store.remember(_REMEMBERED, _key(repository, request), artifacts.encode(measured))


def _key(repository: str, request: Golden) -> str:
    parts = [repository, artifacts.to_builtins(request)]
    return artifacts.digest_of(artifacts.encode(parts)).removeprefix("sha256:")


def spread(arrays: Sequence[NDArray[Any]]) -> float | None:
    """Return how far arrays differ, as a fraction of the first one's largest finite magnitude.

    Axes of size 1 make no difference: a served answer has one where the model has none.
    """
    import numpy as np

    arrays = [np.squeeze(each) for each in arrays]
    first = arrays[0]
    if any(each.shape != first.shape or each.dtype != first.dtype for each in arrays):
        return None
    if first.dtype.kind != "f":
        return 0.0 if all(np.array_equal(first, each) for each in arrays) else None
    stacked = np.stack([each.astype(np.float64) for each in arrays])
    finite = np.isfinite(stacked)
    same = (stacked == stacked[0]) | (np.isnan(stacked) & np.isnan(stacked[0]))
    if not (same | (finite & finite[0])).all():
        return None
    if not finite[0].any():
        return 0.0
    values = np.where(finite, stacked, 0.0)
    scale = float(np.abs(values[0]).max())
    off = float((values.max(axis=0) - values.min(axis=0)).max())
    return off / scale if scale else off
