"""Cloche's own base, made of Debian's real packages and Triton's real wheel, and run by Docker."""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import elf
import numpy as np
import onnx
import onnxruntime
import own_base
import pytest
from docker_engine import Docker
from own_base import HARDENED, SILENT, ask

from cloche.cli import main
from cloche.images.image import Image, Platform
from cloche.images.sources import reading
from cloche.pipeline import base_image
from cloche.pipeline.image import write_image
from cloche.settings import Settings
from fixtures.cache import cache_folder
from formats.onnx_models import mlp

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")

FIND = "from ctypes.util import find_library as find; print(find('c'), find('gomp'))"


def test_a_base_that_is_made_anew_is_the_same(
    made: Image, kept: Settings, settings: Settings, tmp_path: Path
) -> None:
    """In another home, with no mirror: its packages are in the store, the wheels in uv's cache."""
    own_base.bring_packages(kept, settings)
    offline = Settings(settings.home, images_debian_mirror="http://127.0.0.1:9")
    assert own_base.make(offline, AMD64).descriptor == made.descriptor


# ── what is in it ─────────────────────────────────────────────────────────────────────────────


@dataclass
class Content:
    """The files of an image by path, and its links."""

    asked: dict[str, elf.Asked]
    paths: set[str]
    links: dict[str, str]

    def resolve(self, path: str) -> str:
        """Follow links, those of folders as well."""
        for _ in range(20):
            parts = path.split("/")
            heads = ("/".join(parts[:n]) for n in range(1, len(parts) + 1))
            link = next((head for head in heads if head in self.links), None)
            if link is None:
                return path
            target = posixpath.join("/", posixpath.dirname(link), self.links[link])
            path = posixpath.normpath(target + path[len(link) :]).lstrip("/")
        raise AssertionError(f"{path} is a ring of links")


@contextmanager
def unpacked(image: Image) -> Iterator[Content]:
    found = Content({}, set(), {})
    for layer in image.layers:
        with layer.range.path.open("rb") as file, tarfile.open(fileobj=file) as archive:
            for member in archive:
                if member.isdir():
                    continue
                assert member.name not in found.paths, "a layer hides a file of another"
                found.paths.add(member.name)
                assert (member.uid, member.gid, member.mtime) == (0, 0, 315532800)
                if member.issym():
                    found.links[member.name] = member.linkname
                elif asked := elf.read(archive.extractfile(member).read()):
                    found.asked[member.name] = asked
    yield found


def _comes_with_a_model(path: str, name: str) -> bool:
    """Whether it is the library of another Python, which an image on the base brings along."""
    return path.startswith("opt/tritonserver/stubs/") and name.startswith("libpython3")


@pytest.mark.parametrize(("platform", "triplet"), [
    pytest.param(AMD64, "x86_64-linux-gnu", id="amd64"),
    pytest.param(ARM64, "aarch64-linux-gnu", id="arm64"),
])  # fmt: skip
def test_every_library_that_is_asked_for_is_there(
    kept: Settings, platform: Platform, triplet: str
) -> None:
    default = (f"usr/lib/{triplet}", "usr/lib", "usr/lib64", "opt/tritonserver/lib")
    with unpacked(own_base.make(kept, platform)) as image:
        assert len(image.asked) > 200
        missing = []
        for path, asked in image.asked.items():
            own = posixpath.dirname(path)
            # What asks for a library of its wheel was itself found there, by who asked for it.
            folders = [folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", own)
                       for folder in asked.folders]  # fmt: skip
            places = [posixpath.normpath(place) for place in (*folders, own, *default)]
            missing += [
                (path, name) for name in asked.needed
                if not _comes_with_a_model(path, name)
                and not any(image.resolve(f"{place}/{name}") in image.paths for place in places)
            ]  # fmt: skip
        # An image brings the Python of another stub than the base's, with its library.
        brought = {
            (path, name) for path, name in missing
            if path.startswith("opt/tritonserver/stubs/") and name.startswith("libpython3")
        }  # fmt: skip
        assert set(missing) == brought
        broken = [
            path
            for path in image.links
            if path not in {"bin", "sbin", "lib", "lib64"}
            and image.resolve(path) not in image.paths
            and not any(other.startswith(f"{image.resolve(path)}/") for other in image.paths)
        ]
        assert broken == []


