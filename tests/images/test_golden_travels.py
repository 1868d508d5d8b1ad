"""The golden request in an image and its answers beside it: written, read back, the same digest."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tiny_base

from cloche import composition
from cloche.artifacts import Deployment, Judge, RequestOrigin, encode
from cloche.clients.oci.referrers import subject_of
from cloche.errors import ClocheError
from cloche.images import golden, manifest, sbom
from cloche.images.bases.base import Base
from cloche.images.image import (
    LAYER,
    MANIFEST,
    Artifact,
    Attachment,
    Descriptor,
    Platform,
    SmallBlob,
)
from cloche.images.sources import reading
from cloche.images.sources.reading import ReadImage
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.verification import bodies

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def image(tmp_path: Path, asked: Deployment, base: Base, settings: Settings) -> ReadImage:
    """The image of that deployment, as it is read from a layout."""
    write_image(asked, [base], tmp_path / "out", settings=settings, progress=SilentProgress())
    return reading.read(tmp_path / "out")


def test_what_is_written_is_read_back(output, asked, tmp_path):
    """Into a store that has nothing of it."""
    output.build(asked)
    image, attached = output.read()
    elsewhere = composition.store(Settings(home=tmp_path / "elsewhere"))
    found = golden.read(image, attached, elsewhere)
    assert found is not None
    assert (found.golden, found.answered) == (asked.golden, True)
    assert found.model == asked.repository.main
    assert all(elsewhere.use(body.digest) for body in asked.golden.bodies())


def test_only_the_layer_with_the_request_is_read(output, asked, store):
    output.build(asked)
    image, attached = output.read()

    class Unread:
        def __init__(self, descriptor):
            self.descriptor = descriptor

        def chunks(self, start=0):
            raise AssertionError("another layer is read")

    others = tuple(Unread(layer.descriptor) for layer in image.layers[:-1])
    found = golden.read(replace(image, layers=(*others, image.layers[-1])), attached, store)
    assert found is not None
    assert found.golden == asked.golden


def answers_of(attached):
    """The answers among what is attached: a bill of materials always is."""
    return [each for each in attached if each.artifact_type == golden.ARTIFACT]


def test_answers_change_no_digest(output, asked, store):
    """What is measured again elsewhere takes the place of what was, beside the same image."""
    first = output.build(asked)
    other = replace(asked.golden, noise={"y": 3e-7})
    second = output.build(replace(asked, golden=other))
    assert second.descriptor == first.descriptor
    image, attached = output.read()
    assert {subject_of(each.manifest) for each in attached} == {image.digest}
    if output.host is None:
        assert len(answers_of(attached)) == 1
        assert golden.read(image, attached, store).golden == other


def test_without_answers_types_are_judged(output, asked, store):
    output.build(asked)
    image, _ = output.read()
    found = golden.read(image, (), store)
    assert not found.answered
    assert found.golden.judge is Judge.SMOKE
    assert found.golden.requests == asked.golden.requests
    assert found.golden.expected is None


def test_an_image_without_a_golden_request(output, deployment, store):
    output.build(deployment)
    image, attached = output.read()
    assert answers_of(attached) == []
    assert golden.LAYER not in image.annotations
    assert golden.read(image, attached, store) is None


def test_an_image_in_a_layout_leaves_with_what_is_attached(tmp_path, asked, base, settings):
    """Another image of the same name takes the place of both; another one's answers stay."""
    how = {"settings": settings, "progress": SilentProgress()}
    write_image(asked, [base], tmp_path / "out", **how)
    write_image(replace(asked, service="other"), [base], tmp_path / "out", **how)
    write_image(replace(asked, golden=None), [base], tmp_path / "out", **how)
    entries = json.loads((tmp_path / "out" / "index.json").read_bytes())["manifests"]
    named = [each.get("annotations", {}).get(reading.REFERENCE) for each in entries]
    types = [each.get("artifactType") for each in entries]
    assert named == ["other", None, None, "scores", None]
    assert types == [None, golden.ARTIFACT, sbom.MEDIA_TYPE, None, sbom.MEDIA_TYPE]
    assert "platform" not in entries[1]


def test_the_index_says_how_to_send_it(asked, store):
    index, request = golden.layer_files(asked, store)
    (said,) = json.loads(store.read(index.digest))["models"]
    assert (said["method"], said["origin"], said["refused"]) == ("infer", "made", False)
    (sent,) = said["requests"]
    assert f"{golden.FOLDER}/{sent['file']}" == request.path
    assert sent["content_type"] == "application/octet-stream"
    header = store.read(request.digest)[: sent["header_length"]]
    assert json.loads(header)["inputs"][0]["name"] == "x"


