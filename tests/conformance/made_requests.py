"""Requests made from a model's facts, asked of plain ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plain

from cloche.formats.onnx.inspection import inspect_file
from cloche.verification import samples

if TYPE_CHECKING:
    from pathlib import Path

    from onnx_suite import Case

_DATA = "the size of its output depends on the data, and the suite declares that of its own data"
_DIVIDED = "the number of elements comes by division"
NOT_ACCEPTED = {
    "test_range_float16_type_positive_delta_expanded": _DIVIDED,
    "test_range_float_type_positive_delta_expanded": _DIVIDED,
    "test_range_int32_type_negative_delta_expanded": _DIVIDED,
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
RIGHT, NEVER = "", "the suite's own answer has no elements, or is not finite"


def trouble(case: Case, path: Path) -> str:
    """Return why no made request is right: RIGHT if one is, NEVER if the suite's is not either.

    A request is right if ONNX Runtime answers it in the declared shapes, with elements, all finite.
    """
    path.write_bytes(case.model)
    facts = inspect_file(path)
    loaded = plain.session(case.model)
    last = "no request was made"
    for request in samples.candidates(facts, rows=2 if facts.batch.present else 0):
        try:
            answer = plain.run(loaded, request)
        except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
            last = str(error)
            continue
        found = plain.fault(answer, facts.outputs)
        if found is None:
            return RIGHT
        last = found
    own = plain.run(loaded, case.inputs or {})
    return last if plain.fault(own, facts.outputs) is None else NEVER
