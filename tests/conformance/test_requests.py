"""Requests made from a model's facts: ONNX Runtime must accept one for each model of the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_suite
import plain

from cloche.formats.onnx.inspection import inspect_file
from cloche.verification import samples

if TYPE_CHECKING:
    from pathlib import Path

    from onnx_suite import Case

_DATA = "the size of its output depends on the data, and the suite declares that of its own data"
NOT_ACCEPTED = {
    "test_range_float16_type_positive_delta_expanded": "the number of elements comes by division",
    "test_range_float_type_positive_delta_expanded": "the number of elements comes by division",
    "test_range_int32_type_negative_delta_expanded": "the number of elements comes by division",
    "test_resize_downsample_sizes_nearest_not_smaller": "asked and declared size differ by policy",
    "test_sequence_model8": "the number of its parts is open, and their sizes must add up",
    "test_string_split_basic": _DATA,
    "test_string_split_consecutive_delimiters": _DATA,
    "test_string_split_empty_string_delimiter": _DATA,
    "test_string_split_maxsplit": _DATA,
    "test_string_split_no_delimiter": _DATA,
    "test_strnorm_model_monday_casesensintive_nochangecase": _DATA,
    "test_strnormalizer_export_monday_casesensintive_nochangecase": _DATA,
}
"""Cases for which no made request is right, and why."""


def _trouble(case: Case, path: Path) -> str | None:
    """Return why no made request is right; None if one is, or the suite's own is not either."""
    path.write_bytes(case.model)
    facts = inspect_file(path)
    loaded = plain.session(case.model)
    trouble = "no request was made"
    for request in samples.candidates(facts, rows=2 if facts.batch.present else 0):
        try:
            answer = plain.run(loaded, request)
        except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
            trouble = str(error)
            continue
        found = plain.fault(answer, facts.outputs)
        if found is None:
            return None
        trouble = found
    own = plain.run(loaded, case.inputs or {})
    return trouble if plain.fault(own, facts.outputs) is None else None


def test_a_made_request_is_accepted_for_each_model_of_the_suite(tmp_path: Path) -> None:
    answered = [case for case in onnx_suite.cases() if plain.why_not(case) is None]
    assert len(answered) > 1600
    path = tmp_path / "model.onnx"
    troubles = {case.name: _trouble(case, path) for case in answered}
    left = {name: trouble for name, trouble in troubles.items() if trouble}
    assert left.keys() == NOT_ACCEPTED.keys(), left
    assert len(left) < len(answered) / 100