def artifact(image: ReadImage, attachment: Attachment) -> Artifact:
    """What is attached to an image that was read."""
    return manifest.attached(attachment, Descriptor(MANIFEST, image.digest, 1))


def test_of_several_answers_the_strongest_counts(image, asked, store):
    weaker = replace(asked.golden, judge=Judge.TYPES)
    attached = [artifact(image, golden.answers(each, store)) for each in (weaker, asked.golden)]
    assert golden.read(image, attached, store).golden == asked.golden


def test_answers_to_another_request_do_not_count(image, asked, store):
    request = bodies.keep({"x": np.zeros((2, 64), np.float32)}, "inputs", store)
    other = golden.answers(replace(asked.golden, requests=(request,)), store)
    assert not golden.read(image, [artifact(image, other)], store).answered


@dataclass(frozen=True)
class InMemory:
    """A layer of which the descriptor is right."""

    data: bytes
    media_type: str = LAYER

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, tiny_base.digest(self.data), len(self.data))

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        yield self.data[start:]


def with_layer(image: ReadImage, data: bytes) -> ReadImage:
    return replace(image, layers=(*image.layers[:-1], InMemory(data)))


def test_a_layer_that_an_engine_compressed_is_read(image, asked, store):
    data = gzip.compress(b"".join(image.layers[-1].chunks()))
    assert golden.read(with_layer(image, data), (), store).golden.requests == asked.golden.requests


@pytest.mark.parametrize("data", [b"", b"no tar at all", tiny_base.rootfs()])
def test_a_damaged_layer_is_told(image, store, data):
    with pytest.raises(ClocheError) as told:
        golden.read(with_layer(image, data), (), store)
    assert told.value.code == "image.golden"


@pytest.mark.parametrize("document", [b"{}", b"no JSON", encode({"judge": "reference"})])
def test_damaged_answers_are_told(image, store, document):
    damaged = Attachment(golden.ARTIFACT, (SmallBlob(document, golden.ARTIFACT),))
    with pytest.raises(ClocheError) as told:
        golden.read(image, [artifact(image, damaged)], store)
    assert told.value.code == "image.golden"


def test_the_users_example_is_said_to_travel(asked):
    assert golden.findings(asked) == ()
    given = replace(asked, golden=replace(asked.golden, origin=RequestOrigin.GIVEN))
    (finding,) = golden.findings(given)
    assert finding.code == "image.example"
    assert "--no-golden" in finding.hint


# ── what others make of an image with something beside it ─────────────────────────────────────


@pytest.fixture
def archive(tmp_path: Path, asked: Deployment, base: Base, settings: Settings) -> Path:
    """The image and its answers in one file, the base of which runs nothing."""
    path = tmp_path / "out.tar"
    write_image(asked, [base], path, settings=settings, progress=SilentProgress())
    return path


@pytest.mark.parametrize("form", ["oci-archive:out.tar:scores", "docker-archive:out.tar"])
def test_skopeo_reads_it(archive, form):
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo: apt-get install skopeo")
    done = subprocess.run(
        ["skopeo", "inspect", form], cwd=archive.parent, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["Labels"]["cloche.service"] == "scores"


def test_docker_loads_it_and_what_it_saves_has_the_request(docker, archive, asked, store, tmp_path):
    """It knows no artefacts: the answers stay behind."""
    assert "Loaded image: scores:latest" in docker("load", "-i", archive)
    docker("save", "scores:latest", "-o", tmp_path / "saved.tar")
    saved = reading.read(tmp_path / "saved.tar")
    found = golden.read(saved, (), store)
    assert found.golden.requests == asked.golden.requests


def test_answers_that_are_measured_anew_do_not_pile_up(output, asked, store):
    """Of one judge and one answer there is one, wherever an image is built again."""

    def answers() -> list[Artifact]:
        return [each for each in output.read()[1] if each.artifact_type == golden.ARTIFACT]

    output.build(asked)
    noisier = replace(asked, golden=replace(asked.golden, noise={"y": 3e-7}))
    output.build(noisier)
    assert len(answers()) == 1
    other = bodies.keep({"y": np.ones((2, 10), np.float32)}, "outputs", store)
    output.build(replace(asked, golden=replace(asked.golden, expected=other)))
    piled = output.host is not None  # another answer is another machine's
    assert len(answers()) == (2 if piled else 1)
