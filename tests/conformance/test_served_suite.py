"""A spread of ONNX's backend suite on real Triton; `make conformance` runs all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_suite
import plain
from deployed import EQUAL, UNSTEADY, Question, ask_all

from cloche.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.triton import TritonStarter

_EVERY = 43
"""About forty cases, spread over the names, and so over the operators."""


def test_triton_answers_as_onnx_runtime_does(triton_starter: TritonStarter, tmp_path: Path) -> None:
    answered = [case for case in onnx_suite.cases() if plain.why_not(case) is None]
    spread = [Question(one.name, one.model, one.inputs or {}) for one in answered[::_EVERY]]
    outcomes = list(ask_all(spread, tmp_path, Store(tmp_path / "store", 2**30), triton_starter))
    assert len(outcomes) == len(spread) > 30
    assert not [one for one in outcomes if one.verdict not in {EQUAL, UNSTEADY}]


def test_an_axis_of_size_0_is_served(triton_starter: TritonStarter, tmp_path: Path) -> None:
    named = [case for case in onnx_suite.cases() if case.name.startswith("test_castlike_DOUBLE")]
    asked = [Question(one.name, one.model, one.inputs or {}) for one in named[:3]]
    assert any(array.size == 0 for one in asked for array in one.inputs.values())
    outcomes = list(ask_all(asked, tmp_path, Store(tmp_path / "store", 2**30), triton_starter))
    assert [one.verdict for one in outcomes] == [EQUAL] * len(asked), outcomes
