"""Files of a hub on their way: cut, changed, missing, or on this machine already."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hub_user import refused, take

from cloche.sources.downloads import Patience
from cloche.store import Store
from fixtures.hub import LocalHub, git_name, sha256
from fixtures.hub_models import BIG, CARD, SETTINGS, WHOLE, net, tensors


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home/store")


# ── the wire ──────────────────────────────────────────────────────────────────────────────────


def test_a_cut_download_is_taken_up_where_it_broke(hub: LocalHub, store: Store) -> None:
    hub.add("org/net", {"model.onnx": net(), "model.onnx_data": BIG})
    hub.cut["model.onnx_data"] = [1_000_000, 300_000]
    take(store, "hf://org/net", hub.environment())
    ranges = [one.range for one in hub.asked if one.path.startswith("/stored/") and one.range]
    assert len(ranges) == 2
    assert ranges[0] < ranges[1]  # both have seven digits


def test_what_arrived_of_a_download_that_failed_is_kept(
    hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloche.sources.downloads.Patience", lambda: Patience(pause=0.0))
    hub.add("org/net", {"model.onnx": net(), "model.onnx_data": BIG})
    hub.cut["model.onnx_data"] = [1_000_000, 0, 0, 0, 0, 0]
    error = refused(store, "hf://org/net", hub.environment())
    assert (error.code, error.retriable) == ("source.download.cut", True)
    hub.cut.clear()
    hub.asked.clear()
    take(store, "hf://org/net", hub.environment())
    [asked] = [one for one in hub.asked if one.path.startswith("/stored/") and "data" in one.path]
    assert asked.range is not None
    assert int(asked.range[6:-1]) > 900_000


@pytest.mark.parametrize("path", ["model.onnx", "config.json", "README.md"])
def test_a_file_with_another_digest_is_refused(hub: LocalHub, store: Store, path: str) -> None:
    files = {"README.md": CARD, "config.json": b"{}", "model.onnx": net()}
    hub.add("org/net", files)
    hub.flipped.add(path)
    error = refused(store, "hf://org/net", hub.environment())
    assert (error.code, error.retriable) == ("source.download.digest", True)
    assert path in error.what
    # Not one byte of it is taken up.
    assert list((store.root / "partial").iterdir()) == []
    digest = f"sha256:{sha256(files[path][:-1] + bytes([files[path][-1] ^ 1]))}"
    assert not store.blob_path(digest).exists()
    hub.flipped.clear()
    take(store, "hf://org/net", hub.environment())


def test_a_partial_file_that_was_damaged_is_begun_again(hub: LocalHub, store: Store) -> None:
    hub.add("org/net", {"model.onnx": net(), "model.onnx_data": BIG})
    with store.download(f"sha256:{sha256(BIG)}") as partial:
        partial.append(b"damaged")
    take(store, "hf://org/net", hub.environment())
    ranges = [one.range for one in hub.asked if "/stored/" in one.path and "data" in one.path]
    assert ranges == ["bytes=7-", None]


def test_a_download_that_was_killed_when_it_was_whole_is_not_fetched(
    hub: LocalHub, store: Store
) -> None:
    hub.add("org/net", {"model.onnx": net(), "model.onnx_data": BIG})
    with store.download(f"sha256:{sha256(BIG)}") as partial:
        partial.append(BIG)
    take(store, "hf://org/net", hub.environment())
    assert "model.onnx_data" not in hub.files_asked()


def test_the_same_bytes_under_several_paths_are_fetched_once(hub: LocalHub, store: Store) -> None:
    data = {f"variables/{i}.data": BIG for i in range(6)}
    hub.add("org/saved", {"MLmodel": b"flavors: {onnx: {data: model.onnx}}\n", "model.onnx": net(),
                          **data})  # fmt: skip
    assert len(take(store, "hf://org/saved", hub.environment()).files) == 8
    assert len([one for one in hub.asked if ".data" in one.path and "/stored/" in one.path]) == 1
    assert list((store.root / "partial").iterdir()) == []


# ── wrong repositories ────────────────────────────────────────────────────────────────────────

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 9\n"


def index(*shards: str) -> bytes:
    return json.dumps({"weight_map": {str(i): name for i, name in enumerate(shards)}}).encode()


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({"model.onnx": POINTER}, "source.huggingface.lfs", "model.onnx"),
        ({**SETTINGS, "model.safetensors": POINTER}, "source.huggingface.lfs", "safetensors"),
        ({**SETTINGS, "model.safetensors": b"x" * 50}, "source.huggingface.safetensors", "header"),
        (
            {"model.safetensors.index.json": index("a.safetensors", "b.safetensors"),
             "a.safetensors": tensors(4)},
            "source.huggingface.shard", "b.safetensors",
        ),
        (
            {"model.safetensors.index.json": POINTER, "a.safetensors": tensors(4)},
            "source.huggingface.lfs", "index",
        ),
        (
            {"pytorch_model.bin.index.json": b"[]", "config.json": b"{}"},
            "source.huggingface.index", "weight_map",
        ),
        ({"data.csv": b"1"}, "source.huggingface.nomodel", "data.csv"),
        ({"../model.onnx": net(), "model.onnx": net()}, "huggingface.path", "../model.onnx"),
    ],
)  # fmt: skip
def test_a_wrong_repository(
    hub: LocalHub, store: Store, files: dict[str, bytes], code: str, said: str
) -> None:
    repository = hub.add("org/wrong", files)
    repository.plain = frozenset(path for path, data in files.items() if data == POINTER)
    error = refused(store, "hf://org/wrong", hub.environment())
    assert (error.code, error.retriable) == (code, False)
    assert said in error.what


def test_a_pointer_stops_the_other_files(hub: LocalHub, store: Store) -> None:
    names = ("a.safetensors", "b.safetensors")
    repository = hub.add("org/wrong", {
        "model.safetensors.index.json": index(*names), "a.safetensors": BIG, "b.safetensors":
        POINTER,
    })  # fmt: skip
    repository.plain = frozenset({"b.safetensors"})
    assert refused(store, "hf://org/wrong", hub.environment()).code == "source.huggingface.lfs"
    assert "a.safetensors" not in hub.files_asked()


def test_a_revision_and_a_path_that_are_not_there(hub: LocalHub, store: Store) -> None:
    hub.add("org/net", WHOLE)
    error = refused(store, "hf://org/net@v9", hub.environment())
    assert error.code == "huggingface.revision"
    error = refused(store, "hf://org/net/onnx/other.onnx", hub.environment())
    assert error.code == "source.huggingface.path"
    error = refused(store, "hf://org/net", {"HF_ENDPOINT": "http://127.0.0.1:1"})
    assert (error.code, error.retriable) == ("huggingface.unreachable", True)


# ── this machine ──────────────────────────────────────────────────────────────────────────────


def cached(folder: Path, name: str, files: Mapping[str, bytes], commit: str) -> Path:
    """Write the cache of the hub's own client, as it does."""
    place = folder / ("models--" + name.replace("/", "--"))
    for path, data in files.items():
        large = path.endswith((".onnx", ".bin"))
        blob = place / "blobs" / (sha256(data) if large else git_name(data))
        link = place / "snapshots" / commit / path
        for parent in (blob.parent, link.parent, place / "refs"):
            parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (place / "refs/main").write_text(commit)
    return place


