"""Models for an image volume, and the server that runs them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.clients.oci import reference as references
from cloche.errors import UsageError
from cloche.images.config import what_of_layers
from cloche.images.destinations import archive
from cloche.images.sources import reading
from cloche.pipeline.image import Built, check_output, push_image, registries, write_image
from cloche.progress import SilentProgress
from fixtures.registries import nobody


@pytest.fixture
def build(base, settings):
    def call(deployment, output: Path, *, split: bool = True) -> Built:
        return write_image(
            deployment, [base], output, split=split, settings=settings, progress=SilentProgress()
        )

    return call


def digests(image) -> list[str]:
    return [layer.descriptor.digest for layer in image.layers]


def test_the_same_layers_in_two_images(tmp_path, build, base, deployment):
    """Nothing is in both, and all of the whole image is in one of them."""
    (whole,) = build(deployment, tmp_path / "whole", split=False).images
    made = build(deployment, tmp_path / "out")
    (models,), (server,) = made.images, made.server.images
    assert sorted(digests(whole)) == sorted([*digests(models), *digests(server)])
    assert digests(server)[: len(base.layers)] == [each.descriptor.digest for each in base.layers]
    read = reading.read(tmp_path / "out", name="scores")
    assert read.digest == made.digest
    assert what_of_layers(read.config) == ["model files"]
    container = read.config["config"]
    assert "Entrypoint" not in container
    assert "CLOCHE_TRITON_OPTIONS=--disable-auto-complete-config" in container["Env"]
    assert container["Labels"]["cloche.service"] == "scores"
    started = reading.read(tmp_path / "out", name="scores-server")
    assert started.digest == made.server.digest
    assert started.config["config"]["Entrypoint"] == ["/cloche/entrypoint"]
    assert started.config["config"]["User"] == "1000:1000"


def test_all_services_share_the_server(tmp_path, build, deployment):
    one = build(deployment, tmp_path / "one")
    two = build(replace(deployment, service="other"), tmp_path / "two")
    assert one.server.digest == two.server.digest
    assert one.digest != two.digest


def test_each_has_its_bill(tmp_path, build, deployment):
    made = build(deployment, tmp_path / "out")
    types = {}
    for digest in (made.digest, made.server.digest):
        (bill,) = reading.attached(tmp_path / "out", digest)
        document = json.loads(b"".join(bill.blobs[-1].chunks()))
        types[digest] = {part["type"] for part in document["components"]}
    assert types[made.digest] == {"machine-learning-model"}
    assert "machine-learning-model" not in types[made.server.digest]


def test_a_registry_has_both(base, deployment, settings, open_registry):
    reference = references.parse(f"{open_registry}/split/scores:v1")
    with registries(nobody()) as connections:
        made = push_image(
            deployment, [base], reference, connections, split=True, settings=settings,
            progress=SilentProgress(),
        )  # fmt: skip
        tags = set(connections.at(reference.host).tags(reference.name))
    assert {"v1", f"server-{made.server.digest[7:19]}"} <= tags
    assert (
        made.server.name.short == f"{reference.host}/split/scores:server-{made.server.digest[7:19]}"
    )


def test_an_archive_holds_one(tmp_path):
    with pytest.raises(UsageError) as refused:
        check_output(tmp_path / "out.tar", split=True)
    assert refused.value.code == "image.split"
    check_output(tmp_path / "out", split=True)
    assert archive.check_split(tmp_path / "out.tar", split=False) is None
