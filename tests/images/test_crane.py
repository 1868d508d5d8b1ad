"""What crane makes of our images: another judge, with a client and a validator of its own."""

from __future__ import annotations

import json
import subprocess
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import tiny_base
from tiny_base import Layout

from fixtures import go_programs
from formats.onnx_models import mlp

VERSION = "0.22.1"
Crane = Callable[..., str]


@pytest.fixture(scope="session")
def crane() -> Crane:
    """crane's own program, built once."""
    package = "github.com/google/go-containerregistry/cmd/crane"
    program = go_programs.program("crane", package, VERSION)

    def call(*words: str | Path) -> str:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return call


@pytest.fixture
def place(open_registry: str) -> str:
    """A repository that no other test has."""
    return f"{open_registry}/t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def built(run, tmp_path, place, with_server) -> dict:
    """The image of a model, in a registry."""
    tiny_base.layout_of_both(tmp_path / "base")
    words = ("image", "build", "scores.onnx", "--base", "./base", "--platform", "linux/amd64")
    pushed: dict = run(*words, "--push", "--tag", f"{place}:1", "--json").expect(0).json
    return pushed


@pytest.mark.usefixtures("model")
def test_crane_finds_the_image_whole(crane, built, place):
    """`validate` reads all layers; those without gzip it can only look at (`--fast`)."""
    assert crane("digest", f"{place}:1") == built["digest"]
    assert "PASS" in crane("validate", "--fast", "--remote", f"{place}:1")
    manifest = json.loads(crane("manifest", f"{place}:1"))
    assert [each["digest"] for each in manifest["layers"]] == [
        each["digest"] for each in built["layers"]
    ]
    config = json.loads(crane("config", f"{place}:1"))
    assert config["config"]["User"] == "1000:1000"
    layers = [each for each in config["history"] if not each.get("empty_layer")]
    assert len(layers) == len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])


@pytest.mark.usefixtures("model")
def test_crane_takes_its_layers_by_their_digests(crane, built, place, tmp_path):
    """It checks each against its digest and its diff_id."""
    crane("pull", "--format", "oci", f"{place}:1", tmp_path / "pulled")
    there = {path.name for path in (tmp_path / "pulled/blobs/sha256").iterdir()}
    layers = {each["digest"].removeprefix("sha256:") for each in built["layers"]}
    assert layers <= there
    crane("pull", f"{place}:1", tmp_path / "pulled.tar")
    crane("export", f"{place}:1", tmp_path / "files.tar")
    with tarfile.open(tmp_path / "files.tar") as files:
        names = set(files.getnames())
    assert {"cloche/entrypoint", "models/scores/config.pbtxt"} <= names


@pytest.mark.usefixtures("model")
def test_what_crane_copies_is_an_image_for_us(crane, built, place, run):
    crane("copy", f"{place}:1", f"{place}-copied:1")
    assert (
        run("image", "inspect", f"{place}-copied:1", "--json").expect(0).json["digest"]
        == (built["digest"])
    )


def test_crane_finds_several_platforms(crane, run, tmp_path, place):
    layout = Layout(tmp_path / "both")
    files = tiny_base.rootfs()
    layout.image(files, tiny_base.configuration(files))
    layout.image(files, tiny_base.configuration(files, "arm64"))
    layout.join("example.com/both:1")
    run("image", "push", "both", f"{place}:1").expect(0)
    seen = {
        name: json.loads(crane("config", "--platform", f"linux/{name}", f"{place}:1"))
        for name in ("amd64", "arm64")
    }
    assert {name: each["architecture"] for name, each in seen.items()} == {
        "amd64": "amd64", "arm64": "arm64",
    }  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model beside the command."""
    onnx.save(mlp(), tmp_path / "scores.onnx")
    return tmp_path / "scores.onnx"
