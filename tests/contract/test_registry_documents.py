"""Documents in a real registry: kept under tags of their own, checked when they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cloche.artifacts import digest_of
from cloche.clients.oci.registry import Registry
from cloche.errors import NotFoundError
from cloche.state.kubernetes import RegistryDocuments
from fixtures.registries import registry_at


@pytest.fixture
def registry(open_registry: str) -> Iterator[Registry]:
    with registry_at(open_registry) as registry:
        yield registry


@pytest.fixture
def prefix() -> str:
    """A part of the registry that no other test has."""
    return f"tests/{uuid4().hex}"


def test_a_document_is_an_artefact_with_a_tag(
    registry: Registry, prefix: str, tmp_path: Path
) -> None:
    documents = RegistryDocuments(registry, prefix, tmp_path)
    data = b'{"service":"digits"}'
    digest = digest_of(data)
    assert not documents.has("digits", digest)
    assert documents.put("digits", data) == documents.put("digits", data) == digest
    assert documents.has("digits", digest)
    assert not documents.has("other", digest)
    tag = f"deployment-{digest.removeprefix('sha256:')[:40]}"
    assert registry.tags(f"{prefix}/digits") == (tag,)
    manifest = json.loads(registry.manifest(f"{prefix}/digits", tag).data)
    kind = "application/vnd.cloche.deployment.v1+json"
    assert manifest["artifactType"] == manifest["layers"][0]["mediaType"] == kind
    assert manifest["layers"][0]["digest"] == digest


def test_it_is_read_once_and_then_from_the_folder(
    registry: Registry, prefix: str, tmp_path: Path
) -> None:
    digest = RegistryDocuments(registry, prefix, tmp_path / "a").put("digits", b"{}")
    other = RegistryDocuments(registry, prefix, tmp_path / "b" / "c")
    assert other.get("digits", digest) == b"{}"
    [kept] = (tmp_path / "b" / "c").iterdir()
    closed = RegistryDocuments(registry_at("127.0.0.1:1"), prefix, tmp_path / "b" / "c")
    assert closed.get("digits", digest) == b"{}"
    kept.write_bytes(b"damaged")
    assert other.get("digits", digest) == b"{}"
    assert kept.read_bytes() == b"{}"


def test_one_that_is_gone_is_named(registry: Registry, prefix: str, tmp_path: Path) -> None:
    documents = RegistryDocuments(registry, prefix, tmp_path)
    with pytest.raises(NotFoundError) as caught:
        documents.get("digits", digest_of(b"never"))
    assert caught.value.code == "state.document"
    assert f"{prefix}/digits" in (caught.value.where or "")


def test_a_folder_that_cannot_be_written_does_not_matter(
    registry: Registry, prefix: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    documents = RegistryDocuments(registry, prefix, blocked)
    assert documents.get("digits", documents.put("digits", b"{}")) == b"{}"
