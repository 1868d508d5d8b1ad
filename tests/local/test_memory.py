"""A replica with more memory than it may have is ended, says so, and comes back."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from fixtures.command_line import User, a_user
from fixtures.load import ready
from fixtures.local import until

pytestmark = pytest.mark.timeout(300)

_CONFIGURATION = """
name: "hungry"
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [-1] }]
"""
_MODEL = """
import time

import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            taken = bytearray(b"x") * int(x[0] * 2**20)
            time.sleep(30 if taken else 0)
            answers.append(utils.InferenceResponse([utils.Tensor("y", 2 * x)]))
        return answers
"""
"""Takes so many MiB as its input says, and keeps them for half a minute."""


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user(cleans=True) as one:
        yield one


def ask(user: User, mebibytes: float) -> int:
    given = {"name": "x", "datatype": "FP32", "shape": [1], "data": [mebibytes]}
    url = f"http://{user.address}/v2/models/hungry/infer"
    try:
        with urllib.request.urlopen(url, json.dumps({"inputs": [given]}).encode(), 60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def test_a_replica_that_takes_too_much_is_started_anew(user: User) -> None:
    folder = user.folder / "hungry"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(_CONFIGURATION)
    (folder / "1" / "model.py").write_text(_MODEL)
    given = {"name": "x", "shape": [1], "datatype": "FP32", "data": [0]}
    (user.folder / "example.json").write_text(json.dumps({"inputs": [given]}))
    spec = {"name": "hungry", "model": "./hungry", "example": "./example.json",
            "resources": {"memory": "512Mi"}}  # fmt: skip
    (user.folder / "hungry.yaml").write_text(json.dumps(spec))
    user.run("deploy", "-f", "hungry.yaml", "--json").expect(0)
    assert ask(user, 0) == 200
    assert ask(user, 700) == 503
    until(lambda: user.service("hungry")["replicas"]["items"][0]["restarts"] == 1, 20)
    until(lambda: ready(user, "hungry") == 1, 60)
    until(lambda: ask(user, 0) == 200, 10)  # the gateway has to find it healthy, too
    told = user.run("events", "hungry").expect(0).out
    assert "MiB of memory" in told
    assert "`resources.memory` allows 512.0 MiB" in " ".join(told.split())
