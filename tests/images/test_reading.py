"""What is read from layouts and archives, and what is refused."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest
import tiny_base

from cloche.errors import ClocheError, UsageError
from cloche.images import addresses, platforms
from cloche.images.bases import base
from cloche.images.bases.base import BaseSoftware
from cloche.images.image import Platform
from cloche.images.sources import reading

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
LAYER = tiny_base.rootfs()


def refused(code: str, path: Path | str, platform: Platform = AMD64) -> ClocheError:
    with pytest.raises(ClocheError) as found:
        base.read(str(path), platform)
    assert found.value.code == code
    assert found.value.where
    assert found.value.hint
    return found.value


@pytest.fixture
def layout(tmp_path: Path) -> tiny_base.Layout:
    return tiny_base.Layout(tmp_path / "layout")


# ── what is read ──────────────────────────────────────────────────────────────────────────────


def test_an_oci_layout(layout):
    digest = layout.image(LAYER, tiny_base.configuration(LAYER), "example.com/triton:26.07")
    found = base.read(str(layout.folder), AMD64)
    assert found.platform == AMD64
    assert found.annotations == {
        base.BASE_NAME: "example.com/triton:26.07", base.BASE_DIGEST: digest,
    }  # fmt: skip
    assert found.software == BaseSoftware("26.07", None, ("3.12", "3.11"), None, "2.39")
    (only,) = found.layers
    assert gzip.decompress(b"".join(only.chunks())) == LAYER
    assert b"".join(only.chunks(7)) == b"".join(only.chunks())[7:]


def test_an_oci_archive(layout, tmp_path):
    layout.image(LAYER, tiny_base.configuration(LAYER), "latest")
    with tarfile.open(tmp_path / "oci.tar", "w") as archive:
        archive.add(layout.folder, ".")
    found = base.read(str(tmp_path / "oci.tar"), AMD64)
    assert gzip.decompress(b"".join(found.layers[0].chunks())) == LAYER
    assert base.BASE_NAME not in found.annotations, "a bare tag names nothing"


@pytest.mark.parametrize("zipped", [False, True])
def test_an_archive_of_docker_save(tmp_path, zipped):
    path = tiny_base.docker_archive(tmp_path / "base.tar", zipped=zipped)
    found = base.read(str(path), AMD64)
    assert found.annotations == {base.BASE_NAME: "triton:26.07"}
    for layer in found.layers:
        data = b"".join(layer.chunks())
        assert tiny_base.digest(data) == layer.descriptor.digest
        assert (gzip.decompress(data) if zipped else data) == LAYER


def test_the_platform_is_chosen_from_several(layout):
    amd64 = layout.image(LAYER, tiny_base.configuration(LAYER), "a:1")
    arm64 = layout.image(LAYER, tiny_base.configuration(LAYER, "arm64", variant="v8"), "a:1")
    for platform, digest in ((AMD64, amd64), (ARM64, arm64)):
        found = base.read(str(layout.folder), platform)
        assert (found.platform, found.annotations[base.BASE_DIGEST]) == (platform, digest)


def test_an_index_in_an_index_and_an_attestation(layout):
    """As BuildKit writes them."""
    digest = layout.image(LAYER, tiny_base.configuration(LAYER))
    layout.image(LAYER, tiny_base.configuration(LAYER, "unknown", os="unknown"))
    inner = json.dumps({"schemaVersion": 2, "manifests": layout.manifests}).encode()
    kind = "application/vnd.oci.image.index.v1+json"
    layout.manifests = [layout.blob(inner, kind) | {"annotations": {reading.FULL_NAME: "a.b/c:1"}}]
    layout.write_index()
    found = base.read(str(layout.folder), AMD64)
    assert found.annotations == {base.BASE_NAME: "a.b/c:1", base.BASE_DIGEST: digest}


def test_one_image_with_two_names_is_one_image(layout):
    for name in ("a:1", "a:2"):
        layout.image(LAYER, tiny_base.configuration(LAYER), name)
    assert base.read(str(layout.folder), AMD64).platform == AMD64


def test_layers_get_the_names_of_oci(layout):
    kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    config = layout.blob(json.dumps(tiny_base.configuration(LAYER)).encode(),
                         "application/vnd.docker.container.image.v1+json")  # fmt: skip
    layers = [layout.blob(gzip.compress(LAYER), kind)]
    manifest = {"schemaVersion": 2, "config": config, "layers": layers}
    outer = "application/vnd.docker.distribution.manifest.v2+json"
    layout.manifests = [layout.blob(json.dumps(manifest).encode(), outer)]
    layout.write_index()
    (only,) = base.read(str(layout.folder), AMD64).layers
    assert only.descriptor.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


NGC = ["NVIDIA_TRITON_SERVER_VERSION=26.07", "TRITON_SERVER_VERSION=2.62.0", "CUDA_VERSION=13.3.0"]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, BaseSoftware(None, None, (), None)),
        ({"Env": NGC}, BaseSoftware("26.07", "2.62.0", ("3.12",), "13.3.0", "2.39")),
        ({"Labels": {"com.nvidia.tritonserver.version": "2.62.0"}},
         BaseSoftware(None, "2.62.0", (), None)),
        ({"Env": NGC, "Labels": {"cloche.base.triton": "24.10", "cloche.base.pythons": "3.12",
                                 "cloche.base.cuda": "12.6"}},
         BaseSoftware("24.10", "2.62.0", ("3.12",), "12.6", "2.39")),
        ({"Env": None, "Labels": None}, BaseSoftware(None, None, (), None)),
    ],
)  # fmt: skip
def test_a_base_is_known_by_what_it_says(container, expected):
    assert base.software({"config": container}) == expected


# ── what is refused ───────────────────────────────────────────────────────────────────────────


def test_what_is_no_image(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("hello")
    with tarfile.open(tmp_path / "files.tar", "w") as archive:
        archive.add(tmp_path / "text.tar", "text")
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(tmp_path / "text.tar", "manifest.json")
    for name in ("empty", "text.tar", "files.tar"):
        refused("image.unknown", tmp_path / name)
    assert "gunzip" in (refused("image.unknown", tmp_path / "packed.tar").hint or "")
    refused("image.missing", tmp_path / "absent.tar")


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("nvcr.io/nvidia/tritonserver:26.07-py3", False),
        ("triton", False),
        ("./absent", True),
        ("base.tar", True),
        ("/absent/layout", True),
        ("oci:absent:1", True),
        ("docker-archive:absent", True),
        ("docker://a.example/b.tar", False),
    ],
)
def test_a_base_is_a_path_or_a_reference(text, here):
    assert addresses.is_local(text) is here


def test_another_platform(layout):
    layout.image(LAYER, tiny_base.configuration(LAYER))
    error = refused("image.platform", layout.folder, ARM64)
    assert "no image for linux/arm64, only for linux/amd64" in error.what


def test_several_images(layout):
    for number in (1, 2):
        layout.image(LAYER, tiny_base.configuration(LAYER, author=str(number)), f"a:{number}")
    assert "a:1, a:2" in refused("image.several", layout.folder).what


def test_an_artefact(layout):
    """A chart of Helm has a manifest, too."""
    kind = "application/vnd.cncf.helm"
    manifest = {"schemaVersion": 2, "config": layout.blob(b"{}", f"{kind}.config.v1+json"),
                "layers": [layout.blob(b"chart", f"{kind}.chart.content.v1.tar+gzip")]}  # fmt: skip
    layout.manifests = [layout.blob(json.dumps(manifest).encode(), reading.MANIFEST)]
    layout.write_index()
    refused("image.unknown", layout.folder)


def test_damaged_layouts(layout):
    layout.image(LAYER, tiny_base.configuration(LAYER))
    blobs = {path.name: path for path in (layout.folder / "blobs" / "sha256").iterdir()}
    layer = max(blobs.values(), key=lambda path: path.stat().st_size)
    whole = layer.read_bytes()
    layer.write_bytes(whole[:-1])
    assert "bytes instead of" in refused("image.broken", layout.folder).what
    layer.unlink()
    assert "is missing" in refused("image.broken", layout.folder).what
    layer.write_bytes(b"x" + whole[1:])
    (only,) = base.read(str(layout.folder), AMD64).layers
    with pytest.raises(ClocheError) as found:
        list(only.chunks())
    assert found.value.code == "image.changed"
    for digest in ("sha256:../../../etc/passwd", "sha512:" + "0" * 128, "md5:0"):
        entry = {**layout.manifests[0], "digest": digest}
        (layout.folder / "index.json").write_text(json.dumps({"manifests": [entry]}))
        assert "no digest" in refused("image.broken", layout.folder).what
    (layout.folder / "index.json").write_text("{")
    refused("image.broken", layout.folder)
    (layout.folder / "index.json").write_text('{"manifests": [{}]}')
    refused("image.broken", layout.folder)


def test_a_configuration_that_does_not_fit_its_layers(layout):
    config = tiny_base.configuration(LAYER)
    config["rootfs"]["diff_ids"] = []
    layout.image(LAYER, config)
    assert "differ in number" in refused("image.broken", layout.folder).what


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", AMD64), ("linux/x86_64", AMD64), ("Linux/aarch64", ARM64),
        ("linux/arm64/v8", ARM64), ("linux/arm/v7", Platform("linux", "arm", "v7")),
    ],
)  # fmt: skip
def test_platforms(text, expected):
    assert platforms.parse(text) == expected


@pytest.mark.parametrize("text", ["", "linux", "linux/", "windows/amd64", "linux/a/b/c", "amd64"])
def test_what_is_no_platform(text):
    with pytest.raises(UsageError) as found:
        platforms.parse(text)
    assert found.value.code == "image.platform.unknown"
