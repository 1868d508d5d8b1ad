"""Requests made from a model's facts: ONNX Runtime must accept one for each model of the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_suite
import plain
from made_requests import NEVER, NOT_ACCEPTED, RIGHT, trouble

if TYPE_CHECKING:
    from pathlib import Path


def test_a_made_request_is_accepted_for_each_model_of_the_suite(tmp_path: Path) -> None:
    answered = [case for case in onnx_suite.cases() if plain.why_not(case) is None]
    assert len(answered) > 1600
    path = tmp_path / "model.onnx"
    troubles = {case.name: trouble(case, path) for case in answered}
    left = {name: why for name, why in troubles.items() if why not in {RIGHT, NEVER}}
    assert left.keys() == NOT_ACCEPTED.keys(), left
    assert len(left) < len(answered) / 100
    assert sum(why == NEVER for why in troubles.values()) < 25
