"""The configuration of an image: what its container runs, and what is said of its layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloche.images import config, manifest
from cloche.images.content import Content
from cloche.images.image import LAYER, Descriptor, Platform, SmallBlob
from cloche.images.layering.layers import Layer, LayerFile, StoredLayer
from cloche.store import Store

ENTRYPOINT = LayerFile("cloche/entrypoint", 1, "sha256:" + "1" * 64, executable=True)
CONTENT = Content("scores", (), ENTRYPOINT, {"A": "ours", "B": "new"}, (8000, 8001), {})
ROOTFS = {"type": "layers", "diff_ids": ["sha256:a"]}


def composed(base: dict, **container) -> dict:
    layer = StoredLayer(
        Layer("model files", (ENTRYPOINT,)), Store(Path()), Descriptor(LAYER, "sha256:b", 1)
    )
    given = {"os": "linux", "architecture": "amd64", "rootfs": ROOTFS, **base, "config": container}
    blob = config.compose(given, CONTENT, [layer], {"cloche.service": "scores"})
    return json.loads(b"".join(blob.chunks()))


def test_the_container_is_not_root_and_runs_the_entrypoint():
    container = composed({}, User="root", Cmd=["bash"], Entrypoint=["/opt/nvidia"], Shell=["x"],
                         Healthcheck={"Test": []}, WorkingDir="/workspace")["config"]  # fmt: skip
    assert container == {
        "User": "1000:1000",
        "WorkingDir": "/",
        "Entrypoint": ["/cloche/entrypoint"],
        "Env": ["A=ours", "B=new"],
        "ExposedPorts": {"8000/tcp": {}, "8001/tcp": {}},
        "Labels": {"cloche.service": "scores"},
    }


def test_the_environment_and_labels_of_the_base_stay():
    container = composed({}, Env=["PATH=/bin", "A=theirs", "EMPTY="], Labels={"x": "y"},
                         ExposedPorts={"80/tcp": {}})["config"]  # fmt: skip
    assert container["Env"] == ["PATH=/bin", "A=ours", "EMPTY=", "B=new"]
    assert container["Labels"] == {"x": "y", "cloche.service": "scores"}
    assert set(container["ExposedPorts"]) == {"80/tcp", "8000/tcp", "8001/tcp"}


def test_layers_lie_on_those_of_the_base():
    made = composed({"variant": "v2", "created": "2026-01-01T00:00:00Z", "id": "dropped"})
    assert made["rootfs"] == {"type": "layers", "diff_ids": ["sha256:a", "sha256:b"]}
    assert (made["created"], made["variant"]) == ("1980-01-01T00:00:00Z", "v2")
    assert "id" not in made


MADE = {"created": config.CREATED, "created_by": "cloche image build", "comment": "model files"}
FILLED = {"created": config.CREATED, "comment": "of the base"}


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (None, [FILLED]),
        ([], [FILLED]),
        ([{"created_by": "x"}], [{"created_by": "x"}]),
        ([{"empty_layer": True}], [{"empty_layer": True}, FILLED]),
        ([{"created_by": "x"}, {"created_by": "too many"}], [FILLED]),
    ],
)
def test_every_layer_has_a_history(history, expected):
    made = composed({"history": history} if history is not None else {})
    assert made["history"] == [*expected, MADE]
    assert sum(not each.get("empty_layer") for each in made["history"]) == 2


def test_a_manifest_is_canonical():
    blobs = [SmallBlob(data, f"type/{n}") for n, data in enumerate((b"{}", b"layer"))]
    image = manifest.compose(
        blobs[0], (blobs[1],), {"b": "ß", "a": "1"}, Platform("linux", "arm64")
    )
    text = image.manifest.decode()
    assert text == json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert image.descriptor == Descriptor(
        manifest.MANIFEST, SmallBlob(image.manifest, "").descriptor.digest, len(image.manifest)
    )
