"""Layers: how a model's files are divided, and the bytes that each becomes."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.artifacts import digest_of
from cloche.errors import ClocheError
from cloche.images.image import LAYER, Descriptor
from cloche.images.layering import layers, tar
from cloche.images.layering.layers import LARGE, Layer, LayerFile, LayerLink, StoredLayer, divide
from cloche.store import Store

STAMP = 315_532_800


def stored(store: Store, path: str, data: bytes, *, executable: bool = False) -> LayerFile:
    return LayerFile(path, len(data), store.add_bytes(data), executable)


def described(digest: str) -> Descriptor:
    return Descriptor(LAYER, digest, 0)


def stream(layer: Layer, store: Store, start: int = 0) -> bytes:
    return b"".join(layer.chunks(store, start))


# ── dividing ──────────────────────────────────────────────────────────────────────────────────


def sized(*sizes: int) -> list[LayerFile]:
    return [LayerFile(f"models/m/{n}", size, f"sha256:{n:064}") for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "free", "expected"),
    [
        ([10, 20], 90, [[0, 1]]),
        ([10, LARGE - 1], 90, [[0, 1]]),
        ([10, LARGE], 90, [[0], [1]]),
        ([LARGE], 90, [[0]]),
        ([LARGE, 10, 2 * LARGE], 90, [[1], [0], [2]]),
        ([LARGE, 3 * LARGE, 2 * LARGE, 10], 3, [[0, 3], [1], [2]]),
        ([LARGE, LARGE], 1, [[0, 1]]),
    ],
    ids=["small", "below", "limit", "alone", "order", "too-many", "one-layer"],
)
def test_large_files_have_a_layer_each(sizes, free, expected):
    files = sized(*sizes)
    assert [
        [files.index(file) for file in layer.files] for layer in divide(files, free)
    ] == expected


def test_a_base_with_too_many_layers_is_refused():
    with pytest.raises(ClocheError, match="so many layers") as refused:
        divide(sized(1), 0)
    assert refused.value.code == "image.layers"


@pytest.mark.parametrize("path", ["../etc/passwd", "models/../../x", "/models/x", "models//x", ""])
def test_a_path_that_leaves_the_image_is_refused(path):
    with pytest.raises(ClocheError) as refused:
        divide([LayerFile(path, 1, "sha256:" + "0" * 64)])
    assert refused.value.code == "store.path"


# ── bytes ─────────────────────────────────────────────────────────────────────────────────────

NAME = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs",)),
    min_size=1, max_size=120,
).filter(lambda name: name not in {".", ".."})  # fmt: skip
TREES = st.dictionaries(
    st.lists(NAME, min_size=1, max_size=3).map("/".join), st.binary(max_size=2000), max_size=8
)


@settings(max_examples=60)
@given(tree=TREES, start=st.integers(0, 9000))
def test_the_same_files_give_the_same_stream(tmp_path_factory, tree, start):
    """Two stores, another order: one stream, which any reader of tar reads back."""
    folders = {str(parent) for path in tree for parent in Path(path).parents}
    tree = {f"models/{path}": data for path, data in tree.items() if path not in folders}
    stores = [Store(tmp_path_factory.mktemp("store")) for _ in range(2)]
    made = [
        Layer("", tuple(stored(store, path, data) for path, data in sorted(tree.items())[::turn]))
        for store, turn in zip(stores, (1, -1), strict=True)
    ]
    first, second = map(stream, made, stores)
    assert first == second
    assert made[0].size == len(first)
    assert stream(made[0], stores[0], start) == first[start:]
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        members = archive.getmembers()
        read = {each.name: archive.extractfile(each).read() for each in members if each.isfile()}
    assert read == tree
    seen: set[str] = set()
    for member in members:
        parent = str(Path(member.name).parent)
        assert parent == "." or parent in seen, "a folder comes before what is in it"
        seen.add(member.name)
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        assert member.mtime == STAMP
        assert member.mode == (0o755 if member.isdir() else 0o644)
        assert member.isdir() or member.isreg()


def test_the_stream_is_what_it_always_was(tmp_path):
    """Its digest is public: another Python, or another version of Cloche, has to give the same."""
    store = Store(tmp_path)
    layer = Layer("", (
        stored(store, "models/größe/config.pbtxt", b"max_batch_size: 8\n"),
        stored(store, "models/größe/1/" + "a" * 120, b"weights"),
        stored(store, "cloche/entrypoint", b"#!/bin/sh\n", executable=True),
    ))  # fmt: skip
    assert digest_of(stream(layer, store)) == DIGEST


DIGEST = "sha256:0da7404771c3239806aa6eb67c55f3f9ff3c7654ab030f1af2364051a1d871e4"


def test_a_file_of_more_than_eight_gibibytes_has_its_size():
    header = tar.file_header("models/m/1/weights", 9 * 2**30)
    member = tarfile.TarInfo.frombuf(header[-512:], "utf-8", "strict")
    with tarfile.open(fileobj=io.BytesIO(header)) as archive:
        assert archive.next().size == 9 * 2**30
    assert member.name == "models/m/1/weights"


def test_memory_does_not_grow_with_a_file(tmp_path):
    store = Store(tmp_path / "store")
    weights = tmp_path / "weights"
    with weights.open("wb") as file:
        file.truncate(96 * 2**20)
    entry = store.add_file(weights)
    layer = Layer("", (LayerFile("models/m/1/weights", entry.size, entry.digest),))
    tracemalloc.start()
    try:
        total = sum(len(chunk) for chunk in StoredLayer(layer, store, described("")).chunks(1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == layer.size - 1
    assert peak < 8 * 2**20


@pytest.mark.parametrize("written", [b"sha256:0", b"{}", b"[1]", b"\xff"])
def test_a_remembered_digest_that_cannot_be_read_is_computed_again(tmp_path, written):
    store = Store(tmp_path)
    layer = Layer("", (stored(store, "models/m/1/weights", b"weights"),))
    assert layer.known(store) is None
    digest = digest_of(stream(layer, store))
    assert layer.remember(store, digest) == layer.known(store)
    store.remember("layer", layer._key, written)
    assert layer.known(store) is None


# ── files that change ─────────────────────────────────────────────────────────────────────────


def rewritten(path: Path) -> None:
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])


def truncated(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 1)


def a_link(path: Path) -> None:
    path.rename(path.with_suffix(".there"))
    path.symlink_to(path.with_suffix(".there"))


@pytest.mark.parametrize("change", [rewritten, truncated, a_link])
def test_a_file_that_was_changed_is_found(tmp_path, change):
    store = Store(tmp_path)
    file = stored(store, "models/m/1/weights", b"weights")
    change(store.blob_path(file.digest))
    with pytest.raises(ClocheError) as found:
        stream(Layer("", (file,)), store)
    assert found.value.code == "image.changed"
    assert found.value.retriable


@pytest.mark.parametrize("change", [rewritten, truncated])
def test_a_file_that_changes_while_it_is_read_is_found(tmp_path, change):
    store = Store(tmp_path)
    file = stored(store, "models/m/1/weights", bytes(3 * 2**20))
    reading = Layer("", (file,)).chunks(store)
    while len(next(reading)) < layers._CHUNK:
        pass
    change(store.blob_path(file.digest))
    with pytest.raises(ClocheError) as found:
        list(reading)
    assert found.value.code == "image.changed"


def test_other_bytes_with_an_unchanged_stat_are_found(tmp_path):
    """Their digest is another one."""
    store = Store(tmp_path)
    file = stored(store, "models/m/1/weights", b"weights")
    layer = Layer("weights", (file,))
    digest = digest_of(stream(layer, store))
    path = store.blob_path(file.digest)
    status = path.stat()
    rewritten(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ClocheError) as found:
        list(StoredLayer(layer, store, described(digest)).chunks())
    assert found.value.code == "image.changed"


def test_a_file_that_is_gone_is_named(tmp_path):
    store = Store(tmp_path)
    file = stored(store, "models/m/1/weights", b"weights")
    store.blob_path(file.digest).unlink()
    with pytest.raises(ClocheError) as found:
        stream(Layer("", (file,)), store)
    assert found.value.code == "store.missing"


def test_links_are_links(tmp_path):
    store = Store(tmp_path / "store")
    links = (LayerLink("models/m/environment", "/cloche/environments/1"),)
    layer = Layer("", (stored(store, "models/m/1/model.py", b"1"),), links)
    with tarfile.open(fileobj=io.BytesIO(stream(layer, store))) as archive:
        kinds = {member.name: (member.type, member.linkname, member.mode) for member in archive}
    assert kinds["models/m/environment"] == (tarfile.SYMTYPE, "/cloche/environments/1", 0o777)
    assert kinds["models/m"] == (tarfile.DIRTYPE, "", 0o755)
    assert layer.size == len(stream(layer, store))
