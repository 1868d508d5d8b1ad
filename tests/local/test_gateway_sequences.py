"""Models with state behind a real gateway: which replica the requests of a sequence reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from running_gateway import Calls, Replica, Running, installed, running, service

from cloche.targets.local.envoy.services import GatewayState
from fixtures.local import until

pytestmark = pytest.mark.timeout(120)

SEQUENCES = [str(number) for number in range(40)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Services with state: `one` replica, `two`, and `split` over two revisions with two each."""
    with running(tmp_path_factory.mktemp("gateway"), installed()) as found:
        new = found.replica
        split = service(
            "split",
            (50, [new("s1"), new("s2")]),
            (50, [new("t1"), new("t2")]),
            stateful=True,
        )
        two = service("two", (100, [new("a"), new("b")]), stateful=True, models=("two", "step"))
        renamed = dataclasses.replace(two, plain=("two", "Two"), aliases=("Two",))
        found.gateway.apply(
            GatewayState((service("one", (100, new("o")), stateful=True), renamed, split))
        )
        yield found


@pytest.fixture
def http(gateway: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        yield client


@pytest.fixture
def calls(gateway: Running) -> Iterator[Calls]:
    found = Calls(gateway.address)
    yield found
    found.channel.close()


def reached(http: httpx.Client, name: str, sequence: str) -> str:
    sent = {"cloche-sequence": sequence}
    label: str = http.post(f"/v2/models/{name}/infer", headers=sent, json={}).json()["label"]
    return label


def test_a_sequence_stays_on_its_replica_over_both_protocols(
    http: httpx.Client, calls: Calls
) -> None:
    first = {sequence: reached(http, "two", sequence) for sequence in SEQUENCES}
    assert set(first.values()) == {"a", "b"}
    for sequence, label in first.items():
        assert reached(http, "two", sequence) == label
        metadata = ("cloche-sequence", sequence)
        assert calls.infer("two", metadata)[0].model_name == label
        assert calls.infer("x", metadata, ("cloche-service", "two"))[0].model_name == label


def test_a_sequence_stays_in_its_revision_while_the_traffic_is_split(
    http: httpx.Client, calls: Calls
) -> None:
    first = {sequence: reached(http, "split", sequence) for sequence in SEQUENCES}
    assert set(first.values()) == {"s1", "s2", "t1", "t2"}
    for sequence, label in first.items():
        assert reached(http, "split", sequence) == label
        assert calls.infer("split", ("cloche-sequence", sequence))[0].model_name == label


def test_with_one_replica_no_header_is_needed(http: httpx.Client, calls: Calls) -> None:
    assert http.post("/v2/models/one/infer", json={}).json()["label"] == "o"
    assert calls.infer("one")[0].model_name == "o"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v2/models/two/infer", {}),
        ("/v2/models/two/versions/1/infer?x=1", {}),
        ("/v2/models/two/generate", {}),
        ("/v2/models/step/generate_stream", {"cloche-service": "two"}),
        ("/v2/models/two/infer", {"cloche-revision": "1"}),
        ("/v2/models/two/infer", {"host": "two.localhost"}),
        ("/v2/models/Two/infer", {}),
        ("/v2/models/split/infer", {}),
    ],
)
def test_a_single_request_of_no_sequence_is_refused(
    http: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    answer = http.post(path, headers=headers, json={})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert "cloche-sequence" in answer.json()["error"]


@pytest.mark.parametrize(
    ("model", "metadata"),
    [
        ("two", ()),
        ("Two", ()),
        ("x", (("cloche-service", "two"),)),
        ("two", (("cloche-revision", "1"),)),
        ("split", ()),
    ],
)
def test_a_single_call_of_no_sequence_is_refused(
    calls: Calls, model: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls.infer(model, *metadata)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "cloche-sequence" in caught.value.details()


@pytest.mark.parametrize("call", ["", "/ready", "/stats"])
def test_calls_about_a_model_need_no_header(http: httpx.Client, call: str) -> None:
    assert http.get(f"/v2/models/two{call}").json()["label"] in {"a", "b"}


def test_a_stream_needs_no_header(calls: Calls) -> None:
    answers = calls.stream("two", 5)
    assert len(answers) == 5
    assert len({answer.infer_response.model_name for answer in answers}) == 1


def test_only_a_share_of_the_sequences_moves_to_a_new_replica(tmp_path: Path) -> None:
    with running(tmp_path, installed()) as gateway:
        replicas: list[Replica] = [gateway.replica(label) for label in ("a", "b", "c")]

        def reach_all(of: list[Replica]) -> dict[str, str]:
            gateway.gateway.apply(GatewayState((service("x", (100, of), stateful=True),)))
            labels = {replica.label for replica in of}
            with httpx.Client(base_url=gateway.url, timeout=20) as client:

                def found() -> dict[str, str]:
                    return {sequence: reached(client, "x", sequence) for sequence in SEQUENCES}

                until(lambda: set(found().values()) == labels)  # its thread has the new replicas
                return found()

        two, three, again = (reach_all(replicas[:count]) for count in (2, 3, 2))
    moved = {sequence for sequence in SEQUENCES if two[sequence] != three[sequence]}
    assert moved
    assert {three[sequence] for sequence in moved} == {"c"}
    assert again == two
