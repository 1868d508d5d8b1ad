"""JSON that every reader of JSON reads, and text that fits a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloche.rendering import hanging, json_text, table


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


URL = "http://127.0.0.1:8080/v2/models/a-rather-long-name-of-a-service/infer"
HEADER, ROWS = ("NAME", "PHASE", "URL"), [("digits", "live", URL), ("wine", "down", "")]


def test_a_table_has_its_columns_beside_each_other_where_they_fit() -> None:
    beside = f"NAME    PHASE  URL\ndigits  live   {URL}\nwine    down"
    assert table(HEADER, ROWS) == beside
    assert table(HEADER, ROWS, 15 + len(URL)) == beside


def test_the_widest_columns_of_a_table_stand_below_where_they_do_not() -> None:
    below = f"NAME    PHASE\ndigits  live\n  url  {URL}\nwine    down"
    assert table(HEADER, ROWS, 14 + len(URL)) == below
    assert table(HEADER, ROWS, 13) == below
    narrowest = f"NAME\ndigits\n  phase  live\n  url    {URL}\nwine\n  phase  down"
    assert table(HEADER, ROWS, 12) == narrowest


def test_prose_below_a_row_is_wrapped_between_words() -> None:
    text = table(("FIELD", ""), [("a", "one two three " * 5 + URL)], 40)
    assert text.splitlines()[2:] == [
        "  one two three one two three one two",
        "  three one two three one two three",
        f"  {URL}",
    ]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_words_are_never_broken(columns: int) -> None:
    words = ["well-known", URL, "sha256:0123456789abcdef", "end."]
    lines = hanging("head  ", " ".join(words), columns).splitlines()
    assert [word for line in lines for word in line.split()] == ["head", *words]
    assert all(len(line) <= columns or len(line.split()[-1]) > columns - 10 for line in lines)
