"""Exported contexts, built by real builders: the same image as that of `cloche image build`."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
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
from ruamel.yaml import YAML

from cloche import pipeline, spec
from cloche.artifacts import Deployment
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.images import golden
from cloche.images.bases.base import Base
from cloche.images.copying import difference
from cloche.images.export.kaniko import Job
from cloche.images.image import Image, Platform
from cloche.images.sources import reading
from cloche.images.sources.reading import ReadImage
from cloche.pipeline import base_image, export, image
from cloche.settings import Settings
from fixtures.command_line import finished
from fixtures.thorough import thorough
from formats.onnx_models import mlp

AMD64 = Platform("linux", "amd64")
TRUSTED = "PIP_TRUSTED_HOST=pypi.org files.pythonhosted.org"
"""Each package is checked against its digest, so it does not matter whom pip asks."""


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

    def kaniko(self, deployment: Deployment, tag: str) -> Path:
        how = {"settings": self.settings, "progress": SILENT}
        files = export.build_context(deployment, self.base, **how)
        job = Job("scores", references.parse(tag), AMD64)
        export.write_kaniko(files, job, self.folder / "kaniko", **how)
        return self.folder / "kaniko"

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
                content = archive.extractfile(member).read() if member.isreg() else b""
                found[member.name.strip("/")] = (
                    member.type, oct(member.mode & 0o7777), member.uid, member.gid,
                    member.linkname or hashlib.sha256(content).hexdigest(),
                )  # fmt: skip
    return found


def base_of(image: ReadImage, base: Base) -> list[str]:
    """The undermost layers of an image, as many as the base has."""
    diff_ids: list[str] = image.config["rootfs"]["diff_ids"]
    return diff_ids[: len(base.layers)]


def assert_same(ours: ReadImage, theirs: ReadImage, base: Base) -> None:
    """All but what a builder cannot know before it builds: the digest of a layer."""
    expected, found = tree(ours, base), tree(theirs, base)
    # What something lies in, or a link leads to, may occur again: it is the base's.
    assert {path: entry for path, entry in found.items() if path in expected} == expected
    assert {path.partition("/")[0] for path in found if path not in expected} <= {"", "opt"}
    settings = difference.compare(ours, theirs).settings
    told = {each.setting for each in settings if not each.setting.startswith("annotation ")}
    assert told <= {f"label {golden.LAYER}", "label io.buildah.version"}


def answer(docker: Docker, tag: str, x: np.ndarray) -> np.ndarray:
    """Start an image, ask its model, and end it."""
    container = docker("run", *HARDENED, tag).splitlines()[-1]
    try:
        return ask(docker, container, x)
    finally:
        docker("rm", "--force", container)


def test_docker_builds_an_onnx_model_that_answers(exporter, builder, asked, tmp_path):
    builder.build(exporter.context(asked), "exported")
    ours, theirs = exporter.image(asked), saved(builder, "exported", tmp_path)
    assert_same(ours, theirs, exporter.base)
    assert base_of(theirs, exporter.base) == base_of(ours, exporter.base)
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
@pytest.mark.parametrize("python", ["3.11", *thorough([("3.12",)])])
def test_docker_installs_the_environment_of_a_model(exporter, builder, wide, tmp_path, python):
    """With the Python of the base, and with one that the base has the server's program for."""
    deployment = wide(python)
    said = builder.build(exporter.context(deployment), "exported", "--build-arg", TRUSTED)
    assert "Successfully installed numpy-" in said
    assert_same(exporter.image(deployment), saved(builder, "exported", tmp_path), exporter.base)
    answered = answer(builder, "exported", np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(answered, [0, 2, 4, 6])


# ── another builder ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def buildah(tmp_path: Path):
    """buildah with a storage of its own, which is gone at the end."""
    program = shutil.which("buildah")
    if program is None:
        pytest.skip("needs buildah: apt-get install buildah")
    if os.geteuid() != 0:
        pytest.skip("needs root, for buildah's chroot")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def call(*words: str | Path) -> str:
        done = subprocess.run(
            [program, "--storage-driver", "vfs", "--root", tmp_path / "storage", "--runroot",
             tmp_path / "runs", *words],
            capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield lambda *words: call(words[0], "--signature-policy", policy, *words[1:])
    call("rmi", "--all", "--force")
    shutil.rmtree(tmp_path / "storage")


def test_buildah_builds_the_same(exporter, buildah, asked, tmp_path):
    context = exporter.context(asked)
    buildah("bud", "--isolation", "chroot", "--tls-verify=false", "--tag", "exported", context)
    buildah("push", "exported", f"oci-archive:{tmp_path / 'theirs.tar'}:exported")
    theirs = reading.read(tmp_path / "theirs.tar")
    assert_same(exporter.image(asked), theirs, exporter.base)


@pytest.fixture
def kaniko(kaniko_executor: Path, docker: Docker, tmp_path: Path):
    """Runs a Job as Kubernetes would, in an image of kaniko with what it has beside the program."""
    with tarfile.open(tmp_path / "kaniko.tar", "w") as archive:
        archive.add(kaniko_executor, "kaniko/executor")
        for name in ("kaniko/.docker", "kaniko/ssl/certs", "workspace", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    docker(
        "import", "--change", 'ENTRYPOINT ["/kaniko/executor"]', "--change",
        "ENV PATH=/usr/local/bin:/kaniko DOCKER_CONFIG=/kaniko/.docker HOME=/root",
        tmp_path / "kaniko.tar", "kaniko",
    )  # fmt: skip

    def call(folder: Path, *more: str) -> str:
        job = YAML(typ="safe").load(folder / "job.yaml")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        security = container["securityContext"]
        assert not security["privileged"]
        with (folder / "context.tar.gz").open("rb") as context:
            return docker.piped(
                context, "run", "--rm", "--interactive", "--network", "host", "--cap-drop", "ALL",
                *(f"--cap-add={name}" for name in security["capabilities"]["add"]),
                "--security-opt", "no-new-privileges", "kaniko", *container["args"], *more,
            )  # fmt: skip

    yield call
    docker("rmi", "kaniko")


def test_kaniko_builds_the_same(exporter, kaniko, asked, open_registry, tmp_path):
    tag = f"{open_registry}/k{uuid.uuid4().hex[:12]}:1"
    folder = exporter.kaniko(asked, tag)
    kaniko(folder)
    with image.registries(os.environ) as connections:
        theirs = image.read_image(tag, AMD64, connections)
        assert_same(exporter.image(asked), theirs, exporter.base)
        kaniko(folder)
        assert image.read_image(tag, AMD64, connections).digest == theirs.digest


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_kaniko_installs_the_environment_of_a_model(exporter, kaniko, wide, open_registry, docker):
    tag = f"{open_registry}/k{uuid.uuid4().hex[:12]}:1"
    deployment = wide("3.12")
    kaniko(exporter.kaniko(deployment, tag), f"--build-arg={TRUSTED}")
    with image.registries(os.environ) as connections:
        theirs = image.read_image(tag, AMD64, connections)
        assert_same(exporter.image(deployment), theirs, exporter.base)
    docker("pull", tag)
    answered = answer(docker, tag, np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(answered, [0, 2, 4, 6])
