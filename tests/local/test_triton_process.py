"""One replica's process: what it lets through, what it leaves behind, whose Python it runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import psutil
import pytest

from cloche.clients.kserve.client import InferenceClient
from cloche.clients.kserve.tensors import decode, encode
from cloche.servers.triton import process
from cloche.servers.triton.process import shared_memory_prefix
from fixtures.cache import cache_folder

if TYPE_CHECKING:
    from fixtures.triton import RunningTriton, TritonStarter

MODEL = """
import sys
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        import ctypes, math, socket, ssl  # what a foreign libpython would not have
        self.about = "%d.%d numpy %s" % (sys.version_info[0], sys.version_info[1], np.__version__)

    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            s = pb_utils.get_input_tensor_by_name(request, "s").as_numpy()
            doubled = pb_utils.Tensor("doubled", (x * 2)[:, ::-1])
            assert isinstance(doubled, pb_utils.Tensor)
            assert doubled.as_numpy().shape == x.shape
            big = pb_utils.Tensor("big", x > 2)
            loud = np.array([e + b"!" for e in s.ravel()], dtype=object).reshape(s.shape)
            about = np.full((len(x), 1), self.about, dtype=object)
            responses.append(pb_utils.InferenceResponse([
                doubled, big, pb_utils.Tensor("loud", loud), pb_utils.Tensor("about", about),
            ]))
        return responses
"""
CONFIG = """
backend: "python"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP64 dims: [ -1 ] }, { name: "s" data_type: TYPE_STRING dims: [ 2 ] } ]
output [ { name: "doubled" data_type: TYPE_FP64 dims: [ -1 ] }, { name: "big" data_type: TYPE_BOOL dims: [ -1 ] },
  { name: "loud" data_type: TYPE_STRING dims: [ 2 ] }, { name: "about" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: 1 } ]
