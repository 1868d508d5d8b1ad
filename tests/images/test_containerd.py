"""Under containerd, as a kubelet runs it: whole, and with its models in an image volume."""

from __future__ import annotations

import json
import tarfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import containerd_engine
import numpy as np
import onnxruntime
import pytest
from containerd_engine import Containerd

from cloche.artifacts import Deployment
from cloche.images.image import Image
from cloche.pipeline import base_image
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress
from cloche.servers.triton.process import listening
from cloche.settings import Settings
from fixtures.triton import free_addresses
from formats.onnx_models import mlp

ASKED = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}]}
HARDENED = ("--read-only", "--net-host",
            "--mount", "type=tmpfs,src=tmpfs,dst=/tmp,options=rw:nosuid:nodev")  # fmt: skip
LIMIT = 60.0


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    if why := containerd_engine.missing():
        pytest.skip(why)
    with containerd_engine.running() as engine:
        yield engine


@pytest.fixture
def layout(tmp_path: Path, containerd: Containerd, made: Image, deployment, settings: Settings):
    """Write the image of the deployment and import it; return the names of what is there."""

    def call(deployment: Deployment = deployment, *, split: bool = False) -> set[str]:
        folder = tmp_path / "out"
        write_image(
            deployment, [base_image.as_base(made)], folder, split=split, settings=settings,
            progress=SilentProgress(),
        )  # fmt: skip
        with tarfile.open(tmp_path / "out.tar", "w") as archive:
            archive.add(folder, ".")
        containerd("images", "import", tmp_path / "out.tar")
        return set(containerd("images", "ls", "--quiet").split())

    return call


@contextmanager
def served(containerd: Containerd, image: str, *options: str | Path) -> Iterator[str]:
    """Run an image on free ports of loopback, as its own user; yield its HTTP address."""
    name = f"t{uuid.uuid4().hex[:12]}"
    addresses = free_addresses()
    containerd(
        "run", "--detach", *HARDENED, *options, image, name, "/cloche/entrypoint",
        *listening(addresses),
    )  # fmt: skip
    try:
        assert "uid=1000" in containerd("task", "exec", "--exec-id", "id", name, "id")
        yield f"http://{addresses.http}"
    finally:
        containerd("task", "rm", "--force", name)
        containerd("containers", "rm", name)


def answer(url: str) -> list[float]:
    """Wait until the model is ready, and ask it."""
    deadline = time.monotonic() + LIMIT
    while not ready(url):
        assert time.monotonic() < deadline, "the server does not get ready"
        time.sleep(0.1)
    asked = urllib.request.Request(f"{url}/v2/models/scores/infer", json.dumps(ASKED).encode())
    with urllib.request.urlopen(asked, timeout=30) as response:
        return json.load(response)["outputs"][0]["data"]


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture
def expected() -> list[float]:
    model = onnxruntime.InferenceSession(mlp().SerializeToString())
    return model.run(None, {"x": np.full((1, 64), 0.5, np.float32)})[0].ravel().tolist()


def test_the_whole_image(containerd, layout, expected):
    assert "docker.io/library/scores:latest" in layout()
    with served(containerd, "docker.io/library/scores:latest") as url:
        assert answer(url) == pytest.approx(expected, rel=1e-5)


def test_the_server_with_the_models_in_a_volume(containerd, layout, expected, tmp_path):
    """The volume is mounted as a kubelet does it: read-only, and nothing in it may execute."""
    models = "docker.io/library/scores:latest"
    server = "docker.io/library/scores-server:latest"
    assert {models, server} <= layout(split=True)
    volume = tmp_path / "volume"
    volume.mkdir()
    containerd("images", "mount", models, volume)
    try:
        mount = f"type=bind,src={volume}/models,dst=/models,options=rbind:ro:noexec"
        with served(containerd, server, "--mount", mount) as url:
            assert answer(url) == pytest.approx(expected, rel=1e-5)
    finally:
        containerd("images", "unmount", "--rm", volume)
