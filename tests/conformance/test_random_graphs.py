"""Random small graphs: what inspection claims of them holds in ONNX Runtime, and on real Triton."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import plain
from deployed import EQUAL, Question, ask_all
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_graphs import graph

from cloche.formats.onnx.inspection import inspect_file
from cloche.store import Store
from cloche.verification import samples

if TYPE_CHECKING:
    import onnxruntime
    from onnx_suite import Arrays

    from cloche.artifacts import ModelFacts
    from fixtures.triton import TritonStarter


def _facts(model: bytes) -> ModelFacts:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        return inspect_file(path)


def _accepted(loaded: onnxruntime.InferenceSession, facts: ModelFacts) -> Arrays | None:
    """Return the first made request that ONNX Runtime answers."""
    for request in samples.candidates(facts, rows=2 if facts.batch.present else 0):
        try:
            loaded.run(None, request)
        except Exception:  # noqa: BLE001 - the runtime's errors have no common base
            continue
        return request
    return None


def _load(model: bytes) -> onnxruntime.InferenceSession | None:
    try:
        return plain.session(model)
    except Exception:  # noqa: BLE001
        return None


@settings(max_examples=600)
@given(st.data())
def test_what_is_claimed_of_a_graph_holds(data: st.DataObject) -> None:
    model = graph(lambda count: data.draw(st.integers(0, count - 1))).SerializeToString()
    loaded = _load(model)
    assume(loaded is not None)
    assert loaded is not None
    facts = _facts(model)
    request = _accepted(loaded, facts)
    assert request is not None, "no made request is accepted"
    if facts.batch.present:
        _assert_rows_stay_apart(loaded, request, facts.batch.why)


def _assert_rows_stay_apart(
    loaded: onnxruntime.InferenceSession, request: Arrays, why: str
) -> None:
    together = plain.run(loaded, request)
    alone = [
        plain.run(loaded, {name: array[row : row + 1] for name, array in request.items()})
        for row in range(2)
    ]
    for name, array in together.items():
        assert array.shape[:1] == (2,), why
        joined = np.concatenate([each[name] for each in alone])
        np.testing.assert_allclose(array, joined, rtol=1e-2, atol=1e-3, err_msg=why)


def test_triton_answers_random_graphs_as_onnx_runtime_does(
    triton_starter: TritonStarter, tmp_path: Path
) -> None:
    questions = []
    seeds = iter(range(1000))
    while len(questions) < 20:
        seed = next(seeds)
        model = graph(random.Random(seed).randrange).SerializeToString()
        loaded = _load(model)
        request = None if loaded is None else _accepted(loaded, _facts(model))
        if request is not None:
            questions.append(Question(f"random-{seed}", model, request))
    outcomes = list(ask_all(questions, tmp_path, Store(tmp_path / "store", 2**30), triton_starter))
    assert len(outcomes) == 20
    assert not [one for one in outcomes if one.verdict != EQUAL]
