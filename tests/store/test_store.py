from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.artifacts import FileEntry, digest_of, digest_of_files
from cloche.errors import ClocheError
from cloche.store import Store, disk, trees
from cloche.store import index as index_module
from cloche.store import store as store_module

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model é.onnx"
    path.write_bytes(b"model" * 1000)
    let_settle(path)
    return path


def let_settle(path: Path) -> None:
    """Wait until the file's timestamps are old enough to be trusted (a few clock ticks)."""
    deadline = time.monotonic() + 5
    while not index_module.is_settled(path.stat()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(*_: object) -> str:
        raise AssertionError("the file was read again")

    monkeypatch.setattr(store_module, "copy_and_digest", copy)


def leftovers(store: Store) -> list[str]:
    return [path.name for path in (store.root / "partial").iterdir()]


# ── files ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 4095, 4 * 2**20, 9 * 2**20 + 7])
def test_a_file_is_kept_under_its_digest_and_read_only(
    store: Store, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(size))
    entry = store.add_file(path)
    assert entry == FileEntry("weights.bin", size, digest_of(path.read_bytes()))
    assert store.read(entry.digest) == path.read_bytes()
    assert store.blob_path(entry.digest).stat().st_mode & 0o777 == 0o444
    assert leftovers(store) == []


def test_an_unchanged_file_is_not_read_again(
    store: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.known_file(model) is None
    first = store.add_file(model)
    no_copies(monkeypatch)
    assert store.add_file(model) == first == store.known_file(model)


def test_a_file_changed_in_place_to_the_same_size_is_read_again(store: Store, model: Path) -> None:
    first = store.add_file(model)
    times = (model.stat().st_atime_ns, model.stat().st_mtime_ns)
    model.write_bytes(b"other" * 1000)
    os.utime(model, ns=times)
    assert store.add_file(model).digest == digest_of(b"other" * 1000) != first.digest


@pytest.mark.parametrize(
    ("age", "whole_seconds", "trusted"),
    [(0.0, False, False), (0.2, False, True), (0.2, True, False), (3.0, True, True)],
)
def test_only_a_stat_that_a_later_write_must_change_is_trusted(
    monkeypatch: pytest.MonkeyPatch, age: float, whole_seconds: bool, trusted: bool
) -> None:
    changed = 1_700_000_000_000_000_000 + (0 if whole_seconds else 123_456_789)
    monkeypatch.setattr(index_module.time, "time_ns", lambda: changed + int(age * 1e9))
    status = type("Status", (), {"st_mtime_ns": changed, "st_ctime_ns": changed})
    assert index_module.is_settled(status) is trusted  # type: ignore[arg-type]


def test_a_file_that_is_written_to_meanwhile_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "growing.onnx"
    path.write_bytes(b"x" * 5 * 2**20)

    class Writer:
        def advance(self, amount: int) -> None:
            with path.open("ab") as file:
                file.write(b"y")

        def note(self, text: str) -> None: ...

    with pytest.raises(ClocheError) as raised:
        store.add_file(path, Writer())
    assert raised.value.code == "store.changed"
    assert leftovers(store) == []


def test_progress_counts_bytes_also_for_what_is_known(store: Store, model: Path) -> None:
    class Counter:
        total = 0

        def advance(self, amount: int) -> None:
            self.total += amount

        def note(self, text: str) -> None: ...

    counter = Counter()
    store.add_file(model, counter)
    store.add_file(model, counter)
    assert counter.total == 2 * model.stat().st_size


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ClocheError, match="not a regular file"):
        store.add_file(tmp_path / "pipe")


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


# ── small values ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["plain", "models:/digits@champion", "../../escape", "é" * 300])
def test_a_value_is_remembered_under_any_key(store: Store, key: str) -> None:
    assert store.recall("kind", key) is None
    store.remember("kind", key, b"first")
    store.remember("kind", key, b"second")
    assert store.recall("kind", key) == b"second"
    assert all(path.is_relative_to(store.root) for path in store.root.rglob("*.json"))


def test_a_value_emptied_by_a_power_cut_is_none(store: Store) -> None:
    store.remember("kind", "key", b"value")
    (store.root / "index/kind/key.json").write_bytes(b"")
    assert store.recall("kind", "key") is None


# ── full and unwritable disks ─────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small tmpfs")
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=False
    )
    if done.returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_file_too_large_for_the_disk_is_refused_before_it_is_written(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 3 * 2**20)
    with small_disk(tmp_path / "disk", "2m") as disk_path:
        store = Store(disk_path / "store")
        with pytest.raises(ClocheError) as raised:
            store.add_file(big)
        assert raised.value.code == "store.full"
        assert "3.0 MiB were needed" in raised.value.what
        assert leftovers(store) == []


