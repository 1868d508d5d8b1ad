"""Clients that others make, unchanged, given the gateway's address: Triton's examples, KServe's
client and the one generated from the Open Inference Protocol. Triton knows three of the models by
the service's name alone; the clients ask for them by the name that a registry has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from running_gateway import installed, running

from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)
from fixtures.local import until
from fixtures.triton import TritonStarter

EXAMPLES = Path(__file__).with_name("triton_examples")
SIMPLE = "INPUT0 INPUT1 -> OUTPUT0 OUTPUT1"
TEXT_OF = "(x.astype(int) {} y.astype(int)).astype(str).astype(object)"
MODELS = {
    "simple": ("INT32", 8, SIMPLE, "x + y, x - y"),
    "simple-string": ("STRING", 8, SIMPLE, f"{TEXT_OF.format('+')}, {TEXT_OF.format('-')}"),
    "simple-identity": ("STRING", 8, "INPUT0 -> OUTPUT0", "x"),
    "half": ("FP32", 8, "INPUT0 -> OUTPUT0", "x / 2"),
}
MODEL = """
import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            given = [
                utils.get_input_tensor_by_name(request, name).as_numpy() for name in {inputs}
            ]
            x, y = given[0], given[-1]
            values = ({expression},)
            named = zip({outputs}, values)
            answers.append(utils.InferenceResponse([utils.Tensor(*pair) for pair in named]))
        return answers
