"""Files and small values in a store: taken in, known again, downloaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from store_leftovers import leftovers

from cloche.artifacts import FileEntry, digest_of
from cloche.errors import ClocheError
from cloche.store import index as index_module
from cloche.store import store as store_module

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.store import Store


def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(*_: object) -> str:
        raise AssertionError("the file was read again")

    monkeypatch.setattr(store_module, "copy_and_digest", copy)


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