"""  # noqa: E501
ASKS = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/environment" } }'  # noqa: E501


def make_tree(folder: Path, *, asks: bool) -> Path:
    (folder / "echo" / "1").mkdir(parents=True)
    (folder / "echo" / "config.pbtxt").write_text(CONFIG + (ASKS if asks else ""))
    (folder / "echo" / "1" / "model.py").write_text(MODEL)
    return folder


def shared_memory(running: RunningTriton) -> list[Path]:
    prefix = shared_memory_prefix(running.serving, running.identity)
    return list(Path("/dev/shm").glob(f"{prefix}*"))


def check_answers(running: RunningTriton) -> str:
    """Send tensors through the model `echo`; returns what it says of its Python."""
    x = np.arange(6.0).reshape(2, 3)
    s = np.array([["a", "bb"], ["", "\u00e9" * 1000]])
    with InferenceClient(running.url, timeout=30) as client:
        for array in (x, np.zeros((2, 0))):
            body, length = encode({"x": array, "s": s}, binary=True)
            answer = client.infer("echo", body, length)
            got = decode(answer.body, answer.header_length)
            np.testing.assert_array_equal(got["doubled"], array[:, ::-1] * 2)
            np.testing.assert_array_equal(got["big"], array > 2)
            expected = [[f"{e}!".encode() for e in row] for row in s]
            np.testing.assert_array_equal(got["loud"], np.array(expected, dtype=object))
    about: bytes = got["about"][0, 0]
    return about.decode()


def ended(processes: list[psutil.Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def plain(triton_starter: TritonStarter, tmp_path_factory: pytest.TempPathFactory) -> RunningTriton:
    return triton_starter.start(make_tree(tmp_path_factory.mktemp("plain"), asks=False), ["echo"])


def test_a_model_without_an_environment_runs_on_the_servers_python(
    plain: RunningTriton, triton_starter: TritonStarter
) -> None:
    about = check_answers(plain)
    assert re.fullmatch(rf"{triton_starter.installation.python} numpy 1\.\d+\.\d+", about)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/echo/unload"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/systemsharedmemory/region/x/register"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/logging"),
    ],
)
def test_what_changes_the_server_is_closed(plain: RunningTriton, method: str, path: str) -> None:
    assert httpx.request(method, plain.url + path, trust_env=False).status_code == 403


def test_it_listens_on_loopback_only(plain: RunningTriton) -> None:
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(plain.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_asked_to_end_it_leaves_nothing(triton_starter: TritonStarter, tmp_path: Path) -> None:
    running = triton_starter.start(make_tree(tmp_path / "tree", asks=False), ["echo"])
    stubs = psutil.Process(running.process.pid).children(recursive=True)
    assert stubs
    assert shared_memory(running)
    assert running.stop() == 0
    assert ended(stubs, 10)
    assert shared_memory(running) == []


def test_killed_alone_its_stubs_end_and_tidy_up(
    triton_starter: TritonStarter, tmp_path: Path
) -> None:
    running = triton_starter.start(make_tree(tmp_path / "tree", asks=False), ["echo"])
    stubs = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.process.wait(timeout=30)
    assert ended(stubs, 30)
    assert shared_memory(running) == []


def test_killed_with_its_stubs_its_shared_memory_can_be_removed(
    triton_starter: TritonStarter, tmp_path: Path
) -> None:
    running = triton_starter.start(make_tree(tmp_path / "tree", asks=False), ["echo"])
    stubs = psutil.Process(running.process.pid).children(recursive=True)
    os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait(timeout=30)
    assert ended(stubs, 30)
    assert shared_memory(running)
    process.clean(running.serving, running.identity)
    assert shared_memory(running) == []


def test_a_model_that_cannot_load_ends_the_server_with_the_reason(
    triton_starter: TritonStarter, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", asks=False)
    (tree / "echo" / "1" / "model.py").write_text("raise ValueError('weights are missing')\n")
    running = triton_starter.start(tree, ["echo"], wait=False)
    assert running.process.wait(timeout=60) != 0
    assert "weights are missing" in running.log.read_text()
    assert shared_memory(running) == [] or process.clean(running.serving, running.identity)


def make_environment(minor: str, numpy: str) -> Path:
    """Return a virtual environment with numpy, made once; skips where uv cannot make it."""
    folder = cache_folder() / "environments" / f"py{minor}-numpy{numpy}"
    done_at = folder / "done"
    # An environment that was copied with a cache activates the one that it is a copy of.
    if done_at.exists() and done_at.read_text() == str(folder):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python{minor}"))
    python = str(pyenv[-1]) if pyenv else minor
    for arguments in (
        ["venv", "--no-project", "--python", python, str(folder)],
        ["pip", "install", "--python", str(folder / "bin" / "python"), f"numpy=={numpy}"],
    ):
        done = subprocess.run(["uv", *arguments], capture_output=True, text=True, check=False,
                              env=with_uv(), cwd="/")  # fmt: skip
        if done.returncode:
            pytest.skip(f"needs Python {minor} and numpy {numpy} through uv: {done.stderr}")
    done_at.write_text(str(folder))
    return folder


def with_uv() -> dict[str, str]:
    from uv import find_uv_bin

    return {**os.environ, "PATH": f"{Path(find_uv_bin()).parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("minor", "numpy"),
    [("3.10", "2.2.6"), ("3.12", "2.3.5"), ("3.13", "2.3.5"), ("3.11", "1.26.4")],
)
def test_a_model_runs_in_its_own_environment(
    triton_starter: TritonStarter, tmp_path: Path, minor: str, numpy: str
) -> None:
    running = triton_starter.start(
        make_tree(tmp_path / "tree", asks=True), ["echo"],
        environment=make_environment(minor, numpy),
    )  # fmt: skip
    assert check_answers(running) == f"{minor} numpy {numpy}"
    assert "Traceback" not in running.log.read_text()
    running.stop()
