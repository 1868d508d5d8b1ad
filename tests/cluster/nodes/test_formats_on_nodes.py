"""A model of each main format on real nodes, asked by Triton's own clients through a Gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from numpy.typing import NDArray

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.load import grpc_client
from fixtures.local import until
from fixtures.saved_models import Saved, give_locks

pytestmark = pytest.mark.timeout(900)
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """A model, a request, and the answer as far as it is known."""

    framework: str
    model: str
    request: Callable[[Saved], Arrays]
    expected: Callable[[Saved], Arrays] = field(default=lambda _: {})
    more: dict[str, object] = field(default_factory=dict)


def of_images(saved: Saved) -> Arrays:
    return {"image": np.load(saved.folder / "image.npy")}


def of_file(*names: str) -> Callable[[Saved], Arrays]:
    """Return some arrays of the file that is beside `two.keras`."""

    def read(saved: Saved) -> Arrays:
        arrays = np.load(saved.folder / "two.npz")
        return {name: arrays[name] for name in names}

    return read


def of_people(_: Saved) -> Arrays:
    return {
        "age": np.array([[40.0], [50.0]]),
        "income (EUR)": np.array([[5e4], [6e4]]),
        "city": np.array([[b"Rome"], [b"Oslo"]], object),
        "rooms": np.array([[2], [3]], "i8"),
    }


def of_flowers(_: Saved) -> Arrays:
    return {"input": np.array([[5.1, 3.5, 1.4, 0.2]], "f4")}


def of_program(_: Saved) -> Arrays:
    return {
        "image": np.array([[1] * 6, [0] * 6], "u1"),
        "number": np.array([[1], [1]], "i4"),
        "flag": np.array([[True], [False]]),
    }


def of_program_answered(_: Saved) -> Arrays:
    return {"scores": np.full((2, 3), 1 / 3, "f4"), "kept": np.array([[True], [False]])}


def by_framework(saved: Saved) -> Arrays:
    return {"": np.load(saved.folder / "answer.npy")}


OWN = {"conversion": "off", "requirements": ["scikit-learn==1.9.1", "pandas==3.1.1"]}
CASES = {
    "torch": Case("pytorch", "training.pt", of_images, by_framework),
    "torchscript": Case("pytorch", "traced.pth", of_images, by_framework),
    "keras": Case("tensorflow", "two.keras", of_file("wide", "narrow"), of_file("total", "side")),
    "xgboost": Case("sklearn", "early.ubj", of_flowers),
    "environment": Case("sklearn", "forest.joblib", of_people, more=OWN),
    "jax": Case("jax", "named.stablehlo", of_program, of_program_answered),
}


def asked_over_http(entry: Entry, host: str, name: str, request: Arrays) -> Arrays:
    with over_http.InferenceServerClient(entry.address) as client:
        headers = {"Host": host}
        metadata = client.get_model_metadata(name, headers=headers)
        inputs = given(over_http.InferInput, metadata["inputs"], request)
        answer = client.infer(name, inputs, headers=headers)
        return {each["name"]: answer.as_numpy(each["name"]) for each in metadata["outputs"]}


def asked_over_grpc(entry: Entry, host: str, name: str, request: Arrays) -> Arrays:
    with grpc_client(entry.address, host) as client:
        metadata = client.get_model_metadata(name, as_json=True)
        inputs = given(over_grpc.InferInput, metadata["inputs"], request)
        answer = client.infer(name, inputs, client_timeout=60)
        return {each["name"]: answer.as_numpy(each["name"]) for each in metadata["outputs"]}


def given(kind: Any, described: list[dict[str, Any]], request: Arrays) -> list[Any]:
    """Return the inputs of a client; an only one has the name that the model gives it."""
    if len(described) == 1:
        request = {described[0]["name"]: next(iter(request.values()))}
    inputs = []
    for each in described:
        array = request[each["name"]]
        inputs.append(kind(each["name"], list(array.shape), each["datatype"]))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def require_same(answer: Arrays, expected: Arrays) -> None:
    if list(expected) == [""]:
        expected = dict.fromkeys(answer, expected[""])
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(answer[name], values, 1e-4, 1e-5)
        else:
            np.testing.assert_array_equal(answer[name], values)


def answers(user: ClusterUser, entry: Entry, name: str, request: Arrays, expected: Arrays) -> None:
    """Check what a service that was deployed answers to both protocols."""
    host = user.host(name)
    until(lambda: user.reached(entry, name), 60)
    first = asked_over_http(entry, host, name, request)
    require_same(first, expected)
    require_same(asked_over_grpc(entry, host, name, request), first)


def test_onnx(cluster_user: ClusterUser, gateway_entry: Entry) -> None:
    model = scaled_maximum(cluster_user.user.folder / "model.onnx", 2)
    cluster_user.declare("onnx", model, target=cluster_user.through(gateway_entry, "onnx"))
    cluster_user.deploy()
    request, expected = np.array([[1, 3]], "f4"), np.array([[6]], "f4")
    answers(cluster_user, gateway_entry, "onnx", {"x": request}, {"y": expected})


@pytest.mark.parametrize("name", CASES)
def test_a_model_as_its_framework_saved_it(
    cluster_user: ClusterUser, gateway_entry: Entry, request: pytest.FixtureRequest, name: str
) -> None:
    case = CASES[name]
    saved: Saved = request.getfixturevalue(case.framework)
    give_locks(cluster_user.user.home)
    declared = saved.spec(case.model, **case.more)
    at = cluster_user.through(gateway_entry, name)
    cluster_user.declare(name, str(declared.pop("model")), target=at, **declared)
    done = cluster_user.run("deploy", "--json", limit=600).expect(0).json
    assert done["verification"]["judge"] == "reference"
    answers(cluster_user, gateway_entry, name, case.request(saved), case.expected(saved))
