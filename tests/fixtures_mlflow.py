"""A real MLflow for tests: an environment made once by uv, a server with passwords, models in it.

The environment stands under `CLOCHE_TEST_CACHE` (default `~/.cache/cloche-tests`); the server, its
database and its artifacts are new in each test session.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIREMENTS = ("mlflow[auth]==3.17.2", "scikit-learn==1.9.1", "onnx==1.23.2")
ADMIN, PASSWORD = "admin", "a password for tests"


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    """The interpreter of an environment with MLflow."""
    default = Path.home() / ".cache" / "cloche-tests"
    cache = Path(os.environ.get("CLOCHE_TEST_CACHE") or default)
    folder = cache / f"mlflow-{REQUIREMENTS[0].partition('==')[2]}"
    python, whole = folder / "bin/python", folder / "whole"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, python)
            whole.touch()
    return python


def _install(folder: Path, python: Path) -> None:
    from uv import find_uv_bin

    uv = find_uv_bin()
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(f"needs MLflow, which uv cannot install: {done.stderr[-300:]}")


@dataclass(frozen=True, slots=True)
class MlflowServer:
    """A running server and who may ask it."""

    url: str
    python: Path
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The variables with which MLflow and Cloche reach the server."""
        return {
            "HOME": str(self.folder),
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            **more,
        }

    def post(self, endpoint: str, **body: str) -> None:
        """Change something on the server, as its administrator."""
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{endpoint}",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode(),
                "Content-Type": "application/json",
            },
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30):
            pass

    def run(self, script: str, *arguments: str, **more: str) -> list[str]:
        """Run a script with MLflow and return its last line as words."""
        return run_mlflow(self.python, script, *arguments, **self.environment(**more))


def run_mlflow(python: Path, script: str, *arguments: str, **variables: str) -> list[str]:
    """Run a script with MLflow and return its last line as words."""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script, *arguments],
        env={"PATH": os.environ["PATH"], "GIT_PYTHON_REFRESH": "quiet", **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1].split()


_AUTHENTICATION = """
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/auth.db
admin_username = {admin}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


@pytest.fixture(scope="session")
def mlflow_server(
    mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    """A server with `--app-name basic-auth`, SQLite and proxied artifacts."""
    folder = tmp_path_factory.mktemp("mlflow")
    config = folder / "basic_auth.ini"
    config.write_text(_AUTHENTICATION.format(folder=folder, admin=ADMIN, password=PASSWORD))
    port = _free_port()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                mlflow_python, "-m", "mlflow", "server", "--app-name", "basic-auth",
                "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
                "--artifacts-destination", str(folder / "artifacts"),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "GIT_PYTHON_REFRESH": "quiet",
                "MLFLOW_AUTH_CONFIG_PATH": str(config),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests",
                # Eight processes that the tests do not need.
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        server = MlflowServer(f"http://127.0.0.1:{port}", mlflow_python, folder)
        _await_health(server, process)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_health(server: MlflowServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, (server.folder / "server.log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, (server.folder / "server.log").read_text()[-3000:]
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


LOG_MODELS = """
import mlflow, numpy, sys
from sklearn.linear_model import LogisticRegression

inputs = numpy.random.default_rng(7).random((20, 4))
labels = numpy.arange(20) % 2
client = mlflow.MlflowClient()
with mlflow.start_run() as run:
    mlflow.log_param("C", 1.0)
    mlflow.log_metric("accuracy", 0.25)
    mlflow.set_tag("team", "vision")
    for strength in (1.0, 2.0):
        info = mlflow.sklearn.log_model(
            LogisticRegression(C=strength).fit(inputs, labels), name="model",
            registered_model_name="digits", input_example=inputs[:2],
            pip_requirements=["scikit-learn==1.9.1"],  # working them out takes MLflow long
        )
    mlflow.log_metric("loss", 2.0)
client.set_registered_model_alias("digits", "champion", 1)
client.set_registered_model_alias("digits", "challenger", 2)
client.set_model_version_tag("digits", "1", "reviewed", "yes")
print(run.info.run_id, info.model_id)
"""


@dataclass(frozen=True, slots=True)
class LoggedDigits:
    """The model `digits`: versions 1 (champion) and 2 (challenger), both logged by one run."""

    run_id: str
    model_id: str
    """The logged model of version 2."""


@pytest.fixture(scope="session")
def mlflow_digits(mlflow_server: MlflowServer) -> LoggedDigits:
    """The model `digits` on the server."""
    return LoggedDigits(*mlflow_server.run(LOG_MODELS))
