"""Models whose requests depend on each other, and models that answer with streams, for real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc as over_grpc

import cloche
from cloche.errors import UsageError
from fixtures.command_line import User, a_user
from fixtures.streams import COUNTDOWN, COUNTER, SEQUENCE, STREAM, repository

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


@pytest.fixture(scope="module")
def counter(user: User) -> Any:
    made = repository(user.folder / "counter", "counter", SEQUENCE, COUNTER)
    return user.deploy(made, "counter")


@pytest.fixture(scope="module")
def countdown(user: User) -> Any:
    made = repository(user.folder / "countdown", "countdown", STREAM, COUNTDOWN)
    return user.deploy(made, "countdown")


def test_a_stateful_model_goes_live_and_is_verified_again(user: User, counter: Any) -> None:
    assert (counter["verification"]["judge"], counter["phase"]) == ("smoke", "live")
    user.run("verify", "counter").expect(0)


def test_a_sequence_adds_up_over_the_gateway(user: User, counter: Any) -> None:
    with over_grpc.InferenceServerClient(user.address) as client:
        totals = []
        for step in range(3):
            given = over_grpc.InferInput("x", [1, 1], "FP32")
            given.set_data_from_numpy(np.array([[step + 1]], np.float32))
            answer = client.infer(
                "counter", [given], sequence_id=9,
                sequence_start=step == 0, sequence_end=step == 2,
            )  # fmt: skip
            totals.append(float(answer.as_numpy("total")[0, 0]))
    assert totals == [1, 3, 6]
    given_text = json.dumps({"x": [[4]]})
    said = user.run(
        "infer", "counter", "-i", "-", "-p", "sequence_id=3", "-p", "sequence_start=true",
        "-p", "sequence_end=true", "--json", given=given_text,
    ).expect(0)  # fmt: skip
    assert said.json["outputs"][0]["data"] == [4.0]


def test_a_second_revision_of_a_stateful_model_takes_over(user: User, counter: Any) -> None:
    path = user.folder / "counter" / "counter" / "1" / "model.py"
    path.write_text(path.read_text() + "\n# trained again\n")
    again = user.deploy(user.folder / "counter", "counter")
    assert (again["revision"], again["phase"]) == (counter["revision"] + 1, "live")


def test_a_stream_is_verified_and_printed_answer_by_answer(user: User, countdown: Any) -> None:
    assert (countdown["verification"]["judge"], countdown["phase"]) == ("smoke", "live")
    said = user.run("infer", "countdown", "-i", "-", "--json", given='{"n": [3]}').expect(0)
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["outputs"][0]["data"] for line in lines] == [[2], [1], [0]]
    user.run("verify", "countdown").expect(0)


def test_a_stream_from_python(user: User, countdown: Any) -> None:
    with cloche.Client(user.home) as client:
        answers = list(client.stream("countdown", {"n": [2]}))
        assert [answer["left"].tolist() for answer in answers] == [[1], [0]]
        with pytest.raises(UsageError) as caught:
            client.infer("countdown", {"n": [2]})
    assert caught.value.code == "infer.stream"
