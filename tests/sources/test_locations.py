from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloche.clients.mlflow import Address, RestRegistry
from cloche.errors import ClocheError
from cloche.sources.mlflow.locations import ArtifactOwner, RemoteFolder, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = ("r1", "s3://bucket/0/r1/artifacts")


class Listing(RestRegistry):
    """A server whose listings are given."""

    def __init__(self, levels: dict[str, list[dict[str, Any]]] | None = None) -> None:
        super().__init__(Address("https://mlflow.example:8443/base", "http"))
        self._levels = levels or {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def list_artifacts(self, endpoint: str, **parameters: str) -> list[dict[str, Any]]:
        self.asked.append((endpoint, parameters))
        folder = parameters.get("path", parameters.get("artifact_directory_path", ""))
        return self._levels.get(folder, [])


@pytest.fixture
def registry() -> Iterator[Listing]:
    listing = Listing()
    yield listing
    listing.close()


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("mlflow-artifacts:/0/models/m-1/artifacts", "0/models/m-1/artifacts"),
        ("mlflow-artifacts://mlflow.example/0/x", "0/x"),
        (
            "https://mlflow.example:8443/base/api/2.0/mlflow-artifacts/artifacts/0/a%20b",
            "0/a b",
        ),
    ],
)
def test_what_the_server_proxies(registry: Listing, tmp_path: Path, uri: str, root: str) -> None:
    folder = locate(uri, registry=registry, owner=ArtifactOwner(), directory=tmp_path)
    assert isinstance(folder, RemoteFolder)
    assert folder.root == root
    folder.top()
    assert registry.asked == [("/api/2.0/mlflow-artifacts/artifacts", {"path": root})]


def test_a_folder_of_this_machine_is_read_from_its_disk(registry: Listing, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    for uri in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b", "a b"):
        for server in (registry, None):
            found = locate(uri, registry=server, owner=ArtifactOwner("m-1"), directory=tmp_path)
            assert found == tmp_path / "a b"


@pytest.mark.parametrize("uri", ["s3://bucket/0/r1/artifacts/model", "/not/here"])
def test_what_only_the_server_reaches_is_asked_of_it(
    registry: Listing, tmp_path: Path, uri: str
) -> None:
    folder = locate(uri, registry=registry, owner=ArtifactOwner("m-1"), directory=tmp_path)
    assert isinstance(folder, RemoteFolder)
    assert "/logged-models/m-1/" in folder.listing


def test_a_folder_of_a_run_is_asked_of_the_run(registry: Listing, tmp_path: Path) -> None:
    uri = f"{RUN[1]}/model"
    folder = locate(uri, registry=registry, owner=ArtifactOwner(run=RUN), directory=tmp_path)
    assert isinstance(folder, RemoteFolder)
    assert folder.endpoint("model/a b") == "/get-artifact?run_uuid=r1&path=model%2Fa%20b"
    folder.top()
    assert registry.asked[0][1] == {"path": "model", "run_id": "r1"}


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("s3://bucket/model", "--artifacts-destination s3://"),
        ("mlflow-artifacts:/0/model", "MLFLOW_TRACKING_URI"),
        ("/not/here", "another machine"),
        ("https://user:secret@other.example/x", "--artifacts-destination https://"),
    ],
)
def test_what_nobody_reaches_says_what_to_do(tmp_path: Path, uri: str, hint: str) -> None:
    with pytest.raises(ClocheError) as raised:
        locate(uri, registry=None, owner=ArtifactOwner(run=("r2", "s3://else")), directory=tmp_path)
    assert raised.value.code == "source.mlflow.unreadable"
    assert hint in (raised.value.hint or "")
    assert "secret" not in str(raised.value.to_dict())


def entry(path: str, size: int | None = None) -> dict[str, Any]:
    return {"path": path, "is_dir": size is None, "file_size": size}


def test_all_levels_are_walked(tmp_path: Path) -> None:
    levels = {
        "r": [entry("MLmodel", 3), entry("data")],
        "r/data": [entry("w é", 5), entry("deep")],
        "r/data/deep": [entry("x", 0)],
    }
    registry = Listing(levels)
    folder = locate(
        "mlflow-artifacts:/r", registry=registry, owner=ArtifactOwner(), directory=tmp_path
    )
    assert isinstance(folder, RemoteFolder)
    files = folder.files(folder.top())
    assert [(file.path, file.size) for file in files] == [
        ("MLmodel", 3), ("data/w é", 5), ("data/deep/x", 0),
    ]  # fmt: skip
    assert files[1].endpoint == "/api/2.0/mlflow-artifacts/artifacts/r/data/w%20%C3%A9"
    registry.close()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0b"])
def test_a_listed_name_never_leaves_its_folder(tmp_path: Path, path: str) -> None:
    registry = Listing({"r": [entry("MLmodel", 1), entry(path, 1)]})
    folder = locate(
        "mlflow-artifacts:/r", registry=registry, owner=ArtifactOwner(), directory=tmp_path
    )
    assert isinstance(folder, RemoteFolder)
    with pytest.raises(ClocheError) as raised:
        folder.top()
    assert raised.value.code == "source.mlflow.path"
    registry.close()


def test_a_listing_without_end_is_given_up(tmp_path: Path) -> None:
    class Endless(Listing):
        def list_artifacts(self, endpoint: str, **parameters: str) -> list[dict[str, Any]]:
            return [entry("again")]

    registry = Endless()
    folder = locate(
        "mlflow-artifacts:/r", registry=registry, owner=ArtifactOwner(), directory=tmp_path
    )
    assert isinstance(folder, RemoteFolder)
    with pytest.raises(ClocheError) as raised:
        folder.files(folder.top())
    assert raised.value.code == "source.mlflow.toomany"
    registry.close()
