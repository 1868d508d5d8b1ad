"""The entrypoint of containers, which starts the wheel's real Triton here."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from cloche.artifacts import ModelRepository, RepositoryMember, TensorSpec
from cloche.clients.kserve.client import InferenceClient
from cloche.servers.triton import TritonServer, container
from cloche.servers.triton.process import listening, shared_memory_prefix
from cloche.servers.triton.serving import MODELS
from fixtures.local import CONFIGURATION, DOUBLING
from fixtures.triton import RunningTriton, free_addresses

if TYPE_CHECKING:
    from fixtures.triton import TritonStarter

X = TensorSpec("x", "FP32", (-1, 3, 224, 224))
CODE = {"config.pbtxt": CONFIGURATION, "1/model.py": DOUBLING.replace("FACTOR", "2")}


def repository(backend: str, batch: int = 0) -> ModelRepository:
    member = RepositoryMember("double", backend, (X,), (), batch)
    return ModelRepository("double", "sha256:" + "0" * 64, (), (member,))


@pytest.mark.parametrize(
    ("backend", "batch", "mebibytes"),
    [("onnxruntime", 64, None), ("python", 0, 18), ("python", 64, 90)],
)
def test_shared_memory_is_asked_for_by_models_in_python(tmp_path, backend, batch, mebibytes):
    """A batch of 64 images in FP32 takes 36.75 MiB, twice, and 16 MiB are beside them."""
    start = container.start(repository(backend, batch), tmp_path)
    asked = start.environment.get("CLOCHE_SHARED_MEMORY")
    assert (asked and int(asked) / 2**20) == mebibytes


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for path, text in CODE.items():
            file = Path(name) / "double" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        yield Path(name)


@pytest.fixture(scope="module")
def entered(triton_starter: TritonStarter, tree: Path, tmp_path_factory) -> Iterator[RunningTriton]:
    """Triton as the entrypoint starts it, on ports of this machine."""
    folder = tmp_path_factory.mktemp("container")
    running = command(triton_starter, tree, folder)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.kill()


def command(starter: TritonStarter, tree: Path, folder: Path, **given: str) -> RunningTriton:
    installed = starter.installation
    serving = installed.lay_out(folder / "serving", tree, models=["double"], environment=None)
    addresses, identity = free_addresses(), "container"
    start = container.start(repository("python"), tree)
    script = folder / "entrypoint"
    script.write_bytes(start.script)
    script.chmod(0o755)
    local = installed.command(serving, addresses, identity=identity).env
    environment = {
        **local, **start.environment, "CLOCHE_MODELS": str(serving / MODELS),
        "PATH": f"{installed.executable.parent}:{local['PATH']}", **given,
    }  # fmt: skip
    options = [
        *listening(addresses),
        f"--backend-directory={installed.backends}",
        "--backend-config=python,shm-region-prefix-name=" + shared_memory_prefix(serving, identity),
    ]  # fmt: skip
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [script, *options], env=environment, stdout=output, stderr=output, cwd="/",
            start_new_session=True,
        )  # fmt: skip
    return RunningTriton(process, addresses, serving, identity, log)


def test_it_serves_the_models(entered: RunningTriton):
    with InferenceClient(entered.url, timeout=30) as client:
        answer = client.infer("double", b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],'
                              b'"data":[40]}]}', None)  # fmt: skip
    assert b'"data":[80.0]' in answer.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/trace/setting"),
        ("GET", "/v2/logging"),
    ],
)
def test_what_is_for_administrators_is_closed(entered: RunningTriton, method, path):
    answer = httpx.request(method, entered.url + path, trust_env=False)
    assert answer.status_code == 403


def test_it_is_the_server_itself_that_runs(entered: RunningTriton):
    """The script replaced itself, so that a signal to the container reaches the server."""
    words = Path(f"/proc/{entered.process.pid}/cmdline").read_bytes().decode().split("\0")
    assert words[0].endswith("tritonserver")
    assert {"--model-control-mode=none", "--disable-auto-complete-config"} <= set(words)
    assert not any(word.startswith("@") for word in words)


def test_too_little_shared_memory_is_told(triton_starter, tree, tmp_path):
    refused = command(triton_starter, tree, tmp_path, CLOCHE_SHARED_MEMORY=str(2**60))
    assert refused.process.wait(30) == 1
    assert f"--shm-size={2**40}m" in refused.log.read_text()


def test_another_command_is_run_in_its_place(tmp_path):
    script = tmp_path / "entrypoint"
    script.write_bytes(TritonServer().container(repository("python"), tmp_path).script)
    done = subprocess.run(["sh", script, "echo", "hello"], capture_output=True, check=True)
    assert done.stdout == b"hello\n"
