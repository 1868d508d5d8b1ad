"""A real Triton for tests: installed once into a cache outside the repository."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloche.clients.kserve.client import InferenceClient
from cloche.errors import ClocheError
from cloche.servers import triton

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.servers.triton import TritonInstallation

_START_SECONDS = 120


def cache_folder() -> Path:
    """Where tests keep what takes long to make (`CLOCHE_TEST_CACHE`)."""
    default = Path.home() / ".cache" / "cloche-tests"
    return Path(os.environ.get("CLOCHE_TEST_CACHE") or default)


@pytest.fixture(scope="session")
def triton_installation() -> TritonInstallation:
    try:
        return triton.install(cache_folder() / "servers")
    except ClocheError as error:
        pytest.skip(f"needs Triton's wheel: {error.what} {error.hint or ''}")


def free_ports() -> triton.ServerPorts:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return triton.ServerPorts(*(one.getsockname()[1] for one in sockets))


@dataclass
class RunningTriton:
    """A Triton started for tests, in a process group of its own."""

    process: subprocess.Popen[bytes]
    ports: triton.ServerPorts
    serving: Path
    identity: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.http}"

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with InferenceClient(self.url, timeout=5) as client:
            while not client.ready():
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"Triton did not come up:\n{self.log.read_text()[-4000:]}")
                time.sleep(0.05)

    def stop(self) -> int:
        """End it as asked for, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it and its stubs at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        triton.clean_shared_memory(self.serving, self.identity)


class TritonStarter:
    """Starts Tritons on repositories and ends all of them."""

    def __init__(self, installation: TritonInstallation, folder: Path) -> None:
        self.installation = installation
        self._folder = folder
        self._running: list[RunningTriton] = []

    def start(
        self,
        tree: Path,
        models: Iterable[str],
        *,
        environment: Path | None = None,
        python: str | None = None,
        wait: bool = True,
        drop: Iterable[str] = (),
        add: Iterable[str] = (),
    ) -> RunningTriton:
        """Serve the models of a repository; `drop` and `add` change the argument list."""
        identity = f"test-{len(self._running)}"
        serving = triton.lay_out(
            self._folder / identity, tree, models=models, environment=environment, python=python,
            installation=self.installation,
        )  # fmt: skip
        ports = free_ports()
        command = triton.command(self.installation, serving, ports, identity=identity)
        argv = [a for a in command.argv if not a.startswith(tuple(drop) or ("\0",))] + list(add)
        log = self._folder / f"{identity}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv, env=command.env, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=serving,
            )  # fmt: skip
        running = RunningTriton(process, ports, serving, identity, log)
        self._running.append(running)
        if wait:
            running.wait_until_ready()
        return running

    def stop_all(self) -> None:
        for running in self._running:
            if running.process.poll() is None:
                running.stop()


@pytest.fixture(scope="module")
def triton_starter(
    triton_installation: TritonInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonStarter]:
    starter = TritonStarter(triton_installation, tmp_path_factory.mktemp("triton"))
    try:
        yield starter
    finally:
        starter.stop_all()
