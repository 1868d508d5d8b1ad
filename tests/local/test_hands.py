"""The command line and the Python client, from an ONNX file to answers of real Triton."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import psutil
import pytest
from onnx import TensorProto, helper

import cloche
from cloche.errors import ClocheError, UnavailableError, UsageError
from fixtures.command_line import User, a_user, end
from fixtures.local import until


def scaled(factor: float) -> onnx.ModelProto:
    """Return a model that answers y = factor · x, for two numbers each."""
    tensors = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2])] for name in "xy"
    ]
    constant = helper.make_tensor("f", TensorProto.FLOAT, [], [factor])
    nodes = [helper.make_node("Mul", ["x", "f"], ["y"])]
    graph = helper.make_graph(nodes, "m", *tensors, initializer=[constant])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody with a model, `double.onnx`."""
    with a_user() as somebody:
        onnx.save(scaled(2), somebody.folder / "double.onnx")
        yield somebody


@pytest.fixture
def cloche_command(user: User) -> Callable[..., str]:
    """Run a command and return what it says."""

    def call(*words: str, code: int = 0, given: str = "") -> str:
        return user.run(*words, given=given).expect(code).out

    return call


@pytest.fixture
def double(cloche_command) -> dict[str, Any]:
    """The service `double`, deployed if it is not yet."""
    return json.loads(cloche_command("deploy", "double.onnx", "--json"))


def test_a_deploy_ends_with_the_documented_object(double):
    assert set(double) == {
        "service", "revision", "phase", "change", "model", "http", "grpc", "verification",
        "replicas", "failure", "findings", "from", "cause", "verified",
    }  # fmt: skip
    assert (double["service"], double["phase"]) == ("double", "live")
    assert set(double["model"]) == {
        "reference", "source", "pinned", "version", "digest", "format",
    }  # fmt: skip
    assert double["verification"]["passed"] is True
    assert double["http"].endswith("/v2/models/double/infer")


def test_a_second_deploy_changes_nothing(cloche_command, double):
    again = json.loads(cloche_command("deploy", "double.onnx", "--json"))
    assert (again["change"], again["revision"]) == ("none", double["revision"])
    assert json.loads(cloche_command("plan", "double.onnx", "--json"))["kind"] == "none"
    text = cloche_command("deploy", "double.onnx")
    assert text.startswith(f"Nothing changed: double is at revision {double['revision']} (live).")


def test_a_changed_spec_is_planned_then_deployed(user, cloche_command, double):
    folder = user.folder
    (folder / "moved").mkdir()
    file = folder / "moved" / "cloche.yaml"
    cloche_command("init", "double.onnx", "-f", str(file))
    assert "model: ../double.onnx" in file.read_text()
    file.write_text(file.read_text() + "batching: {max_batch_size: 4}\nreplicas: 2\n")

    text = cloche_command("plan", "-f", str(file), "--why")
    assert "~ replicas" in text
    assert "1 → 2" in text
    assert "batching.max_batch_size" in text

    result = json.loads(cloche_command("deploy", "-f", str(file), "--json"))
    assert result["change"] == "revision"
    assert result["replicas"]["wanted"] == 2
    header, *rows = cloche_command("history", "double").splitlines()
    assert header.startswith("REVISION")
    assert rows[0].split()[:2] == [str(result["revision"]), "*"]
    back = json.loads(cloche_command("deploy", "double.onnx", "--json"))
    assert back["replicas"]["wanted"] == 2, "what a spec does not say stays as it is"


def test_requests_from_files_and_the_printed_example(user, cloche_command, double):
    folder = user.folder
    np.save(folder / "x.npy", np.array([[1.0, 2.0]], dtype="float32"))
    answer = json.loads(cloche_command("infer", "double", "--input", "x.npy", "--json"))
    assert answer["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2.0, 4.0]}
    ]
    assert answer["revision"] == double["revision"]
    assert "[[6., 8.]]" in cloche_command("infer", "double", "-i", "-", given="[[3, 4]]")

    example = json.loads(cloche_command("infer", "double", "--example", "--json"))
    said = subprocess.run(
        ["bash", "-c", example["curl"]], capture_output=True, text=True, check=True
    )
    curled = json.loads(said.stdout)["outputs"][0]["data"]
    sent = json.loads(shlex.split(example["curl"])[-1])["inputs"][0]["data"]
    assert curled == pytest.approx([2 * value for value in sent])
    assert any(sent), "the ready request is the golden one, whose values vary"
    said = subprocess.run(
        [sys.executable, "-c", example["python"]], capture_output=True, text=True, check=True
    )
    printed = [float(value) for value in said.stdout.strip("[]\n").split()]
    assert printed == pytest.approx(curled)


