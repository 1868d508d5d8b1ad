"""The client on registries that differ: distribution of today and of before, and one of ours."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from cloche.clients.oci.media_types import OCI_INDEX, OCI_MANIFEST
from cloche.clients.oci.registry import Registry
from cloche.clients.oci.upload import SMALL
from cloche.errors import ClocheError, NotFoundError
from fixtures.cutting import CuttingProxy
from fixtures.odd_registry import OddRegistry
from fixtures.registries import PASSWORD, logged_in, nobody, registry_at

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LARGE = SMALL * 3 + 12345


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Sent:
    """A blob of bytes by chance, and how it was read and shown."""

    data: bytes
    starts: list[int] = field(default_factory=list)
    shown: int = 0

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def chunks(self, start: int) -> Iterator[bytes]:
        self.starts.append(start)
        for at in range(start, len(self.data), 300_000):
            yield self.data[at : min(at + 300_000, len(self.data))]

    def advance(self, amount: int) -> None:
        self.shown += amount

    def note(self, text: str) -> None: ...

    def into(self, registry: Registry, name: str) -> Sent:
        registry.upload(name, self.digest, len(self.data), self.chunks, self)
        return self


def some(size: int) -> Sent:
    return Sent(random.randbytes(size))


def image(config: Sent, layer: Sent, **more: object) -> bytes:
    def descriptor(sent: Sent, kind: str) -> dict[str, object]:
        return {"mediaType": kind, "digest": sent.digest, "size": len(sent.data)}

    layers = [descriptor(layer, "application/vnd.oci.image.layer.v1.tar")]
    fields = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers, **more}
    return json.dumps({**fields, "config": descriptor(config, CONFIG_TYPE)}).encode()


@pytest.fixture
def name() -> str:
    """A repository that no other test has."""
    return f"tests/{uuid4().hex}"


@dataclass(frozen=True)
class Place:
    """A registry's host, and the variables of a user who may push there."""

    host: str
    environment: dict[str, str]
    resumes: bool = True
    """Whether an upload can go on after a break: 2.8 throws away what it got."""


