"""What others make of our images: a real Docker engine runs them, skopeo reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
import tiny_base

from cloche.images.bases import base as bases
from cloche.images.image import Platform
from cloche.images.sources import reading
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress
from cloche.servers.triton.process import HARDENED

AMD64 = Platform("linux", "amd64")
STAMP = "315532800"
READ_ONLY = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL")
RUN = (*READ_ONLY, "--tmpfs", "/tmp")


@pytest.fixture
def base_folder(tmp_path: Path) -> Path:
    """A base whose programs run."""
    program = tiny_base.busybox()
    if program is None:
        pytest.skip("needs a static busybox: apt-get install busybox-static")
    return tiny_base.layout(tmp_path / "runs", program.read_bytes())


@pytest.fixture
def build(deployment, settings):
    def call(base: Path, output: Path) -> str:
        found = bases.read(str(base), AMD64)
        made = write_image(
            deployment, [found], output, settings=settings, progress=SilentProgress()
        )  # fmt: skip
        return made.digest

    return call


@pytest.fixture
def image(tmp_path, docker, base_folder, build) -> str:
    """The image of the deployment, loaded into the engine."""
    build(base_folder, tmp_path / "out.tar")
    assert "Loaded image: scores:latest" in docker("load", "-i", tmp_path / "out.tar")
    return "scores:latest"


def test_docker_runs_the_image(docker, image, store, deployment):
    """As Kubernetes would: another user than root, a read-only root, no capability."""
    said = docker(*RUN, image, "--log-verbose=1")
    lines = said.splitlines()
    assert "id=1000:1000" in lines
    assert "home=/tmp" in lines
    options = [line.removeprefix("option=") for line in lines if line.startswith("option=")]
    assert options[0] == "--model-repository=/models"
    assert options[-1] == "--log-verbose=1"
    assert {*HARDENED, "--disable-auto-complete-config"} <= set(options)
    files = dict(line.removeprefix("file=").split(" ", 1) for line in lines if "file=" in line)
    expected = {f"/models/{file.path}": f"644 0:0 {STAMP} {file.size}"
                for file in deployment.repository.files}  # fmt: skip
    assert expected.items() <= files.items()
    assert files["/cloche/entrypoint"].startswith(f"755 0:0 {STAMP} ")
    assert files["/models/scores/1"].startswith(f"755 0:0 {STAMP} ")
    assert "writes its models" not in said
    config = next(
        file for file in deployment.repository.files if file.path.endswith("config.pbtxt")
    )
    assert store.read(config.digest).decode() in said


def test_docker_knows_what_the_image_says(docker, image, deployment):
    (found,) = json.loads(docker("image", "inspect", image))
    assert set(found["Config"]["ExposedPorts"]) == {"8000/tcp", "8001/tcp", "8002/tcp"}
    assert found["Config"]["Labels"]["cloche.model.digest"] == deployment.main.snapshot.digest
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    history = docker("history", "--no-trunc", "--format", "{{.Comment}}", image).splitlines()
    assert history[:2] == ["model files", "entrypoint"]


@pytest.mark.parametrize(("limit", "threads"), [("--cpuset-cpus=0", 1), ("--cpus=1", 1)])
def test_threads_are_those_of_the_container(docker, image, limit, threads):
    assert f"threads={threads}\n" in docker(*RUN, limit, image)


def test_shared_memory_that_is_too_small_is_told(docker, image):
    needs = ("-e", f"CLOCHE_SHARED_MEMORY={32 * 2**20}")
    said = docker(*RUN, *needs, "--shm-size", "16m", image, code=1)
    assert "/dev/shm has 16 MiB and the models need 32 MiB" in said
    assert "--shm-size=32m" in said
    assert "id=1000:1000" in docker(*RUN, *needs, "--shm-size", "32m", image)


def test_a_read_only_folder_for_temporary_files_is_told(docker, image):
    assert "/tmp is read-only" not in docker(*RUN, image)
    said = docker(*READ_ONLY, image)
    assert "start the container with --tmpfs /tmp" in said
    assert "id=1000:1000" in said, "models that are not in Python run without it"
    refused = docker(*READ_ONLY, "-e", f"CLOCHE_SHARED_MEMORY={2**20}", image, code=1)
    assert "the models are in Python: start the container with --tmpfs /tmp" in refused


def test_a_base_of_docker_save(tmp_path, docker, image, build):
    """What the engine saves is a base; on it the same layers are not added twice to the store."""
    docker("save", image, "-o", tmp_path / "saved.tar")
    build(tmp_path / "saved.tar", tmp_path / "second.tar")
    loaded = reading.read(tmp_path / "saved.tar")
    second = reading.read(tmp_path / "second.tar")
    assert second.config["rootfs"]["diff_ids"][:3] == loaded.config["rootfs"]["diff_ids"]
    docker("load", "-i", tmp_path / "second.tar")
    assert "id=1000:1000" in docker(*RUN, image)


@pytest.mark.parametrize(
    "form", ["oci:out:scores", "oci-archive:out.tar:scores", "docker-archive:out.tar"]
)
def test_skopeo_reads_it(tmp_path, base, build, form):
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo: apt-get install skopeo")
    digest = build(tmp_path / "base", tmp_path / form.split(":")[1])

    def skopeo(*words: str) -> bytes:
        done = subprocess.run(["skopeo", *words], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    seen = json.loads(skopeo("inspect", form))
    assert seen["Created"] == "1980-01-01T00:00:00Z"
    assert seen["Labels"]["cloche.service"] == "scores"
    skopeo("copy", "--preserve-digests", form, "dir:copied")
    manifest = (tmp_path / "copied" / "manifest.json").read_bytes()
    if form.startswith("oci"):
        assert seen["Digest"] == tiny_base.digest(manifest) == digest
    for layer in json.loads(manifest)["layers"]:
        data = (tmp_path / "copied" / layer["digest"].removeprefix("sha256:")).read_bytes()
        assert tiny_base.digest(data) == layer["digest"]


def test_docker_takes_what_is_copied(docker, run, base_folder, open_registry, tmp_path):
    """From a registry and from an archive: a real engine finds the same image."""
    name = f"{open_registry}/t{uuid.uuid4().hex[:12]}:1"
    (tmp_path / "folder").symlink_to(base_folder)
    run("image", "push", "folder", name).expect(0)
    copied = run("image", "copy", name, "./copied.tar", "--json").expect(0).json
    assert f"Digest: {copied['digest']}" in docker("pull", name)
    (pulled,) = json.loads(docker("image", "inspect", name))
    docker("rmi", name)
    assert f"Loaded image: {name}" in docker("load", "-i", tmp_path / "copied.tar")
    (loaded,) = json.loads(docker("image", "inspect", name))
    assert loaded["Id"] == pulled["Id"]
    assert "works" in docker(*RUN, "--entrypoint", "/bin/sh", name, "-c", "echo works")
    docker("save", name, "-o", tmp_path / "saved.tar")
    saved = run("image", "diff", "copied.tar", "saved.tar", "--json").expect(0).json
    assert (saved["files"], saved["settings"]) == ([], [])
    again = name.replace(":1", ":saved")
    run("image", "push", "saved.tar", again).expect(0)
    docker("pull", again)
    (back,) = json.loads(docker("image", "inspect", again))
    assert back["Id"] == loaded["Id"]
