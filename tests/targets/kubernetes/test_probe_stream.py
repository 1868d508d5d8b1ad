"""The scripts that ask a model that answers with streams in its pod, against gRPC's own server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc

from cloche.artifacts import Golden, InferenceBody, Judge, RequestOrigin
from cloche.targets.kubernetes.objects import probes
from cloche.testing import deployment
from cloche.verification.reference.scripts import exchange

NAMES = ("ask", "stream", "send_grpc", "exchange")
PARAMETERS = {
    "sequence_id": 2**40, "sequence_start": True, "priority": -1, "temperature": 0.5, "word": "é",
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """The scripts as a pod has them: in one folder, and imported by their names alone."""
    folders = [str(probes.ASK.parent), str(probes.EXCHANGE.parent)]
    sys.path[:0] = folders
    try:
        yield import_module("ask")
    finally:
        for each in folders:
            sys.path.remove(each)
        for each in NAMES:
            sys.modules.pop(each, None)


class Countdown(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Counts down from a number that is asked, in one answer for each; it refuses those below 0."""

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        for asked in requests:
            assert asked.model_name == "countdown"
            (raw,) = asked.raw_input_contents
            (count,) = np.frombuffer(raw, "<i4")
            if count == -1:
                yield service_pb2.ModelStreamInferResponse(error_message="not below 0")
            if count < -1:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "far below 0")
            for left in reversed(range(count)):
                yield answer(np.array([left], "<i4" if left < 7 else "<i8"))
            yield service_pb2.ModelStreamInferResponse()


def answer(array: np.ndarray[Any, Any]) -> Any:
    found = service_pb2.ModelInferResponse(model_name="countdown", model_version="1")
    kind = exchange.datatype_of(array)
    found.outputs.add(name="left", datatype=kind, shape=array.shape)
    found.parameters["triton_final_response"].bool_param = False
    found.raw_output_contents.append(array.tobytes())
    return service_pb2.ModelStreamInferResponse(infer_response=found)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Countdown(), server)
    chosen = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield chosen
    server.stop(None).wait()


@pytest.fixture
def problem(
    scripts: Any, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Return what is wrong with the answers to some numbers, one asked after the other."""
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    monkeypatch.setattr(scripts, "GRPC_PORT", port)

    def ask(*counts: int, last: int | None = None) -> str:
        requests = []
        for number, count in enumerate(counts):
            body, length = exchange.encode({"n": np.array([count], "i4")}, "inputs", PARAMETERS)
            (tmp_path / str(number)).write_bytes(body)
            requests.append({"file": str(tmp_path / str(number)), "header_length": length})
        expected = None
        if last is not None:
            body, length = exchange.encode({"left": np.array([last], "i4")}, "outputs")
            (tmp_path / "expected").write_bytes(body)
            expected = {"file": "expected", "header_length": length}
        found: str = scripts._problem({
            "model": "countdown", "requests": requests, "expected": expected, "finite": [],
            "outputs": [{"name": "left", "datatype": "INT32", "shape": [1]}],
            "tolerances": {"left": 0.0}, "streams": True,
        })  # fmt: skip
        return found

    return ask


def test_the_last_answer_has_the_values(problem: Callable[..., str]) -> None:
    assert problem(3) == ""
    assert problem(3, last=0) == ""
    assert problem(3, last=2) == "The values of the output left are not the expected ones."


def test_each_answer_has_its_types_judged(problem: Callable[..., str]) -> None:
    assert problem(9, last=0) == "The output left has the type INT64."


def test_what_gives_no_answer(problem: Callable[..., str]) -> None:
    assert problem(0) == "The stream ended without an answer."
    assert problem(-1) == "not below 0"
    assert problem(-2) == "far below 0"
    assert problem(-1, -2) == "not below 0"
    assert problem(-1, 2) == ""


scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text()
)
names = st.text("abc_é", min_size=1, max_size=8)
shapes = st.lists(st.integers(0, 300), max_size=3)


@given(st.dictionaries(names, scalars, max_size=3), st.dictionaries(names, shapes, max_size=3))
def test_a_request_is_what_the_library_reads(
    scripts: Any, parameters: dict[str, Any], inputs: dict[str, list[int]]
) -> None:
    assert scripts is not None
    arrays = {name: np.zeros(shape, "i1") for name, shape in inputs.items()}
    body, length = exchange.encode(arrays, "inputs", parameters)
    read = service_pb2.ModelInferRequest.FromString(
        import_module("stream").request("digits", body, length)
    )
    assert read.model_name == "digits"
    assert {each.name: list(each.shape) for each in read.inputs} == inputs
    assert [len(each) for each in read.raw_input_contents] == [a.size for a in arrays.values()]
    given = {name: getattr(each, str(each.WhichOneof("parameter_choice")))
             for name, each in read.parameters.items()}  # fmt: skip
    assert given == parameters
    assert json.dumps(given, sort_keys=True) == json.dumps(parameters, sort_keys=True)


@pytest.mark.parametrize(
    ("value", "problems"),
    [(1.0, []), (np.nan, ["The output y has values that are not finite."])],
)
def test_values_that_were_finite_are(scripts: Any, value: float, problems: list[str]) -> None:
    got = {"y": np.array([value], "f4")}
    assert scripts._finite(["y"], got, {"y": "FP32"}) == problems
    assert scripts._finite([], got, {"y": "FP32"}) == []


def asked(answer: bytes, length: int | None, **changed: Any) -> dict[str, bytes]:
    """Return what pods are asked with whose model answers so."""
    made = deployment("digits")
    main = replace(made.repository.main, **changed)
    repository = replace(made.repository, members=(main,))
    bodies = (InferenceBody("sha256:1", 10), InferenceBody("sha256:2", length))
    golden = Golden(RequestOrigin.MADE, Judge.REFERENCE, bodies[:1], bodies[1])
    return probes.content(replace(made, repository=repository, golden=golden), lambda _: answer)


def test_the_scripts_of_a_stream_come_with_it() -> None:
    body, length = exchange.encode({"y": np.zeros(2, "f4")}, "outputs")
    one, many = asked(body, length), asked(body, length, decoupled=True)
    assert set(one) == {"ask.py", "exchange.py", "asked.json", "expected"}
    assert set(many) - set(one) == {"stream.py", "send_grpc.py"}
    sequence = asked(body, length, sequence_idle=1.0)
    assert json.loads(sequence["asked.json"])["streams"] is False


def test_an_answer_that_is_too_large_says_what_is_finite() -> None:
    outputs = {"y": np.zeros(2**17, "f4"), "n": np.zeros(1, "i4"), "z": np.array([np.nan], "f4")}
    body, length = exchange.encode(outputs, "outputs")
    content = asked(body, length)
    assert "expected" not in content
    told = json.loads(content["asked.json"])
    assert (told["expected"], told["finite"]) == (None, ["y"])