"""
REPEAT_CONFIG = """
backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [
  { name: "IN" data_type: TYPE_INT32 dims: [-1] },
  { name: "DELAY" data_type: TYPE_UINT32 dims: [-1] },
  { name: "WAIT" data_type: TYPE_UINT32 dims: [1] }
]
output [{ name: "OUT" data_type: TYPE_INT32 dims: [1] }]
"""
REPEAT = """
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for value in utils.get_input_tensor_by_name(request, "IN").as_numpy():
                sender.send(utils.InferenceResponse([utils.Tensor("OUT", value.reshape(1))]))
            sender.send(flags=utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def write(tree: Path, name: str, config: str, code: str) -> None:
    (tree / name / "1").mkdir(parents=True)
    (tree / name / "config.pbtxt").write_text(config)
    (tree / name / "1" / "model.py").write_text(code)


@pytest.fixture(scope="module")
def address(
    triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    tree = tmp_path_factory.mktemp("tree")
    for name, (datatype, size, tensors, expression) in MODELS.items():
        inputs, outputs = (part.split() for part in tensors.split("->"))
        config = f'backend: "python"\nmax_batch_size: {size}\n'
        for kind, names in (("input", inputs), ("output", outputs)):
            for each in names:
                shape = "dims: [16]" if name == "simple" else "dims: [-1]"
                config += f'{kind} {{ name: "{each}" data_type: TYPE_{datatype} {shape} }}\n'
        code = MODEL.format(inputs=inputs, outputs=outputs, expression=expression)
        write(tree, name, config, code)
    write(tree, "repeat-int32", REPEAT_CONFIG, REPEAT)
    names = [*MODELS, "repeat-int32"]
    triton = triton_starter.start(tree, names)
    with running(tmp_path_factory.mktemp("gateway"), installed()) as gateway:
        endpoint = Endpoint(triton.addresses.http, triton.addresses.grpc)
        revision = RevisionEndpoints(1, 100, (endpoint,))
        own = served("simple-identity", revision, name="own", alias="Own %1")
        services = [*(served(name, revision) for name in names), replace(own, timeout=60)]
        assert gateway.gateway.apply(GatewayState(tuple(services))).refused == {}
        until(lambda: all(host.healthy for host in gateway.gateway._hosts()))
        yield gateway.address
        assert gateway.log() == ""


def served(
    model: str, revision: RevisionEndpoints, name: str | None = None, alias: str | None = None
) -> ServiceRoutes:
    """Return the routes of a service, which a registry calls the same with `_` if not `alias`."""
    called = alias or model.replace("-", "_")
    plain = dict.fromkeys([*([model] if name is None else []), called])
    aliases = () if called == model else (called,)
    return ServiceRoutes(name or model, (model,), (revision,), plain=tuple(plain), aliases=aliases)


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_of_triton_passes(address: str, example: Path) -> None:
    run(sys.executable, "-W", "ignore", example, "-u", address)


KSERVE = """
import asyncio, sys
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

def request(model):
    inputs = [InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
    for each in inputs:
        each.set_data_from_numpy(__import__("numpy").arange(16, dtype="int32").reshape(1, 16))
    return InferRequest(model_name=model, infer_inputs=inputs)

async def main(address):
    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    base = "http://" + address
    assert await rest.is_server_live(base) is True
    assert await rest.is_server_ready(base) is True
    assert await rest.is_model_ready(base, model_name="simple")
    assert await rest.is_model_ready(base, model_name="simple_identity")
    assert not await rest.is_model_ready(base, model_name="nothing")
    answer = await rest.infer(base, request("simple"), model_name="simple")
    assert list(answer.outputs[0].as_numpy()[0]) == [2 * i for i in range(16)]
    await rest.close()
    grpc = InferenceGRPCClient(address)
    assert await grpc.is_server_live() and await grpc.is_server_ready()
    assert await grpc.is_model_ready("simple_identity")
    answer = await grpc.infer(request("simple"))
    assert list(answer.outputs[0].as_numpy()[0]) == [2 * i for i in range(16)]
    await grpc.close()

asyncio.run(main(sys.argv[1]))
"""
OPEN_INFERENCE = """
import sys
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.types import InferenceRequest, RequestInput

client = OpenInferenceClient(base_url="http://" + sys.argv[1])
client.check_server_liveness()
client.check_server_readiness()
client.check_model_readiness("simple_identity")
assert client.read_server_metadata().name == "triton"
assert client.read_model_metadata("simple_identity").name == "simple_identity"
given = RequestInput(name="INPUT0", shape=[1, 2], datatype="FP32", data=[1.0, 3.0])
answer = client.model_infer("half", request=InferenceRequest(inputs=[given]))
assert answer.outputs[0].data.__root__ == [0.5, 1.5], answer
"""


@pytest.mark.parametrize("script", [KSERVE, OPEN_INFERENCE], ids=["kserve", "open-inference"])
def test_a_client_of_the_protocol_passes(clients_python: Path, address: str, script: str) -> None:
    run(clients_python, "-W", "ignore", "-c", script, address)


@pytest.mark.parametrize("name", ["simple_identity", "Own %1"], ids=["common", "own"])
@pytest.mark.parametrize("library", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_every_call_takes_the_name_of_the_registry(address: str, library: Any, name: str) -> None:
    client = library.InferenceServerClient(address)
    as_json = {} if library is tritonclient.http else {"as_json": True}
    try:
        assert client.is_model_ready(name)
        assert client.is_model_ready(name, "1")
        assert client.get_model_metadata(name, **as_json)["name"] == name
        assert client.get_model_metadata(name, "1", **as_json)["name"] == name
        config = client.get_model_config(name, **as_json)
        assert config.get("config", config)["name"] == name
        statistics = client.get_inference_statistics(name, **as_json)["model_stats"]
        assert [each["name"] for each in statistics] == ["simple-identity"]
        text = np.array([["a", "é" * 5000]], dtype=object)
        given = library.InferInput("INPUT0", text.shape, "BYTES")
        given.set_data_from_numpy(text)
        answer = client.infer(name, [given])
        assert [value.decode() for value in answer.as_numpy("OUTPUT0")[0]] == ["a", "é" * 5000]
        # An error of the server itself passes as it is.
        wrong = library.InferInput("INPUT1", text.shape, "BYTES")
        wrong.set_data_from_numpy(text)
        with pytest.raises(Exception, match="INPUT1"):
            client.infer(name, [wrong])
    finally:
        client.close()