def test_a_disk_that_fills_while_writing_leaves_nothing_half(
    store: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().parent == store.root / "partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(ClocheError) as raised:
        store.add_file(model)
    assert raised.value.code == "store.full"
    assert raised.value.retriable
    assert raised.value.where == str(store.root)
    monkeypatch.undo()
    assert leftovers(store) == []
    assert store.add_file(model).size == 5000


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("this is a file")
    with pytest.raises(ClocheError) as raised:
        Store(tmp_path / "home/store").add_bytes(b"x")
    assert raised.value.code == "store.unwritable"
    assert "CLOCHE_HOME" in (raised.value.hint or "")


def test_other_errors_of_the_system_are_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), disk.writing(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


# ── processes ─────────────────────────────────────────────────────────────────────────────────

_KILLED = """
import os, signal, sys
from pathlib import Path
from cloche.store import Store

class Killer:
    def advance(self, amount): os.kill(os.getpid(), signal.SIGKILL)
    def note(self, text): pass

Store(Path(sys.argv[1])).add_file(Path(sys.argv[2]), Killer())
"""


def test_what_a_killed_process_left_is_no_file_and_is_cleaned(store: Store, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(9 * 2**20))
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(store.root), str(big)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert len(leftovers(store)) == 1
    assert not store.use(digest_of(big.read_bytes()))
    store.clean((), store.max_size)
    assert leftovers(store) == []


_WORKER = """
import random, sys
from pathlib import Path
from cloche.artifacts import FileEntry
from cloche.store import Store

store, source = Store(Path(sys.argv[1])), Path(sys.argv[2])
for turn in range(40):
    with store.working():
        files = tuple(store.add_file(path) for path in sorted(source.iterdir()))
        digest = store.put_tree(files)
        assert store.tree_path(digest).is_dir()
        assert [store.read(f.digest)[:1] for f in files] == [b"a", b"b", b"c"]
    if random.random() < 0.5:
        store.clean((), 0)
print(digest)
"""


def test_several_processes_add_and_clean_at_once(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for letter in "abc":
        (source / letter).write_bytes(letter.encode() * 50_000)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(store.root), str(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert leftovers(store) == []


# ── downloads ─────────────────────────────────────────────────────────────────────────────────


def test_a_download_is_taken_up_where_it_was_left(store: Store) -> None:
    with store.download("some model") as partial:
        partial.append(b"first ")
    with store.download("some model") as partial:
        assert partial.size == 6
        state = partial.begin_at(6)
        partial.append(b"second")
        state.update(b"second")
        store.adopt(partial, f"sha256:{state.hexdigest()}")
    assert store.read(digest_of(b"first second")) == b"first second"
    with store.download("some model") as partial:
        assert partial.size == 0


def test_downloads_under_way_survive_a_cleaning_to_the_limit_and_not_one_of_all(
    store: Store,
) -> None:
    with store.download("left") as partial:
        partial.append(b"x" * 100)
    with store.download("under way") as partial:
        partial.append(b"y" * 100)
        store.clean((), store.max_size)
        assert len(leftovers(store)) == 2
        store.clean((), 0)
        assert leftovers(store) == [partial.path.name]


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
