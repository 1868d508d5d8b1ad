"""Requests made from facts: which shapes and values they have, and in which order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    ModelFacts,
    ModelFormat,
    TensorSpec,
    ValueRange,
    decode,
    encode,
)
from cloche.verification import samples

AXIS = BatchAxis(present=True, certainty=Certainty.CERTAIN, why="it is a test")
SEED = "sha256:" + "ab" * 32


def facts(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (), **more: object) -> ModelFacts:
    made = ModelFacts(ModelFormat.ONNX, "onnx", "onnxruntime", inputs, outputs, AXIS, 1, 1)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def made(*inputs: TensorSpec, rows: int = 0, **more: object) -> list[dict[str, np.ndarray]]:
    return list(samples.candidates(facts(*inputs, **more), rows=rows, seed=SEED))


def test_the_first_requests_vary_and_suit_most_models() -> None:
    requests = made(
        TensorSpec("ids", "INT64", (-1, -1)),
        TensorSpec("text", "BYTES", (-1, 1)),
        TensorSpec("image", "FP16", (-1, 3, -1, -1)),
        TensorSpec("pixels", "UINT8", (-1, 64, 64, 3)),
        TensorSpec("flag", "BOOL", (-1,)),
        rows=2,
    )
    first, second, third = requests[1:4]  # the very first one has pictures
    assert len(np.unique(first["ids"])) > 2
    assert first["ids"].min() >= 0
    assert first["image"].dtype == np.float16
    assert 0 <= first["image"].min() < first["image"].max() <= 1
    assert (first["pixels"].min(), first["pixels"].max()) == (0, 255)
    assert all(isinstance(word, str) for word in first["text"].ravel())
    assert second["text"].ravel()[0].isdigit()
    assert third["text"].ravel()[0].startswith("2024-")


def test_open_sizes_grow() -> None:
    requests = made(TensorSpec("image", "FP32", (-1, 3, -1, -1)), rows=2)
    picture, *others = requests
    assert picture["image"].shape == (2, 3, 32, 32)
    shapes = list(dict.fromkeys(request["image"].shape for request in others))
    assert shapes[:3] == [(2, 3, size, size) for size in (4, 32, 224)]


@pytest.mark.parametrize(
    ("datatype", "shape", "most"),
    [("FP32", (-1, 3, -1, -1), 1), ("UINT8", (-1, 64, 48, 1), 255), ("FP16", (2, 1, 20, 20), 1)],
)
def test_the_first_picture_has_something_on_it(
    datatype: str, shape: tuple[int, ...], most: int
) -> None:
    image = made(TensorSpec("x", datatype, shape))[0]["x"].astype(np.float64) / most
    dark, light = (image < 0.2).mean(), (image > 0.8).mean()
    assert dark > 0.04
    assert light > 0.3
    assert dark + light == 1


def test_requests_differ_are_few_and_the_same_again() -> None:
    spec = TensorSpec("x", "INT64", (3,))
    requests = [request["x"].tolist() for request in made(spec)]
    assert len({tuple(each) for each in requests}) == len(requests) <= samples.MOST
    assert requests == [request["x"].tolist() for request in made(spec)]


def test_the_name_of_an_input_changes_nothing() -> None:
    one, other = TensorSpec("attention_mask", "INT64", (-1, 8)), TensorSpec("a", "INT64", (-1, 8))
    for left, right in zip(made(one), made(other), strict=True):
        np.testing.assert_array_equal(left["attention_mask"], right["a"])


def test_one_label_has_one_size_and_sums_add_up() -> None:
    first = made(
        TensorSpec("ids", "INT64", (-1, -1), ("batch", "seq")),
        TensorSpec("past", "FP32", (2, -1, -1), (None, "batch", "past_len")),
        TensorSpec("mask", "INT64", (-1, -1), ("batch", "past_len + seq")),
        TensorSpec("bias", "FP32", (-1, -1), ("batch", "total_len")),
        TensorSpec("half", "FP32", (-1, -1), ("batch", "2*seq//4")),
    )[0]
    assert first["ids"].shape == (4, 4)
    assert first["past"].shape == (2, 4, 4)
    assert first["mask"].shape == first["bias"].shape == (4, 8)
    assert first["half"].shape == (4, 2)


def test_a_row_is_a_row_in_every_input_with_its_label() -> None:
    first = made(
        TensorSpec("x", "FP32", (-1, 3), ("n", None)),
        TensorSpec("y", "FP32", (-1, -1), ("n", "n")),
        rows=2,
    )[0]
    assert first["y"].shape == (2, 2)


@pytest.mark.parametrize(
    ("limit", "low", "high"),
    [
        (ValueRange(0, 9, whole=True, why="rows of a table"), 0, 9),
        (ValueRange(1, None, whole=False, why="a divisor"), 1, None),
        (ValueRange(-3, -1, whole=False, why="below zero"), -3, -1),
    ],
)
@pytest.mark.parametrize("datatype", ["INT64", "INT8", "FP32"])
def test_values_stay_in_their_range(
    limit: ValueRange, low: float, high: float | None, datatype: str
) -> None:
    requests = made(TensorSpec("x", datatype, (50,)), ranges={"x": limit})
    for request in requests[:2]:
        assert request["x"].min() >= low
        assert high is None or request["x"].max() <= high
        assert not limit.whole or (request["x"] == np.round(request["x"])).all()


def test_an_argument_that_the_model_tells_is_taken() -> None:
    told = ValueRange(None, None, whole=False, why="a target", values=(2, -1))
    for request in made(TensorSpec("to", "INT64", (2,)), ranges={"to": told})[:1]:
        assert request["to"].tolist() == [2, -1]


def test_arguments_are_read_from_the_outputs_where_nothing_tells_them() -> None:
    requests = made(
        TensorSpec("size", "INT64", (4,)), outputs=(TensorSpec("grid", "FP32", (2, 5, 6, 2)),)
    )
    assert {(2, 5, 6, 2), (2, 1, 5, 6), (0, 1, 2, 3)} <= {
        tuple(request["size"].tolist()) for request in requests
    }


def test_an_axis_that_was_opened_for_the_server_alone_stays_empty() -> None:
    spec = TensorSpec("x", "FP32", (-1, 3), (None, None), declared=(0, 3))
    assert all(request["x"].shape == (0, 3) for request in made(spec))


def test_sizes_that_the_model_tells_are_taken() -> None:
    spec = TensorSpec("x", "FP32", (-1, -1), ("n", None))
    assert made(spec, sizes={"x[1]": 80})[0]["x"].shape == (4, 80)


def test_facts_of_an_earlier_version_have_no_ranges() -> None:
    document = encode(facts(TensorSpec("x", "FP32", (1,))))
    earlier = document.replace(b'"ranges":{},', b"").replace(b'"sizes":{},', b"")
    assert earlier != document
    assert decode(ModelFacts, earlier).ranges == {}