def test_a_model_that_is_none_is_refused_and_changes_nothing(user, cloche_command, double):
    folder = user.folder
    (folder / "broken.onnx").write_bytes((folder / "double.onnx").read_bytes()[:40])
    error = json.loads(cloche_command("deploy", "broken.onnx", "--json", code=1))["error"]
    assert error["code"].startswith("source.onnx")
    names = [one["service"] for one in json.loads(cloche_command("status", "--json"))["services"]]
    assert names == ["double"]


def test_ctrl_c_during_a_rollout_says_that_it_goes_on(user, cloche_command, double):
    folder = user.folder
    onnx.save(scaled(3), folder / "triple.onnx")
    process = user.begin("deploy", "triple.onnx")

    def recorded() -> bool:
        report = json.loads(cloche_command("status", "--json"))
        return any(one["service"] == "triple" for one in report["services"])

    until(recorded)
    process.send_signal(signal.SIGINT)
    outcome = end(process)
    if outcome.code != 0:  # else it was live before the signal came
        assert outcome.code == 130
        assert "goes on in the control plane" in outcome.err
    done = json.loads(cloche_command("deploy", "triple.onnx", "--json"))
    assert (done["change"], done["phase"]) == ("none", "live")
    cloche_command("delete", "triple", "--yes")


def test_the_client_from_deploy_to_delete(user):
    folder, environment = user.folder, user.environment
    with cloche.Client(user.home, environment=environment) as client:
        result = client.deploy(folder / "double.onnx", name="twice")
        assert (result.change, result.revision.phase) == ("revision", "live")
        assert client.deploy(folder / "double.onnx", name="twice").change == "none"

        x = np.array([[1, 2], [3, 4]])
        np.testing.assert_array_equal(client.infer("twice", x)["y"], 2 * x)
        np.testing.assert_array_equal(client.infer("twice", {"x": x.tolist()})["y"], 2 * x)
        table = pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})
        np.testing.assert_array_equal(client.infer("twice", table)["y"], 2 * x)
        with pytest.raises(UsageError, match=r"'x' has the shape \[1, 3\]"):
            client.infer("twice", np.zeros((1, 3)))

        assert client.verify("twice").passed
        assert client.scale("twice", 2)["replicas"]["wanted"] == 2
        assert [revision.number for revision in client.history("twice")] == [1]
        assert client.status("twice")["revision"] == 1
        client.delete("twice")
        with pytest.raises(ClocheError) as caught:
            client.status("twice")
        assert caught.value.code == "service.unknown"


def test_doctor_finds_nothing_wrong(cloche_command, double):
    report = json.loads(cloche_command("doctor", "--json"))
    assert report["ok"] is True
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert states["gateway"] == states["control plane"] == "ok"


def test_down_without_a_control_plane_ends_what_it_left(user, cloche_command, double):
    """The last but one of this module."""
    control = user.control_pid()
    os.kill(control, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{control}").exists())
    ended = json.loads(cloche_command("down", "--json"))["ended"]
    assert ended["replicas"]
    assert ended["gateway"]
    assert json.loads(cloche_command("down", "--json"))["ended"]["replicas"] == []
    with cloche.Client(user.home) as client:  # reads what is recorded, and starts nothing
        (service,) = client.status()["services"]
        assert service["service"] == client.status(service["service"])["service"]
        assert client.history(service["service"])[-1].verification
        with pytest.raises(ClocheError, match="ended"):
            client.scale(service["service"], 2)
    with pytest.raises(UnavailableError):
        user.control_pid()


def test_down_ends_what_a_removed_home_left(user, cloche_command, double):
    """The last of this module."""
    cloche_command("up")
    control = user.control_pid()
    shutil.rmtree(user.home)
    until(lambda: not Path(f"/proc/{control}").exists())
    ended = json.loads(cloche_command("down", "--json"))["ended"]
    assert [each["id"].partition("-r")[0] for each in ended["replicas"]][:1] == [double["service"]]
    assert ended["gateway"] in ended["gateway_processes"]
    until(lambda: not any(psutil.pid_exists(each["pid"]) for each in ended["replicas"]))
    assert "Nothing was running." in cloche_command("down")
