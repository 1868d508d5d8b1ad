"""Health is an answer: what hangs, dies or answers wrongly is replaced, under counted load."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.command_line import User, a_user
from fixtures.load import Load, ready
from fixtures.local import until

pytestmark = pytest.mark.timeout(600)

_CONFIGURATION = """
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [-1, 2] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [-1, 1] }]
"""
_MODEL = """
import os
import time

import triton_python_backend_utils as utils


class TritonPythonModel:
    off = 0

    def initialize(self, args):
        open(REQUIRED).close()

    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if x[0, 0] == HANG:
                time.sleep(3600)
            if x[0, 0] == TURN:
                self.off = 5
            y = (2 * x[:, :1] + self.off).astype("f4")
            answers.append(utils.InferenceResponse([utils.Tensor("y", y)]))
        return answers
"""
HANG, TURN = 666, 777
LIMIT = 6.0
"""Seconds that a request may take."""


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user(cleans=True) as one:
        yield one


def faulty(user: User, name: str, replicas: int, **keys: Any) -> Path:
    """Deploy a model that fails when it is asked to; return a file without which none starts."""
    folder, needed = user.folder / name, user.folder / "switches" / f"{name}.needed"
    (folder / "1").mkdir(parents=True)
    needed.parent.mkdir(exist_ok=True)
    needed.touch()
    (folder / "config.pbtxt").write_text(f'name: "{name}"\n{_CONFIGURATION}')
    code = _MODEL.replace("REQUIRED", repr(str(needed)))
    code = code.replace("HANG", str(HANG)).replace("TURN", str(TURN))
    (folder / "1" / "model.py").write_text(code)
    example = user.folder / f"{name}.json"
    given = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 0]}
    expected = {"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [2]}
    example.write_text(json.dumps({"inputs": [given], "outputs": [expected]}))
    spec = {"name": name, "model": f"./{name}", "replicas": replicas, "example": f"./{name}.json",
            "sandbox": {"read": [str(needed.parent)]}}  # fmt: skip
    (user.folder / f"{name}.yaml").write_text(json.dumps(spec | {"timeout": f"{LIMIT:g}s"} | keys))
    user.run("deploy", "-f", f"{name}.yaml", "--json").expect(0)
    until(lambda: ready(user, name) == replicas, 60)
    return needed


def ask(user: User, name: str, value: float) -> int:
    """Send one request; return the status of the answer."""
    given = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, 0]}
    url = f"http://{user.address}/v2/models/{name}/infer"
    try:
        with urllib.request.urlopen(url, json.dumps({"inputs": [given]}).encode(), 60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def items(user: User, name: str) -> list[dict[str, Any]]:
    return list(user.service(name)["replicas"]["items"])


def stub_of(replica: dict[str, Any]) -> psutil.Process:
    (stub,) = psutil.Process(replica["pid"]).children()
    return stub


def told(user: User, name: str, words: str) -> bool:
    return words in user.run("events", name).expect(0).out


def delete(user: User, name: str) -> None:
    user.run("delete", name, "--yes").expect(0)


def test_a_dead_model_process_is_replaced_and_costs_what_it_had(user: User) -> None:
    faulty(user, "dead", 2)
    first, second = items(user, "dead")
    with Load(user.address, "dead", pause=0.002) as load:
        stub_of(first).kill()
        until(lambda: items(user, "dead")[0]["restarts"] == 1, 10)
        until(lambda: ready(user, "dead") == 2, 60)
        load.more()
    assert len(load.failures) <= load.clients, load.failures
    assert {value for value, _ in load.answers} == {2}
    again = items(user, "dead")
    assert again[0]["pid"] != first["pid"]
    assert again[1]["pid"] == second["pid"]
    assert told(user, "dead", "A process of its model ended by itself")
    delete(user, "dead")


def test_a_stopped_server_goes_on_and_loses_nothing(user: User) -> None:
    faulty(user, "stopped", 2)
    replica = items(user, "stopped")[0]
    process = psutil.Process(replica["pid"])
    with Load(user.address, "stopped", pause=0.002) as load:
        process.suspend()
        load.more(200)
        until(lambda: process.status() != psutil.STATUS_STOPPED, 10)
        load.more()
    assert load.failures == []
    assert items(user, "stopped")[0]["pid"] == replica["pid"]
    delete(user, "stopped")


def test_a_stopped_model_process_costs_at_most_what_it_had(user: User) -> None:
    """Triton gives up a model's process that does not answer for a second.

    What it had is lost then, and what it was sent until its replica was ended for that. Each
    process of the gateway and each protocol sees for itself that the replica is slow.
    """
    faulty(user, "paused", 2)
    process = stub_of(items(user, "paused")[0])
    with Load(user.address, "paused", pause=0.002) as load:
        process.suspend()
        until(lambda: not process.is_running() or process.status() != psutil.STATUS_STOPPED, 10)
        load.more(200)
        until(lambda: ready(user, "paused") == 2, 60)
        load.more()
    assert len(load.failures) <= 2 * load.clients, load.failures
    delete(user, "paused")


def test_a_hanging_model_leaves_the_traffic_and_is_replaced(user: User) -> None:
    faulty(user, "hangs", 2)
    before = {each["pid"] for each in items(user, "hangs")}
    with Load(user.address, "hangs", pause=0.002) as load:
        began = time.monotonic()
        assert ask(user, "hangs", HANG) == 504
        assert time.monotonic() - began >= LIMIT - 0.5
        until(lambda: len(before & {each["pid"] for each in items(user, "hangs")}) == 1, 60)
        until(lambda: ready(user, "hangs") == 2, 60)
        load.more()
    # Those that were with the hanging replica: never all clients.
    assert len(load.failures) < load.clients, load.failures
    assert all("504" in each or "DEADLINE" in each for each in load.failures)
    assert told(user, "hangs", "It finishes no request at present")
    delete(user, "hangs")


def test_wrong_answers_replace_a_replica_but_never_the_last_one(user: User) -> None:
    faulty(user, "wrong", 2)
    before = {each["pid"] for each in items(user, "wrong")}
    assert ask(user, "wrong", TURN) == 200
    until(lambda: len(before & {each["pid"] for each in items(user, "wrong")}) == 1, 60)
    until(lambda: ready(user, "wrong") == 2, 60)
    assert told(user, "wrong", "wrongly twice in a row: The output y at [0, 0] is 7 instead of 2")
    user.run("scale", "wrong", "1").expect(0)
    until(lambda: ready(user, "wrong") == 1, 60)
    (last,) = items(user, "wrong")
    assert ask(user, "wrong", TURN) == 200
    until(lambda: items(user, "wrong")[0]["detail"] is not None, 60)
    shown = user.run("status", "wrong").expect(0).out
    assert "is degraded" in shown
    assert "7 instead of 2" in shown
    assert told(user, "wrong", "is degraded")
    assert (items(user, "wrong")[0]["pid"], ready(user, "wrong")) == (last["pid"], 1)
    delete(user, "wrong")


def test_who_wants_no_probe_gets_none(user: User) -> None:
    faulty(user, "alone", 2, health={"probe": False})
    before = items(user, "alone")
    assert ask(user, "alone", TURN) == 200
    with Load(user.address, "alone", pause=0.01) as load:
        load.more(500)
    assert 7 in {value for value, _ in load.answers}
    assert items(user, "alone") == before
    delete(user, "alone")


def test_deploying_the_same_again_starts_what_waits_to_be_started(user: User) -> None:
    needed = faulty(user, "broken", 1)
    needed.unlink()
    os.kill(items(user, "broken")[0]["pid"], signal.SIGKILL)
    until(lambda: items(user, "broken")[0]["restarts"] >= 5, 60)
    shown = user.run("status", "broken").expect(0).out
    assert "restarted" in shown
    # It has just failed again, and waits for some seconds: longer than a deploy takes to ask.
    failed = items(user, "broken")[0]["restarts"]
    until(lambda: items(user, "broken")[0]["restarts"] > failed, 60)
    needed.touch()
    user.run("deploy", "-f", "broken.yaml").expect(0)
    until(lambda: ready(user, "broken") == 1, 60)
    assert told(user, "broken", "Revision 1 was requested again: 1 replica that does not run")
    delete(user, "broken")
