"""Whether the answer of a replica to its golden request is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cloche.artifacts import (
    Golden,
    Judge,
    ModelRepository,
    RepositoryMember,
    RequestOrigin,
    TensorSpec,
)
from cloche.store import Store
from cloche.targets.local.health.golden_call import GoldenAnswer
from cloche.targets.local.health.judging import Judging
from cloche.verification import bodies, noise

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = np.array([1, 2, 4], np.float32)
MEMBER = RepositoryMember("m", "python", (), (TensorSpec("y", "FP32", (-1,)),), 0)
REPOSITORY = ModelRepository("m", "sha256:" + "0" * 64, (), (MEMBER,))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 2**30)


def golden(store: Store, judge: Judge = Judge.REFERENCE) -> Golden:
    request = bodies.keep({"x": EXPECTED}, "inputs", store)
    expected = bodies.keep({"y": EXPECTED}, "outputs", store) if judge.compares else None
    return Golden(RequestOrigin.MADE, judge, (request,), expected)


def answer(*values: float, name: str = "y", status: int = 200) -> GoldenAnswer:
    from cloche.verification.reference.scripts import exchange

    body, length = exchange.encode({name: np.array(values, np.float32)}, "outputs")
    return GoldenAnswer(status, body, length, 0.5)


def test_a_right_answer_and_one_that_differs_by_rounding(store: Store) -> None:
    judging = Judging(golden(store), REPOSITORY, store)
    for got in (answer(1, 2, 4), answer(1, 2, 4), answer(1.00001, 2, 4)):
        outcome = judging.outcome(got)
        assert (outcome.wrong, outcome.seconds, outcome.answered) == (None, 0.5, True)


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (answer(1, 2, 5), "y at [2]"),
        (answer(1, 2), "shape"),
        (answer(1, 2, 4, name="z"), "y is missing"),
        (GoldenAnswer(200, b"no answer", None, 0.1), "JSON"),
        (GoldenAnswer(500, b'{"error":"Stub process is not healthy."}', None, 0.1), "not healthy"),
    ],
)
def test_a_wrong_answer_says_what_is_wrong(store: Store, got: GoldenAnswer, words: str) -> None:
    judging = Judging(golden(store), REPOSITORY, store)
    judging.outcome(answer(1, 2, 4))
    wrong = judging.outcome(got).wrong
    assert wrong is not None
    assert words in wrong


@pytest.mark.parametrize("got", [None, answer(status=503), answer(status=429)])
def test_no_answer_and_too_much_to_do_say_nothing(store: Store, got: GoldenAnswer | None) -> None:
    outcome = Judging(golden(store), REPOSITORY, store).outcome(got)
    assert (outcome.answered, outcome.wrong) == (False, None)


def test_a_model_judged_by_types_is_judged_by_types(store: Store) -> None:
    judging = Judging(golden(store, Judge.TYPES), REPOSITORY, store)
    assert judging.outcome(answer(7, 8, 9)).wrong is None
    assert judging.outcome(answer(1, 2, 4, name="z")).wrong is not None


def test_the_noise_of_a_model_widens_its_tolerance(store: Store) -> None:
    asked = golden(store)
    noise.remember(REPOSITORY.digest, asked, {"y": 0.002}, store)
    judging = Judging(asked, REPOSITORY, store)
    assert judging.outcome(answer(1, 2, 4.02)).wrong is None
    assert judging.outcome(answer(1, 2, 4.1)).wrong is not None


def test_a_process_that_differs_from_its_start_on_is_no_less_right_later(store: Store) -> None:
    """It was verified by what is known of its noise; that is forgotten now and then."""
    judging = Judging(golden(store), REPOSITORY, store)
    assert judging.outcome(answer(1, 2, 4.02)).wrong is None
    assert judging.outcome(answer(1, 2, 4.03)).wrong is None
    assert judging.outcome(answer(1, 2, 4, name="z")).wrong is not None


def test_without_the_expected_answer_nothing_is_judged(store: Store) -> None:
    asked = golden(store)
    gone = Store(store.root.parent / "another", 2**30)
    assert Judging(asked, REPOSITORY, gone).outcome(answer(7, 8, 9)).wrong is None
