"""The table of what is served: its rows, their measurements, and what is not served."""

from __future__ import annotations

import pytest

from cloche import composition, spec
from cloche.artifacts import Conversion, Judge, Parity
from cloche.formats import Variant, measured, table
from cloche.formats.variant import Served

FORMATS = composition.formats().values()
VARIANTS = [variant for form in FORMATS for variant in form.variants]


def test_each_variant_has_one_measurement() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert list(measured.read()) == names, "run `make formats`"


@pytest.mark.parametrize("row", list(table.rows(FORMATS)), ids=lambda row: row.variant.name)
def test_a_variant_was_served_as_its_row_says(row: table.Row) -> None:
    found, served = row.measured, row.variant.served
    assert found.judge == Judge.REFERENCE
    assert (found.converter is not None) == (served is Served.CONVERTED)
    assert (found.parity is not None) == (served is Served.CONVERTED)
    if served is Served.FRAMEWORK:
        assert found.backend == "python"
    elif served is not Served.REPOSITORY:
        assert found.backend == "onnxruntime"
    if found.parity is not None:
        assert found.parity.max_absolute <= 1e-4 * (found.parity.scale or 1.0)
        assert found.parity.requests >= 3


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_keys_of_a_variant_are_those_of_cloche_yaml(variant: Variant) -> None:
    lines = ["model: ./model", *(f"{key.name}: {key.example}" for key in variant.keys)]
    written = spec.parse("\n".join(lines)).written()
    assert set(written) - {"name"} == {"model", *(key.name for key in variant.keys)}
    assert all(key.why and "\n" not in key.why for key in variant.keys)


def test_what_is_not_served_is_listed_in_the_words_of_its_refusal() -> None:
    listed = {each.what: each.remedy for each in table.unserved(FORMATS)}
    assert len(listed) == len(list(table.unserved(FORMATS)))
    words = " ".join(listed)
    for name in ("TensorRT", "GGUF", "frozen graph", "diffusers", "adapter", "checkpoint"):
        assert name in words
    assert listed["a language model in the GGUF format"].startswith("serve it with llama.cpp")
    assert all(listed.values())


def parity(largest: float, scale: float, labels: tuple[int, int] | None = None) -> Parity:
    return Parity("y", "FP32", 9, scale, 1e-4, largest, largest, largest, labels)


@pytest.mark.parametrize(
    ("outputs", "largest", "scale", "labels"),
    [
        ((parity(2.3e-7, 7.24, (9, 9)),), 1e-6, 7.0, "9 of 9"),
        ((parity(1e-7, 1.0),), 1e-7, 1.0, None),
        ((parity(1e-6, 100.0, (9, 9)), parity(4e-7, 1.0, (8, 9))), 1e-6, 1.0, "8 of 9"),
        ((parity(0.0, 0.0, (5, 5)),), 0.0, 0.0, "5 of 5"),
    ],
)
def test_numbers_are_those_of_the_worst_output_and_rounded(
    outputs: tuple[Parity, ...], largest: float, scale: float, labels: str | None
) -> None:
    made = measured.closeness(Conversion("sha256:0", (), "model.onnx", "made", outputs, 12))
    assert made == measured.Closeness(largest, scale, labels, 12)
