"""Images pushed to a real registry, and on bases that lie in one."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_base

from cloche.artifacts import Deployment
from cloche.clients.oci import reference as references
from cloche.clients.oci import upload
from cloche.clients.oci.registry import Registry
from cloche.errors import ClocheError
from cloche.images import building
from cloche.images.bases import base as bases
from cloche.images.bases.base import Base
from cloche.images.destinations import pushing
from cloche.images.image import Image, Platform
from cloche.images.sources import reading
from cloche.pipeline.image import Registries, push_image, read_base, registries, write_image
from cloche.progress import SilentProgress
from cloche.settings import Settings
from fixtures.registries import logged_in, nobody

AMD64 = Platform("linux", "amd64")
OCI = "application/vnd.oci.image."


@dataclass(frozen=True)
class Place:
    """A repository that no other test has, and what is pushed there."""

    registry: Registry
    name: str
    connections: Registries
    deployment: Deployment
    base: Base
    settings: Settings

    def push(self, tag: str = "v1", base: Base | None = None) -> Image:
        """Push the image of the deployment under a tag."""
        reference = references.parse(f"{self.registry.host}/{self.name}:{tag}")
        return push_image(
            self.deployment, [base or self.base], reference, self.connections,
            settings=self.settings, progress=SilentProgress(),
        ).images[0]  # fmt: skip


@pytest.fixture(params=["open", "users"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, deployment: Deployment, base: Base,
    settings: Settings,
) -> Iterator[Place]:  # fmt: skip
    """A real registry, to which everybody or a user may push."""
    host = request.getfixturevalue(f"{request.param}_registry")
    name = f"t{uuid.uuid4().hex[:12]}/scores"
    with registries(logged_in(tmp_path, host)) as opened:
        yield Place(opened.at(host), name, opened, deployment, base, settings)


def put_base(registry: Registry, folder: Path, name: str) -> bases.Base:
    """Push the base that is written by hand, and return it as it is read from a layout."""
    base = bases.read(str(tiny_base.layout(folder)), AMD64)
    entry = json.loads((folder / "index.json").read_bytes())["manifests"][0]
    manifest = (folder / "blobs" / entry["digest"].replace(":", "/")).read_bytes()
    fields = json.loads(manifest)
    with SilentProgress().task("") as task:
        for blob in (fields["config"], *fields["layers"]):
            path = folder / "blobs" / blob["digest"].replace(":", "/")
            registry.upload(
                name, blob["digest"], blob["size"],
                lambda start, path=path: iter([path.read_bytes()[start:]]), task,
            )  # fmt: skip
    registry.put_manifest(name, "26.07", manifest, f"{OCI}manifest.v1+json")
    return base


def test_a_pushed_image_is_the_one_that_is_written_to_a_file(place: Place, tmp_path: Path) -> None:
    pushed = place.push()
    written = write_image(
        place.deployment, [place.base], tmp_path / "out",
        settings=place.settings, progress=SilentProgress(),
    )  # fmt: skip
    assert pushed.descriptor.digest == written.digest
    stored = place.registry.manifest(place.name, "v1")
    assert (stored.data, stored.digest) == (pushed.manifest, pushed.descriptor.digest)
    assert reading.read(tmp_path / "out").digest == stored.digest
    for blob in (pushed.config, *pushed.layers):
        data = b"".join(place.registry.blob(place.name, blob.descriptor.digest))
        assert data == b"".join(blob.chunks())


def test_a_second_push_sends_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.push()

    def refused(*_: object) -> None:
        raise AssertionError("a blob is sent again")

    monkeypatch.setattr(Registry, "upload", refused)
    assert place.push("v2").descriptor == first.descriptor
    # A registry without referrers has what is attached under a tag of the digest.
    named = {tag for tag in place.registry.tags(place.name) if not tag.startswith("sha256-")}
    assert named == {"v1", "v2"}


def test_a_home_that_knows_no_digests_sends_nothing_either(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.push()
    shutil.rmtree(place.settings.layout.store / "index" / "layer")

    def refused(*_: object) -> None:
        raise AssertionError("a blob is sent again")

    monkeypatch.setattr(Registry, "upload", refused)
    assert place.push("v2").descriptor == first.descriptor


def test_a_new_repository_gets_layers_that_are_hashed_on_their_way(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pushing, upload):
        monkeypatch.setattr(module, "SMALL", 0)
    hashed: list[str] = []

    def before(chunks: Iterator[bytes]) -> str:
        hashed.append(tiny_base.digest(b"".join(chunks)))
        return hashed[-1]

    monkeypatch.setattr(building, "digest_of_stream", before)
    first = place.push()
    assert hashed == []
    shutil.rmtree(place.settings.layout.store / "index" / "layer")
    assert place.push("v2").descriptor == first.descriptor
    own = [layer.descriptor.digest for layer in first.layers[len(place.base.layers) :]]
    assert sorted(hashed) == sorted(own), "what may be there is hashed before it is sent"


def test_layers_of_a_base_in_the_same_registry_are_mounted(place: Place, tmp_path: Path) -> None:
    registry, other = place.registry, f"{place.name}-base"
    local = put_base(registry, tmp_path / "put", other)
    text = f"{registry.host}/{other}:26.07"
    base = read_base(text, AMD64, place.connections)
    assert base.software.triton == "26.07"
    assert base.annotations[bases.BASE_NAME] == text
    layer = base.layers[0].descriptor.digest
    assert base.repositories(registry.host) == {layer: other}
    image = place.push(base=base)
    assert registry.has_blob(place.name, layer)
    assert image.layers[0].descriptor.digest == layer
    # Read from a registry or from a folder, a base gives the same layers.
    assert [each.descriptor for each in base.layers] == [each.descriptor for each in local.layers]
    assert b"".join(base.layers[0].chunks()) == b"".join(local.layers[0].chunks())


def test_several_platforms_are_pushed_under_one_tag(place: Place, tmp_path: Path) -> None:
    """In any order the same index, whose images are those that are pushed alone."""
    folder = str(tiny_base.layout_of_both(tmp_path / "both"))
    both = [bases.read(folder, platform) for platform in (AMD64, Platform("linux", "arm64"))]
    alone = [place.push(platform.platform.architecture, platform) for platform in both]
    for tag, chosen in (("v1", both), ("v2", both[::-1])):
        reference = references.parse(f"{place.registry.host}/{place.name}:{tag}")
        pushed = push_image(
            place.deployment, chosen, reference, place.connections,
            settings=place.settings, progress=SilentProgress(),
        )  # fmt: skip
        stored = place.registry.manifest(place.name, tag)
        assert stored.digest == pushed.digest
    index = json.loads(stored.data)
    assert stored.media_type == index["mediaType"] == f"{OCI}index.v1+json"
    assert [(each["digest"], each["platform"]["architecture"]) for each in index["manifests"]] == [
        (image.descriptor.digest, image.platform.architecture) for image in alone
    ]
    assert place.registry.manifest(place.name, "v1").digest == stored.digest


def test_a_base_for_another_platform(place: Place, tmp_path: Path) -> None:
    put_base(place.registry, tmp_path / "put", place.name)
    text = f"{place.registry.host}/{place.name}:26.07"
    with pytest.raises(ClocheError) as refused:
        read_base(text, Platform("linux", "arm64"), place.connections)
    assert refused.value.code == "image.platform"
    assert "only for linux/amd64" in refused.value.what


def test_an_artefact_is_no_base(place: Place) -> None:
    empty = b"{}"
    digest = tiny_base.digest(empty)
    with SilentProgress().task("") as task:
        place.registry.upload(place.name, digest, 2, lambda start: iter([empty[start:]]), task)
    descriptor = {"mediaType": "application/vnd.example+json", "digest": digest, "size": 2}
    manifest = {
        "schemaVersion": 2, "mediaType": f"{OCI}manifest.v1+json",
        "config": descriptor, "layers": [],
    }  # fmt: skip
    data = json.dumps(manifest).encode()
    place.registry.put_manifest(place.name, "v1", data, f"{OCI}manifest.v1+json")
    with pytest.raises(ClocheError) as refused:
        read_base(f"{place.registry.host}/{place.name}:v1", AMD64, place.connections)
    assert refused.value.code == "image.unknown"


def test_without_the_right_to_push_nothing_is_there(
    place: Place, users_registry: str, tmp_path: Path
) -> None:
    with registries(nobody()) as opened:
        stranger = replace(place, registry=opened.at(users_registry), connections=opened)
        with pytest.raises(ClocheError) as refused:
            stranger.push()
    assert refused.value.code == "registry.unauthorized"
    assert refused.value.hint
    with registries(logged_in(tmp_path, users_registry)) as owner:
        assert not owner.at(users_registry).has_manifest(place.name, "v1")


def test_what_is_broken_off_is_not_under_the_tag(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = Registry.upload, []

    def counted(*arguments: Any) -> str:
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(Registry, "upload", counted)
    with pytest.raises(KeyboardInterrupt):
        place.push()
    assert not place.registry.has_manifest(place.name, "v1")
    monkeypatch.setattr(Registry, "upload", real)
    image = place.push()
    assert place.registry.manifest(place.name, "v1").digest == image.descriptor.digest
