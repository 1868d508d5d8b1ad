"""Sequences of a model with state on several replicas, over every protocol, for real."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as over_grpc
from tritonclient.utils import InferenceServerException

import cloche
from fixtures.asking import client_at
from fixtures.command_line import User, a_user
from fixtures.local import until
from fixtures.streams import COUNTER, SEQUENCE, repository

pytestmark = pytest.mark.timeout(300)

MANY = SEQUENCE.replace("500000", "10000000").replace("sequences: 4", "sequences: 64")
"""Sequences stay open while replicas start, and none waits for another to end."""
Ask = Callable[..., float]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as one:
        yield one


def deploy(user: User, name: str, replicas: int) -> Any:
    repository(user.folder / name, name, MANY, COUNTER)
    spec = user.folder / f"{name}.yaml"
    spec.write_text(f"name: {name}\nmodel: ./{name}\nreplicas: {replicas}\n")
    answer = user.run("deploy", "-f", spec, "--json").expect(0).json
    until(lambda: user.service(name)["replicas"]["ready"] == replicas)
    return answer


@pytest.fixture(scope="module")
def pair(user: User) -> Any:
    return deploy(user, "pair", 2)


def ask_over_http(client: httpx.Client, service: str, sequence: int, value: int, *, step: int,
                  header: bool = True) -> float:  # fmt: skip
    """Send a step of a sequence, the first of which is 0; return its total."""
    answer = client.post(
        f"/v2/models/{service}/infer",
        headers={"cloche-sequence": str(sequence)} if header else {},
        json={
            "inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [value]}],
            "parameters": {"sequence_id": sequence, "sequence_start": step == 0},
        },
    )
    assert answer.status_code == 200, answer.text
    return float(answer.json()["outputs"][0]["data"][0])


def tensor(value: int) -> list[Any]:
    given = over_grpc.InferInput("x", [1, 1], "FP32")
    given.set_data_from_numpy(np.array([[value]], np.float32))
    return [given]


def ask_over_grpc(client: Any, service: str, sequence: int, value: int, *, step: int) -> float:
    answer = client.infer(
        service, tensor(value), sequence_id=sequence, sequence_start=step == 0,
        headers={"cloche-sequence": str(sequence)},
    )  # fmt: skip
    return float(answer.as_numpy("total")[0, 0])


class Stream:
    """An open stream, which is asked one request at a time."""

    def __init__(self, address: str) -> None:
        self.client = over_grpc.InferenceServerClient(address)
        self.answers: queue.Queue[Any] = queue.Queue()
        self.client.start_stream(lambda result, error: self.answers.put((result, error)))

    def ask(self, service: str, sequence: int, value: int, *, step: int) -> float:
        self.client.async_stream_infer(
            service, tensor(value), sequence_id=sequence, sequence_start=step == 0
        )
        result, error = self.answers.get(timeout=60)
        assert error is None, error
        return float(result.as_numpy("total")[0, 0])

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_stream()
        self.client.close()


@pytest.fixture
def http(user: User) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{user.address}", timeout=60) as client:
        yield client


@pytest.fixture
def grpc(user: User) -> Iterator[Any]:
    with over_grpc.InferenceServerClient(user.address) as client:
        yield client


def executed(user: User, service: str) -> list[int]:
    """Return how many requests each replica has answered."""
    urls = [item["url"] for item in user.service(service)["replicas"]["items"]]
    found = []
    for url in urls:
        with client_at(url) as client:
            found.append(client.get(f"/v2/models/{service}/stats").json()["model_stats"])
    return [int(stats[0]["inference_stats"]["success"]["count"]) for stats in found]


def test_interleaved_sequences_add_up_over_every_protocol(
    user: User, pair: Any, http: httpx.Client, grpc: Any
) -> None:
    assert "sequences.header" in [finding["code"] for finding in pair["findings"]]
    before = executed(user, "pair")
    with ExitStack() as opened:
        asks: dict[int, Ask] = {}
        for sequence in range(100, 108):
            asks[sequence] = lambda *given, **more: ask_over_http(http, *given, **more)
        for sequence in range(200, 208):
            asks[sequence] = lambda *given, **more: ask_over_grpc(grpc, *given, **more)
        for sequence in range(300, 304):
            asks[sequence] = opened.enter_context(Stream(user.address)).ask
        for step in range(4):
            for sequence, ask in asks.items():
                assert ask("pair", sequence, sequence, step=step) == sequence * (step + 1)
    assert all(now > then for now, then in zip(executed(user, "pair"), before, strict=True))


def test_a_sequence_may_use_both_protocols(pair: Any, http: httpx.Client, grpc: Any) -> None:
    for sequence in range(400, 406):
        assert ask_over_http(http, "pair", sequence, 1, step=0) == 1
        assert ask_over_grpc(grpc, "pair", sequence, 2, step=1) == 3


def test_a_request_without_its_sequence_is_refused(
    pair: Any, http: httpx.Client, grpc: Any
) -> None:
    refused = http.post("/v2/models/pair/infer", json={})
    assert refused.status_code == 400
    assert "cloche-sequence" in refused.json()["error"]
    with pytest.raises(InferenceServerException, match="cloche-sequence") as caught:
        grpc.infer("pair", tensor(1), sequence_id=7, sequence_start=True)
    assert "INVALID_ARGUMENT" in caught.value.status()
    assert http.get("/v2/models/pair/ready").status_code == 200
    assert grpc.get_model_metadata("pair").name == "pair"


def test_a_sequence_that_no_replica_knows_is_refused_in_words_of_triton(
    pair: Any, http: httpx.Client, grpc: Any
) -> None:
    with pytest.raises(InferenceServerException, match="START flag"):
        ask_over_grpc(grpc, "pair", 900, 1, step=1)
    with pytest.raises(AssertionError, match="START flag"):
        ask_over_http(http, "pair", 900, 1, step=1)


def test_the_command_and_the_client_say_their_sequence(user: User, pair: Any) -> None:
    for flag, total in (("sequence_start=true", 4.0), ("sequence_end=true", 8.0)):
        said = user.run(
            "infer", "pair", "-i", "-", "-p", "sequence_id=500", "-p", flag, "--json",
            given=json.dumps({"x": [[4]]}),
        ).expect(0)  # fmt: skip
        assert said.json["outputs"][0]["data"] == [total]
    with cloche.Client(user.home) as client:
        for flag, total in (("sequence_start", 5.0), ("sequence_end", 10.0)):
            parameters = {"sequence_id": 501, flag: True}
            answer = client.infer("pair", {"x": [[5]]}, parameters=parameters)
            assert answer["total"].tolist() == [[total]]
    user.run("verify", "pair", "--url", f"http://{user.address}").expect(0)


def test_open_sequences_outlive_a_new_replica(user: User, http: httpx.Client, grpc: Any) -> None:
    deploy(user, "scaled", 1)
    sequences, later = range(600, 620), range(700, 720)
    for sequence in sequences:
        assert ask_over_http(http, "scaled", sequence, 1, step=0, header=False) == 1
    assert "sequences.header" in user.run("scale", "scaled", "2").expect(0).out
    until(lambda: user.service("scaled")["replicas"]["ready"] == 2)

    def both_get_new_ones() -> bool:
        for sequence in later:
            ask_over_http(http, "scaled", sequence, 1, step=0)
        return all(executed(user, "scaled"))

    until(both_get_new_ones)
    for step in (1, 2):
        for sequence in sequences:
            assert ask_over_http(http, "scaled", sequence, 1, step=2 * step) == 2 * step
            assert ask_over_grpc(grpc, "scaled", sequence, 1, step=2 * step) == 2 * step + 1


def test_streams_outlive_a_replica_that_leaves_and_single_requests_are_told(
    user: User, http: httpx.Client, grpc: Any
) -> None:
    deploy(user, "left", 2)
    sequences = range(800, 820)
    for sequence in sequences:
        assert ask_over_grpc(grpc, "left", sequence, 1, step=0) == 1
    with ExitStack() as opened:
        streams = {
            sequence: opened.enter_context(Stream(user.address)).ask for sequence in range(900, 908)
        }
        for sequence, ask in streams.items():
            assert ask("left", sequence, sequence, step=0) == sequence
        less = user.run("scale", "left", "1", "--json").expect(0).json
        assert [finding["code"] for finding in less["findings"]] == ["sequences.lost"]

        def none_is_told_to_send_a_header() -> bool:
            return "cloche-sequence" not in http.post("/v2/models/left/infer", json={}).text

        until(none_is_told_to_send_a_header)
        for sequence, ask in streams.items():
            assert ask("left", sequence, sequence, step=1) == 2 * sequence
    said = {refusal_of(grpc, sequence) for sequence in sequences}
    assert said - {None}
    assert all("START flag" in words for words in said if words is not None)


def refusal_of(client: Any, sequence: int) -> str | None:
    """Return why a later request of a sequence is refused; None if it is answered."""
    try:
        ask_over_grpc(client, "left", sequence, 1, step=1)
    except InferenceServerException as error:
        return str(error)
    return None