def test_it_says_what_it_holds(made: Image) -> None:
    base = base_image.as_base(made)
    software = base.software
    assert (software.triton, software.version, software.glibc) == ("24.10", "2.51.0", "2.36")
    assert (software.pythons, software.python_backends) == (("3.11",), ("onnxruntime", "pytorch"))
    assert "trusted networks" in str(software.untrusted)
    assert base.config["config"]["Labels"]["cloche.base.network"] == "trusted"
    assert sum(layer.descriptor.size for layer in made.layers) < 300 * 2**20


def test_the_command_writes_what_inspect_reads(made, kept, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CLOCHE_HOME", str(kept.home))
    monkeypatch.setenv("NO_COLOR", "1")
    words = ("image", "base", "--platform", "linux/amd64", "--json")
    assert main([*words, "--output", str(tmp_path / "base.tar")]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["digest"] == made.descriptor.digest
    (finding,) = written["findings"]
    assert finding["code"] == "image.network"
    assert main(["image", "inspect", str(tmp_path / "base.tar"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown | {"name": written["name"]} == written
    assert reading.read(tmp_path / "base.tar").digest == made.descriptor.digest
    assert main([*words[:-1]]) == 0
    assert "trusted networks" in capsys.readouterr().out


def with_server(kept: Settings) -> None:
    """Let a home have the server that is installed for tests."""
    servers = kept.home / "servers"
    if not servers.exists():
        servers.symlink_to(cache_folder() / "servers")


@pytest.mark.usefixtures("triton_installation", "made")
def test_build_takes_it_for_another_platform(kept, tmp_path, monkeypatch, capsys) -> None:
    own_base.make(kept, ARM64)
    with_server(kept)
    monkeypatch.setenv("CLOCHE_HOME", str(kept.home))
    monkeypatch.chdir(tmp_path)
    onnx.save(mlp(), "scores.onnx")
    words = ("image", "build", "scores.onnx", "--base", "cpu", "--platform", "linux/arm64")
    assert main([*words, "--output", "out", "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["platform"] == "linux/arm64"
    assert [finding["code"] for finding in built["findings"]] == ["image.network"]
    assert [layer["what"] for layer in built["layers"]][:3] == [
        "Debian 12", "Python 3.11", "numpy and ONNX Runtime",
    ]  # fmt: skip


def test_a_name_of_nothing_is_refused(capsys) -> None:
    assert main(["image", "base", "--tag", "registry.example.com/base:1"]) == 2
    assert "image.nowhere" in capsys.readouterr().err


# ── a service on it ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def image(made: Image, deployment, settings: Settings, docker: Docker, tmp_path: Path) -> str:
    """The image of the deployment on the base, loaded into the engine."""
    write_image(
        deployment, [base_image.as_base(made)], tmp_path / "out.tar",
        settings=settings, progress=SILENT,
    )  # fmt: skip
    docker("load", "-i", tmp_path / "out.tar")
    (tmp_path / "out.tar").unlink()
    return "scores:latest"


def test_docker_serves_an_onnx_model(image: str, docker: Docker) -> None:
    x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    container = docker("run", *HARDENED, "--cpus", "1", image).splitlines()[-1]
    try:
        answered = ask(docker, container, x)
        assert "uid=1000(cloche)" in docker("exec", container, "id")
        assert "libc.so.6 libgomp.so.1" in docker("exec", container, "python3", "-c", FIND)
    finally:
        docker("rm", "--force", container)
    model = onnxruntime.InferenceSession(mlp().SerializeToString())
    (expected,) = model.run(None, {"x": x})
    np.testing.assert_allclose(answered, expected, rtol=1e-5, atol=1e-5)


def test_an_onnx_model_needs_shared_memory_on_it(image: str, docker: Docker) -> None:
    said = docker("run", "--rm", "--network", "none", "--shm-size", "1m", image, code=1)
    assert "/dev/shm has 1 MiB and the models need 17 MiB" in said


@pytest.mark.usefixtures("triton_installation", "made")
def test_an_image_on_it_is_verified_by_the_request_that_it_brings(
    kept, image_run, tmp_path, monkeypatch, capsys
) -> None:
    """From a model to an image that answered as the model's own framework did, elsewhere."""
    with_server(kept)
    monkeypatch.setenv("CLOCHE_HOME", str(kept.home))
    monkeypatch.chdir(tmp_path)
    onnx.save(mlp(), "scores.onnx")
    words = ("image", "build", "scores.onnx", "--base", "cpu", "--platform", "linux/amd64")
    assert main([*words, "--output", "out.tar", "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    said = image_run("out.tar", "--json").expect(0).json
    assert (said["passed"], said["judge"]) == (True, "reference")
    assert said["digest"] == built["digest"]
    assert [output["mismatched"] for output in said["outputs"]] == [0]
