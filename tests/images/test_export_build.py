"""Exported contexts, built by real builders: the same image as that of `cloche image build`."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import docker_engine
import numpy as np
import onnxruntime
import pytest
from docker_engine import Docker
from own_base import HARDENED, SILENT, UNREACHABLE, ask

from cloche import pipeline, spec
from cloche.artifacts import Deployment
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.images import difference, golden, reading
from cloche.images.base import Base
from cloche.images.image import Image, Platform
from cloche.images.reading import ReadImage
from cloche.pipeline import base_image, export, image
from cloche.settings import Settings
from fixtures.command_line import finished
from formats.onnx_models import mlp

AMD64 = Platform("linux", "amd64")


@dataclass(frozen=True)
class Exporter:
    """Writes the context and, as its model, the image of a deployment."""

    base: Base
    settings: Settings
    folder: Path

    def context(self, deployment: Deployment) -> Path:
        how = {"settings": self.settings, "progress": SILENT}
        files = export.build_context(deployment, self.base, **how)
        export.write_folder(files, self.folder / "context", **how)
        return self.folder / "context"

    def image(self, deployment: Deployment) -> ReadImage:
        how = {"settings": self.settings, "progress": SILENT}
        image.write_image(deployment, [self.base], self.folder / "ours.tar", **how)
        return reading.read(self.folder / "ours.tar")


@pytest.fixture
def exporter(made: Image, open_registry: str, settings: Settings, tmp_path: Path):
    """Exports on Cloche's own base, in a registry."""
    name = f"{open_registry}/t{uuid.uuid4().hex[:12]}:1"
    with image.registries(os.environ) as connections:
        base_image.push(made, references.parse(name), connections, SILENT)
        yield Exporter(export.registry_base(name, AMD64, connections), settings, tmp_path)


@pytest.fixture
def builder(docker: Docker) -> Docker:
    """An engine that builds."""
    if docker_engine.buildkit() is None:
        pytest.skip("needs a docker with BuildKit: apt-get install docker.io, or docker-buildx")
    return docker


def saved(docker: Docker, tag: str, folder: Path) -> ReadImage:
    docker("save", tag, "-o", folder / "theirs.tar")
    return reading.read(folder / "theirs.tar")


def tree(image: ReadImage, base: Base) -> dict[str, tuple]:
    """What an image has above its base: kind, mode, owner, and content or target."""
    found: dict[str, tuple] = {}
    for layer in image.layers[len(base.layers) :]:
        data = io.BytesIO(b"".join(layer.chunks()))
        with tarfile.open(fileobj=data) as archive:
            for member in archive:
                is_read = member.isreg() and not _differs_by_release(member.name)
                content = archive.extractfile(member).read() if is_read else b""
                found[member.name.strip("/")] = (
                    member.type, oct(member.mode & 0o7777), member.uid, member.gid,
                    member.linkname or hashlib.sha256(content).hexdigest(),
                )  # fmt: skip
    return found


def _differs_by_release(path: str) -> bool:
    """Whether it is bytecode of the base's Python: this machine's may be another 3.11."""
    return path.endswith(".cpython-311.pyc")


def assert_same(ours: ReadImage, theirs: ReadImage, base: Base) -> None:
    """All but what a builder cannot know before it builds: the digest of a layer."""
    expected, found = tree(ours, base), tree(theirs, base)
    # The folders of the base that something lies in may occur again.
    assert {path: entry for path, entry in found.items() if path in expected} == expected
    assert {path for path in found if path not in expected} <= {"opt", "opt/tritonserver"}
    diff_ids = ours.config["rootfs"]["diff_ids"][: len(base.layers)]
    assert theirs.config["rootfs"]["diff_ids"][: len(base.layers)] == diff_ids
    settings = difference.compare(ours, theirs).settings
    told = {each.setting for each in settings if not each.setting.startswith("annotation ")}
    assert told <= {f"label {golden.LAYER}"}


def answer(docker: Docker, tag: str, x: np.ndarray) -> np.ndarray:
    """Start an image, ask its model, and end it."""
    container = docker("run", *HARDENED, tag).splitlines()[-1]
    try:
        return ask(docker, container, x)
    finally:
        docker("rm", "--force", container)


def test_docker_builds_an_onnx_model_that_answers(exporter, builder, asked, tmp_path):
    builder.build(exporter.context(asked), "exported")
    assert_same(exporter.image(asked), saved(builder, "exported", tmp_path), exporter.base)
    x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(mlp().SerializeToString()).run(None, {"x": x})
    answered = answer(builder, "exported", x)
    np.testing.assert_allclose(answered, expected, rtol=1e-5, atol=1e-5)


# ── models with an environment ────────────────────────────────────────────────────────────────


@pytest.fixture
def wide(exporter: Exporter):
    """A model in Python that needs its environment, locked for a version of Python."""

    def call(python: str) -> Deployment:
        repository = finished(exporter.folder / "repository", "scores", "x * wcwidth.wcwidth('コ')")
        code = repository / "scores/1/model.py"
        code.write_text(f"import wcwidth\n{code.read_text()}")
        (repository / "scores/requirements.txt").write_text("wcwidth==0.2.13\nnumpy\n")
        (repository / "scores/.python-version").write_text(f"{python}\n")
        try:
            return pipeline.prepare(
                spec.from_reference(str(repository), "scores", directory=exporter.folder),
                directory=exporter.folder, settings=exporter.settings, progress=SILENT,
                run_model=False,
            )  # fmt: skip
        except ClocheError as error:
            if error.code not in UNREACHABLE:
                raise
            pytest.skip(f"needs a package index: {error.what}")

    return call


@pytest.mark.timeout(600)
@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_docker_installs_the_environment_of_a_model(exporter, builder, wide, tmp_path, python):
    """With the Python of the base, and with one that the base has the server's program for."""
    deployment = wide(python)
    # Each package is checked against its digest, so it does not matter whom pip asks.
    trusted = ("--build-arg", "PIP_TRUSTED_HOST=pypi.org files.pythonhosted.org")
    said = builder.build(exporter.context(deployment), "exported", *trusted)
    assert "Successfully installed numpy-" in said
    assert_same(exporter.image(deployment), saved(builder, "exported", tmp_path), exporter.base)
    answered = answer(builder, "exported", np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(answered, [0, 2, 4, 6])
