"""Trees of files in a store: made, checked for damage, and cleaned away."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_leftovers import leftovers

from cloche.artifacts import FileEntry, digest_of, digest_of_files
from cloche.errors import ClocheError
from cloche.store import Store, trees

# ── trees ─────────────────────────────────────────────────────────────────────────────────────


def make_tree(store: Store, *contents: bytes) -> tuple[str, tuple[FileEntry, ...]]:
    files = tuple(
        FileEntry(f"folder {i}/file", len(data), store.add_bytes(data))
        for i, data in enumerate(contents)
    )
    return store.put_tree(files, label="a test"), files


def test_a_tree_shares_its_files_and_is_made_once(store: Store) -> None:
    digest, files = make_tree(store, b"one", b"two")
    path = store.tree_path(digest)
    assert digest == digest_of_files(files) == store.put_tree(tuple(reversed(files)))
    assert (path / "folder 0/file").samefile(store.blob_path(files[0].digest))
    assert store.whole(digest)
    assert leftovers(store) == []


def test_where_files_cannot_be_linked_they_are_copied(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "no links here")

    monkeypatch.setattr(trees.os, "link", refuse)
    digest, _ = make_tree(store, b"one")
    copied = store.tree_path(digest) / "folder 0/file"
    assert copied.read_bytes() == b"one"
    assert copied.stat().st_nlink == 1
    assert store.whole(digest)


@pytest.mark.parametrize(
    "paths",
    [["/etc/passwd"], ["../x"], ["a/../../x"], ["a//b"], ["./a"], [""], ["a\0b"], ["a", "a"],
     ["a", "a/b"], ["a/"], ["."]],
)  # fmt: skip
def test_a_tree_never_leaves_its_folder(store: Store, paths: list[str]) -> None:
    digest = store.add_bytes(b"x")
    with pytest.raises(ClocheError) as raised:
        store.put_tree(tuple(FileEntry(path, 1, digest) for path in paths))
    assert raised.value.code == "store.path"


@given(st.lists(st.text(alphabet="ab./\\é\n", max_size=6), max_size=4))
def test_accepted_paths_stay_inside_and_apart(paths: list[str]) -> None:
    try:
        trees.check_paths(FileEntry(path, 0, "") for path in paths)
    except ClocheError:
        return
    root = Path("/root/of/tree")
    whole = [Path(os.path.normpath(root / path)) for path in paths]
    assert all(path.is_relative_to(root) and path != root for path in whole)
    assert len(set(whole)) == len(whole)
    assert not any(one in other.parents for one in whole for other in whole)


def test_what_is_not_stored_is_said_to_be_missing(store: Store) -> None:
    nowhere = digest_of(b"nowhere")
    for ask in (store.read, store.tree_path):
        with pytest.raises(ClocheError) as raised:
            ask(nowhere)
        assert raised.value.code == "store.missing"
    with pytest.raises(ClocheError) as raised:
        store.put_tree((FileEntry("a", 7, nowhere),))
    assert raised.value.code == "store.missing"
    assert leftovers(store) == []


# ── damage ────────────────────────────────────────────────────────────────────────────────────


def overwrite(path: Path, data: bytes, *, keep_times: bool) -> None:
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(data)
    if keep_times:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("silent", [False, True])
def test_a_damaged_file_is_noticed_and_taken_in_again(
    store: Store, model: Path, silent: bool
) -> None:
    entry = store.add_file(model)
    digest = store.put_tree((entry,))
    overwrite(store.blob_path(entry.digest), b"MODEL" * 1000, keep_times=silent)
    if silent:  # bit rot: nothing but reading it shows
        assert not store.verify(digest)
    assert not store.whole(digest)
    assert store.known_file(model) is None
    again = store.add_file(model)
    assert store.put_tree((again,)) == digest
    assert store.verify(digest)
    assert (store.tree_path(digest) / again.path).read_bytes() == model.read_bytes()


def test_a_file_lost_from_a_tree_is_noticed(store: Store) -> None:
    digest, files = make_tree(store, b"one", b"two")
    (store.tree_path(digest) / "folder 1/file").unlink()
    assert not store.whole(digest)
    assert store.put_tree(files) == digest
    assert store.whole(digest)


# ── size and cleaning ─────────────────────────────────────────────────────────────────────────


def age(store: Store, digest: str, seconds: float) -> None:
    when = time.time_ns() - int(seconds * 1e9)
    name = digest.removeprefix("sha256:")
    manifest = store.root / "index/tree" / f"{name}.json"
    if manifest.exists():
        os.utime(manifest, ns=(when, when))
    tree = store.root / "trees" / name
    for path in [p for p in tree.rglob("*") if p.is_file()] or [store.blob_path(digest)]:
        os.utime(path, ns=(when, path.stat().st_mtime_ns))


def test_the_longest_unused_goes_first_and_never_what_is_kept(store: Store) -> None:
    old, _ = make_tree(store, b"o" * 1000)
    kept, _ = make_tree(store, b"k" * 1000, b"shared" * 1000)
    new, _ = make_tree(store, b"n" * 1000, b"shared" * 1000)
    loose = store.add_bytes(b"l" * 1000)
    for seconds, digest in enumerate([new, loose, old, kept]):
        age(store, digest, 100 + seconds * 100)
    listed = store.usage([kept])
    assert [(entry.kind, entry.digest, entry.kept) for entry in listed] == [
        ("tree", kept, True), ("tree", old, False), ("blob", loose, False), ("tree", new, False),
    ]  # fmt: skip
    assert {entry.label for entry in listed if entry.kind == "tree"} == {"a test"}

    cleaned = store.clean([kept], store.size() - 1500)
    assert [entry.digest for entry in cleaned.removed] == [old, loose]
    assert cleaned.size == store.size()
    assert store.whole(kept)
    assert store.whole(new)

    store.clean([kept], 0)
    assert store.whole(kept)
    with pytest.raises(ClocheError):
        store.tree_path(new)
    assert [entry.digest for entry in store.usage()] == [kept]


def test_what_work_under_way_has_used_is_not_cleaned(store: Store) -> None:
    before, _ = make_tree(store, b"before")
    age(store, before, 100)
    with store.working():
        used, _ = make_tree(store, b"used")
        store.remember("kind", "key", b"value")
        Store(store.root).clean((), 0)
        assert store.whole(used)
        assert store.recall("kind", "key") == b"value"
        assert not store.whole(before)
    store.clean((), 0)
    assert store.size() == 0


def test_a_store_of_files_counts_each_once(store: Store) -> None:
    make_tree(store, b"x" * 5000)
    make_tree(store, b"x" * 5000, b"y" * 100)
    assert 5100 <= store.size() < 5100 + 3000