def test_what_the_hubs_client_has_is_copied(hub: LocalHub, store: Store, tmp_path: Path) -> None:
    commit = hub.add("org/net", WHOLE).revisions["main"]
    place = cached(tmp_path / "hub", "org/net", WHOLE, commit)
    variables = hub.environment(HF_HUB_CACHE=str(tmp_path / "hub"))
    (place / "blobs" / git_name(CARD)).write_bytes(CARD.swapcase())  # damaged
    (place / "blobs" / git_name(SETTINGS["config.json"])).write_bytes(b"longer than it is listed")
    snapshot = take(store, "hf://org/net", variables)
    assert store.verify(snapshot.digest)
    assert sorted(hub.files_asked()) == ["README.md", "config.json"]
    assert snapshot.metadata.tags["license"] == "mit"


def test_offline_the_cache_of_the_hubs_client_is_enough(
    hub: LocalHub, store: Store, tmp_path: Path
) -> None:
    online = take(Store(tmp_path / "other"), "hf://org/net", _with(hub, "org/net"))
    commit = str(online.version)
    place = cached(tmp_path / "hub", "org/net", WHOLE, commit)
    hub.asked.clear()
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        variables = hub.environment(HF_HUB_CACHE=str(tmp_path / "hub"), **{switch: "1"})
        for text in ("hf://org/net", "hf://org/net@main", f"hf://org/net@{commit}"):
            snapshot = take(Store(tmp_path / switch), text, variables)
            assert (snapshot.pinned, snapshot.digest) == (online.pinned, online.digest)
            assert snapshot.metadata == online.metadata
    error = refused(store, "hf://org/net@v1", variables)
    assert error.code == "source.huggingface.offline"
    error = refused(store, "hf://org/net@" + "0" * 40, variables)
    assert error.code == "source.huggingface.offline"
    (place / "blobs" / sha256(net())).write_bytes(net()[:-1] + b"?")
    error = refused(store, "hf://org/net", variables)
    assert error.code == "source.huggingface.damaged"
    assert "onnx/model.onnx" in error.what
    (place / "snapshots" / commit / "onnx/model.onnx").unlink()
    (place / "snapshots" / commit / "pytorch_model.bin").unlink()
    error = refused(store, "hf://org/net", variables)
    assert (error.code, "the local cache" in error.what) == ("source.huggingface.nomodel", True)
    assert hub.asked == []


def _with(hub: LocalHub, name: str) -> dict[str, str]:
    hub.add(name, WHOLE)
    return hub.environment()


def test_offline_the_store_is_enough(hub: LocalHub, store: Store) -> None:
    first = take(store, "hf://org/net", _with(hub, "org/net"))
    hub.asked.clear()
    offline = hub.environment(HF_HUB_OFFLINE="1")
    assert take(store, "hf://org/net", offline).pinned == first.pinned
    store.clean((), 0)
    assert refused(store, "hf://org/net", offline).code == "source.huggingface.offline"
    assert hub.asked == []