@pytest.fixture(params=["open", "users", "old", "odd"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "odd":
        odd: OddRegistry = request.getfixturevalue("odd_registry")
        odd.private = True
        return Place(odd.host, nobody())
    host = request.getfixturevalue(f"{request.param}_registry")
    return Place(host, logged_in(tmp_path, host), resumes=request.param != "old")


@pytest.fixture
def registry(place: Place) -> Iterator[Registry]:
    with registry_at(place.host, place.environment) as client:
        yield client


@pytest.fixture
def proxied(place: Place, tmp_path: Path) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(place.host)
    logged_in(tmp_path, proxy.host)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("size", [0, 1, SMALL, LARGE])
def test_a_blob_goes_there_and_comes_back(registry: Registry, name: str, size: int) -> None:
    sent = some(size)
    assert not registry.has_blob(name, sent.digest)
    sent.into(registry, name)
    assert registry.has_blob(name, sent.digest)
    assert sent.shown == size
    assert sent.starts == ([0] if size else [])
    assert b"".join(registry.blob(name, sent.digest, size=size)) == sent.data
    assert b"".join(registry.blob(name, sent.digest, size // 2)) == sent.data[size // 2 :]


def test_a_blob_is_hashed_on_its_way(registry: Registry, name: str) -> None:
    sent = some(LARGE)
    assert registry.upload(name, None, LARGE, sent.chunks, sent) == sent.digest
    assert (sent.starts, sent.shown) == ([0], LARGE)
    assert b"".join(registry.blob(name, sent.digest, size=LARGE)) == sent.data


def test_a_repository_is_new_until_it_has_a_tag(registry: Registry, name: str) -> None:
    assert registry.is_new(name)
    config, layer = some(10).into(registry, name), some(20).into(registry, name)
    registry.put_manifest(name, "1", image(config, layer), OCI_MANIFEST)
    assert not registry.is_new(name)


def test_blobs_go_side_by_side(registry: Registry, name: str) -> None:
    blobs = [some(size) for size in (10, SMALL, LARGE, LARGE, 77)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda sent: sent.into(registry, name), blobs))
    for sent in blobs:
        assert b"".join(registry.blob(name, sent.digest)) == sent.data


def test_a_mounted_blob_is_not_sent(registry: Registry, name: str) -> None:
    sent = some(1000).into(registry, name)
    assert registry.mount(f"{name}/other", sent.digest, name)
    assert registry.has_blob(f"{name}/other", sent.digest)


def test_a_mount_of_what_is_not_there_opens_an_upload(registry: Registry, name: str) -> None:
    sent = some(1000)
    assert not registry.mount(f"{name}/other", sent.digest, name)
    sent.into(registry, f"{name}/other")
    assert b"".join(registry.blob(f"{name}/other", sent.digest)) == sent.data


def test_manifests_by_tag_and_digest(registry: Registry, name: str) -> None:
    data = image(some(10).into(registry, name), some(20).into(registry, name))
    assert not registry.has_manifest(name, "v1")
    digest = registry.put_manifest(name, "v1", data, OCI_MANIFEST)
    assert digest == digest_of(data)
    for reference in ("v1", digest):
        found = registry.manifest(name, reference)
        assert (found.data, found.media_type, found.digest) == (data, OCI_MANIFEST, digest)
        assert registry.has_manifest(name, reference)
    with pytest.raises(NotFoundError) as raised:
        registry.manifest(name, "v2")
    assert raised.value.code == "registry.unknown"


def test_tags(registry: Registry, name: str) -> None:
    data = image(some(10).into(registry, name), some(20).into(registry, name))
    for tag in ("b", "a", "c"):
        registry.put_manifest(name, tag, data, OCI_MANIFEST)
    assert sorted(registry.tags(name)) == ["a", "b", "c"]


def test_a_tag_that_is_removed_leaves_what_it_names(registry: Registry, name: str) -> None:
    data = image(some(10).into(registry, name), some(20).into(registry, name))
    for tag in ("kept", "gone"):
        digest = registry.put_manifest(name, tag, data, OCI_MANIFEST)
    removes = registry.delete_tag(name, "gone")
    assert sorted(registry.tags(name)) == (["kept"] if removes else ["gone", "kept"])
    assert registry.has_manifest(name, "kept")
    assert registry.has_manifest(name, digest)
    assert not registry.delete_tag(name, "never")


def test_referrers_of_one_type_or_all(registry: Registry, name: str) -> None:
    config, layer = some(10).into(registry, name), some(20).into(registry, name)
    subject = image(config, layer)
    digest = registry.put_manifest(name, "v1", subject, OCI_MANIFEST)
    assert registry.referrers(name, digest) == ()
    descriptor = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(subject)}
    pushed = {}
    for kind in ("application/x.one", "application/x.two", "application/x.one"):
        data = image(config, layer, subject=descriptor, artifactType=kind)
        pushed[registry.put_manifest(name, digest_of(data), data, OCI_MANIFEST)] = kind
    found = registry.referrers(name, digest)
    assert {one.digest: one.artifact_type for one in found} == pushed
    assert len(found) == 2
    (one,) = registry.referrers(name, digest, "application/x.two")
    assert registry.manifest(name, one.digest).data[:1] == b"{"


def test_bytes_that_are_not_those_of_the_digest(registry: Registry, name: str) -> None:
    for size in (100, LARGE):
        sent, wrong = some(size), digest_of(b"other")
        with pytest.raises(ClocheError) as raised:
            registry.upload(name, wrong, size, sent.chunks, sent)
        assert raised.value.code == "registry.digest"
        assert not registry.has_blob(name, wrong)


@pytest.mark.parametrize(
    ("size", "code"), [(LARGE - 5, "registry.size"), (LARGE + 5, "registry.size")]
)
def test_another_number_of_bytes(registry: Registry, name: str, size: int, code: str) -> None:
    sent = some(LARGE)
    with pytest.raises(ClocheError) as raised:
        registry.upload(name, sent.digest, size, sent.chunks, sent)
    assert raised.value.code == "registry.size"
    assert not registry.has_blob(name, sent.digest)


def test_an_upload_goes_on_where_it_broke(place: Place, proxied: CuttingProxy, name: str) -> None:
    proxied.to_server += [SMALL, SMALL // 2]
    sent = some(LARGE)
    with registry_at(proxied.host, place.environment) as registry:
        sent.into(registry, name)
        assert proxied.to_server == []
        assert b"".join(registry.blob(name, sent.digest)) == sent.data
    assert sent.shown == LARGE
    assert sent.starts[0] == 0
    assert (max(sent.starts) > 0) is place.resumes


def test_a_download_goes_on_where_it_broke(place: Place, proxied: CuttingProxy, name: str) -> None:
    with registry_at(place.host, place.environment) as registry:
        sent = some(LARGE).into(registry, name)
    proxied.to_client += [SMALL, SMALL]
    with registry_at(proxied.host, place.environment) as registry:
        assert b"".join(registry.blob(name, sent.digest)) == sent.data
    assert proxied.to_client == []


def test_indexes_and_media_types(registry: Registry, name: str) -> None:
    data = image(some(10).into(registry, name), some(20).into(registry, name))
    digest = registry.put_manifest(name, "one", data, OCI_MANIFEST)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(data)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    registry.put_manifest(name, "all", json.dumps(index).encode(), OCI_INDEX)
    assert registry.manifest(name, "all").media_type == OCI_INDEX


# ── who asks ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        (lambda folder, host: {"DOCKER_CONFIG": str(folder)}, "none are set"),
        (lambda folder, host: logged_in(folder, host, "wrong"), "refuses the credentials"),
    ],
)
def test_a_registry_with_users(
    users_registry: str,
    tmp_path: Path,
    name: str,
    environment: Callable[[Path, str], dict[str, str]],
    what: str,
) -> None:
    with registry_at(users_registry, environment(tmp_path, users_registry)) as registry:
        for action in (lambda: registry.tags(name), lambda: some(9).into(registry, name)):
            with pytest.raises(ClocheError) as raised:
                action()
            assert raised.value.code == "registry.unauthorized"
            assert what in raised.value.what
            assert PASSWORD not in str(raised.value.to_dict())
