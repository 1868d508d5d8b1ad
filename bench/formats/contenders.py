"""What answers for a model: its library in process, Cloche, MLServer's runtime of the format."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil

from bench.environments import cache, environment, home_in
from bench.formats.cases import SCRIPTS, Case, lines
from bench.processes import free_port
from bench.serving import peers
from bench.serving.load import Endpoint
from cloche.clients.kserve import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TEXTS = "sentences.txt"
"""The texts that the models of language are asked with, a line each."""


@dataclass(frozen=True, slots=True)
class Service:
    """A model that Cloche deployed."""

    url: str
    """Where it infers."""
    seconds: float
    """From the start of the command to its verified end."""
    ready_seconds: float
    """From the start of the server's process until it was ready."""
    backend: str
    """Triton's backend that serves it."""


def install(cases: Sequence[Case]) -> None:
    """Make the environments of libraries and of MLServer."""
    for name in sorted({case.peer or case.environment for case in cases}):
        _python(name)


def save(environments: Sequence[str], models: Path) -> None:
    """Let each environment save its models."""
    for name in environments:
        script, logged = SCRIPTS / name / "save.py", lines(name)
        packages = [line for line in logged if not line.startswith(("mlserver", "uvloop"))]
        _output([_python(name), script, models, *packages])


def in_process(case: Case, models: Path, seconds: int, name: str | None = None) -> dict[str, Any]:
    """Return the figures of the library, or of the named part of it, by the callers at once."""
    words = [
        "in_process.py", name or case.name, models / case.file, models / f"{case.name}.npz",
        seconds, *case.callers,
    ]  # fmt: skip
    return _script(case, *words)


def embeddings(case: Case, models: Path, folder: Path, seconds: int, where: str) -> dict[str, Any]:
    """Return the ms from sentences to embeddings by the size of a batch, at a URL or in process."""
    return _script(
        case, "torch/embed.py", models / case.file, models / TEXTS, folder, seconds, where,
        *case.batches,
    )  # fmt: skip


def request(case: Case, models: Path, url: str) -> Endpoint:
    """Return the request of a case, its tensors by name."""
    inputs = dict(np.load(models / f"{case.name}.npz"))
    body, length = tensors.encode(inputs, binary=case.binary)
    headers = {"Content-Type": "application/json"}
    if length is not None:
        headers["Inference-Header-Content-Length"] = str(length)
    return _answering(Endpoint(url, body, headers))


@contextlib.contextmanager
def cloche(case: Case, models: Path, folder: Path) -> Iterator[Service]:
    """Deploy a model from its file into a new home, and take it down."""
    variables = _variables(folder)
    try:
        began = time.perf_counter()
        deployed = _command(variables, "deploy", "-f", str(_spec(case, models, folder)), "--json")
        seconds = time.perf_counter() - began
        if not deployed["verified"]:
            raise SystemExit(f"{case.name} is not verified: {json.dumps(deployed)}")
        url = deployed["http"]
        configuration = httpx.get(f"{url.removesuffix('/infer')}/config", timeout=10).json()
        yield Service(url, seconds, _start(variables), configuration["backend"])
    finally:
        subprocess.run(
            [sys.executable, "-m", "cloche", "down"], check=False, env=variables, timeout=120,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@contextlib.contextmanager
def mlserver(case: Case, models: Path, folder: Path) -> Iterator[Endpoint]:
    """Serve a model by MLServer's runtime, with the settings of its documentation."""
    model = str(models / case.file)
    parameters: dict[str, Any] = {"uri": model}
    if case.peer == "huggingface":
        parameters = {
            "extra": {
                "task": "text-classification", "pretrained_model": model, "device": -1,
                "optimum_model": True,  # ONNX Runtime: twice the default's requests
            }
        }  # fmt: skip
    description = {
        "name": case.name, "implementation": case.runtime, "parameters": parameters,
    }  # fmt: skip
    python = _python(case.peer or case.environment).parent
    with peers.mlserver(python, description, folder) as url:
        yield _of_text(models, url) if case.peer == "huggingface" else request(case, models, url)


def _of_text(models: Path, url: str) -> Endpoint:
    """Return the request that MLServer's runtime of Hugging Face documents: a text."""
    text = (models / TEXTS).read_text().splitlines()[0]
    tensor = {"name": "args", "shape": [1], "datatype": "BYTES", "data": [text]}
    body = json.dumps({"inputs": [tensor]}).encode()
    return _answering(Endpoint(url, body, {"Content-Type": "application/json"}))


def _answering(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that answers its request."""
    answer = httpx.post(endpoint.url, content=endpoint.body, headers=endpoint.headers, timeout=60)
    if answer.status_code != 200:
        raise SystemExit(f"{endpoint.url} answers {answer.status_code}:\n{answer.text[:2000]}")
    return endpoint


def _python(name: str) -> Path:
    return environment(SCRIPTS / name / "requirements.txt") / "bin" / "python"


def _script(case: Case, script: str, *words: object) -> dict[str, Any]:
    argv = [_python(case.environment), SCRIPTS / script, *map(str, words)]
    return dict(json.loads(_output(argv)))


def _start(variables: dict[str, str]) -> float:
    """Return the seconds from the start of a server's process until it was ready."""
    (service,) = _command(variables, "status", "--json")["services"]
    (replica,) = service["replicas"]["items"]
    ready = datetime.fromisoformat(replica["since"]).timestamp()
    return ready - psutil.Process(replica["pid"]).create_time()


def _variables(folder: Path) -> dict[str, str]:
    home = home_in(folder)
    environments = cache() / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    (home / "environments").symlink_to(environments)
    own = {"CLOCHE_HOME": str(home), "CLOCHE_GATEWAY_PORT": str(free_port())}
    return {**os.environ, **own}


def _spec(case: Case, models: Path, folder: Path) -> Path:
    content = {"name": case.name, "model": str(models / case.file), **case.spec}
    if case.requirements:
        content |= {"requirements": case.requirements, "python": "3.11"}
    path = folder / "cloche.yaml"
    path.write_text(json.dumps(content))
    return path


def _command(variables: dict[str, str], *words: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "cloche", *words]
    return dict(json.loads(_output(argv, variables)))


def _output(argv: Sequence[str | Path], variables: dict[str, str] | None = None) -> bytes:
    """Return what a command prints; one that fails ends the bench with its words."""
    done = subprocess.run(argv, check=False, capture_output=True, env=variables, timeout=900)
    if done.returncode:
        raise SystemExit((done.stdout + done.stderr).decode(errors="replace"))
    return done.stdout
