"""A spread of ONNX's backend suite on real Triton; `make conformance` runs all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_suite
import plain
from deployed import EQUAL, REFUSED, UNSTEADY, Question, ask_all

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
    empty = [one for one in outcomes if one.verdict == REFUSED and "empty_axis" in one.why]
    wrong = [one for one in outcomes if one.verdict not in {EQUAL, UNSTEADY} and one not in empty]
    assert not wrong
    assert len(empty) < len(spread) / 10
