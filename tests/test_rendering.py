"""JSON that every reader of JSON reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloche.rendering import json_text


def _refused(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1.5, float("nan"), float("inf"), float("-inf")], [1.5, "NaN", "Infinity", "-Infinity"]),
        ({"a": [{"b": (float("nan"), None, True)}]}, {"a": [{"b": ["NaN", None, True]}]}),
        ({"größe": "大", "n": 3}, {"größe": "大", "n": 3}),
    ],
)
def test_numbers_that_are_not_finite_are_texts(value: Any, expected: Any) -> None:
    assert json.loads(json_text(value), parse_constant=_refused) == expected


def test_a_name_of_a_file_that_is_no_text_is_escaped() -> None:
    text = json_text({"where": "a\udcff.onnx", "what": "大"})
    assert text.isascii()
    assert json.loads(text)["where"] == "a\udcff.onnx"
