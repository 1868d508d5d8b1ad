"""How far a golden answer may be off, by what the parity of a conversion allows."""

from __future__ import annotations

import pytest

from cloche.artifacts import Conversion, Golden, Judge, Parity, RequestOrigin
from cloche.conversion import as_close_as_measured
from cloche.verification.comparison import Tolerances


def parity(datatype: str, tolerance: float, scale: float = 2.0) -> Parity:
    return Parity(
        name="y", datatype=datatype, rows=4, scale=scale, tolerance=tolerance * scale,
        max_absolute=0.0, mean_absolute=0.0, max_relative=0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "allowed"),
    [
        (parity("FP64", 1e-4), 1e-4),  # the graph computes it in FP32
        (parity("FP32", 1e-4), 1e-4),
        (parity("FP32", 5e-3), 5e-3),  # the spec allows it
        (parity("FP32", 1e-6), 1e-4),  # the conversion was held to less than a server is
        (parity("INT64", 0.0, scale=0.0), 0.0),
    ],
)
def test_a_served_answer_may_be_as_far_off_as_the_conversion(
    measured: Parity, allowed: float
) -> None:
    golden = Golden(RequestOrigin.MADE, Judge.REFERENCE, ())
    conversion = Conversion("sha256:11", (), "model.onnx", "a converter", (measured,), 3)
    close = as_close_as_measured(golden, conversion)
    assert Tolerances(close.noise).of("y", measured.datatype) == pytest.approx(allowed)
