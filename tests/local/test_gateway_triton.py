"""Unchanged clients of Triton, given the gateway's address and a model's name and nothing else."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from running_gateway import doubling

from fixtures.triton import TritonStarter

X = np.arange(40, 48, dtype=np.float32)


@pytest.fixture(scope="module")
def address(
    triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with doubling(triton_starter, tmp_path_factory.mktemp("double")) as (_, gateway):
        yield gateway.address


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def client(request: pytest.FixtureRequest, address: str) -> Iterator[tuple[Any, Any]]:
    library = request.param
    made = library.InferenceServerClient(address)
    yield library, made
    made.close()


def inputs(library: Any, values: np.ndarray) -> list[Any]:
    tensor = library.InferInput("x", values.shape, "FP32")
    tensor.set_data_from_numpy(values)
    return [tensor]


def test_health_metadata_configuration_and_statistics(client: tuple[Any, Any]) -> None:
    _, server = client
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("double")
    assert server.is_model_ready("double", "1")
    for call in (
        server.get_server_metadata,
        lambda: server.get_model_metadata("double"),
        lambda: server.get_model_config("double"),
        lambda: server.get_inference_statistics("double"),
    ):
        assert call()


def test_inference_of_any_size(client: tuple[Any, Any]) -> None:
    library, server = client
    for values in (X, np.full(16_000_000, 50, np.float32)):
        answer = server.infer("double", inputs(library, values))
        np.testing.assert_array_equal(answer.as_numpy("y"), values * 2)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_http_compression_passes_both_ways(address: str, algorithm: str) -> None:
    with tritonclient.http.InferenceServerClient(address) as server:
        answer = server.infer(
            "double",
            inputs(tritonclient.http, X),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        np.testing.assert_array_equal(answer.as_numpy("y"), X * 2)


def test_asynchronous_requests(address: str) -> None:
    with tritonclient.http.InferenceServerClient(address, concurrency=4) as server:
        asked = [server.async_infer("double", inputs(tritonclient.http, X)) for _ in range(8)]
        for each in asked:
            np.testing.assert_array_equal(each.get_result().as_numpy("y"), X * 2)


def test_streams(address: str) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(address) as server:
        server.start_stream(lambda result, error: answers.put((result, error)))
        for _ in range(3):
            server.async_stream_infer("double", inputs(tritonclient.grpc, X))
        for _ in range(3):
            result, error = answers.get(timeout=30)
            assert error is None
            np.testing.assert_array_equal(result.as_numpy("y"), X * 2)
        server.stop_stream()


def test_compressed_calls_pass_with_metadata(address: str) -> None:
    with tritonclient.grpc.InferenceServerClient(address) as server:
        answer = server.infer(
            "double",
            inputs(tritonclient.grpc, X),
            headers={"cloche-service": "double"},
            compression_algorithm="gzip",
        )
        np.testing.assert_array_equal(answer.as_numpy("y"), X * 2)
