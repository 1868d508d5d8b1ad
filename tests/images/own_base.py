"""Cloche's own base for tests, and how a container on it is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from docker_engine import Docker

from cloche import composition
from cloche.errors import ClocheError
from cloche.images.bases.debian import packages
from cloche.images.image import Image, Platform
from cloche.pipeline import base_image
from cloche.progress import SilentProgress
from cloche.settings import Settings

SILENT = SilentProgress()
UNREACHABLE = {"image.debian.fetch", "environment.network", "environment.timeout"}
HARDENED = (
    "--detach", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt",
    "no-new-privileges", "--tmpfs", "/tmp", "--shm-size", "64m",
)  # fmt: skip
"""As Kubernetes would run it: not as root, with a read-only root and no capability."""
_LIMIT = 120.0

# Waits for the server, asks it once, and prints its answer: run by the Python of the base.
_ASK = """
import sys, time, urllib.request
url = "http://127.0.0.1:8000/v2"
for attempt in range(600):
    try:
        urllib.request.urlopen(f"{url}/health/ready", timeout=5)
        break
    except OSError:
        time.sleep(0.1)
request = urllib.request.Request(f"{url}/models/scores/infer", data=sys.stdin.buffer.read())
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def make(settings: Settings, platform: Platform) -> Image:
    try:
        return base_image.make(platform, os.environ, settings=settings, progress=SILENT)
    except ClocheError as error:
        if error.code not in UNREACHABLE:
            raise
        pytest.skip(f"needs Debian's packages and Triton's wheel: {error.what} {error.hint or ''}")


def ask(docker: Docker, container: str, x: np.ndarray) -> np.ndarray:
    """What the model `scores` of a container answers to its input `x`."""
    tensor = {
        "name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist(),
    }  # fmt: skip
    done = subprocess.run(
        [shutil.which("docker"), "-H", f"unix://{docker.socket}", "exec", "-i", container,
         "python3", "-c", _ASK],
        input=json.dumps({"inputs": [tensor]}), capture_output=True, text=True, timeout=_LIMIT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + docker("logs", container)
    (output,) = json.loads(done.stdout)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def bring(made: Image, kept: Settings, settings: Settings) -> None:
    """Put the base, as it was made in a home, into another one, which then need not make it."""
    theirs, ours = composition.store(kept), composition.store(settings)
    for layer in made.layers:
        ours.add_file(theirs.blob_path(layer.descriptor.digest))
    remembered = Path("index", "tree-layer")
    shutil.copytree(kept.layout.store / remembered, settings.layout.store / remembered)


def bring_packages(kept: Settings, settings: Settings) -> None:
    """Put Debian's packages into another home."""
    stored = composition.store(kept)
    for package in packages.pinned("amd64"):
        composition.store(settings).add_file(stored.blob_path(package.digest))
